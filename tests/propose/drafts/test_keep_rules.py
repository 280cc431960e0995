"""Protected assignments are kept, and the plan gives the reason."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.model.nouns import PermissionBlock
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DAY0,
    DAYS,
    MG,
    OWNER,
    READER,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
    proposal_for,
)

END_OF_WINDOW = dt.datetime.combine(DAY0 + dt.timedelta(days=DAYS), dt.time())
START = "Microsoft.Compute/virtualMachines/start/action"


def _kept(tenant: SmallTenant, assignment: str, word: str, state: str = "active", **options: object) -> None:
    proposal = proposal_for(tenant.plan(**options), assignment, state)
    assert (proposal.kind, proposal.reason.split(":")[0]) == ("keep", word)
    assert proposal.assignments == ()
    assert proposal.replaces == (assignment,)


def _contributor(**assignment: object) -> tuple[SmallTenant, str]:
    tenant = SmallTenant()
    return tenant, tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB, **assignment)


@pytest.mark.slow
def test_without_a_reason_it_is_narrowed() -> None:
    """The tenant that the other tests vary is one where the assignment would go."""
    tenant, assignment = _contributor()
    assert proposal_for(tenant.plan(), assignment).kind == "builtin"


@pytest.mark.nightly
def test_eligible_access_is_kept_where_an_activation_may_have_been_missed() -> None:
    """Without a log of the window nobody knows whether it was activated; with one, silence is an answer."""
    tenant, assignment = _contributor(state="eligible")
    tenant.covered = ()
    _kept(tenant, assignment, "eligible", "eligible")
    tenant.covered = (SUB, SUB2, MG, "/")
    assert proposal_for(tenant.plan(), assignment, "eligible").kind == "remove"


@pytest.mark.nightly
def test_an_activation_and_its_plain_twin_are_kept() -> None:
    """Azure lists an activation as an assignment of its own beside it; both follow the eligibility."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    for state in ("active", "activated"):
        tenant.assign(101, user, CONTRIBUTOR, SUB, state=state, end_on=dt.datetime(2026, 5, 1))
    _kept(tenant, guid(101), "activated", "active")
    _kept(tenant, guid(101), "activated", "activated")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [guid(1), "MEI@example.com", SUB.upper(), MG, "/", CONTRIBUTOR, "contributor", "mei@example.com"]
)
def test_what_is_excluded_by_name_is_kept(name: str) -> None:
    """By id, UPN, scope above, role id or role name, whatever the case."""
    tenant = SmallTenant()
    user = tenant.principal(1, user_principal_name="mei@example.com")
    _kept(tenant, tenant.assign(101, user, CONTRIBUTOR, SUB), "excluded", exclude=(name,))


@pytest.mark.nightly
def test_another_subscription_that_is_excluded_says_nothing() -> None:
    tenant, assignment = _contributor()
    assert proposal_for(tenant.plan(exclude=(SUB2,)), assignment).kind == "builtin"


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["Break Glass 1", "emergency access", "Notfallkonto"])
def test_an_emergency_name_is_enough(name: str) -> None:
    tenant = SmallTenant()
    _kept(tenant, tenant.assign(101, tenant.principal(1, display_name=name), CONTRIBUTOR, SUB), "emergency access")


@pytest.mark.slow
def test_an_emergency_account_is_named_by_its_option() -> None:
    tenant, assignment = _contributor()
    _kept(tenant, assignment, "emergency access", emergency_access=(guid(1),))


@pytest.mark.nightly
def test_a_group_with_an_emergency_account_is_kept() -> None:
    """What it holds through a group is what it needs on that day."""
    tenant = SmallTenant()
    group = tenant.group(2, [tenant.principal(1, display_name="breakglass")])
    _kept(tenant, tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group"), "emergency access")


@pytest.mark.nightly
def test_a_first_party_application_is_kept() -> None:
    tenant = SmallTenant()
    owner = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
    app = tenant.principal(1, "ServicePrincipal", owner_tenant_id=owner)
    _kept(tenant, tenant.assign(101, app, CONTRIBUTOR, SUB, principal_type="ServicePrincipal"), "first party")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resource", "word"),
    [
        (f"{SUB}/providers/Microsoft.Authorization/policyAssignments/deploy-agents", "policy remediation"),
        (f"{APP}/providers/Microsoft.RecoveryServices/vaults/v", "recovery"),
        (f"{APP}/providers/Microsoft.DataProtection/backupVaults/v", "recovery"),
    ],
)
def test_identities_that_remediate_or_recover_are_kept(resource: str, word: str) -> None:
    tenant = SmallTenant()
    identity = tenant.principal(1, "ManagedIdentity", alternative_names=["isExplicit=False", resource])
    _kept(tenant, tenant.assign(101, identity, CONTRIBUTOR, SUB, principal_type="ServicePrincipal"), word)


@pytest.mark.slow
def test_an_assignment_that_a_microsoft_application_made_is_kept() -> None:
    tenant = SmallTenant()
    maker = tenant.principal(9, "ServicePrincipal", owner_tenant_id="f8cdef31-a31e-4b4a-93e4-5f571e91255a")
    _kept(tenant, tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB, created_by=maker), "system managed")


@pytest.mark.slow
def test_a_foreign_principal_is_kept() -> None:
    tenant = SmallTenant()
    assignment = tenant.assign(101, guid(1), CONTRIBUTOR, SUB, principal_tenant_id=guid(7))
    _kept(tenant, assignment, "foreign")


@pytest.mark.slow
def test_an_assignment_younger_than_the_window_is_kept() -> None:
    tenant, assignment = _contributor(created_on=dt.datetime(2026, 1, 1))
    _kept(tenant, assignment, "young assignment")


@pytest.mark.nightly
def test_an_assignment_younger_than_the_grace_is_kept() -> None:
    """A grace longer than the window counts from the same end."""
    tenant, assignment = _contributor(created_on=dt.datetime(2025, 12, 1))
    assert proposal_for(tenant.plan(), assignment).kind == "builtin"
    _kept(tenant, assignment, "young assignment", grace_days=200)


@pytest.mark.slow
def test_a_principal_younger_than_the_window_is_kept() -> None:
    tenant = SmallTenant()
    user = tenant.principal(1, created_on=dt.datetime(2026, 2, 1))
    _kept(tenant, tenant.assign(101, user, CONTRIBUTOR, SUB), "young principal")


@pytest.mark.slow
def test_of_unknown_age_a_complete_log_without_the_creation_proves_it_old() -> None:
    tenant, assignment = _contributor(created_on=None)
    assert proposal_for(tenant.plan(), assignment).kind == "builtin"


@pytest.mark.nightly
def test_of_unknown_age_a_creation_in_the_log_proves_it_young() -> None:
    tenant, assignment = _contributor(created_on=None)
    scope = f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{assignment.upper()}"
    tenant.use(guid(8), "Microsoft.Authorization/roleAssignments/write", scope, days=1)
    _kept(tenant, assignment, "young assignment")


@pytest.mark.slow
def test_of_unknown_age_without_a_complete_log_it_is_kept() -> None:
    tenant, assignment = _contributor(created_on=None)
    tenant.covered = (SUB2,)
    _kept(tenant, assignment, "unknown age")


@pytest.mark.nightly
@pytest.mark.parametrize("state", ["active", "eligible"])
def test_what_is_over_by_the_end_of_the_window_is_left_alone(state: str) -> None:
    """Nobody could make anything in its place; what ends a second later is judged."""
    tenant, assignment = _contributor(state=state, end_on=END_OF_WINDOW)
    _kept(tenant, assignment, "ended", state)
    tenant, assignment = _contributor(end_on=END_OF_WINDOW + dt.timedelta(seconds=1))
    assert proposal_for(tenant.plan(), assignment).kind == "builtin"


@pytest.mark.slow
def test_what_begins_late_is_as_young_as_its_beginning() -> None:
    """Made long ago, at work only for days: what it did not do shows nothing."""
    tenant, assignment = _contributor(start_on=END_OF_WINDOW - dt.timedelta(days=30))
    _kept(tenant, assignment, "young assignment")


@pytest.mark.nightly
def test_an_unresolved_principal_is_kept() -> None:
    """Nothing names it, and no listing is complete enough to prove that it is gone."""
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), READER, SUB)
    _kept(tenant, tenant.assign(102, guid(2), CONTRIBUTOR, SUB, principal_name=None), "unresolved principal")


@pytest.mark.slow
def test_a_role_that_is_not_loaded_is_kept() -> None:
    tenant = SmallTenant()
    _kept(tenant, tenant.assign(101, tenant.principal(1), guid(77), SUB), "role not loaded")


@pytest.mark.slow
def test_a_condition_inside_the_role_is_kept() -> None:
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("Half", [PermissionBlock(actions=(START,), condition="true")])
    _kept(tenant, tenant.assign(101, tenant.principal(1), guid(77), SUB), "conditional")


@pytest.mark.slow
def test_a_group_whose_members_are_not_known_is_kept() -> None:
    tenant = SmallTenant()
    group = tenant.group(2, [tenant.principal(1)], complete=False)
    _kept(tenant, tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group"), "unknown members")


@pytest.mark.slow
def test_a_management_group_of_which_the_tree_is_unknown_is_kept() -> None:
    """Use in a subscription that nobody placed may or may not be below it."""
    tenant = SmallTenant()
    tenant.parents = {}
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, MG)
    tenant.use(user, START, VM, role_assignment_id=assignment)
    _kept(tenant, assignment, "scope tree unknown")


@pytest.mark.slow
def test_a_role_of_a_provider_that_the_catalogue_lacks_is_kept() -> None:
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("Odd", [PermissionBlock(actions=(START, "Contoso.Widgets/*"))])
    _kept(tenant, tenant.assign(101, tenant.principal(1), guid(77), SUB), "unknown provider")


@pytest.mark.nightly
def test_at_the_root_only_a_built_in_role_may_take_the_place() -> None:
    """What stays at the root needs a role that may be assigned there; here it takes a new one."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, "/")
    tenant.use(user, START, VM)
    _kept(tenant, assignment, "root", unobservable="keep")


@pytest.mark.nightly
def test_at_the_root_a_built_in_role_does_take_the_place() -> None:
    """Reader says all that is left when nothing else is kept."""
    tenant = SmallTenant()
    assignment = tenant.assign(101, tenant.principal(1), CONTRIBUTOR, "/")
    proposal = proposal_for(tenant.plan(unobservable="drop"), assignment)
    assert proposal.kind == "builtin"
    assert [(one.role, one.scope) for one in proposal.assignments] == [(READER, "/")]


@pytest.mark.slow
def test_what_is_out_of_coverage_is_never_removed() -> None:
    """Without a log of the subscription, no write of it can be called unused."""
    tenant, assignment = _contributor()
    tenant.covered = (SUB2,)
    proposal = proposal_for(tenant.plan(reads="none", unobservable="drop"), assignment)
    assert proposal.kind != "remove"
    assert proposal.evidence["kept_unseen"]["scope_not_covered"] > 10


@pytest.mark.slow
def test_the_last_owner_is_kept() -> None:
    tenant = SmallTenant()
    tenant.silent()
    assignment = tenant.assign(101, tenant.principal(1), OWNER, SUB)
    _kept(tenant, assignment, "last owner", unobservable="drop")


@pytest.mark.slow
def test_of_two_idle_owners_one_is_kept() -> None:
    """The plan as a whole must leave one, and it is the one that is used most."""
    tenant = SmallTenant()
    first, second = tenant.principal(1), tenant.principal(2)
    one, other = tenant.assign(101, first, OWNER, SUB), tenant.assign(102, second, OWNER, SUB)
    tenant.use(second, START, VM)
    plan = tenant.plan(unobservable="drop")
    assert proposal_for(plan, one).kind == "builtin"
    assert proposal_for(plan, other).reason.startswith("last owner")


_DEAD: dict[str, dict[str, Any]] = {
    "disabled": {"account_enabled": False},
    "of unknown state": {"account_enabled": None},
    "deleted, but it could come back": {"listed": False, "deleted_on": dt.datetime(2026, 3, 1)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _DEAD)
def test_an_owner_who_cannot_sign_in_is_not_the_last_owner(name: str) -> None:
    """It is used more and comes first by id, and yet the living one stays."""
    tenant = SmallTenant()
    dead, alive = tenant.principal(1, **_DEAD[name]), tenant.principal(2)
    tenant.assign(101, dead, OWNER, SUB)
    tenant.use(dead, START, VM)
    assignment = tenant.assign(102, alive, OWNER, SUB)
    assert proposal_for(tenant.plan(unobservable="drop"), assignment).reason.startswith("last owner")


@pytest.mark.slow
@pytest.mark.parametrize("members", [(), (3,)])
def test_a_group_without_an_enabled_member_is_not_the_last_owner(members: tuple[int, ...]) -> None:
    tenant = SmallTenant()
    found = [tenant.principal(number, account_enabled=False) for number in members]
    tenant.assign(101, tenant.group(1, found), OWNER, SUB, principal_type="Group")
    assignment = tenant.assign(102, tenant.principal(2), OWNER, SUB)
    assert proposal_for(tenant.plan(unobservable="drop"), assignment).reason.startswith("last owner")


@pytest.mark.slow
def test_a_group_with_an_enabled_member_may_be_the_last_owner() -> None:
    tenant = SmallTenant()
    members = [tenant.principal(3, account_enabled=False), tenant.principal(4)]
    assignment = tenant.assign(101, tenant.group(1, members), OWNER, SUB, principal_type="Group")
    other = tenant.assign(102, tenant.principal(2), OWNER, SUB)
    plan = tenant.plan(unobservable="drop")
    assert proposal_for(plan, assignment).reason.startswith("last owner")
    assert proposal_for(plan, other).kind == "builtin"


@pytest.mark.slow
@pytest.mark.parametrize(
    "held",
    [
        {"end_on": dt.datetime(2027, 1, 1)},
        {"condition": "@Resource[name] StringEquals 'x'", "condition_version": "2.0"},
        {"state": "eligible"},
        {"scope": APP},
    ],
)
def test_an_owner_who_cannot_always_act_is_not_the_last_owner(held: dict[str, Any]) -> None:
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), OWNER, **({"scope": SUB} | held))
    assignment = tenant.assign(102, tenant.principal(2), OWNER, SUB)
    assert proposal_for(tenant.plan(unobservable="drop"), assignment).reason.startswith("last owner")


@pytest.mark.slow
def test_where_no_owner_is_known_to_be_able_all_stay() -> None:
    """Nobody can tell which of them could give access back."""
    tenant = SmallTenant()
    for number in (1, 2):
        tenant.assign(100 + number, tenant.principal(number, account_enabled=None), OWNER, SUB)
    plan = tenant.plan(unobservable="drop")
    reasons = {proposal_for(plan, guid(number)).reason for number in (101, 102)}
    assert {reason.partition(":")[0] for reason in reasons} == {"no able owner"}


@pytest.mark.nightly
def test_an_owner_above_stays_where_a_subscription_below_has_no_other() -> None:
    """The management group has two subscriptions, and one of them an Owner of its own."""
    tenant = SmallTenant()
    above = tenant.assign(101, tenant.principal(1), OWNER, MG)
    tenant.assign(102, tenant.principal(2), OWNER, SUB)
    assert proposal_for(tenant.plan(unobservable="drop"), above).reason.startswith("last owner")


@pytest.mark.slow
def test_a_group_scope_below_needs_no_owner() -> None:
    """Owners of a resource group are owners of nothing else."""
    tenant = SmallTenant()
    assignment = tenant.assign(101, tenant.principal(1), OWNER, APP)
    assert proposal_for(tenant.plan(), assignment).kind != "keep"


@pytest.mark.slow
def test_a_role_that_grants_nothing_known_is_kept() -> None:
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("Nothing", [PermissionBlock(actions=("Microsoft.Compute/gone/*",))])
    _kept(tenant, tenant.assign(101, tenant.principal(1), guid(77), SUB), "nothing known")


@pytest.mark.slow
def test_narrower_assignments_keep_their_scope() -> None:
    """Today's grant is the widest that a proposal may use."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, VM_CONTRIBUTOR, VM)
    tenant.use(user, START, VM)
    assert {one.scope for one in proposal_for(tenant.plan(), assignment).assignments} == {VM}


SITE_RECOVERY_OPERATOR = "494ae006-db33-4328-bf46-533a6560a3ca"


def _recovering(kind: str) -> SmallTenant:
    tenant = SmallTenant()
    tenant.roles[SITE_RECOVERY_OPERATOR] = ("Site Recovery Operator", [PermissionBlock(actions=("*/read", START))])
    holder = tenant.principal(1, kind)
    tenant.assign(101, holder, SITE_RECOVERY_OPERATOR, SUB, principal_type=kind)
    tenant.assign(102, holder, CONTRIBUTOR, APP, principal_type=kind)
    return tenant


@pytest.mark.nightly
def test_a_role_for_recovery_is_kept() -> None:
    """Nobody fails over in most windows; what else a person holds is judged as ever."""
    tenant = _recovering("User")
    _kept(tenant, guid(101), "recovery")
    assert proposal_for(tenant.plan(), guid(102)).kind == "remove"


@pytest.mark.slow
def test_a_workload_with_a_role_for_recovery_is_kept_whole() -> None:
    """It is there for that day, and needs then what it needs in no window."""
    tenant = _recovering("ServicePrincipal")
    _kept(tenant, guid(101), "recovery")
    _kept(tenant, guid(102), "recovery")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"emergency_access": (guid(3),)}])
def test_members_of_a_group_of_emergency_accounts_are_emergency_accounts(options: dict[str, object]) -> None:
    """Also where only the group says it, by its name or on the command line."""
    tenant = SmallTenant()
    member = tenant.principal(1, display_name="adm-7")
    tenant.group(3, [member], display_name="tier 0" if options else "Break-glass accounts")
    _kept(tenant, tenant.assign(101, member, CONTRIBUTOR, SUB), "emergency access", **options)


@pytest.mark.nightly
def test_a_refusal_that_names_a_subscription_of_others_says_nothing_of_ours() -> None:
    """A linked check may be refused in another tenant, whose subscriptions are not below our groups."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, MG)
    tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    foreign = VM.replace(SUB, "/subscriptions/00000000-0000-0000-0000-0000000000ff")
    for counts, is_ours in (({"succeeded": 0, "denied": 2}, False), ({"succeeded": 1}, True)):
        tenant.use(guid(8), "Microsoft.Network/virtualNetworks/subnets/join/action", foreign, **counts)
        kept = proposal_for(tenant.plan(), assignment).evidence["kept_unseen"]
        assert ("scope_not_covered" in kept) is is_ours
