"""Planted and inferred jobs: the adjusted Rand index, and the labels of (holder, change)."""

from __future__ import annotations

import random

import pytest

from rightsize.demo.suite.model import PlantedJob, SuiteNeed, SuitePrincipal, SuiteTenant
from rightsize.model.text import fold
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.jobs import Jobs, Work, find_jobs
from rightsize.workflow.suite.jobs import COMMON, OWN, label_pairs, rand_index
from tests.propose.small_tenant import SUB, guid
from tests.workflow.suite_index import small_index

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"


def test_the_same_groups_have_index_one_whatever_they_are_called() -> None:
    """Names of groups mean nothing; nor do groups of one, or one group of all."""
    assert rand_index([("a", 1), ("a", 1), ("b", 2), ("b", 2)]) == 1
    assert rand_index([("a", 1), ("b", 2), ("c", 3)]) == 1
    assert rand_index([("a", 1), ("a", 1)]) == 1
    assert rand_index([]) is None


@pytest.mark.slow
def test_groups_by_chance_have_an_index_near_zero() -> None:
    """Two labels that have nothing to do with one another."""
    drawn = random.Random(7)  # noqa: S311 - a test of statistics
    pairs = [(drawn.randrange(8), drawn.randrange(8)) for _ in range(4000)]
    assert rand_index(pairs) == pytest.approx(0, abs=0.01)


def test_the_index_of_a_known_example() -> None:
    """One of six is in the wrong group: worked out by hand from the pairs, (4 - 2.8) / (6.5 - 2.8)."""
    pairs = [("a", 1), ("a", 1), ("a", 2), ("b", 2), ("b", 2), ("b", 2)]
    # Together in both: 1 + 3; in the first: 3 + 3; in the second: 1 + 6; by chance 6 * 7 / 15.
    assert rand_index(pairs) == pytest.approx((4 - 2.8) / (6.5 - 2.8))


def test_one_group_of_everything_is_no_better_than_chance() -> None:
    """Who joins all jobs has found nothing."""
    assert rand_index([("a", 1), ("a", 1), ("b", 1), ("b", 1)]) == 0


def _tenant(index: OperationIndex, work: dict[str, tuple[str, ...]], has: dict[str, tuple[str, ...]],
            jobs: dict[str, tuple[str, ...]]) -> tuple[SuiteTenant, Jobs]:  # fmt: skip
    planted = tuple(
        PlantedJob(name, frozenset(("control", fold(one)) for one in operations)) for name, operations in jobs.items()
    )
    needs = tuple(
        SuiteNeed(who, operation, "control", SUB, "logged", (1, 9)) for who, used in work.items() for operation in used
    )
    people = tuple(SuitePrincipal(who, "user", who, has.get(who, ())) for who in work)
    tenant = SuiteTenant("hand", 0, guid(9), guid(8), (), people, {}, (), (), needs, jobs=planted)
    changes = (1 << len(index.names)) - 1 & ~index.reads
    of_worker = {fold(who): index.mask(("control", fold(one)) for one in used) for who, used in work.items()}
    return tenant, find_jobs(Work(index, changes, {}, of_worker, of_worker))


@pytest.fixture
def index() -> OperationIndex:
    """The operations."""
    return small_index()


def test_each_change_of_a_holder_has_a_planted_and_an_inferred_job(index: OperationIndex) -> None:
    """What nobody else uses is its holder's own; who has no planted job is not counted."""
    work = {guid(1): (START, RESTART), guid(2): (START, RESTART), guid(3): (KEYS,), guid(4): (START, RESTART)}
    has = {guid(1): ("operator",), guid(2): ("operator",), guid(3): ("keeper",)}
    jobs = {"operator": (START, RESTART), "keeper": (KEYS,), "builder": (WRITE,)}
    found = [*label_pairs(*_tenant(index, work, has, jobs))]
    assert sorted({planted for planted, _ in found}) == ["keeper", "operator"]
    assert len(found) == 5
    assert len({inferred for planted, inferred in found if planted == "operator"}) == 1
    assert [inferred for planted, inferred in found if planted == "keeper"] == [(OWN, fold(guid(3)))]
    assert rand_index(found) == 1


def test_a_change_of_most_jobs_belongs_to_none_of_them(index: OperationIndex) -> None:
    """Its planted label is its own."""
    work = {guid(1): (START, WRITE), guid(2): (KEYS, WRITE)}
    has = {guid(1): ("operator",), guid(2): ("keeper",)}
    found = [*label_pairs(*_tenant(index, work, has, {"operator": (START, WRITE), "keeper": (KEYS, WRITE)}))]
    assert sorted(planted for planted, _ in found) == [COMMON, COMMON, "keeper", "operator"]
