"""The judge of the suite, on one tenant made by hand: what is lost, what goes, and what stays by design."""

from __future__ import annotations

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.demo.suite.model import (
    SEEN_DAYS,
    NeedKind,
    SuiteGrant,
    SuiteNeed,
    SuitePrincipal,
    SuiteResource,
    SuiteScope,
    SuiteTenant,
)
from rightsize.model.nouns import PermissionBlock, Plane, RoleDefinition
from rightsize.model.plan import PlannedAssignment
from rightsize.model.role_forms import permissions_to_json
from rightsize.propose.core.operation_sets import OperationIndex, read_scale
from rightsize.workflow.suite.contenders import Change, Forecast, needs_and_reads, siblings, used_only
from rightsize.workflow.suite.judge import SuiteJudge, SuiteTally
from tests.propose.small_tenant import CONTRIBUTOR, SUB, guid
from tests.workflow.suite_index import small_index, small_operations

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
WRITE_VM = "Microsoft.Compute/virtualMachines/write"
READ_VM = "Microsoft.Compute/virtualMachines/read"
JOIN = "Microsoft.Network/networkInterfaces/join/action"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
VM = f"{SUB}/resourceGroups/app/providers/Microsoft.Compute/virtualMachines/vm"
ROLE = RoleDefinition(CONTRIBUTOR, "Contributor", (PermissionBlock(actions=("*",)),))
WORKER, GUARD, GROUP, MEMBER = guid(1), guid(2), guid(3), guid(4)
OWNER = RoleDefinition(guid(78), "Owner", ROLE.permissions)
GRANTS = (
    SuiteGrant(guid(101), WORKER, ROLE, SUB),
    SuiteGrant(guid(102), GUARD, ROLE, SUB, by_design="emergency_access"),
    SuiteGrant(guid(103), GROUP, ROLE, SUB),
)


def _need(who: str, operation: str, kind: NeedKind, *days: int, plane: Plane = "control") -> SuiteNeed:
    return SuiteNeed(who, operation, plane, f"{VM}1", kind, days)


NEEDS = (
    _need(WORKER, START, "logged", 5, 50, SEEN_DAYS + 3),
    _need(WORKER, READ_VM, "read", 5, SEEN_DAYS + 3),
    _need(WORKER, JOIN, "unruled", 5, SEEN_DAYS + 3),
    _need(WORKER, RESTART, "future", SEEN_DAYS + 9),
    _need(MEMBER, WRITE_VM, "logged", 8),
)


def _tenant(grants: tuple[SuiteGrant, ...] = GRANTS, needs: tuple[SuiteNeed, ...] = NEEDS) -> SuiteTenant:
    types = {"Microsoft.Compute/virtualMachines": 2, "Microsoft.Network/networkInterfaces": 1}
    resources = [
        SuiteResource(f"{SUB}/resourceGroups/app/providers/{kind}/vm{number}", kind, f"vm{number}", {})
        for kind, count in types.items()
        for number in range(1, count + 1)
    ]
    people = (
        SuitePrincipal(WORKER, "user", "worker"),
        SuitePrincipal(GUARD, "user", "guard"),
        SuitePrincipal(GROUP, "group", "team"),
        SuitePrincipal(MEMBER, "user", "member"),
    )
    scopes = (
        SuiteScope("/providers/Microsoft.Management/managementGroups/top", "top", ""),
        SuiteScope(SUB, "main", ""),
    )
    members = {GROUP: (MEMBER,)}
    return SuiteTenant("hand", 0, guid(9), guid(8), scopes, people, members, grants, tuple(resources), needs)


def _frame(table: str, *rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema_of(table))


@pytest.fixture
def index() -> OperationIndex:
    return small_index()


@pytest.fixture
def judge(index: OperationIndex) -> SuiteJudge:
    return _judge_of(GRANTS, index)


def _judge_of(
    grants: tuple[SuiteGrant, ...], index: OperationIndex, needs: tuple[SuiteNeed, ...] = NEEDS
) -> SuiteJudge:
    assignments = [
        {
            "role_assignment_id": one.grant_id,
            "state": one.state,
            "principal_id": one.principal_id,
            "role_definition_id": one.role.role_definition_id,
            "scope": one.scope,
        }
        for one in grants
    ]
    roles = [
        {
            "role_definition_id": one.role_definition_id,
            "role_name": one.role_name,
            "role_type": "BuiltInRole",
            "permissions": permissions_to_json(one.permissions),
        }
        for one in (ROLE, OWNER)
    ]
    member = {"group_id": GROUP, "member_id": MEMBER, "listing": "members", "member_type": "User"}
    inputs = Inputs.of(
        role_assignments=_frame("role_assignments", *assignments),
        role_definitions=_frame("role_definitions", *roles),
        group_members=_frame("group_members", member),
    )
    return SuiteJudge(_tenant(grants, needs), inputs, index, read_scale(small_operations(), index), 0)


def test_keeping_everything_loses_nothing_and_removes_nothing(judge: SuiteJudge) -> None:
    """Without a change every need is allowed, nobody breaks, and all excess is there after as before."""
    tally = judge.judge(Change())
    assert dict(tally.needs) == {"logged": 2, "read": 1, "unruled": 1, "future": 1}
    assert (dict(tally.lost), tally.denied, tally.broken, tally.role_sizes) == ({}, 0, 0, ())
    assert tally.before == tally.after
    assert tally.before.live > 0
    assert tally.before.latent > 0


def test_used_only_keeps_recorded_calls_and_loses_what_no_log_shows(judge: SuiteJudge) -> None:
    """It loses the read, the linked check and the new part of the job, and leaves no excess."""
    tally = judge.judge(used_only(_tenant()))
    assert dict(tally.lost) == {"read": 1, "unruled": 1, "future": 1}
    assert (tally.recorded, tally.denied) == (2, 0)
    assert (tally.principals, tally.broken) == (1, 1)
    assert (tally.role_sizes, tally.explained) == ((1, 1), 2)
    # The role is still given for both machines of the subscription, and the need is on one.
    assert (tally.after.live, tally.after.latent) == (2.0, 0.0)
    assert tally.by_design.live == 0


def test_siblings_keep_the_operations_of_the_used_types(judge: SuiteJudge, index: OperationIndex) -> None:
    """The new operation on the used type stays, and so does its read; the linked check of another type goes."""
    tally = judge.judge(siblings(_tenant(), index))
    assert dict(tally.lost) == {"unruled": 1}
    assert tally.broken == 0


def test_the_truth_with_all_reads_is_the_most_that_a_plan_can_remove(judge: SuiteJudge, index: OperationIndex) -> None:
    """Nothing is lost; who needs something keeps all reads of its role, and what stays by design is left."""
    tally = judge.judge(needs_and_reads(_tenant(), index))
    assert (dict(tally.lost), tally.broken, tally.staying) == ({}, 0, 1)
    assert tally.after.live_reads > 0
    assert tally.after.latent == tally.after.latent_reads > 0
    assert tally.after.live < tally.before.live
    idle = tuple(one for one in NEEDS if one.principal_id != MEMBER)
    kept = needs_and_reads(_tenant(needs=idle), index).made
    assert {one.principal_id for one in kept} == {WORKER}


def test_a_type_that_exists_elsewhere_is_latent_excess_where_it_does_not(judge: SuiteJudge) -> None:
    """Below a network interface there is no machine to start, though the tenant has two."""
    at = f"{SUB}/resourceGroups/app/providers/Microsoft.Network/networkInterfaces/vm1"
    tally = _with_role(judge, START, scope=at)
    assert (tally.after.live, tally.after.latent) == (0.0, 1.0)


def test_what_stays_by_design_is_in_no_denominator(judge: SuiteJudge) -> None:
    """The excess of emergency access counts apart, whoever leaves it."""
    tally = judge.judge(Change())
    whole = tally.everything
    assert (tally.by_design + tally.before) == whole
    # Three people hold the same; two of them use one operation on one machine each, and need three more.
    assert tally.by_design.live > 0
    assert tally.by_design.latent * 2 == pytest.approx(tally.before.latent)


def test_what_an_assignment_gives_that_stays_counts_there_alone(index: OperationIndex) -> None:
    """Its holder's other assignment gives nothing more here, so that taking it removes nothing."""
    other = SuiteGrant(guid(104), GUARD, ROLE, VM + "1")
    judge = _judge_of((*GRANTS, other), index)
    tally = judge.judge(Change(frozenset({other.grant_id})))
    assert tally.before == tally.after
    assert (tally.assignments, tally.staying) == (4, 1)
    wider = _judge_of((GRANTS[0], SuiteGrant(guid(102), GUARD, ROLE, VM + "1", by_design="conditional")), index)
    assert wider.judge(Change()).by_design.live < tally.by_design.live


def test_one_owner_of_a_subscription_stays_and_a_plan_chooses_which(index: OperationIndex) -> None:
    """Two Owners hold the same: whichever a plan leaves is by design, and the excess of the other one goes."""
    owners = (
        SuiteGrant(guid(105), GUARD, OWNER, SUB, by_design="last_owner"),
        SuiteGrant(guid(106), GROUP, OWNER, SUB),
    )
    judge = _judge_of(owners, index)
    named, other, none = (
        judge.judge(Change(frozenset(gone))) for gone in ({guid(106)}, {guid(105)}, set(_ids(owners)))
    )
    assert [one.staying for one in (named, other, none)] == [1, 1, 0]
    assert (named.after.live, other.after.live) == (0, 0)
    assert named.before.live == none.before.live > 0
    assert other.by_design.live > none.by_design.live == 0


def _ids(grants: tuple[SuiteGrant, ...]) -> list[str]:
    return [one.grant_id for one in grants]


def test_a_type_that_does_not_exist_is_latent_excess(judge: SuiteJudge) -> None:
    """A role for storage accounts, of which there are none, is latent and its string is not explained."""
    tally = _with_role(judge, KEYS)
    assert (tally.after.live, tally.after.latent) == (0.0, 1.0)
    assert (tally.role_sizes, tally.explained) == ((1,), 0)


def test_a_type_of_which_a_log_has_a_call_is_there(index: OperationIndex) -> None:
    """A call of somebody else on a storage account explains the string, though no resource of the type is listed."""
    account = f"{SUB}/resourceGroups/app/providers/Microsoft.Storage/storageAccounts/one"
    write = SuiteNeed(MEMBER, "Microsoft.Storage/storageAccounts/write", "control", account, "logged", (8,))
    tally = _with_role(_judge_of(GRANTS, index, (*NEEDS, write)), KEYS)
    assert (tally.role_sizes, tally.explained) == ((1,), 1)


def test_a_plan_that_removes_every_assignment_loses_every_need(judge: SuiteJudge) -> None:
    """Nothing is left that could be asked."""
    tally = judge.judge(Change(frozenset(_ids(GRANTS))))
    assert tally.lost == tally.needs
    assert (tally.after.live, tally.after.latent) == (0, 0)


def test_an_eligible_assignment_keeps_a_need_and_weighs_a_quarter(judge: SuiteJudge) -> None:
    """An activation is no loss; the other machine weighs a quarter."""
    tally = _with_role(judge, START, state="eligible")
    assert tally.lost["logged"] == 1  # the member of the group lost its own
    assert tally.after.live == 0.25


def test_a_forecast_counts_as_broken_where_a_logged_need_of_its_assignment_is_lost(judge: SuiteJudge) -> None:
    """The worker loses a new part of the job by the first proposal; the second one takes from nobody who needs it."""
    said = (Forecast((guid(101),), 0.2, 0.1, "used", 0), Forecast((guid(103),), 0.3, 0.1, "unused", 0))
    made = (PlannedAssignment(SUB, guid(77), WORKER), PlannedAssignment(SUB, guid(77), GROUP))
    role = RoleDefinition(guid(77), "new", (PermissionBlock(actions=(START, WRITE_VM, READ_VM, JOIN)),))
    tally = judge.judge(Change(frozenset({guid(101), guid(103)}), made, (role,), said))
    assert [(one.bound, one.broke) for one in tally.predictions] == [(0.2, True), (0.3, False)]


def test_tallies_of_tenants_add_up(judge: SuiteJudge) -> None:
    """Two tenants have twice the needs, the losses and the excess."""
    one = judge.judge(used_only(_tenant()))
    both = one + one
    assert (both.tenants, both.lost["read"], both.role_sizes) == (2, 2, (1, 1, 1, 1))
    assert both.before.live == 2 * one.before.live
    assert one + SuiteTally() == one


def _with_role(judge: SuiteJudge, operation: str, state: str = "active", scope: str = SUB) -> SuiteTally:
    """Judge that the worker gets one operation, and everybody else nothing."""
    role = RoleDefinition(guid(77), "new", (PermissionBlock(actions=(operation,)),))
    made = PlannedAssignment(scope, guid(77), WORKER, state="eligible" if state == "eligible" else "active")
    return judge.judge(Change(frozenset(one.grant_id for one in GRANTS), (made,), (role,)))
