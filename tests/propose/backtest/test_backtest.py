"""Folds, the tables as of each fold, the definition of a break, the baselines, and the calibration."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.window import Window
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.propose.backtest import (
    BASELINES,
    NEEDS_SCHEMA,
    BacktestTally,
    Fold,
    Trial,
    choose_folds,
    cut_inputs,
    history_of,
    prepare_trial,
    try_baseline,
    try_plan,
)
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.reading import read_plan_settings, with_options
from rightsize.propose.pipeline import plan_from_reading
from rightsize.propose.risk.calibration import Prediction, brier, by_basis, exact_interval, reliability, scores
from rightsize.workflow.plan.backtest import EVERY_SETTING, read_setting, setting_name
from tests.propose.histories import extend, reading_of
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    DAY0,
    READER,
    SUB,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    frames_of,
    guid,
)

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE_VM = "Microsoft.Compute/virtualMachines/write"
NARROW: dict[str, Any] = {"role_worth": 0}
"""In so small a tenant no role saves what one has to save in a tenant."""
DELETE_VM = "Microsoft.Compute/virtualMachines/delete"
READ_VM = "Microsoft.Compute/virtualMachines/read"
DAYS = 120
FOLD = Fold(
    Window(DAY0, DAY0 + dt.timedelta(days=89)),
    Window(DAY0 + dt.timedelta(days=90), DAY0 + dt.timedelta(days=DAYS - 1)),
)


def _history(days: int) -> Window:
    return Window(DAY0, DAY0 + dt.timedelta(days=days - 1))


@pytest.mark.parametrize(
    ("days", "train", "test", "number"), [(90, 60, 30, 1), (120, 90, 30, 1), (180, 90, 30, 3), (45, 30, 15, 1)]
)
def test_folds_fit_the_history(days: int, train: int, test: int, number: int) -> None:
    """90 days give 60/30, the demo's 120 give 90/30, and more days give more folds."""
    folds = choose_folds(_history(days))
    assert {(fold.train.days, fold.test.days) for fold in folds} == {(train, test)}
    assert len(folds) == number


@given(st.integers(1, 400), st.one_of(st.none(), st.integers(1, 200)), st.one_of(st.none(), st.integers(1, 90)))
def test_folds_walk_forward(days: int, train: int | None, test: int | None) -> None:
    """Every test follows its training at once, tests lie side by side, and the last one ends with the history."""
    history = _history(days)
    try:
        folds = choose_folds(history, train, test)
    except EvidenceError:
        assert days < ((train or 1) + (test or 1) if train or test else 42)
        return
    day = dt.timedelta(days=1)
    assert folds[-1].test.last_day == history.last_day
    assert folds[0].train.first_day >= history.first_day
    assert (folds[0].train.first_day - history.first_day).days < folds[0].test.days
    for fold in folds:
        assert fold.train.last_day + day == fold.test.first_day
    for older, newer in itertools.pairwise(folds):
        assert older.test.last_day + day == newer.test.first_day


@pytest.mark.parametrize("days", [2, 41])
def test_a_short_history_is_no_evidence(days: int) -> None:
    with pytest.raises(EvidenceError, match=f"the logs cover {days} days, and a backtest needs 42"):
        choose_folds(_history(days))


def test_days_that_were_asked_for_have_to_be_there() -> None:
    with pytest.raises(EvidenceError, match="the logs cover 100 days, and a backtest needs 120"):
        choose_folds(_history(100), 90, 30)
    assert len(choose_folds(_history(10), 5, 2)) == 2


def test_no_days_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--test-days 0"):
        choose_folds(_history(100), 90, 0)


def test_a_store_without_logs_has_no_history() -> None:
    tenant = SmallTenant(covered=())
    tenant.assign(101, tenant.principal(1), READER, SUB)
    with pytest.raises(EvidenceError, match="no log of use is loaded"):
        history_of(tenant.inputs())


def _worker(**more: Any) -> tuple[SmallTenant, str]:
    """A user who starts a machine all along, under Contributor."""
    tenant = SmallTenant()
    user = tenant.principal(1, **more)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, days=100, start=10)
    return tenant, user


def _trial(tenant: SmallTenant, needs: pl.DataFrame | None = None, **options: Any) -> Trial:
    return prepare_trial(extend(tenant, DAYS).inputs(), FOLD, PlanOptions(**NARROW | options), needs)


def _tried(tenant: SmallTenant, **options: Any) -> tuple[BacktestTally, list[Prediction]]:
    return try_plan(_trial(tenant), PlanOptions(**NARROW | options))


@pytest.mark.nightly
def test_what_goes_on_breaks_nothing() -> None:
    tally, (said,) = _tried(_worker()[0])
    assert (tally.principals, tally.denied_principals) == (1, 0)
    assert (tally.calls, tally.events) == (1, 40)
    assert tally.first_breaks == ()
    assert tally.excess_after < tally.excess_before
    assert said.broke is False


@pytest.mark.nightly
def test_settings_for_other_options_are_what_would_be_read_anew() -> None:
    """The same plan, to the last number."""
    tenant, user = _worker()
    tenant.use(user, WRITE_VM, VM, days=3, start=20)
    tenant.assign(102, user, VM_CONTRIBUTOR, SUB, created_on=dt.datetime.combine(DAY0, dt.time()) + dt.timedelta(60))
    reading, settings = reading_of(tenant.inputs(), grace_days=60)
    for text in (EVERY_SETTING[-1], "reads=all,grace-days=5", "reads=sibling,max-break=0.01"):
        options = read_setting(text, PlanOptions())
        anew = plan_from_reading(reading, read_plan_settings(reading, options), "")
        assert plan_from_reading(reading, with_options(reading, settings, options), "") == anew


def test_every_setting_is_another_one() -> None:
    """Four choices of reads and three of what no log shows; the default first."""
    names = [setting_name(read_setting(text, PlanOptions())) for text in EVERY_SETTING]
    assert names[0] == setting_name(PlanOptions())
    assert len(set(names)) == 12


@pytest.mark.nightly
def test_something_new_breaks() -> None:
    """A call that the grant of the training allows and the plan does not, on the fifth day of the test."""
    tenant, user = _worker()
    tenant.use(user, DELETE_VM, VM, days=2, start=94)
    tally, (said,) = _tried(tenant)
    assert (tally.principals, tally.denied_principals) == (1, 1)
    assert (tally.calls, tally.denied_calls) == (2, 1)
    assert (tally.events, tally.denied_events) == (44, 4)
    assert tally.first_breaks == (5,)
    assert said.broke is True


@pytest.mark.nightly
def test_a_known_operation_at_a_new_place_breaks() -> None:
    tenant, user = _worker()
    tenant.use(user, START, f"{DATA}/providers/Microsoft.Compute/virtualMachines/vm2", days=1, start=119)
    tally, _ = _tried(tenant)
    assert (tally.denied_calls, tally.first_breaks) == (1, (30,))


@pytest.mark.slow
def test_what_no_grant_of_the_training_allows_does_not_count() -> None:
    """A grant made since is not the plan's business, and one that never was is demand."""
    tenant, user = _worker()
    tenant.principal(2)
    tenant.assign(102, guid(2), VM_CONTRIBUTOR, APP, created_on=dt.datetime.combine(DAY0, dt.time()) + dt.timedelta(95))
    tenant.use(guid(2), START, VM, days=5, start=100)
    tenant.use(user, "Microsoft.Authorization/roleAssignments/write", VM, days=1, start=100)
    trial = _trial(tenant)
    assert trial.asked["principal_id"].to_list() == [user]
    assert trial.left_out == 2


@pytest.mark.slow
def test_suspect_and_refused_calls_do_not_count() -> None:
    tenant, user = _worker()
    tenant.use(user, DELETE_VM, VM, days=1, start=95, suspect=2)
    tenant.use(user, WRITE_VM, VM, days=1, start=96, succeeded=0, denied=2)
    assert _trial(tenant).asked.height == 1


@pytest.mark.nightly
def test_a_member_is_asked_through_its_group() -> None:
    tenant = SmallTenant()
    people = [tenant.principal(number) for number in (1, 2)]
    tenant.assign(101, tenant.group(50, people), CONTRIBUTOR, SUB, principal_type="Group")
    for person in people:
        tenant.use(person, START, VM, days=100, start=10)
    tenant.use(people[0], DELETE_VM, VM, days=1, start=95)
    tally, (said,) = _tried(tenant)
    assert (tally.principals, tally.denied_principals) == (2, 1)
    assert said.broke


@pytest.mark.nightly
def test_nothing_is_learnt_from_the_test_days() -> None:
    """Whatever happens there, the plan is the same."""
    quiet, _ = _worker()
    busy, user = _worker()
    busy.use(user, DELETE_VM, VM, days=20, start=90)
    busy.use(user, "Microsoft.Authorization/roleAssignments/write", f"{SUB}/x", days=1, start=91)
    assert _tried(quiet)[0].excess_after == _tried(busy)[0].excess_after
    one, other = (cut_inputs(extend(each, DAYS).inputs(), FOLD.train.last_day) for each in (quiet, busy))
    for name, frame in frames_of(one).items():
        if name != "scopes":
            assert frame.equals(getattr(other, name)), name


@pytest.mark.slow
def test_what_was_made_later_is_left_out() -> None:
    """By the listing's time, else by the log of its creation; with its memberships."""
    tenant, user = _worker()
    late = dt.datetime.combine(FOLD.test.first_day, dt.time(8))
    newcomer = tenant.principal(2, created_on=late)
    tenant.group(50, [user, newcomer])
    tenant.assign(102, newcomer, READER, SUB)
    tenant.assign(103, user, READER, SUB, created_on=late)
    tenant.assign(104, user, READER, APP, created_on=None)
    tenant.assign(105, user, READER, DATA, created_on=None)
    written = f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{guid(104).upper()}"
    tenant.use(user, "Microsoft.Authorization/roleAssignments/write", written, days=1, start=92)
    then = cut_inputs(tenant.inputs(), FOLD.train.last_day)
    assert then.role_assignments["role_assignment_id"].to_list() == [guid(101), guid(105)]
    assert newcomer not in then.principals["principal_id"].to_list()
    assert then.group_members["member_id"].to_list() == [user]
    assert then.group_closure["member_id"].to_list() == [user]
    assert then.usage_days["day"].max() == FOLD.train.last_day


@pytest.mark.nightly
def test_baselines_stand_beside_the_plan() -> None:
    """Keeping everything breaks nothing and removes nothing; used only removes most and breaks what is new."""
    tenant, user = _worker()
    tenant.use(user, DELETE_VM, VM, days=1, start=95)
    trial = _trial(tenant)
    kept, used, read = (try_baseline(trial, name) for name in BASELINES)
    assert (kept.denied_calls, kept.excess_after) == (0, kept.excess_before)
    assert (used.denied_calls, read.denied_calls) == (1, 1)
    assert used.excess_before == kept.excess_before == try_plan(trial, PlanOptions())[0].excess_before
    assert used.excess_after < read.excess_after < kept.excess_after


def _needs(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    first, last = dt.datetime.combine(DAY0, dt.time()), dt.datetime.combine(FOLD.test.last_day, dt.time())
    full = [(user, operation, scope, "control", kind, first, last) for user, operation, scope, kind in rows]
    return pl.DataFrame(full, schema=NEEDS_SCHEMA, orient="row")


@pytest.mark.nightly
def test_planted_needs_show_what_no_log_does() -> None:
    """Reads survive where they are kept, and break where they are not; the log knows of neither."""
    tenant, user = _worker()
    needs = _needs((user, START, VM, "used"), (user.upper(), READ_VM, DATA, "read"), (guid(9), READ_VM, VM, "read"))
    trial = _trial(tenant, needs)
    assert trial.needs.height == 2
    for options, denied in ((PlanOptions(), {}), (PlanOptions(reads="none", unobservable="drop"), {"read": 1})):
        tally, _ = try_plan(trial, options)
        assert tally.denied_calls == 0
        assert dict(tally.needs) == {"used": 1, "read": 1}
        assert dict(tally.denied_needs) == denied
    assert dict(try_baseline(trial, "used_only").denied_needs) == {"read": 1}


@pytest.mark.slow
def test_needs_of_other_days_do_not_count() -> None:
    tenant, user = _worker()
    gone = _needs((user, START, VM, "used")).with_columns(last_seen=pl.lit(dt.datetime(2026, 2, 1)))
    assert _trial(tenant, gone).needs.is_empty()


@pytest.mark.nightly
def test_eligible_access_is_no_break() -> None:
    """Who has to activate first is not denied; this eligibility is too young to be judged, and stays."""
    tenant, user = _worker()
    tenant.assign(102, user, CONTRIBUTOR, SUB, state="eligible", created_on=dt.datetime(2026, 2, 1))
    tenant.use(user, DELETE_VM, VM, days=1, start=95)
    assert _tried(tenant)[0].denied_calls == 0


def test_tallies_add_up() -> None:
    one = BacktestTally(3, 1, 9, 2, 20, 4, (5,), 10.0, 4.0, {"read": 2}, {"read": 1})
    both = one + BacktestTally() + BacktestTally(1, 1, 1, 1, 1, 1, (2,), 1.0, 0.0, {"used": 1}, {})
    assert both == BacktestTally(4, 2, 10, 3, 21, 5, (2, 5), 11.0, 4.0, {"read": 2, "used": 1}, {"read": 1})


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0)]
)
def test_the_interval_of_a_share(hits: int, count: int, low: float, high: float) -> None:
    """Against the published values."""
    assert exact_interval(hits, count) == pytest.approx((low, high), abs=5e-4)
    assert exact_interval(0, 0) == (0, 1)


_PREDICTIONS = st.lists(
    st.builds(
        Prediction,
        bound=st.floats(0, 1),
        expected=st.floats(0, 1),
        broke=st.booleans(),
        basis=st.sampled_from(["used", "silent"]),
    ),
    max_size=60,
)


@given(_PREDICTIONS)
def test_every_prediction_is_in_one_bin(predictions: list[Prediction]) -> None:
    for table in (reliability(predictions), by_basis(predictions)):
        assert sum(row["count"] for row in table) == len(predictions)
        assert sum(row["broke"] for row in table) == sum(one.broke for one in predictions)
        assert all(row["low"] <= row["observed"] <= row["high"] for row in table)
    for row in reliability(predictions):
        assert row["from"] - 1e-4 <= row["expected"] <= row["to"] + 1e-4


def test_brier_scores() -> None:
    """Nothing to score, all right, all wrong, and the score of always saying the same."""
    assert set(brier([]).values()) == {None}
    right = [Prediction(1.0, 1.0, True, "used"), Prediction(0.0, 0.0, False, "used")]
    assert list(brier(right).values()) == [0.0, 0.0, 0.25]
    wrong = brier([Prediction(0.0, 0.5, True, "used")])
    assert wrong == {"brier": 1.0, "brier_expected": 0.25, "brier_base_rate": 0.0}


def _said(*pairs: tuple[float, bool]) -> list[Prediction]:
    return [Prediction(1.0, expected, broke, "used") for expected, broke in pairs]


def test_the_calibration_error_is_the_distance_from_what_came() -> None:
    """Over ranges: 10 % said where 30 % of ten broke, and 40 % said where half of ten did."""
    low = [(0.1, number < 3) for number in range(10)]
    high = [(0.4, number < 5) for number in range(10)]
    found = scores(_said(*low, *high))
    assert (found["calibration_error"], found["calibration_error_bound"]) == (0.15, 0.6)
    assert scores(_said((1.0, True), (0.0, False)))["calibration_error"] == 0


@pytest.mark.parametrize(
    ("said", "area"),
    [
        ([(0.1, False), (0.2, True)], 1.0),
        ([(0.2, False), (0.1, True)], 0.0),
        ([(0.2, False), (0.2, True)], 0.5),
        ([(0.1, False), (0.2, True), (0.2, False), (0.3, False), (0.4, True)], 0.75),
        ([(0.1, True), (0.2, True)], None),
        ([(0.1, False)], None),
        ([], None),
    ],
)
def test_the_area_is_the_share_of_pairs_in_order(said: list[tuple[float, bool]], area: float | None) -> None:
    """One that broke against one that did not; a tie counts half."""
    assert scores(_said(*said))["area"] == area


def test_a_range_that_breaks_more_than_it_said_does_not_hold() -> None:
    wrong = [Prediction(0.05, 0.05, True, "used")] * 20
    assert [row["holds"] for row in reliability(wrong)] == [False]
