"""Reach of a principal or a machine: escalation edges, their closure, and the shortest way as explanation."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rightsize.analyze.inputs import empty
from rightsize.analyze.reach.closure import ReachGraph
from rightsize.analyze.reach.escalation import Holdings, escalations_of
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.reach.measure import measure, measure_reach, read_holdings, view_of, ways_from
from tests.analyze.tiny import RG, SUB, VM, Tiny
from tests.examples import MANY

RUN = "Microsoft.Compute/virtualMachines/runCommand/action"
SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
POLICY = "Microsoft.KeyVault/vaults/accessPolicies/write"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
SITE_WRITE = "Microsoft.Web/sites/write"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
FEDERATE = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"
NSG = "Microsoft.Network/networkSecurityGroups/write"
START = "Microsoft.Compute/virtualMachines/start/action"
CATALOGUE = dict.fromkeys((RUN, POLICY, KEYS, SITE_WRITE, ASSIGN, FEDERATE, NSG, START), False) | {SECRET: True}
VAULT = f"{RG}/providers/Microsoft.KeyVault/vaults/kv"
STORE = f"{RG}/providers/Microsoft.Storage/storageAccounts/st"
SITE = f"{RG}/providers/Microsoft.Web/sites/app"
IDENTITY = f"{RG}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1"


@pytest.fixture
def tenant(tiny: Tiny) -> Tiny:
    """A machine with an identity, a vault, an account, an app; what they allow is for each test to say."""
    tiny.catalogue(CATALOGUE).cover()
    for scope, kind in (
        (VM, "Microsoft.Compute/virtualMachines"),
        (VAULT, "Microsoft.KeyVault/vaults"),
        (STORE, "Microsoft.Storage/storageAccounts"),
        (SITE, "Microsoft.Web/sites"),
    ):
        tiny.add("scopes", scope=scope, kind="resource", resource_type=kind)
    tiny.add(
        "principals", principal_id="mi", principal_type="ManagedIdentity", alternative_names=["isExplicit=False", VM]
    )
    return tiny


def frames(tenant: Tiny, **more: list[dict[str, Any]]) -> Any:
    """Return the tables beside those of the analysis."""
    return lambda name: pl.DataFrame(more[name], schema=empty(name).schema) if name in more else empty(name)


def reach(tenant: Tiny, basis: str = "granted", **more: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of `reach` by (subject, state)."""
    inputs, analysis = tenant.inputs(), tenant.analyse()
    facts, holdings = read_facts(inputs, frames(tenant, **more)), read_holdings(analysis)
    rows, _ = measure_reach(analysis, inputs, [(basis, facts, holdings[basis])])
    return {(row["subject"], row["state"]): row for row in rows.filter(pl.col("basis") == basis).to_dicts()}


def ways(tenant: Tiny, start: str, **more: list[dict[str, Any]]) -> dict[str, list[tuple[str, bool]]]:
    """Return the steps of the shortest way to everything that a node reaches: where to, and whether for certain."""
    inputs, analysis = tenant.inputs(), tenant.analyse()
    facts = read_facts(inputs, frames(tenant, **more))
    view = view_of(facts, analysis.tenant, inputs, read_holdings(analysis)["granted"], with_eligible=False)
    found = ways_from(view, start, [name for name in view.graph.names if name != start and name[0] in "prsax"])
    return {end: [(step.end, step.certain) for step in steps] for end, steps in found.items()}


@pytest.mark.slow
def test_whoever_runs_commands_on_a_machine_acts_as_its_identity(tenant: Tiny) -> None:
    tenant.role("ops", RUN).role("net", NSG).assign("a", "p", "ops", RG).assign("b", "mi", "net")
    row = reach(tenant)["p", "active"]
    assert (row["identities"], row["resources"]) == (1, 1)
    assert row["layers"] == ["host_integrity", "network_segmentation"]
    assert (row["cells"], row["own_cells"]) == (2, 1)
    assert ways(tenant, "p:p")["p:mi"] == [(f"r:{VM.lower()}", True), ("p:mi", True)]


@pytest.mark.slow
def test_a_machine_that_falls_takes_what_its_identity_holds(tenant: Tiny) -> None:
    tenant.role("net", NSG).assign("b", "mi", "net")
    row = reach(tenant)[VM.lower(), "active"]
    assert (row["kind"], row["identities"], row["layers"]) == ("resource", 1, ["network_segmentation"])


@pytest.mark.slow
def test_starting_a_machine_gives_nothing_further(tenant: Tiny) -> None:
    tenant.role("starter", START).role("net", NSG).assign("a", "p", "starter").assign("b", "mi", "net")
    assert ("p", "active") not in reach(tenant)


@pytest.mark.slow
def test_a_role_elsewhere_does_not_reach_the_machine(tenant: Tiny) -> None:
    tenant.role("ops", RUN).assign("a", "p", "ops", f"{SUB}/resourceGroups/other")
    assert reach(tenant)["p", "active"]["resources"] == 0


@pytest.mark.slow
def test_members_reach_what_their_group_does(tenant: Tiny) -> None:
    tenant.role("ops", RUN).assign("a", "g", "ops").member("g", "p")
    assert reach(tenant)["p", "active"]["identities"] == 1


@pytest.mark.slow
def test_an_attached_identity_comes_from_the_listing_of_resources_too(tenant: Tiny) -> None:
    tenant.role("web", SITE_WRITE).assign("a", "p", "web", RG)
    tenant.add(
        "principals",
        principal_id="ua",
        principal_type="ManagedIdentity",
        alternative_names=["isExplicit=True", IDENTITY],
    )
    attached = [{"scope": SITE.lower(), "kind": "user", "identity_scope": IDENTITY.lower(), "principal_id": None}]
    assert "p:ua" in ways(tenant, "p:p", resource_identities=attached)
    assert "p:ua" not in ways(tenant, "p:p")


def test_trusting_an_outsider_gives_a_user_assigned_identity(tenant: Tiny) -> None:
    tenant.add(
        "principals",
        principal_id="ua",
        principal_type="ManagedIdentity",
        alternative_names=["isExplicit=True", IDENTITY],
    )
    tenant.role("fed", FEDERATE).assign("a", "p", "fed", RG)
    assert ways(tenant, "p:p")["p:ua"] == [("p:ua", True)]


@pytest.mark.slow
def test_an_access_policy_counts_only_where_the_vault_goes_by_policies(tenant: Tiny) -> None:
    tenant.role("kv", POLICY).assign("a", "p", "kv", RG)
    secrets = f"s:{VAULT.lower()}"
    assert ways(tenant, "p:p")[secrets] == [(secrets, False)]
    by_roles = [
        {
            "scope": VAULT.lower(),
            "resource_type": "Microsoft.KeyVault/vaults",
            "settings": '{"enableRbacAuthorization":"true"}',
        }
    ]
    assert secrets not in ways(tenant, "p:p", resources=by_roles)


@pytest.mark.slow
def test_keys_of_an_account_may_hold_the_code_of_an_app_beside_it(tenant: Tiny) -> None:
    tenant.role("keys", KEYS).assign("a", "p", "keys", STORE)
    assert ways(tenant, "p:p")[f"r:{SITE.lower()}"] == [(f"s:{STORE.lower()}", True), (f"r:{SITE.lower()}", False)]
    closed = [
        {
            "scope": STORE.lower(),
            "resource_type": "Microsoft.Storage/storageAccounts",
            "settings": '{"allowSharedKeyAccess":"false"}',
        }
    ]
    assert f"s:{STORE.lower()}" not in ways(tenant, "p:p", resources=closed)


@pytest.mark.slow
def test_assigning_roles_gives_everything_below(tenant: Tiny) -> None:
    tenant.role("uaa", ASSIGN).role("net", NSG).assign("a", "p", "uaa", RG).assign("b", "mi", "net")
    row = reach(tenant)["p", "active"]
    assert (row["identities"], row["secrets"], row["takes_tenant"]) == (1, 3, False)
    assert len(row["layers"]) == 6


@pytest.mark.slow
def test_a_condition_limits_assigning_to_the_roles_that_it_names(tenant: Tiny) -> None:
    starter = "11111111-0000-0000-0000-000000000000"
    limited = (
        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request[Microsoft.Authorization/"
        f"roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{starter}}}))"
    )
    tenant.role("uaa", ASSIGN).role(starter, RUN).assign("a", "p", "uaa", RG, condition=limited)
    row = reach(tenant)["p", "active"]
    assert (row["resources"], row["secrets"]) == (1, 0)
    assert row["layers"] == ["host_integrity"]


def test_a_condition_that_nobody_understands_may_allow_everything(tenant: Tiny) -> None:
    tenant.role("uaa", ASSIGN).assign("a", "p", "uaa", RG, condition="@Request[something] StringEquals 'odd'")
    assert ways(tenant, "p:p")[f"a:{RG.lower()}"] == [(f"a:{RG.lower()}", False)]


@pytest.mark.slow
def test_owners_of_groups_and_applications_have_what_these_hold(tenant: Tiny) -> None:
    tenant.role("ops", RUN).assign("a", "g", "ops").assign("b", "sp", "ops")
    for who, kind in (("g", "Group"), ("sp", "ServicePrincipal"), ("p", "User"), ("q", "User")):
        tenant.add("principals", principal_id=who, principal_type=kind, app_id="app-1" if who == "sp" else None)
    owners = [
        {"object_id": "g", "owner_id": "p", "app_id": None},
        {"object_id": "application object", "owner_id": "q", "app_id": "app-1"},
    ]
    rows = reach(tenant, object_owners=owners)
    assert (rows["p", "active"]["resources"], rows["q", "active"]["resources"]) == (1, 1)
    assert ways(tenant, "p:q", object_owners=owners)["p:sp"] == [("p:sp", True)]


@pytest.mark.slow
def test_a_directory_role_that_adds_credentials_gives_every_application(tenant: Tiny) -> None:
    tenant.role("owner", "*").assign("a", "sp", "owner")
    tenant.add("principals", principal_id="sp", principal_type="ServicePrincipal")
    tenant.add("principals", principal_id="p", principal_type="User")
    roles = [{"directory_role_id": "appadmin", "actions": ["microsoft.directory/applications/credentials/update"]}]
    held = [
        {
            "role_assignment_id": "d",
            "state": "active",
            "principal_id": "p",
            "directory_role_id": "appadmin",
            "scope": "/",
        }
    ]
    row = reach(tenant, directory_roles=roles, directory_role_assignments=held)["p", "active"]
    assert "sp" not in row["subject"]
    assert (len(row["layers"]), row["planes"]) == (6, ["control", "data", "directory"])
    part = [held[0] | {"scope": "/administrativeUnits/x"}]
    assert ("p", "active") not in reach(tenant, directory_roles=roles, directory_role_assignments=part)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("permission", "takes_tenant", "layers"),
    [
        ("RoleManagement.ReadWrite.Directory", True, 6),
        ("AppRoleAssignment.ReadWrite.All", True, 6),
        ("Application.ReadWrite.All", False, 1),
        ("GroupMember.ReadWrite.All", False, 1),
        ("User.Read.All", False, 0),
    ],
)
def test_an_application_permission_of_graph_leads_into_azure(
    tenant: Tiny, permission: str, takes_tenant: bool, layers: int
) -> None:
    """By a credential of another application, a group that holds a role, or the directory itself."""
    tenant.role("net", NSG).assign("a", "other", "net").assign("b", "g", "net")
    graph = "00000003-0000-0000-c000-000000000000"
    for who, kind, app in (("sp", "ServicePrincipal", "a1"), ("other", "ServicePrincipal", "a2"), ("g", "Group", None),
                           ("api", "ServicePrincipal", graph)):  # fmt: skip
        tenant.add("principals", principal_id=who, principal_type=kind, app_id=app)
    published = [{"api_app_id": graph, "permission_id": "role-1", "access": "application", "permission": permission}]
    held = [{"app_role_assignment_id": "x", "principal_id": "sp", "principal_type": "ServicePrincipal",
             "resource_id": "api", "app_role_id": "role-1"}]  # fmt: skip
    rows = reach(tenant, api_permissions=published, app_role_assignments=held)
    found = rows.get(("sp", "active"), {"takes_tenant": False, "layers": []})
    assert (found["takes_tenant"], len(found["layers"])) == (takes_tenant, layers)


@pytest.mark.slow
def test_access_that_leads_no_further_counts(tenant: Tiny) -> None:
    """A role of the directory, a permission of an application and an access policy without a further step."""
    graph = "00000003-0000-0000-c000-000000000000"
    for who, kind, app in (("p", "User", None), ("idle", "User", None), ("sp", "ServicePrincipal", "a1"),
                           ("api", "ServicePrincipal", graph), ("q", "User", None)):  # fmt: skip
        tenant.add("principals", principal_id=who, principal_type=kind, app_id=app)
    policies = [{"scope": VAULT.lower(), "principal_id": "q", "app_id": "", "is_foreign": False,
                 "operation": "Microsoft.KeyVault/vaults/keys/update/action"}]  # fmt: skip
    roles = [{"directory_role_id": "reader", "actions": ["microsoft.directory/users/standard/read"]}]
    directory = [{"role_assignment_id": "d", "state": "active", "principal_id": "p", "directory_role_id": "reader",
                  "scope": "/"}]  # fmt: skip
    published = [{"api_app_id": graph, "permission_id": "r", "access": "application", "permission": "User.Read.All"}]
    held = [{"app_role_assignment_id": "x", "principal_id": "sp", "principal_type": "ServicePrincipal",
             "resource_id": "api", "app_role_id": "r"}]  # fmt: skip
    inputs, analysis = tenant.inputs(), tenant.analyse()
    more = frames(
        tenant, directory_roles=roles, directory_role_assignments=directory, api_permissions=published,
        app_role_assignments=held, vaults=[{"scope": VAULT.lower(), "model": "policies"}], vault_policies=policies,
    )  # fmt: skip
    view = view_of(
        read_facts(inputs, more), analysis.tenant, inputs, read_holdings(analysis)["granted"], with_eligible=False
    )
    counts = {row["node"]: row["planes"] for row in measure(view).counts.to_dicts()}
    assert (counts["p:p"], counts["p:sp"], counts["p:q"]) == (["directory"], ["graph"], ["data"])
    assert counts.get("p:idle", []) == []


@pytest.mark.slow
def test_a_global_administrator_takes_the_tenant(tenant: Tiny) -> None:
    tenant.add("principals", principal_id="p", principal_type="User")
    held = [{"role_assignment_id": "d", "state": "eligible", "principal_id": "p",
             "directory_role_id": "62e90394-69f5-4237-9190-012177145e10", "scope": "/"}]  # fmt: skip
    rows = reach(tenant, directory_role_assignments=held)
    assert rows["p", "eligible"]["takes_tenant"] is True
    assert ("p", "active") not in rows


@pytest.mark.slow
def test_what_was_used_reaches_no_further_than_what_was_done(tenant: Tiny) -> None:
    tenant.role("all", "*").role("net", NSG).assign("a", "p", "all").assign("b", "mi", "net").use("p", START, VM)
    assert ("p", "active") not in reach(tenant, "used")
    tenant.use("p", RUN, VM)
    assert reach(tenant, "used")["p", "active"]["resources"] == 1


@pytest.mark.slow
def test_uses_that_allow_no_step_are_few_roles_and_reach_the_same(tenant: Tiny) -> None:
    tenant.role("all", "*").assign("a", "p", "all").assign("b", "mi", "all").assign("c", "q", "all", RG)
    places = (VM, VAULT, STORE, SITE, IDENTITY)
    for operation in (START, RUN, KEYS, NSG, ASSIGN):
        for principal, scope in (("p", VM), ("mi", STORE), *(("q", place) for place in places)):
            tenant.use(principal, operation, scope)
    inputs, analysis = tenant.inputs(), tenant.analyse()
    facts, held = read_facts(inputs, frames(tenant)), read_holdings(analysis)["used"]
    used = analysis.verdicts.filter(pl.col("verdict") == "used")
    each = used.select(
        name=pl.col("operation").str.to_lowercase(), plane="plane", holder="principal_id",
        place=pl.col("scope").str.to_lowercase(), role="used " + pl.col("plane") + " " + pl.col("operation"),
        state=pl.lit("active"), condition=pl.lit(None, dtype=pl.String),
    )  # fmt: skip
    singly = Holdings(
        each.select(held.assigned.columns), each.select("role", "name", "plane", conditional=False).unique()
    )
    assert held.assigned.height < singly.assigned.height
    for found, expected in zip(
        *(measure_reach(analysis, inputs, [("used", facts, one)]) for one in (held, singly)), strict=True
    ):
        assert not expected.is_empty()
        assert_frame_equal(found, expected)


@pytest.mark.slow
def test_escalations_name_the_first_step_with_its_permission_and_place(tenant: Tiny) -> None:
    tenant.role("ops", RUN).assign("a", "p", "ops", RG)
    inputs, analysis = tenant.inputs(), tenant.analyse()
    facts, held = read_facts(inputs, frames(tenant)), read_holdings(analysis)["granted"]
    view = view_of(facts, analysis.tenant, inputs, held, with_eligible=True)
    (row,) = escalations_of(view.graph, facts, analysis.tenant, held).to_dicts()
    assert (row["principal_id"], row["rule"], row["permission"], row["scope"], row["targets"], row["certain"]) == (
        "p", "runs_code", RUN.lower(), RG.lower(), 1, True,
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
@MANY
def test_the_closure_is_what_walking_finds(pairs: list[tuple[int, int]]) -> None:
    graph = ReachGraph()
    for number in range(13):
        graph.node(str(number))
    for start, end in pairs:
        graph.link(str(start), str(end), "")
    closed = dict(graph.close(lambda _: 0, {number: number for number in range(13)}))
    for number in range(13):
        seen, waiting = {number}, [number]
        while waiting:
            for end in graph.out[waiting.pop()]:
                if end not in seen:
                    seen.add(end)
                    waiting.append(end)
        assert closed[number] == sum(1 << node for node in seen - {number})
        shortest = graph.shortest(str(number), [str(node) for node in range(13)])
        assert {int(end) for end in shortest} == seen
