"""`--unobservable touched`: unlogged operations of the control plane stay on the resource types that were used."""

from __future__ import annotations

import polars as pl
import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.propose.needs.unlogged import top_level_type
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    NET,
    READER,
    SUB,
    SUB2,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

START = "Microsoft.Compute/virtualMachines/start/action"
ACCOUNT_WRITE = "Microsoft.Storage/storageAccounts/write"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/st1"
REGISTRY = f"{NET}/providers/Microsoft.ContainerRegistry/registries/acr1"
REGISTRY_WRITE = "Microsoft.ContainerRegistry/registries/write"
PUSH = "Microsoft.ContainerRegistry/registries/push/write"
KEY = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers/write"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
SERVICE_WRITE = "Microsoft.Storage/storageAccounts/blobServices/write"
SERVICE = f"{ACCOUNT}/blobServices/default"
WORKSPACE = f"{DATA}/providers/Microsoft.OperationalInsights/workspaces/w1"
SAVED = "Microsoft.OperationalInsights/workspaces/savedSearches/write"
SEARCH = "Microsoft.OperationalInsights/workspaces/search/action"
SHARED_KEYS = "Microsoft.OperationalInsights/workspaces/sharedKeys/action"
ON_REGISTRIES, ON_ACCOUNTS = {PUSH}, {KEY, CONTAINER}
STORAGE_TOKENS = "e406a681-f3d4-42a8-90b6-c2b029497af1"
LOG_TOKENS = "ca7f3f0b-7d91-482c-8e09-c5d840d0eac5"
MIXED = "99999999-0000-4000-8000-000000000001"


def _tenant() -> SmallTenant:
    """A tenant whose catalogue has registries, and a role of all operations on both planes."""
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys((REGISTRY_WRITE, PUSH, SERVICE_WRITE), False)
    tenant.roles[MIXED] = (
        "Everything",
        [
            PermissionBlock(
                actions=("Microsoft.Storage/*", "Microsoft.Compute/*"), data_actions=("Microsoft.Storage/*",)
            )
        ],
    )
    return tenant


def _granted(plan: Plan, assignment: str) -> dict[str, set[str]]:
    """Return the strings of the new roles of a proposal, by scope."""
    new = {role.definition.role_definition_id for role in plan.roles}
    found: dict[str, set[str]] = {}
    for one in proposal_for(plan, assignment).assignments:
        if one.role in new:
            found.setdefault(one.scope, set()).update(strings(plan, one.role))
    return found


def _everywhere(plan: Plan, assignment: str) -> set[str]:
    return {text for texts in _granted(plan, assignment).values() for text in texts}


@pytest.mark.slow
def test_it_is_the_default() -> None:
    assert _tenant().plan().generated_from["options"]["unobservable"] == "touched"


@pytest.mark.nightly
def test_what_no_log_shows_goes_on_types_that_were_not_used() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM)
    assert _everywhere(tenant.plan(), assignment) == {START}
    assert _everywhere(tenant.plan(unobservable="keep"), assignment) > {START} | ON_ACCOUNTS | ON_REGISTRIES


@pytest.mark.nightly
def test_it_stays_at_the_scope_of_today_on_the_used_type() -> None:
    """The use was in one group; that says nothing of the other groups, where no log could have shown it."""
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, SERVICE_WRITE, SERVICE)
    granted = _granted(tenant.plan(), assignment)
    assert KEY in granted[SUB]
    assert not {text for texts in granted.values() for text in texts} & {CONTAINER, PUSH}


@pytest.mark.nightly
def test_work_with_an_account_is_no_work_with_what_is_in_it() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, ACCOUNT_WRITE, ACCOUNT)
    kept = _everywhere(tenant.plan(), assignment)
    assert ACCOUNT_WRITE in kept
    assert not kept & (ON_ACCOUNTS | ON_REGISTRIES)


@pytest.mark.slow
def test_a_call_on_an_endpoint_that_a_log_shows_touches_nothing_else_there() -> None:
    """The log would have shown the properties of the service, too."""
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, KEY, SERVICE)
    assert _everywhere(tenant.plan(), assignment) == {KEY}


@pytest.mark.slow
@pytest.mark.parametrize(("token", "roles"), [(LOG_TOKENS, 1), (STORAGE_TOKENS, 2)])
def test_what_stays_on_an_endpoint_for_half_of_a_job_is_in_its_role(token: str, roles: int) -> None:
    """Two of three got tokens: the third has the same role, unless what stays is risky, as the key of an account."""
    tenant = _tenant()
    steps = [f"Contoso.Apps/items/step{number}/write" for number in range(6)]
    tenant.operations |= dict.fromkeys((*steps, SEARCH), False)
    for number in (1, 2, 3):
        tenant.assign(100 + number, tenant.principal(number), CONTRIBUTOR, DATA)
        for step in steps:
            tenant.use(guid(number), step, DATA)
    for number in (1, 2):
        tenant.sign_in(guid(number), token)
    plan = tenant.plan(roles="max")
    kept = _everywhere(plan, guid(103))
    assert len(plan.roles) == roles
    assert kept == ({*steps, SEARCH} if roles == 1 else set(steps))


@pytest.mark.slow
def test_work_with_data_keeps_what_opens_it_and_not_what_makes_its_containers() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, MIXED, SUB)
    tenant.use(user, BLOB, f"{ACCOUNT}/blobServices/default/containers/c")
    kept = _everywhere(tenant.plan(), assignment)
    assert {BLOB, KEY} <= kept
    assert CONTAINER not in kept


@pytest.mark.slow
def test_data_actions_stay_and_what_runs_beside_them_needs_a_used_type() -> None:
    """No log shows whether the blobs were used; of the other services of the account nothing was."""
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, MIXED, SUB)
    tenant.use(user, START, VM)
    kept = _everywhere(tenant.plan(), assignment)
    assert {BLOB, START} <= kept
    assert all("/blobServices/" in one for one in kept & ON_ACCOUNTS), "what opens the blobs that may be used"


@pytest.mark.slow
def test_a_type_whose_log_is_missing_counts_as_touched() -> None:
    """In the subscription without a log the holder may have worked with anything; in the other one it did not."""
    tenant = _tenant()
    tenant.covered = (SUB,)
    user = tenant.principal(1)
    dark = tenant.assign(101, user, CONTRIBUTOR, SUB2)
    lit = tenant.assign(102, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan()
    assert proposal_for(plan, dark).kind == "keep"
    assert not _everywhere(plan, lit) & (ON_ACCOUNTS | ON_REGISTRIES)


@pytest.mark.slow
def test_a_call_in_quarantine_keeps_todays_role_where_it_was_made_and_touches_nothing_elsewhere() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM)
    tenant.use(user, REGISTRY_WRITE, REGISTRY, days=1, suspect=2)
    plan = tenant.plan()
    assert [one.scope for one in proposal_for(plan, assignment).assignments if one.role == CONTRIBUTOR] == [NET]
    assert _granted(plan, assignment) == {VM: {START}}


@pytest.mark.nightly
def test_a_person_without_use_gets_a_reading_role_and_the_owner_is_asked() -> None:
    """What only an endpoint could show goes with the rest; nobody gets a new role of which nothing was observed."""
    tenant = _tenant()
    assignment = tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB)
    plan = tenant.plan()
    proposal = proposal_for(plan, assignment)
    assert [(one.role, one.scope) for one in proposal.assignments] == [(READER, SUB)]
    assert proposal.evidence["removed"]["type_not_used"] == len({PUSH, CONTAINER, KEY, SERVICE_WRITE})
    assert [one.subject for one in plan.advice if "ask the owners what they are for" in one.text] == [SUB]
    kept = proposal_for(tenant.plan(unobservable="keep"), assignment)
    assert (kept.kind, kept.reason.partition(":")[0]) == ("keep", "nothing observed")


@pytest.mark.slow
def test_a_workload_without_use_is_kept_and_the_owner_is_asked() -> None:
    """It may work on an endpoint alone, and no existing role grants just what no log could show."""
    tenant = _tenant()
    assignment = tenant.assign(101, tenant.principal(1, "ServicePrincipal"), CONTRIBUTOR, SUB)
    plan = tenant.plan()
    proposal = proposal_for(plan, assignment)
    assert (proposal.kind, proposal.reason.partition(":")[0]) == ("keep", "nothing observed")
    assert [one.subject for one in plan.advice if "ask the owners what they are for" in one.text] == [SUB]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "is_kept"), [("User", False), ("ServicePrincipal", True)])
def test_a_group_without_use_is_judged_by_its_members(kind: str, is_kept: bool) -> None:
    tenant = _tenant()
    group = tenant.group(50, [tenant.principal(1), tenant.principal(2, kind)])
    assignment = tenant.assign(101, group, CONTRIBUTOR, SUB)
    assert (proposal_for(tenant.plan(), assignment).kind == "keep") is is_kept


@pytest.mark.nightly
def test_a_second_assignment_of_somebody_who_works_may_get_a_role_of_its_own() -> None:
    """What stays there is what a write through the first one can cause."""
    tenant = _tenant()
    worker = tenant.principal(1, "ServicePrincipal")
    tenant.assign(101, worker, CONTRIBUTOR, APP)
    second = tenant.assign(102, worker, CONTRIBUTOR, NET)
    tenant.use(worker, "Microsoft.Compute/virtualMachines/write", VM)
    assert "Microsoft.Network/virtualNetworks/subnets/join/action" in _everywhere(tenant.plan(), second)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("resource", "more", "stays"),
    [
        (STORAGE_TOKENS, {}, True),
        (STORAGE_TOKENS.upper(), {}, True),
        (STORAGE_TOKENS, {"succeeded": 0}, False),
        (STORAGE_TOKENS, {"day": -5}, False),
        (guid(991), {}, False),
    ],
    ids=["a token", "capital letters", "none was given", "before the window", "of another service"],
)
def test_a_token_for_a_service_touches_its_type(resource: str, more: dict[str, int], stays: bool) -> None:
    """Who works on an endpoint alone leaves no other trace than the sign-in for it."""
    tenant = _tenant()
    worker = tenant.principal(1, "ServicePrincipal")
    assignment = tenant.assign(101, worker, CONTRIBUTOR, SUB)
    tenant.use(worker, START, VM)
    tenant.sign_in(worker, resource, kind="service_principal", **more)
    assert (_everywhere(tenant.plan(), assignment) >= ON_ACCOUNTS) is stays


@pytest.mark.slow
def test_who_manages_what_is_below_a_type_also_works_on_its_endpoint() -> None:
    """Whoever writes saved searches also searches, which only a log of the workspace shows; no key comes along."""
    tenant = _tenant()
    tenant.operations |= dict.fromkeys((SAVED, SEARCH, SHARED_KEYS), False)
    analyst = tenant.principal(1)
    assignment = tenant.assign(101, analyst, CONTRIBUTOR, SUB)
    tenant.use(analyst, SAVED, f"{WORKSPACE}/savedSearches/s1")
    found = _everywhere(tenant.plan(), assignment)
    assert SEARCH in found
    assert SHARED_KEYS not in found


@pytest.mark.slow
@pytest.mark.parametrize("works", [True, False])
def test_a_token_of_a_member_touches_for_the_group_through_which_it_works(*, works: bool) -> None:
    """Another member works through the group in any case; who only reads mail there gets tokens, too."""
    tenant = _tenant()
    member, other = tenant.principal(1), tenant.principal(2)
    assignment = tenant.assign(101, tenant.group(9, [member, other]), CONTRIBUTOR, SUB)
    tenant.use(other, START, VM)
    if works:
        tenant.use(member, START, VM)
    tenant.sign_in(member, STORAGE_TOKENS)
    assert (_everywhere(tenant.plan(), assignment) >= ON_ACCOUNTS) is works


@pytest.mark.slow
def test_data_actions_explain_a_token() -> None:
    """Who may read blobs gets tokens for that: they show no work by the broad role beside it."""
    tenant = _tenant()
    worker = tenant.principal(1, "ServicePrincipal")
    assignment = tenant.assign(101, worker, CONTRIBUTOR, SUB)
    tenant.assign(102, worker, BLOB_READER, ACCOUNT)
    tenant.use(worker, START, VM)
    tenant.sign_in(worker, STORAGE_TOKENS, kind="service_principal")
    assert not _everywhere(tenant.plan(), assignment) & ON_ACCOUNTS


@pytest.mark.slow
def test_a_token_alone_is_no_use() -> None:
    tenant = _tenant()
    worker = tenant.principal(1, "ServicePrincipal")
    assignment = tenant.assign(101, worker, CONTRIBUTOR, SUB)
    tenant.sign_in(worker, STORAGE_TOKENS, kind="service_principal")
    assert proposal_for(tenant.plan(), assignment).reason.startswith("nothing observed")


@pytest.mark.slow
def test_use_before_the_window_is_use() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, SERVICE_WRITE, SERVICE, days=1, start=-3)
    kept = _everywhere(tenant.plan(), assignment)
    assert KEY in kept
    assert not kept & ON_REGISTRIES


@pytest.mark.nightly
def test_a_used_operation_that_the_catalogue_lacks_touches_its_type() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Storage/storageAccounts/blobServices/rotate/action", SERVICE)
    kept = _granted(tenant.plan(roles="max"), assignment)
    assert kept == {SUB: {"Microsoft.Storage/storageAccounts/blobServices/*"}}, (
        "what it is granted by has that key, too"
    )


@pytest.mark.nightly
@pytest.mark.parametrize("through", ["another assignment", "a group"])
def test_use_under_any_assignment_of_the_holder_counts(through: str) -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, APP)
    other = user if through == "another assignment" else tenant.group(9, [user, tenant.principal(2)])
    tenant.assign(102, other, CONTRIBUTOR, SUB2)
    tenant.use(user, SERVICE_WRITE, SERVICE.replace(SUB, SUB2))
    kept = _everywhere(tenant.plan(), assignment)
    assert KEY in kept
    assert not kept & ON_REGISTRIES


@pytest.mark.nightly
def test_what_a_member_touched_by_an_assignment_of_its_own_is_no_work_of_the_group() -> None:
    """One member works with machines through the group, another with blob services by itself."""
    tenant = _tenant()
    one, two = tenant.principal(1), tenant.principal(2)
    team = tenant.assign(101, tenant.group(9, [one, two]), CONTRIBUTOR, SUB)
    own = tenant.assign(102, two, CONTRIBUTOR, SUB2)
    tenant.use(one, START, VM)
    tenant.use(two, SERVICE_WRITE, SERVICE.replace(SUB, SUB2))
    plan = tenant.plan(roles="max")
    assert START in _everywhere(plan, team)
    assert KEY not in _everywhere(plan, team)
    assert KEY in _everywhere(plan, own)
    # The use of a colleague is no use of the member's own assignment.
    assert START not in _everywhere(plan, own)
    tenant.use(two, SERVICE_WRITE, SERVICE)
    assert KEY in _everywhere(tenant.plan(roles="max"), team)


@pytest.mark.nightly
def test_the_evidence_counts_what_goes_and_says_why_the_rest_stays() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, SERVICE_WRITE, SERVICE)
    plan = tenant.plan()
    assert proposal_for(plan, assignment).evidence["removed"]["type_not_used"] == len({PUSH, CONTAINER})
    (role,) = [one for one in plan.roles if KEY in one.definition.permissions[0].actions]
    assert role.evidence["removed_unlogged"] == {
        "why": "type_not_used",
        "meaning": "removed by `--unobservable touched`: its type was not used",
        "operations": 2,
        "types": {"Microsoft.ContainerRegistry/registries": 1, "Microsoft.Storage/storageAccounts": 1},
    }
    (said,) = [one for one in role.evidence["actions"] if one["action"] == KEY]
    assert said["why"].split() == ["data_endpoint", "touched"]
    assert "used its resource type" in said["meaning"][1]
    kept = tenant.plan(unobservable="keep")
    assert "type_not_used" not in proposal_for(kept, assignment).evidence["removed"]
    assert all("removed_unlogged" not in one.evidence for one in kept.roles)


@pytest.mark.nightly
def test_used_operations_of_the_plan_are_never_lost() -> None:
    """The use of an operation that no log is known to show keeps it, since a log showed it after all."""
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, PUSH, REGISTRY)
    plan = tenant.plan()
    assert plan.replay["denied"] == 0
    assert _everywhere(plan, assignment) >= {PUSH}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("microsoft.compute/virtualmachines/start/action", "microsoft.compute/virtualmachines"),
        ("microsoft.web/sites/config/write", "microsoft.web/sites"),
        ("microsoft.web/sites/slots/config/list/action", "microsoft.web/sites"),
        ("microsoft.insights/register/action", "microsoft.insights"),
        ("microsoft.web/locations/runtimes/read", "microsoft.web/locations"),
        ("action", "action"),
        ("", ""),
        ("/action", ""),
    ],
)
def test_the_top_level_type_of_an_operation(name: str, kind: str) -> None:
    assert pl.select(top_level_type(pl.lit(name))).item() == kind
