"""Use before the window counts until it is forgotten; days after the window never count."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from rightsize.analyze.planes import score_assignments, score_principals
from rightsize.analyze.reasons import SENTENCES, OutOfCoverage
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window
from tests.analyze.tiny import FIRST, LAST, RG, SUB, VM, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
DELETE = "Microsoft.Compute/virtualMachines/delete"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
BEFORE = ("out_of_coverage", "used_before_window")
AS_OF = LAST + dt.timedelta(days=1)


def ago(days: int) -> dt.date:
    return AS_OF - dt.timedelta(days=days)


@pytest.fixture
def owner(tiny: Tiny) -> Tiny:
    return tiny.role("owner", "*", data=["*"]).assign("a", "p", "owner").cover()


def earlier(analysis: Analysis) -> set[tuple[str, str, str]]:
    return set(analysis.earlier.select("role_assignment_id", "operation", "scope").iter_rows())


@pytest.mark.slow
def test_an_operation_used_93_days_ago_is_not_unused(owner: Tiny) -> None:
    owner.use("p", START, day=ago(93))
    assert owner.judged("a")[START] == BEFORE
    assert owner.judged("a")[WRITE] == ("unused", "covered")
    (row,) = owner.analyse().verdicts.filter(pl.col("reason") == BEFORE[1]).to_dicts()
    assert (row["operation"], row["operations"], row["last_seen"].date()) == (START, 1, ago(93))
    assert SENTENCES[OutOfCoverage.USED_BEFORE_WINDOW]


@pytest.mark.slow
@pytest.mark.parametrize(("days", "verdict"), [(400, BEFORE), (401, ("unused", "covered"))])
def test_what_is_older_than_forget_days_is_forgotten(owner: Tiny, days: int, verdict: tuple[str, str]) -> None:
    assert owner.use("p", START, day=ago(days)).judged("a")[START] == verdict


@pytest.mark.slow
@pytest.mark.parametrize(("forget", "verdict"), [(93, BEFORE), (92, ("unused", "covered")), (0, ("unused", "covered"))])
def test_the_option_says_when(owner: Tiny, forget: int, verdict: tuple[str, str]) -> None:
    owner.window = Window(FIRST, LAST, forget)
    assert owner.use("p", START, day=ago(93)).judged("a")[START] == verdict


def test_days_after_the_window_are_never_looked_at(owner: Tiny) -> None:
    owner.use("p", START, day=AS_OF).use("p", WRITE, day=AS_OF + dt.timedelta(days=30))
    assert owner.judged("a")[START] == owner.judged("a")[WRITE] == ("unused", "covered")
    assert owner.analyse().earlier.is_empty()


@pytest.mark.slow
def test_use_in_the_window_is_used_and_has_no_second_row(owner: Tiny) -> None:
    owner.use("p", START, day=ago(93)).use("p", START)
    assert owner.judged("a")[START][0] == "used"
    assert owner.analyse().earlier.is_empty()


def test_another_place_is_remembered_though_the_operation_is_used(owner: Tiny) -> None:
    """The operation counts once, as used; a plan has to keep both places."""
    other = f"{SUB}/resourceGroups/rg2/providers/Microsoft.Compute/virtualMachines/vm2"
    owner.use("p", START).use("p", START, other, day=ago(93))
    assert owner.judged("a")[START][0] == "used"
    assert earlier(owner.analyse()) == {("a", START, other)}


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["failed", "started"])
def test_authorised_calls_count_whatever_came_of_them(owner: Tiny, outcome: str) -> None:
    owner.use("p", START, day=ago(93), succeeded=0, **{outcome: 1})
    assert owner.judged("a")[START] == BEFORE


def test_a_refused_call_is_no_use(owner: Tiny) -> None:
    assert owner.use("p", START, day=ago(93), succeeded=0, denied=3).judged("a")[START] == ("unused", "covered")


def test_suspect_use_is_not_learnt_from_and_not_unused(owner: Tiny) -> None:
    owner.use("p", START, day=ago(93), suspect=1)
    assert owner.judged("a")[START] == ("out_of_coverage", "quarantined")
    assert owner.analyse().earlier.is_empty()


@pytest.mark.slow
def test_use_that_may_be_anybodys_leaves_nothing_unused(owner: Tiny) -> None:
    owner.use(None, START, day=ago(93), principal_name="someone@example.com")
    assert owner.judged("a")[START] == ("out_of_coverage", "unexplained_use")


@pytest.mark.slow
def test_the_evidence_says_under_which_assignment(owner: Tiny) -> None:
    owner.assign("b", "p", "owner", RG).use("p", START, day=ago(93), role_assignment_id="b")
    assert owner.judged("a")[START] == ("unused", "covered")
    assert owner.judged("b")[START] == BEFORE


@pytest.mark.slow
def test_of_several_assignments_one_that_the_window_credits_comes_first(owner: Tiny) -> None:
    owner.assign("b", "p", "owner", RG).use("p", WRITE, role_assignment_id="b").use("p", START, day=ago(93))
    assert (owner.judged("a")[START], owner.judged("b")[START]) == (("unused", "covered"), BEFORE)


@pytest.mark.slow
def test_use_through_a_group_is_the_groups(owner: Tiny) -> None:
    owner.role("starter", START).assign("g", "group", "starter").member("group", "q").use("q", START, day=ago(93))
    assert owner.judged("g")[START] == BEFORE
    assert owner.judged("a")[START] == ("unused", "covered")


@pytest.mark.slow
def test_use_under_an_assignment_that_is_gone_counts_for_its_successor(owner: Tiny) -> None:
    """The assignment of today was made after the call; what allowed it then is in no listing any more."""
    owner.role("starter", START).assign("new", "q", "starter", created_on=dt.datetime.combine(ago(50), dt.time()))
    owner.use("q", START, day=ago(93), role_assignment_id="gone")
    assert owner.judged("new")[START] == BEFORE


@pytest.mark.slow
def test_what_no_log_shows_all_of_keeps_its_profile_and_names_the_use(owner: Tiny) -> None:
    owner.use("p", BLOB, day=ago(93), plane="data")
    assert owner.judged("a")[BLOB] == BEFORE
    profile = owner.analyse().profile_operations.filter(pl.col("operation") == BLOB)
    assert profile["verdict"].to_list() == ["unobservable"]


@pytest.mark.slow
def test_it_is_counted_once_and_is_no_excess(owner: Tiny) -> None:
    silent = score_assignments(owner.analyse()).row(0, named=True)
    owner.use("p", START, day=ago(93))
    scored = score_assignments(owner.analyse()).row(0, named=True)
    counts = ("granted", "used", "unused", "out_of_coverage")
    assert [scored[name] - silent[name] for name in counts] == [0, 0, -1, 1]
    assert scored["creep"] < silent["creep"]
    (of_person,) = score_principals(owner.analyse()).filter(plane="control").to_dicts()
    assert {name: of_person[name] for name in counts} == {name: scored[name] for name in counts}
    verdicts = owner.analyse().verdicts.filter(plane="control").group_by("verdict").agg(pl.col("operations").sum())
    assert dict(verdicts.iter_rows())["out_of_coverage"] == scored["out_of_coverage"]


def test_the_window_knows_its_days() -> None:
    window = Window(dt.date(2026, 1, 1), dt.date(2026, 3, 31), 400)
    assert window.earlier == Window(dt.date(2025, 2, 25), dt.date(2025, 12, 31), 0)
    assert window.remembered == replace(window, first_day=dt.date(2025, 2, 25))
    assert replace(window, forget_days=90).earlier is None
    assert replace(window, forget_days=91).earlier == Window(dt.date(2025, 12, 31), dt.date(2025, 12, 31), 0)
    assert replace(window, forget_days=10**9).remembered.first_day == dt.date.min


@pytest.mark.slow
def test_rows_in_another_order_say_the_same(owner: Tiny) -> None:
    owner.use("p", START, day=ago(93)).use("p", WRITE, day=ago(20)).use("p", DELETE, VM, day=ago(300), suspect=1)
    owner.assign("b", "p", "owner", RG).assign("c", "p", "owner", VM)
    first, other = (owner.analyse(shuffled=seed) for seed in (1, 2))
    assert first.verdicts.equals(other.verdicts)
    assert first.earlier.equals(other.earlier)
