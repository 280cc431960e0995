"""New roles by planted jobs: what is foreign, risky, checked inside a write or misplaced, and what is an add-on."""

from __future__ import annotations

import pytest

from rightsize.demo.suite.model import PlantedJob, SuiteNeed, SuitePrincipal, SuiteTenant
from rightsize.model.nouns import PermissionBlock, Plane, RoleDefinition
from rightsize.model.plan import PlannedAssignment
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.workflow.suite.contenders import Change
from rightsize.workflow.suite.jobs import MadeRole, RoleJudge
from rightsize.workflow.suite.judge import SuiteTally
from rightsize.workflow.suite.run import describe
from tests.propose.small_tenant import SUB, guid
from tests.workflow.suite_index import small_index

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
READ = "Microsoft.Compute/virtualMachines/read"
JOIN = "Microsoft.Network/networkInterfaces/join/action"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
OTHER_SUB = SUB.replace("1", "2")
ONE, TWO, GROUP, IDLE = guid(1), guid(2), guid(3), guid(4)


def _keys(*operations: str) -> frozenset[tuple[Plane, Folded]]:
    return frozenset(("control", fold(one)) for one in operations)


JOBS = (
    PlantedJob("operator", _keys(START, RESTART), only_at={("control", fold(RESTART)): fold(SUB)}),
    PlantedJob("builder", _keys(WRITE), _keys(JOIN)),
    PlantedJob("keeper", _keys(KEYS)),
)
TENANT = SuiteTenant(
    "hand", 0, guid(9), guid(8), (),
    (
        SuitePrincipal(ONE, "user", "one", ("operator",)),
        SuitePrincipal(TWO, "user", "two", ("builder",)),
        SuitePrincipal(GROUP, "group", "team"),
        SuitePrincipal(IDLE, "app", "pipeline"),
    ),
    {GROUP: (ONE, TWO)}, (), (),
    (SuiteNeed(ONE, START, "control", SUB, "logged", (3,)), SuiteNeed(TWO, WRITE, "control", SUB, "logged", (3,))),
    jobs=JOBS,
)  # fmt: skip


@pytest.fixture
def index() -> OperationIndex:
    """The operations."""
    return small_index()


def _judged(index: OperationIndex, operations: tuple[str, ...], *places: tuple[str, str]) -> tuple[MadeRole, int]:
    judge = RoleJudge(TENANT, index, index.mask(_keys(KEYS)))
    role = RoleDefinition(guid(77), "new", (PermissionBlock(actions=operations),))
    made = tuple(PlannedAssignment(scope, guid(77), who) for who, scope in places)
    change = Change(frozenset(), made, (role,))
    (found,) = judge.describe(change, (len(operations),))
    return found, judge.holders(change)


def test_what_a_holder_gets_of_jobs_that_it_does_not_have_is_foreign(index: OperationIndex) -> None:
    """Own parts are not, used or not; nor are reads, nor what a holder without a planted job gets."""
    role, holders = _judged(index, (START, RESTART, WRITE, KEYS, READ), (ONE, SUB), (IDLE, SUB))
    assert role.foreign == {(ONE, fold(WRITE)), (ONE, fold(KEYS))}
    assert role.row()["foreign_holders"] == 1
    assert (dict(role.holders), holders, role.risky) == ({"": 1, "operator": 1}, 1, {fold(KEYS)})


def test_members_get_what_their_group_gets(index: OperationIndex) -> None:
    """Each member counts; a check inside a write is counted apart."""
    role, holders = _judged(index, (WRITE, JOIN), (GROUP, SUB))
    assert (role.foreign, role.checks) == ({(ONE, fold(WRITE))}, {(ONE, fold(JOIN))})
    assert holders == 2


def test_what_a_job_does_in_one_environment_is_misplaced_elsewhere(index: OperationIndex) -> None:
    """At the subscription itself it is not, and it is foreign nowhere."""
    assert not _judged(index, (RESTART,), (ONE, SUB))[0].misplaced
    role, _ = _judged(index, (RESTART,), (ONE, OTHER_SUB))
    assert (role.misplaced, role.foreign) == ({(ONE, fold(RESTART))}, set())


def test_an_add_on_has_risky_changes_alone(index: OperationIndex) -> None:
    """Reads do not matter, and a role that only reads is none."""
    assert _judged(index, (KEYS, READ), (ONE, SUB))[0].is_add_on
    assert not _judged(index, (KEYS, START), (ONE, SUB))[0].is_add_on
    assert not _judged(index, (READ,), (ONE, SUB))[0].is_add_on


def test_figures_count_a_holder_and_operation_once(index: OperationIndex) -> None:
    """Two roles that give the same are one foreign operation; sizes are those of nine in ten."""
    twice = [_judged(index, (KEYS,), (ONE, SUB))[0]] * 2
    more = tuple(MadeRole("hand", "role", size) for size in range(1, 9))
    row = describe(SuiteTally(roles=(*twice, *more), jobs=4, holders=2))
    assert (row["foreign"], row["foreign_risky"], row["foreign_per_holder"]) == (1, 1, 0.5)
    assert (row["new_roles"], row["add_ons"], row["roles_per_job"]) == (10, 2, 2.0)
    assert (row["strings_p90"], row["strings_max"]) == (7, 8)
    assert describe(SuiteTally())["strings_p90"] is None


def test_a_planted_job_is_in_use_where_a_log_shows_it(index: OperationIndex) -> None:
    """Nobody has the third job."""
    assert RoleJudge(TENANT, index, 0).jobs_in_use == 2
