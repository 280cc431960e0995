"""Ways through the directory: user consent, roles over administrative units, groups in PIM, outside subjects."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from rightsize.analyze.reach.escalation import escalations_of
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.reach.measure import read_holdings, view_of
from tests.analyze.test_reach import NSG, RUN, frames, reach, tenant, ways
from tests.analyze.tiny import RG, Tiny

__all__ = ["tenant"]
GRAPH, ARM = "00000003-0000-0000-c000-000000000000", "797f4846-ba00-4fd7-ba43-dac1f8f63013"
GLOBAL, HELPDESK, GROUPS = "62e90394-69f5-4237-9190-012177145e10", "helpdesk", "groups"
CLUSTER = f"{RG}/providers/Microsoft.ContainerService/managedClusters/aks"
IDENTITY = f"{RG}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1"
ISSUER = "https://westeurope.oic.prod-aks.azure.com/tenant/cluster/"
POD = "system:serviceaccount:shop:worker"
ROLES = [
    {"directory_role_id": HELPDESK, "actions": ["microsoft.directory/users/password/update"]},
    {"directory_role_id": GROUPS, "actions": ["microsoft.directory/groups/members/update"]},
    {"directory_role_id": "apps", "actions": ["microsoft.directory/applications/credentials/update"]},
]


def people(tenant: Tiny, **kinds: str) -> None:
    for name, kind in kinds.items():
        is_app = kind == "ServicePrincipal"
        app_id = {"graph": GRAPH, "arm": ARM}.get(name, f"app-{name}") if is_app else None
        tenant.add("principals", principal_id=name, principal_type=kind, app_id=app_id)


def holding(who: str, role: str, scope: str = "/", state: str = "active") -> dict[str, Any]:
    return {"role_assignment_id": f"{who} {role} {state}", "state": state, "principal_id": who,
            "directory_role_id": role, "scope": scope}  # fmt: skip


def consent(api: str, permission: str, user: str | None = None) -> list[dict[str, Any]]:
    return [{"permission_grant_id": "g", "client_id": "client", "resource_id": api, "permissions": [permission],
             "consent_type": "Principal" if user else "AllPrincipals", "principal_id": user}]  # fmt: skip


@pytest.mark.slow
def test_an_application_acts_in_azure_as_the_user_who_consented(tenant: Tiny) -> None:
    """Never for certain, since he has to sign in to it, and never as anybody else."""
    people(tenant, client="ServicePrincipal", arm="ServicePrincipal", ann="User", bob="User")
    tenant.role("ops", RUN).role("all", "*").assign("a", "ann", "ops", RG).assign("b", "bob", "all")
    grants = consent("arm", "user_impersonation", "ann")
    row = reach(tenant, permission_grants=grants)["client", "active"]
    assert (row["resources"], row["layers"]) == (1, ["host_integrity"])
    assert ways(tenant, "p:client", permission_grants=grants)["p:mi"][0] == ("d:ann", False)


@pytest.mark.slow
def test_consent_for_everybody_lets_it_act_as_whoever_signs_in(tenant: Tiny) -> None:
    people(tenant, client="ServicePrincipal", arm="ServicePrincipal", ann="User", bob="User", robot="ServicePrincipal")
    tenant.role("ops", RUN).role("all", "*").assign("a", "team", "ops", RG).assign("b", "robot", "all")
    tenant.member("team", "ann")
    grants = consent("arm", "user_impersonation")
    row = reach(tenant, permission_grants=grants)["client", "active"]
    assert (row["resources"], row["takes_tenant"], len(row["layers"])) == (1, False, 1), "no user is `robot`"
    assert ways(tenant, "p:client", permission_grants=grants)["p:mi"][0] == ("d:everybody", False)


def test_a_global_administrator_who_signs_in_gives_azure_too(tenant: Tiny) -> None:
    people(tenant, client="ServicePrincipal", arm="ServicePrincipal", ann="User")
    held = {"permission_grants": consent("arm", "user_impersonation", "ann"),
            "directory_role_assignments": [holding("ann", GLOBAL)]}  # fmt: skip
    assert reach(tenant, **held)["client", "active"]["takes_tenant"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "permission", "user", "reached"),
    [
        (GROUPS, "GroupMember.ReadWrite.All", "ann", True),
        (GROUPS, "GroupMember.ReadWrite.All", None, True),
        (GLOBAL, "GroupMember.ReadWrite.All", "ann", True),
        (GROUPS, "Directory.AccessAsUser.All", "ann", True),
        (GROUPS, "GroupMember.ReadWrite.All", "bob", False),
        (HELPDESK, "GroupMember.ReadWrite.All", "ann", False),
        (GROUPS, "User.Read.All", "ann", False),
    ],
)
def test_a_delegated_permission_of_graph_does_what_its_user_may(
    tenant: Tiny, role: str, permission: str, user: str | None, reached: bool
) -> None:
    people(tenant, client="ServicePrincipal", graph="ServicePrincipal", ann="User", bob="User", team="Group")
    tenant.role("net", NSG).assign("a", "team", "net")
    held = {"permission_grants": consent("graph", permission, user), "directory_roles": ROLES,
            "directory_role_assignments": [holding("ann", role)]}  # fmt: skip
    assert (("client", "active") in reach(tenant, **held)) is reached


@pytest.mark.slow
def test_a_delegated_permission_reaches_what_its_user_owns(tenant: Tiny) -> None:
    people(tenant, client="ServicePrincipal", graph="ServicePrincipal", ann="User", other="ServicePrincipal")
    tenant.role("net", NSG).assign("a", "other", "net")
    held = {"permission_grants": consent("graph", "Application.ReadWrite.All", "ann"),
            "object_owners": [{"object_id": "other", "owner_id": "ann", "app_id": "app-other"}]}  # fmt: skip
    assert ways(tenant, "p:client", **held)["p:other"] == [("p:other", False)]


@pytest.mark.slow
def test_a_role_over_a_unit_reaches_its_members_only(tenant: Tiny) -> None:
    """Users and groups in the unit, without the members of its groups, and nobody who holds a directory role."""
    people(tenant, admin="User", ann="User", bob="User", boss="User", team="Group", cleo="User")
    tenant.member("team", "cleo").role("ops", RUN).role("net", NSG)
    tenant.assign("a", "ann", "ops", RG).assign("b", "bob", "net").assign("c", "boss", "net").assign("d", "cleo", "net")
    unit = "/administrativeUnits/U"
    members = [{"unit_id": "u", "member_id": who, "member_type": None} for who in ("ann", "boss", "team")]
    held = {"administrative_unit_members": members, "directory_roles": ROLES,
            "directory_role_assignments": [holding("admin", HELPDESK, unit), holding("boss", "apps")]}  # fmt: skip
    found = ways(tenant, "p:admin", **held)
    assert {end for end in found if end.startswith("p:")} == {"p:ann", "p:mi"}
    assert found["p:ann"] == [("x:users|/administrativeunits/u", True), ("p:ann", True)]
    held["directory_role_assignments"] = [holding("admin", GROUPS, unit)]
    assert ways(tenant, "p:admin", **held) == {
        "x:groups|/administrativeunits/u": [("x:groups|/administrativeunits/u", True)]
    }


@pytest.mark.slow
def test_nobody_but_its_own_administrators_changes_who_is_in_a_restricted_unit(tenant: Tiny) -> None:
    people(tenant, admin="User", own="User", ann="User", chief="User")
    tenant.role("net", NSG).assign("a", "ann", "net")
    held = {"administrative_units": [{"unit_id": "u", "display_name": "Board", "is_restricted": True}],
            "administrative_unit_members": [{"unit_id": "u", "member_id": "ann", "member_type": "User"}],
            "directory_roles": ROLES, "directory_role_assignments": [
                holding("admin", HELPDESK), holding("own", HELPDESK, "/administrativeUnits/u"),
                holding("chief", GLOBAL),
            ]}  # fmt: skip
    assert "p:ann" not in ways(tenant, "p:admin", **held)
    assert "p:ann" in ways(tenant, "p:own", **held)
    assert "p:ann" in ways(tenant, "p:chief", **held)


@pytest.mark.slow
def test_a_role_over_one_application_adds_a_credential_to_it(tenant: Tiny) -> None:
    people(tenant, ann="User", one="ServicePrincipal", two="ServicePrincipal")
    held = {"directory_roles": ROLES, "directory_role_assignments": [holding("ann", "apps", "/one")]}
    assert {end for end in ways(tenant, "p:ann", **held) if end[0] == "p"} == {"p:one"}


@pytest.mark.slow
@pytest.mark.parametrize("access", ["member", "owner"])
def test_an_eligible_membership_counts_once_it_can_be_activated(tenant: Tiny, access: str) -> None:
    people(tenant, ann="User", team="Group")
    tenant.role("ops", RUN).assign("a", "team", "ops", RG)
    tenant.add("group_schedule_instances", instance_id="i", state="eligible", principal_id="ann", group_id="team",
               access=access)  # fmt: skip
    rows = reach(tenant)
    assert ("ann", "active") not in rows
    assert rows["ann", "eligible"]["resources"] == 1


def trusted(tenant: Tiny, **more: Any) -> dict[str, Any]:
    people(tenant, app="ServicePrincipal")
    tenant.add("principals", principal_id="ua", principal_type="ManagedIdentity",
               alternative_names=["isExplicit=True", IDENTITY])  # fmt: skip
    tenant.add("scopes", scope=CLUSTER, kind="resource", resource_type="Microsoft.ContainerService/managedClusters")
    tenant.role("net", NSG).role("ops", RUN).assign("a", "ua", "net").assign("b", "app", "ops", RG)
    github = {"object_id": "object of app", "name": "main", "app_id": "app-app", "subject": "repo:org/shop:ref:main",
              "issuer": "https://token.actions.githubusercontent.com", "is_expression": False}  # fmt: skip
    pod = {"object_id": IDENTITY.lower(), "name": "pod", "issuer": ISSUER, "subject": POD, "is_expression": False}
    return {"federated_credentials": [github, pod]} | more


@pytest.mark.slow
def test_an_outside_subject_is_an_entry_of_its_own(tenant: Tiny) -> None:
    held = trusted(tenant)
    rows = reach(tenant, **held)
    github = rows["https://token.actions.githubusercontent.com repo:org/shop:ref:main", "active"]
    assert (github["kind"], github["identities"], github["resources"]) == ("outsider", 2, 1)
    assert rows[f"{ISSUER[:-1]} {POD}", "active"]["layers"] == ["network_segmentation"]


@pytest.mark.slow
def test_whoever_runs_pods_is_any_service_account_of_the_cluster(tenant: Tiny) -> None:
    people(tenant, ann="User")
    held = trusted(tenant)
    run = "Microsoft.ContainerService/managedClusters/runCommand/action"
    tenant.catalogue({run: False, NSG: False, RUN: False}).role("pods", run).assign("c", "ann", "pods", CLUSTER)
    settings = f'{{"oidcIssuerProfile/issuerURL":"{ISSUER}"}}'
    cluster = {"scope": CLUSTER.lower(), "resource_type": "Microsoft.ContainerService/managedClusters",
               "settings": settings}  # fmt: skip
    assert "p:ua" not in ways(tenant, "p:ann", **held)
    steps = ways(tenant, "p:ann", **held, resources=[cluster])["p:ua"]
    assert [end for end, _ in steps] == [f"r:{CLUSTER.lower()}", f"o:{ISSUER[:-1]} {POD}", "p:ua"]


@pytest.mark.slow
def test_a_managed_identity_that_an_application_trusts_becomes_it(tenant: Tiny) -> None:
    people(tenant, app="ServicePrincipal")
    trust = [{"object_id": "x", "name": "n", "app_id": "app-app", "issuer": "https://login.example/t/v2.0",
              "subject": "mi", "is_expression": False}]  # fmt: skip
    assert "p:app" in ways(tenant, "p:mi", federated_credentials=trust)


@pytest.mark.slow
def test_each_kind_of_way_has_a_row_among_the_escalations(tenant: Tiny) -> None:
    people(tenant, client="ServicePrincipal", arm="ServicePrincipal", ann="User", team="Group")
    held = trusted(tenant) | {"permission_grants": consent("arm", "user_impersonation"), "directory_roles": ROLES}
    held["directory_role_assignments"] = [holding("ann", HELPDESK, "/administrativeUnits/u")]
    tenant.add("group_schedule_instances", instance_id="i", state="eligible", principal_id="ann", group_id="team",
               access="owner")  # fmt: skip
    inputs, analysis = tenant.inputs(), tenant.analyse()
    facts, granted = read_facts(inputs, frames(tenant, **held)), read_holdings(analysis)["granted"]
    view = view_of(facts, analysis.tenant, inputs, granted, with_eligible=True)
    found = escalations_of(view.graph, facts, analysis.tenant, granted)
    rows = found.select("principal_id", "rule", "plane", "scope", "state", "certain").rows()
    assert ("client", "acts_in_azure", "delegated", "/", "active", False) in rows
    assert ("ann", "resets_users", "directory", "/administrativeunits/u", "active", True) in rows
    assert ("ann", "activates_ownership", "group", "/", "eligible", True) in rows
    outside = found.filter(pl.col("plane") == "federated")
    assert set(outside["permission"]) == {"application", "userassignedidentity"}


def agents(tenant: Tiny) -> None:
    """A blueprint with two agent identities, one of which has a user account; `net` is what the accounts hold."""
    people(tenant, ann="User", admin="ServicePrincipal", boss="User")
    add = tenant.add
    add("principals", principal_id="bp", principal_type="ServicePrincipal", app_id="app-bp",
        object_type="agentIdentityBlueprintPrincipal")  # fmt: skip
    for name in ("one", "two"):
        add("principals", principal_id=name, principal_type="ServicePrincipal", object_type="agentIdentity",
            blueprint_app_id="APP-BP")  # fmt: skip
    add("principals", principal_id="two-user", principal_type="User", object_type="agentUser", parent_id="two")
    tenant.role("net", NSG).role("ops", RUN).assign("a", "two-user", "net").assign("b", "one", "ops", RG)


@pytest.mark.slow
def test_whoever_owns_a_blueprint_acts_as_its_agents_and_their_users(tenant: Tiny) -> None:
    """The blueprint's application has another id than its principal; a sponsor may only enable and disable."""
    agents(tenant)
    held = {"object_owners": [{"object_id": "application-object", "owner_id": "ann", "app_id": "app-bp"}],
            "object_sponsors": [{"object_id": "bp", "sponsor_id": "boss", "app_id": "app-bp"}]}  # fmt: skip
    found = ways(tenant, "p:ann", **held)
    assert found["p:two-user"] == [("p:bp", True), ("p:two", True), ("p:two-user", True)]
    assert "p:one" in found
    assert reach(tenant, **held)["ann", "active"]["identities"] == 5, "the blueprint, its agents, a user, the machine"
    assert ways(tenant, "p:boss", **held) == {}


@pytest.mark.slow
def test_nobody_takes_an_agent_but_through_its_blueprint(tenant: Tiny) -> None:
    """Agent identities have no credential, and their user accounts no sign-in that somebody could reset."""
    agents(tenant)
    action = "microsoft.directory/agentIdentityBlueprints/credentials/update"
    held = {"directory_roles": [*ROLES, {"directory_role_id": "agents", "actions": [action]}],
            "directory_role_assignments": [holding("ann", "agents"), holding("boss", HELPDESK)]}  # fmt: skip
    found = ways(tenant, "p:ann", **held)
    assert found["p:one"] == [("x:blueprints", True), ("p:bp", True), ("p:one", True)]
    assert "p:admin" not in found, "other applications are not blueprints"
    assert "p:two-user" not in ways(tenant, "p:boss", **held)
    held["directory_role_assignments"] = [holding("ann", "apps")]
    assert {"p:admin", "p:one"} <= ways(tenant, "p:ann", **held).keys()


@pytest.mark.slow
def test_the_owner_of_an_agent_identity_may_be_able_to_act_as_it(tenant: Tiny) -> None:
    agents(tenant)
    held = {"object_owners": [{"object_id": "one", "owner_id": "ann", "app_id": None}]}
    assert ways(tenant, "p:ann", **held)["p:one"] == [("p:one", False)]


@pytest.mark.slow
def test_an_agent_takes_what_it_inherits(tenant: Tiny) -> None:
    """What its blueprint's principal holds counts for it where the blueprint lets agents inherit it."""
    agents(tenant)
    people(tenant, graph="ServicePrincipal")
    role = {
        "api_app_id": GRAPH,
        "permission_id": "r",
        "access": "application",
        "permission": "AppRoleAssignment.ReadWrite.All",
    }
    held = {"api_permissions": [role], "app_role_assignments": [
        {"app_role_assignment_id": "g", "principal_id": "bp", "principal_type": "ServicePrincipal",
         "resource_id": "graph", "app_role_id": "r"}]}  # fmt: skip
    rule = {"blueprint_id": "app-bp", "resource_app_id": GRAPH, "access": "application"}
    taken = {
        mode: reach(tenant, **held, inheritable_permissions=[rule | {"mode": mode}])["one", "active"]["takes_tenant"]
        for mode in ("allAllowed", "none")
    }
    assert taken == {"allAllowed": True, "none": False}
