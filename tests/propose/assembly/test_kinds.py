"""The replacement of an assignment: its kind, roles and scopes."""

from __future__ import annotations

import datetime as dt
from functools import cache

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.propose.core.role_patterns import AzureLimits
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    MG,
    NET,
    OWNER,
    READER,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
WRITE_VM = "Microsoft.Compute/virtualMachines/write"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
GROUP_WRITE = "Microsoft.Resources/subscriptions/resourceGroups/write"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
CREATE_VNET = "Microsoft.Network/virtualNetworks/write"
LEAN = {"reads": "none", "unobservable": "drop"}
STARTER, RESTARTER = guid(78), guid(79)
"""Built-in roles that `_with_exact_roles` adds: work that one of them grants needs no new role, and keeps its place."""


def _places(plan: object, assignment: str) -> list[tuple[str, str]]:
    return [(one.role, one.scope) for one in proposal_for(plan, assignment).assignments]


def _user_with(role: str, scope: str) -> tuple[SmallTenant, str, str]:
    tenant = SmallTenant()
    user = tenant.principal(1)
    return tenant, user, tenant.assign(101, user, role, scope)


def _with_exact_roles(role: str, scope: str) -> tuple[SmallTenant, str, str]:
    tenant, user, assignment = _user_with(role, scope)
    tenant.roles[STARTER] = ("Virtual Machine Starter", [PermissionBlock(actions=(START,))])
    tenant.roles[RESTARTER] = ("Virtual Machine Restarter", [PermissionBlock(actions=(RESTART,))])
    return tenant, user, assignment


@pytest.mark.slow
def test_a_writer_keeps_a_reading_role_beside_a_narrow_one() -> None:
    """Reads stay at today's scope as Reader; the write is named in full where it was done."""
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan(unobservable="drop")
    proposal = proposal_for(plan, assignment)
    assert proposal.kind == "custom"
    (reading, writing) = proposal.assignments
    assert (reading.role, reading.scope) == (READER, SUB)
    assert writing.scope == VM
    assert strings(plan, writing.role) == [START]
    assert plan.roles[0].definition.assignable_scopes == (SUB,)
    assert plan.roles[0].definition.permissions[0].not_actions == ()


@pytest.mark.slow
def test_nothing_needed_is_removed() -> None:
    """Silence is proof only where logs and sign-ins cover the window."""
    tenant, _, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.silent()
    proposal = proposal_for(tenant.plan(unobservable="drop"), assignment)
    assert (proposal.kind, proposal.assignments) == ("remove", ())
    assert 0 < proposal.break_probability_30d < 1
    assert proposal.excess_after == proposal.risk_after == 0


@pytest.mark.slow
def test_an_assignment_without_anything_to_take_away_is_kept() -> None:
    tenant, _, assignment = _user_with(READER, SUB)
    proposal = proposal_for(tenant.plan(), assignment)
    assert proposal.kind == "keep"
    assert proposal.reason.startswith("cannot narrow: ")
    assert proposal.excess_before == proposal.excess_after


@pytest.mark.slow
def test_the_same_role_at_a_narrower_scope() -> None:
    """A role that is used whole, but on one machine only, moves there."""
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("Starter", [PermissionBlock(actions=(START,))])
    tenant.custom_roles.add(guid(77))
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, guid(77), SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan()
    proposal = proposal_for(plan, assignment)
    assert (proposal.kind, _places(plan, assignment)) == ("narrow_scope", [(guid(77), VM)])
    assert proposal.excess_after < proposal.excess_before


@pytest.mark.slow
def test_an_existing_built_in_role_is_taken() -> None:
    """It says exactly what is needed, so no role has to be made."""
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.roles[guid(78)] = ("Virtual Machine Starter", [PermissionBlock(actions=(START,))])
    tenant.use(user, START, VM)
    plan = tenant.plan(**LEAN)
    assert proposal_for(plan, assignment).kind == "builtin"
    assert _places(plan, assignment) == [(guid(78), VM)]
    assert plan.roles == ()


@pytest.mark.nightly
def test_a_built_in_role_beyond_todays_grant_is_not_taken() -> None:
    """It names a pattern that today's role does not grant, whatever the catalogue of today says."""
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("Two", [PermissionBlock(actions=(START, WRITE_VM))])
    tenant.roles[guid(78)] = ("Wide", [PermissionBlock(actions=("Microsoft.Compute/virtualMachines/start/*",))])
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, guid(77), SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan()
    assert proposal_for(plan, assignment).kind == "custom"
    assert strings(plan, proposal_for(plan, assignment).assignments[0].role) == [START]


@pytest.mark.nightly
def test_equal_needs_share_a_role() -> None:
    """Two principals in two subscriptions need the same: one role, assignable in both."""
    tenant = SmallTenant()
    first, second = tenant.principal(1), tenant.principal(2)
    one, other = tenant.assign(101, first, CONTRIBUTOR, SUB), tenant.assign(102, second, CONTRIBUTOR, SUB2)
    tenant.use(first, START, VM)
    tenant.use(second, START, f"{SUB2}/resourceGroups/x/providers/Microsoft.Compute/virtualMachines/v")
    plan = tenant.plan(**LEAN)
    (role,) = plan.roles
    assert role.definition.assignable_scopes == (SUB, SUB2)
    assert [name for name, _ in (*_places(plan, one), *_places(plan, other))] == [
        role.definition.role_definition_id
    ] * 2


@pytest.mark.slow
def test_a_duplicate_goes_when_its_container_stays() -> None:
    tenant, user, wide = _user_with(READER, SUB)
    narrow = tenant.assign(102, user, READER, APP)
    plan = tenant.plan()
    assert proposal_for(plan, wide).kind == "keep"
    proposal = proposal_for(plan, narrow)
    assert (proposal.kind, proposal.assignments) == ("remove_duplicate", ())
    assert wide in proposal.reason
    assert proposal.proof.used_subset


@pytest.mark.nightly
def test_a_removal_says_that_its_twin_may_not_be_listed() -> None:
    """Where the listing of its subscription is not complete; a listing elsewhere says nothing of it."""
    for place, says in ((SUB, True), (SUB2, False)):
        tenant, user, wide = _user_with(READER, SUB)
        narrow = tenant.assign(102, user, READER, APP)
        tenant.add("listings", listing="role_assignments", of=place, complete=False, why="refused")
        plan = tenant.plan()
        proposal = proposal_for(plan, narrow)
        assert proposal.kind == "remove_duplicate"
        assert ("a twin or duplicate of it may stand in a listing that is not complete" in proposal.reason) is says
        assert [SUB in text for text in proposal.evidence.get("not_listed", [])] == [True] * says
        assert "not_listed" not in proposal_for(plan, wide).evidence


@pytest.mark.slow
def test_a_duplicate_through_a_group() -> None:
    tenant = SmallTenant()
    user = tenant.principal(1)
    group = tenant.group(2, [user])
    tenant.assign(101, group, READER, SUB, principal_type="Group")
    narrow = tenant.assign(102, user, READER, APP)
    assert proposal_for(tenant.plan(), narrow).kind == "remove_duplicate"


@pytest.mark.slow
def test_a_used_duplicate_rests_on_the_group() -> None:
    tenant = SmallTenant()
    user = tenant.principal(1)
    group = tenant.group(2, [user])
    wide = tenant.assign(101, group, CONTRIBUTOR, APP, principal_type="Group", end_on=None)
    narrow = tenant.assign(102, user, CONTRIBUTOR, APP)
    tenant.use(user, START, VM, role_assignment_id=narrow)
    plan = tenant.plan(exclude=(group,))
    assert proposal_for(plan, narrow).kind == "remove_duplicate"
    assert proposal_for(plan, narrow).evidence["rests_on"] == [wide]


@pytest.mark.slow
def test_no_duplicate_of_what_does_not_stay() -> None:
    """The wider assignment is narrowed by this very plan, so the other rests on what takes its place, and says so."""
    tenant, user, wide = _user_with(CONTRIBUTOR, SUB)
    narrow = tenant.assign(102, user, VM_CONTRIBUTOR, APP)
    plan = tenant.plan()
    assert proposal_for(plan, wide).kind == "builtin"
    assert proposal_for(plan, narrow).kind == "remove"
    assert proposal_for(plan, narrow).evidence["together_with"] == [wide]


@cache
def _two_wide_roles() -> tuple[Plan, str, str]:
    """Plan for one holder of two roles that are both too wide; return both assignments too."""
    tenant, user, wide = _user_with(CONTRIBUTOR, SUB)
    tenant.use(user, RESTART, VM, role_assignment_id=wide)
    other = tenant.assign(102, user, VM_CONTRIBUTOR, APP)
    tenant.use(user, START, VM, role_assignment_id=other)
    return tenant.plan(reads="none", unobservable="drop"), wide, other


@pytest.mark.slow
def test_needs_of_one_holder_at_one_place_are_granted_once() -> None:
    """Two roles that are both too wide give way to one assignment of what both were used for."""
    plan, wide, other = _two_wide_roles()
    assert _places(plan, wide) == _places(plan, other)
    (role,) = plan.roles
    assert strings(plan, role.definition.role_definition_id) == [RESTART, START]
    assert proposal_for(plan, wide).proof.holds
    assert proposal_for(plan, other).proof.holds


def test_a_duplicate_of_what_is_replaced_says_so() -> None:
    """Two proposals that belong together: one shows where the other goes."""
    plan, wide, other = _two_wide_roles()
    small = proposal_for(plan, other)
    assert small.reason.endswith(f"assignment {wide} grants all of it today, and the same assignments replace both")
    assert small.evidence["duplicate_of"] == [wide]
    assert "grants all of it" not in proposal_for(plan, wide).reason


@pytest.mark.nightly
def test_a_duplicate_that_is_needed_elsewhere_says_what_becomes_of_the_other() -> None:
    tenant, user, wide = _user_with(CONTRIBUTOR, SUB)
    tenant.roles[STARTER] = ("Virtual Machine Starter", [PermissionBlock(actions=(START,))])
    tenant.use(user, CREATE_VNET, f"{NET}/providers/Microsoft.Network/virtualNetworks/n", role_assignment_id=wide)
    other = tenant.assign(102, user, VM_CONTRIBUTOR, APP)
    tenant.use(user, START, VM, role_assignment_id=other)
    plan = tenant.plan(reads="none", unobservable="drop")
    assert _places(plan, other) == [(STARTER, VM)]
    assert proposal_for(plan, other).reason.endswith(
        f"assignment {wide} grants all of it today, and it is replaced as well"
    )


@pytest.mark.slow
def test_an_excluded_duplicate_stays() -> None:
    tenant, user, _ = _user_with(READER, SUB)
    narrow = tenant.assign(102, user, READER, APP)
    assert proposal_for(tenant.plan(exclude=(APP,)), narrow).kind == "keep"


@pytest.mark.slow
def test_an_orphan_goes_whatever_it_did() -> None:
    """Nobody is left who could miss it, so its calls are not replayed either."""
    tenant = SmallTenant()
    gone = guid(5)
    assignment = tenant.assign(101, gone, CONTRIBUTOR, SUB, principal_type="Unknown", principal_name="")
    tenant.assign(102, tenant.principal(1), READER, SUB)
    tenant.use(gone, START, VM)
    plan = tenant.plan()
    assert proposal_for(plan, assignment).kind == "remove_orphan"
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_a_group_needs_what_its_members_use() -> None:
    """The assignment is the group's, so the need is the union; membership is nobody's to change."""
    tenant = SmallTenant()
    first, second, idle = tenant.principal(1), tenant.principal(2), tenant.principal(3)
    group = tenant.group(4, [first, second, idle])
    assignment = tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group")
    tenant.use(first, START, VM)
    tenant.use(second, RESTART, VM)
    plan = tenant.plan(**LEAN)
    (made,) = proposal_for(plan, assignment).assignments
    assert (made.principal_id, made.scope) == (group, VM)
    assert strings(plan, made.role) == [RESTART, START]
    assert "1 of 3 members" in next(advice.text for advice in plan.advice if advice.subject == group)


@pytest.mark.slow
def test_what_happens_at_a_management_group_stays_there() -> None:
    tenant, user, assignment = _user_with(OWNER, MG)
    tenant.assign(199, tenant.principal(9), OWNER, MG, created_on=dt.datetime(2026, 3, 30))  # who stays
    tenant.use(
        user,
        "Microsoft.Authorization/roleAssignments/write",
        f"{MG}/providers/Microsoft.Authorization/roleAssignments/x",
    )
    tenant.use(user, START, VM)
    plan = tenant.plan(**LEAN)
    assert {scope for _, scope in _places(plan, assignment)} == {MG, VM}
    assert {role.definition.assignable_scopes for role in plan.roles if MG in role.definition.assignable_scopes} == {
        (MG,)
    }


@pytest.mark.slow
def test_creating_a_resource_group_needs_the_subscription() -> None:
    """And so does all that is done in a group that was made inside the window."""
    tenant, user, assignment = _with_exact_roles(CONTRIBUTOR, SUB)
    fresh = f"{SUB}/resourceGroups/fresh"
    tenant.use(user, GROUP_WRITE, fresh, start=10)
    tenant.use(user, START, f"{fresh}/providers/Microsoft.Compute/virtualMachines/v", start=20)
    tenant.use(user, RESTART, VM)
    plan = tenant.plan(roles="max", **LEAN)
    (creating,) = plan.roles
    assert creating.definition.permissions[0].actions == (START, GROUP_WRITE)
    assert sorted(_places(plan, assignment)) == sorted([(creating.definition.role_definition_id, SUB), (RESTARTER, VM)])


@pytest.mark.slow
def test_tagging_an_old_resource_group_makes_it_no_new_one() -> None:
    """A write to a group in which something was done before creates nothing."""
    tenant, user, assignment = _with_exact_roles(CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, start=5)
    tenant.use(user, GROUP_WRITE, APP, start=10)
    plan = tenant.plan(roles="max", **LEAN)
    assert (STARTER, VM) in _places(plan, assignment)
    assert (STARTER, SUB) not in _places(plan, assignment)


@pytest.mark.nightly
def test_a_deleted_resource_group_keeps_the_subscription() -> None:
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, start=5)
    tenant.use(guid(9), "Microsoft.Resources/subscriptions/resourceGroups/delete", APP, start=30, days=1)
    plan = tenant.plan(**LEAN)
    assert {scope for role, scope in _places(plan, assignment) if START in strings(plan, role)} == {SUB}


@pytest.mark.nightly
def test_extensions_and_deployments_count_at_their_target() -> None:
    tenant, user, assignment = _user_with(OWNER, SUB)
    tenant.use(
        user,
        "Microsoft.Authorization/roleAssignments/write",
        f"{VM}/providers/Microsoft.Authorization/roleAssignments/x",
    )
    tenant.use(user, "Microsoft.Resources/deployments/write", f"{SUB}/providers/Microsoft.Resources/deployments/d")
    tenant.assign(199, tenant.principal(9), OWNER, SUB)
    plan = tenant.plan(**LEAN, exclude=(guid(9),))
    by_scope = {scope: strings(plan, role) for role, scope in _places(plan, assignment)}
    assert "Microsoft.Authorization/roleAssignments/write" in by_scope[VM]
    assert "Microsoft.Resources/deployments/write" in by_scope[SUB]


@pytest.mark.nightly
def test_linked_checks_stay_with_a_write_that_can_cause_them() -> None:
    """They are in no log by themselves; without such a write they go."""
    tenant, user, assignment = _user_with(VM_CONTRIBUTOR, SUB)
    tenant.use(user, WRITE_VM, VM)
    other = tenant.assign(102, tenant.principal(2), VM_CONTRIBUTOR, SUB)
    for choice in ("keep", "drop"):
        plan = tenant.plan(reads="none", unobservable=choice)
        assert JOIN in {
            text for role, scope in _places(plan, assignment) if scope == SUB for text in strings(plan, role)
        }
        assert JOIN not in {text for role, _ in _places(plan, other) for text in strings(plan, role)}


@pytest.mark.slow
def test_linked_checks_are_asked_of_the_caller() -> None:
    """Who writes through one assignment may join through another, or through a group.

    So the joining role of the writer stays, while the same role of somebody who writes nothing goes.
    """
    tenant = SmallTenant()
    user = tenant.principal(1)
    group = tenant.group(2, [user])
    tenant.assign(101, group, VM_CONTRIBUTOR, APP, principal_type="Group")
    tenant.use(user, WRITE_VM, VM)
    tenant.roles[guid(77)] = ("Joiner", [PermissionBlock(actions=(JOIN, "Microsoft.Network/virtualNetworks/write"))])
    joining = tenant.assign(102, user, guid(77), NET)
    alone = tenant.assign(103, tenant.principal(3), guid(77), NET)
    tenant.silent()
    plan = tenant.plan()
    assert (proposal_for(plan, joining).kind, proposal_for(plan, alone).kind) == ("keep", "remove")
    assert proposal_for(plan, joining).reason.startswith("narrow already: ")


@pytest.mark.slow
def test_a_write_on_a_data_endpoint_causes_no_linked_check() -> None:
    """Resource Manager never sees it, so it asks for nothing else."""
    tenant = SmallTenant()
    containers = "Microsoft.Storage/storageAccounts/blobServices/containers/write"
    tenant.roles[guid(77)] = ("Containers", [PermissionBlock(actions=(JOIN, containers, WRITE_VM))])
    tenant.roles[guid(78)] = ("Container Maker", [PermissionBlock(actions=(containers,))])
    assignment = tenant.assign(101, tenant.principal(1), guid(77), SUB)
    plan = tenant.plan(unobservable="keep")
    assert _places(plan, assignment) == [(guid(78), SUB)]


@pytest.mark.slow
def test_use_at_one_place_proves_nothing_about_others() -> None:
    """Where a log has a hole, or none could show it, what was seen somewhere stays everywhere."""
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.covered = (SUB2,)
    tenant.use(user, START, VM)
    assert proposal_for(tenant.plan(), assignment).kind == "keep"


@pytest.mark.nightly
def test_data_actions_without_an_inventory_stay() -> None:
    """Nobody knows which resources log; the option takes them away."""
    tenant, user, assignment = _user_with(BLOB_READER, DATA)
    tenant.silent()
    tenant.sign_in(user, "")
    proposal = proposal_for(tenant.plan(), assignment)
    assert (proposal.kind, proposal.plane) == ("keep", "data")
    assert proposal_for(tenant.plan(unobservable="drop"), assignment).kind == "remove"


@pytest.mark.slow
def test_share_rights_stay_with_a_person_who_never_signs_in() -> None:
    """A domain controller issues the tickets for a share; everything else of who gets no token goes."""
    share = "Microsoft.Storage/storageAccounts/fileServices/fileshares/files/write"
    tenant, user, assignment = _user_with(guid(77), DATA)
    tenant.operations[share] = True
    tenant.roles[guid(77)] = ("Share", [PermissionBlock(data_actions=(share,))])
    blobs = tenant.assign(102, user, BLOB_READER, DATA)
    tenant.silent()
    plan = tenant.plan()
    assert [proposal_for(plan, one).kind for one in (assignment, blobs)] == ["keep", "remove"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "operation", "stays"),
    [
        ("Microsoft.Databricks/workspaces", "assignWorkspaceAdmin/action", True),
        ("Microsoft.Batch/batchAccounts", "pools/write", False),
        ("Microsoft.Batch/batchAccounts", "pools/delete", False),
    ],
)
def test_what_a_service_checks_at_its_endpoint_stays_beside_use_of_its_very_type(
    kind: str, operation: str, *, stays: bool
) -> None:
    """The Activity Log shows neither; a write of the same type that nobody used goes, and so does work on types below.

    Who writes a Batch account works with the account, not with its pools.
    """
    tenant, user, assignment = _user_with(guid(77), SUB)
    write, endpoint, delete = (f"{kind}/{end}" for end in ("write", operation, "delete"))
    tenant.operations |= dict.fromkeys((write, endpoint, delete), False)
    tenant.roles[guid(77)] = ("Service", [PermissionBlock(actions=(write, endpoint, delete))])
    tenant.use(user, write, f"{APP}/providers/{kind}/one")
    plan = tenant.plan(roles="max")
    found = {text for role, _ in _places(plan, assignment) for text in strings(plan, role)}
    assert found == ({write, endpoint} if stays else {write})


@pytest.mark.slow
def test_a_used_operation_that_the_catalogue_lacks_keeps_its_narrowest_pattern() -> None:
    """And nothing wider: the explicit operations stand beside it."""
    tenant = SmallTenant()
    patterns = ("Microsoft.Compute/*", "Microsoft.Compute/virtualMachines/*")
    tenant.roles[guid(77)] = ("Compute", [PermissionBlock(actions=patterns)])
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, guid(77), SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/hibernate/action", VM)
    tenant.use(user, "Microsoft.Compute/disks/write", f"{APP}/providers/Microsoft.Compute/disks/d")
    plan = tenant.plan(roles="max", **LEAN)
    (role,) = [
        role for role in plan.roles if "Microsoft.Compute/virtualMachines/*" in role.definition.permissions[0].actions
    ]
    assert role.definition.permissions[0].actions == (
        "Microsoft.Compute/disks/write",
        "Microsoft.Compute/virtualMachines/*",
    )
    (labelled,) = [one for one in role.evidence["actions"] if "*" in one["action"]]
    assert labelled["why"] == "not_in_catalogue"
    assert proposal_for(plan, assignment).proof.used_subset


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ("none", set()),
        (
            "sibling",
            {"Microsoft.Compute/virtualMachines/read", "Microsoft.Resources/subscriptions/resourceGroups/read"},
        ),
        ("namespace", {"Microsoft.Compute/*/read"}),
    ],
)
def test_how_many_reads_stay_is_an_option(reads: str, expected: set[str]) -> None:
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan(reads=reads, unobservable="drop")
    found = {text for role, _ in _places(plan, assignment) for text in strings(plan, role)}
    assert found - {START} == expected


@pytest.mark.slow
def test_siblings_of_what_a_write_refers_to_are_read_too() -> None:
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.use(user, WRITE_VM, VM)
    plan = tenant.plan(reads="sibling")
    found = {text for role, _ in _places(plan, assignment) for text in strings(plan, role)}
    assert "Microsoft.Network/virtualNetworks/subnets/read" in found
    assert "Microsoft.Authorization/roleAssignments/read" not in found


@pytest.mark.slow
def test_a_new_assignment_that_exists_already_is_not_made_again() -> None:
    """Azure refuses the second; the existing one is kept and named."""
    tenant, user, wide = _user_with(CONTRIBUTOR, SUB)
    tenant.use(user, START, VM)
    reader = tenant.assign(102, user, READER, SUB)
    plan = tenant.plan(unobservable="drop")
    assert proposal_for(plan, reader).kind == "keep"
    assert [scope for _, scope in _places(plan, wide)] == [VM]
    assert proposal_for(plan, wide).evidence["rests_on"] == [reader]


@pytest.mark.slow
def test_nested_scopes_grant_once() -> None:
    """What is needed at the subscription is not granted again below it."""
    tenant, user, assignment = _with_exact_roles(CONTRIBUTOR, SUB)
    tenant.use(user, START, SUB)
    tenant.use(user, START, VM)
    tenant.use(user, RESTART, VM)
    plan = tenant.plan(roles="max", **LEAN)
    assert sorted(_places(plan, assignment)) == [(STARTER, SUB), (RESTARTER, VM)]


@pytest.mark.slow
def test_denied_calls_are_no_use() -> None:
    """They show a token, so that only the reading part of the assignment cannot be excluded."""
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.silent()
    tenant.use(user, START, VM, succeeded=0, denied=4)
    assert proposal_for(tenant.plan(unobservable="drop", reads="none"), assignment).kind == "remove"


@pytest.mark.slow
def test_quarantined_use_is_neither_learnt_nor_taken_away() -> None:
    """Today's role stays at the place of the calls until a person decides; no new role has them, and no replay."""
    tenant, user, assignment = _user_with(CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, succeeded=1, suspect=1)
    plan = tenant.plan(**LEAN)
    proposal = proposal_for(plan, assignment)
    assert proposal.evidence["used"] == 0
    assert _places(plan, assignment) == [(CONTRIBUTOR, VM)]
    assert "calls in quarantine wait for a decision" in proposal.reason
    assert plan.roles == ()
    assert plan.replay["allowed"] == 0


@pytest.mark.slow
def test_not_actions_go_where_they_cut_a_pattern_that_stays() -> None:
    """The reading part of a role that takes reads away keeps taking them away."""
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("No network", [PermissionBlock(actions=("*",), not_actions=("Microsoft.Network/*",))])
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, guid(77), SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan(unobservable="drop")
    (reading,) = [role.definition for role in plan.roles if "*/read" in role.definition.permissions[0].actions]
    assert reading.permissions[0].not_actions == ("Microsoft.Network/*",)
    assert proposal_for(plan, assignment).proof.granted_superset


@pytest.mark.slow
def test_limits_of_azure_turn_the_last_ones_into_keeps() -> None:
    """Old and new assignments stand side by side for a while, so both count."""
    tenant = SmallTenant()
    ids = []
    for number, operation in ((1, START), (2, WRITE_VM), (3, "Microsoft.Compute/disks/write")):
        user = tenant.principal(number)
        ids.append(tenant.assign(100 + number, user, CONTRIBUTOR, SUB))
        tenant.use(user, operation, VM)
    limits = AzureLimits(assignments_per_subscription=4)
    plan = tenant.plan(limits, reads="none", unobservable="drop", exclude=(guid(2),))
    first, _, third = (proposal_for(plan, id_) for id_ in ids)
    assert first.kind == "custom"
    assert third.reason.startswith("assignment limit")


@pytest.mark.slow
def test_a_management_group_has_its_own_limit() -> None:
    tenant, user, assignment = _user_with(OWNER, MG)
    tenant.assign(199, tenant.principal(9), OWNER, MG, created_on=dt.datetime(2026, 3, 30))  # who stays
    tenant.use(user, "Microsoft.Management/managementGroups/write", MG)
    plan = tenant.plan(AzureLimits(assignments_per_management_group=1), **LEAN)
    assert proposal_for(plan, assignment).reason.startswith("assignment limit")


@pytest.mark.slow
def test_nets_is_untouched_by_use_elsewhere() -> None:
    """A role at one group says nothing about another."""
    tenant, user, assignment = _user_with(VM_CONTRIBUTOR, NET)
    tenant.use(user, START, VM)
    plan = tenant.plan(**LEAN)
    assert proposal_for(plan, assignment).evidence["used"] == 0


@pytest.mark.nightly
def test_two_runs_and_any_order_give_the_same_plan() -> None:
    """Rows may come in any order."""
    from random import Random  # noqa: PLC0415

    from tests.propose.small_tenant import as_text  # noqa: PLC0415

    tenant = SmallTenant()
    people = [tenant.principal(number) for number in range(1, 6)]
    group = tenant.group(8, people[:3])
    for number, holder in enumerate([*people, group], start=101):
        tenant.assign(number, holder, (CONTRIBUTOR, OWNER, VM_CONTRIBUTOR)[number % 3], (SUB, MG, APP)[number % 3])
    for person, operation in zip(people, (START, WRITE_VM, GROUP_WRITE, START, BLOB), strict=True):
        tenant.use(person, operation, VM)
    expected = as_text(tenant.plan())
    for seed in range(3):
        for rows in tenant.rows.values():
            Random(seed).shuffle(rows)  # noqa: S311  not a secret
        assert as_text(tenant.plan()) == expected


@pytest.mark.slow
def test_a_shared_successor_counts_for_each_as_far_as_that_one_granted_it() -> None:
    """One new role replaces a broad role and a narrow one; what the narrow one never gave is no excess of it."""
    tenant, user, wide = _user_with(CONTRIBUTOR, SUB)
    narrow = tenant.assign(102, user, VM_CONTRIBUTOR, SUB)
    fresh = f"{SUB}/resourceGroups/fresh"
    tenant.use(user, GROUP_WRITE, fresh, start=10, role_assignment_id=wide)
    tenant.use(user, CREATE_VNET, f"{fresh}/providers/Microsoft.Network/virtualNetworks/n", role_assignment_id=wide)
    tenant.use(user, START, VM, role_assignment_id=narrow)
    plan = tenant.plan(**LEAN)
    (role,) = plan.roles
    for id_ in (wide, narrow):
        assert _places(plan, id_) == [(role.definition.role_definition_id, SUB)]
    broad, small = proposal_for(plan, wide), proposal_for(plan, narrow)
    assert 0 < small.excess_after < broad.excess_after
    for one in (broad, small):
        assert one.excess_after <= one.excess_before
        assert one.risk_after <= one.risk_before


@pytest.mark.slow
def test_what_a_privileged_change_brings_along_stands_in_the_role_of_the_change() -> None:
    """Moving a management group needs the right to assign roles: no role is made of that right alone."""
    tenant, user, assignment = _user_with(OWNER, MG)
    tenant.assign(199, tenant.principal(9), OWNER, MG, created_on=dt.datetime(2026, 3, 30))  # who stays
    tenant.use(user, "Microsoft.Management/managementGroups/write", MG)
    plan = tenant.plan(**LEAN)
    (role,) = plan.roles
    assert _places(plan, assignment) == [(role.definition.role_definition_id, MG)]
    assert set(role.definition.permissions[0].actions) == {
        "Microsoft.Management/managementGroups/write",
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
    }
