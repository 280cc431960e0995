"""The chance of breaking: the effect of silence, rare use, peers and the calendar, and the gate on it."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.window import Window
from rightsize.model.errors import UsageError
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.backtest.backtest import prepare_trial, try_plan
from rightsize.propose.backtest.folds import choose_folds, history_of
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.breakage import break_bounds, estimate
from rightsize.propose.risk.calibration import brier, reliability
from rightsize.propose.risk.seasonality import MONTH_END, REGULAR, find_seasons
from tests.examples import SOME
from tests.propose.histories import THINGS, bounds_of, context_of, simulate, thing_of, with_things
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DAY0,
    DAYS,
    READER,
    SUB,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
    proposal_for,
)

START = "Microsoft.Compute/virtualMachines/start/action"
READ_VM = "Microsoft.Compute/virtualMachines/read"
WRITE_VM = "Microsoft.Compute/virtualMachines/write"
DELETE_VM = "Microsoft.Compute/virtualMachines/delete"


def _silent_staff(people: int) -> SmallTenant:
    tenant = SmallTenant()
    for person in range(people):
        tenant.assign(100 + person, tenant.principal(1 + person), CONTRIBUTOR, SUB)
    return tenant


def test_silence_alone_is_the_rule_of_three() -> None:
    """Without anybody to compare with, no use on 90 days leaves a rate of three in 90 days possible."""
    (found,) = bounds_of(_silent_staff(1)).values()
    assert found.basis == "silent"
    assert (found.samples, found.unit) == (90, "days")
    assert 0.55 < found.bound < 1 - 0.75**3 + 0.01


def test_silence_of_many_says_more() -> None:
    """Forty who stayed silent: that one of them comes to life is as rare as one seen on a single day, and none was."""
    found = bounds_of(_silent_staff(40))
    assert {one.bound for one in found.values()} == {found[guid(100)].bound}
    assert found[guid(100)].bound < 0.03
    assert found[guid(100)].peers == 39
    assert found[guid(100)].circle == "role"


def test_a_peer_that_came_to_life_raises_it() -> None:
    tenant = _silent_staff(40)
    before = bounds_of(tenant)[guid(101)].bound
    tenant.use(guid(1), START, VM, days=1)
    after = bounds_of(tenant)
    assert after[guid(101)].bound > before
    assert after[guid(100)].basis == "used"


def test_a_holder_that_works_elsewhere_is_not_silent() -> None:
    """Its days of work are the samples, whatever the assignment that allowed it."""
    tenant, user = SmallTenant(), guid(1)
    tenant.principal(1)
    tenant.assign(101, user, VM_CONTRIBUTOR, APP)
    tenant.assign(102, user, CONTRIBUTOR, f"{SUB}/resourceGroups/data")
    tenant.use(user, START, VM, days=20, start=5)
    found = bounds_of(tenant)
    assert found[guid(101)].basis == "used"
    assert found[guid(102)].basis == "unused"
    assert (found[guid(102)].samples, found[guid(102)].unit) == (20, "active_days")


def test_a_token_for_resource_manager_is_a_day_of_work() -> None:
    tenant = _silent_staff(1)
    for offset in (3, 8, 30):
        day = DAY0 + dt.timedelta(days=offset)
        row = {"kind": "interactive", "resource_name": "Windows Azure Service Management API", "succeeded": 1}
        tenant.add("sign_ins", principal_id=guid(1), app_id="a", resource_id="", day=day, **row)
    (found,) = bounds_of(tenant).values()
    assert (found.basis, found.samples) == ("unused", 3)


def _one_worker() -> tuple[SmallTenant, str]:
    tenant = with_things()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, days=80, start=2)
    return tenant, user


def test_rare_use_costs_more_than_a_daily_habit() -> None:
    """Each week that brought something of its own makes another one likelier."""
    tenant, user = _one_worker()
    bounds = [bounds_of(tenant)[guid(101)].bound]
    for number in range(3):
        tenant.use(user, THINGS[number], thing_of(1), days=1, start=10 + 20 * number)
        bounds.append(bounds_of(tenant)[guid(101)].bound)
    assert bounds == sorted(set(bounds))


def test_what_was_seen_twice_lowers_what_was_seen_once() -> None:
    """The correction of Chao and Jost: things that came back say that few are left to be seen."""
    tenant, user = _one_worker()
    tenant.use(user, THINGS[0], thing_of(1), days=1, start=40)
    before = bounds_of(tenant)[guid(101)]
    for number in range(1, 6):
        for start in (10 + number, 50 + number):
            tenant.use(user, THINGS[number], thing_of(1), days=1, start=start)
    after = bounds_of(tenant)[guid(101)]
    assert (before.once, before.twice, after.once, after.twice) == (1, 0, 1, 5)
    assert after.bound < before.bound


def test_a_spell_counts_once() -> None:
    """What is new on Monday is done on Tuesday too; that makes it no habit."""
    tenant, user = _one_worker()
    tenant.use(user, THINGS[0], thing_of(1), days=4, start=40)
    found = bounds_of(tenant)[guid(101)]
    assert (found.once, found.new) == (1, 1)


def test_a_known_operation_elsewhere_is_new() -> None:
    """What is granted at one resource group only is missing at the next one."""
    tenant, user = _one_worker()
    tenant.use(user, START, f"{SUB}/resourceGroups/net/providers/Microsoft.Compute/virtualMachines/vm9", days=1)
    assert bounds_of(tenant)[guid(101)].once == 1


def test_members_of_a_group_are_each_new_where_operations_go_to_single_members() -> None:
    """An operation that one of many uses is granted to that one, so that the next one to need it is stopped."""
    tenant = SmallTenant()
    people = [tenant.principal(number) for number in range(1, 13)]
    tenant.assign(101, tenant.group(50, people), CONTRIBUTOR, SUB, principal_type="Group")
    for number, person in enumerate(people):
        tenant.use(person, WRITE_VM, VM, days=1, start=number * 7)
    for number, person in enumerate(people[:2]):
        tenant.use(person, START, VM, days=1, start=3 + 40 * number)
    found = bounds_of(tenant)[guid(101)]
    assert (found.once, found.new) == (2, 2)


def test_late_beginners_are_not_extrapolated() -> None:
    """Ten days of work say nothing of the next thirty."""
    tenant, user = SmallTenant(), guid(1)
    tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, days=10, start=80)
    found = bounds_of(tenant)[guid(101)]
    assert (found.bound, found.beyond) == (1.0, True)
    assert found.as_json()["beyond_the_sample"] is True


def test_a_short_window_says_nothing_of_a_long_horizon() -> None:
    tenant = _silent_staff(40)
    assert {one.bound for one in bounds_of(tenant, days=20).values()} == {1.0}
    assert max(one.bound for one in bounds_of(tenant, days=20, horizon=5).values()) < 0.1


@pytest.mark.parametrize(
    ("days", "period"),
    [
        ([29, 30, 58, 59, 88, 89], MONTH_END),
        ([10, 40, 70], REGULAR),
        ([5, 6, 26, 27, 47, 48, 68, 69], REGULAR),
        ([5, 12, 35, 42, 65, 72], REGULAR),
        ([10, 17, 24, 31, 38, 45, 52], None),
        ([3, 30, 41], None),
        (list(range(0, 90, 2)), None),
        ([30], None),
    ],
)
def test_work_that_follows_the_calendar_is_recognised(days: list[int], period: str | None) -> None:
    """Month ends, and what comes back after regular pauses of weeks; a weekly habit shows often enough as it is.

    A pause of exactly one week does not end a spell of work.
    """
    use = pl.DataFrame({"who": ["a"] * len(days), "day": [DAY0 + dt.timedelta(days=day) for day in days]})
    found = find_seasons(use, ["who"])
    assert found["period"].to_list() == ([period] if period else [])


def test_the_samples_of_seasonal_work_are_its_cycles() -> None:
    """Three month ends are three samples, however many days lie between them; the evidence says so."""
    tenant, user = with_things(), guid(1)
    tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    for start in (29, 58, 88):
        tenant.use(user, START, VM, days=2, start=start)
    tenant.use(user, THINGS[0], thing_of(1), days=1, start=58)
    found = bounds_of(tenant)[guid(101)]
    assert (found.basis, found.unit, found.samples, found.ahead) == ("seasonal", "cycles", 3, 1.0)
    assert found.new == 1
    evidence = proposal_for(tenant.plan(), guid(101)).evidence["break_probability"]
    assert evidence["seasonal"] == MONTH_END
    assert evidence["seasonal_operations"] == 1


def _single(operation: str) -> SmallTenant:
    """A user with a role of one operation."""
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("Single", [PermissionBlock(actions=(operation,))])
    tenant.assign(101, tenant.principal(1), guid(77), SUB)
    return tenant


def test_only_what_a_log_would_have_shown_counts() -> None:
    """Taking reads away may break somebody, and no log could tell."""
    tenant = _single(READ_VM)
    proposal = proposal_for(tenant.plan(reads="none"), guid(101))
    assert (proposal.kind, proposal.break_probability_30d) == ("remove", 0)
    assert bounds_of(tenant) == {}


def test_narrower_scopes_alone_have_a_chance_too() -> None:
    """Everything that the role grants was used, but at one resource group of the subscription."""
    tenant = _single(START)
    tenant.use(guid(1), START, VM)
    proposal = proposal_for(tenant.plan(), guid(101))
    assert proposal.kind == "narrow_scope"
    assert proposal.break_probability_30d > 0


def test_duplicates_and_what_stays_cannot_break() -> None:
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, READER, SUB)
    tenant.assign(102, user, READER, SUB)
    plan = tenant.plan()
    assert sorted(one.kind for one in plan.proposals) == ["keep", "remove_duplicate"]
    assert {one.break_probability_30d for one in plan.proposals} == {0}


def test_a_proposal_says_how_its_chance_came_about() -> None:
    tenant = _silent_staff(12)
    proposal = proposal_for(tenant.plan(), guid(100))
    evidence = proposal.evidence["break_probability"]
    assert evidence["pooled_from"] == 11
    assert evidence["basis"] == "silent"
    assert 0 < evidence["expected"] < proposal.break_probability_30d


def test_the_gate_keeps_what_is_too_likely_to_break() -> None:
    tenant, user = _one_worker()
    for number in range(3):
        tenant.use(user, THINGS[number], thing_of(1), days=1, start=10 + 20 * number)
    bound = proposal_for(tenant.plan(), guid(101)).break_probability_30d
    kept = proposal_for(tenant.plan(max_break=bound - 0.01), guid(101))
    assert (kept.kind, kept.break_probability_30d) == ("keep", 0)
    assert kept.reason.startswith("break risk: ")
    assert proposal_for(tenant.plan(max_break=bound), guid(101)).kind == "custom"


def test_the_gate_leaves_what_no_log_shows() -> None:
    """It speaks of the chance that was computed, and of nothing else."""
    assert proposal_for(_single(READ_VM).plan(reads="none", max_break=0.0), guid(101)).kind == "remove"
    assert proposal_for(_single(START).plan(reads="none", max_break=0.0), guid(101)).kind == "keep"


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_a_gate_that_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(UsageError, match="not a probability"):
        PlanOptions(max_break=wrong)


_ROWS = st.fixed_dictionaries(
    {
        "active_days": st.integers(0, 90),
        "use_days": st.integers(0, 90),
        "active_span": st.integers(0, 90),
        "use_span": st.integers(0, 90),
        "once": st.integers(0, 20),
        "twice": st.integers(0, 20),
        "new_weeks": st.integers(0, 13),
        "foretold": st.floats(0, 10),
        "came": st.integers(0, 4),
        "role": st.sampled_from(["a", "b"]),
        "holder_type": st.sampled_from(["User", "ServicePrincipal", None]),
        "since": st.integers(0, 89),
        "cycles": st.integers(2, 6),
        "period": st.sampled_from([None, None, None, MONTH_END]),
    }
)


def _incidence(rows: list[dict[str, object]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema_overrides={"holder_type": pl.String, "period": pl.String})
    return frame.with_row_index("n").select(
        pl.exclude("n", "since"),
        role_assignment_id=pl.col("n").cast(pl.String).str.zfill(4),
        state=pl.lit("active"),
        active_since=pl.when(pl.col("active_days") > 0).then(pl.lit(DAY0) + pl.duration(days="since")),
        every=pl.lit(30.0),
        new_cycles=pl.min_horizontal("cycles", "new_weeks"),
        seasonal_operations=pl.lit(0, dtype=pl.Int64),
        missing_days=pl.lit(0, dtype=pl.Int64),
        missing_since=pl.lit(0, dtype=pl.Int64),
    )


_WINDOW = Window(DAY0, DAY0 + dt.timedelta(days=DAYS - 1))


@SOME
@given(st.lists(_ROWS, min_size=1, max_size=25), st.integers(1, 120))
def test_a_chance_is_a_chance(rows: list[dict[str, object]], horizon: int) -> None:
    """Whatever was counted; and the bound is never below what is expected."""
    found = estimate(_incidence(rows), _WINDOW, horizon)
    assert found.height == len(rows)
    assert found["bound"].is_between(0, 1).all()
    assert found["expected"].is_between(0, 1).all()
    assert (found["bound"] >= found["expected"] - 0.001).all()


@SOME
@given(st.lists(_ROWS, min_size=2, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[dict[str, object]], lot: object) -> None:
    frame = _incidence(rows)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=lot.randrange(1000))  # type: ignore[attr-defined]
    assert estimate(shuffled, _WINDOW, 30).equals(estimate(frame, _WINDOW, 30))


@SOME
@given(st.lists(_ROWS, min_size=6, max_size=15), st.integers(1, 9))
def test_what_came_unforetold_makes_all_peers_riskier(rows: list[dict[str, object]], more: int) -> None:
    """The same days, but that more came in the last third than the days before had foretold."""
    frame = _incidence(rows)
    quiet, busy = (estimate(frame.with_columns(came=pl.lit(count, dtype=pl.Int64)), _WINDOW, 30) for count in (0, more))
    assert (busy["bound"] >= quiet["bound"]).all()
    assert (busy["expected"] >= quiet["expected"]).all()


@pytest.mark.parametrize(("starts", "factor"), [((3, 17, 31, 45), 0.35), ((3, 24, 66, 80), 0.9)])
def test_work_that_brought_nothing_lately_is_not_taken_for_restless(starts: tuple[int, ...], factor: float) -> None:
    """Forty who each do four things once: all in the first two thirds, as a plan would have it, or all along."""
    tenant = with_things()
    for person in range(40):
        user = tenant.principal(1000 + person)
        tenant.assign(100 + person, user, CONTRIBUTOR, SUB)
        tenant.use(user, START, thing_of(person), days=90)
        for number, day in enumerate(starts):
            tenant.use(user, THINGS[number], thing_of(person), days=1, start=day)
    found = bounds_of(tenant)[guid(100)]
    assert found.once == 4
    chance_of_one_more = 1 - (3 / 4) ** 4
    assert (found.bound < chance_of_one_more * factor) == (starts[-1] == 45)


def test_what_is_kept_with_what_was_created_is_no_novelty() -> None:
    """Whoever may delete what they created, used or not, does nothing new by it."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, WRITE_VM, VM, days=90)
    tenant.use(user, DELETE_VM, VM, days=1, start=40)
    (once,) = break_bounds(context_of(tenant.inputs())).by_logs.values()
    (kept,) = break_bounds(context_of(tenant.inputs(), lifecycle=True)).by_logs.values()
    assert (once.once, kept.once) == (1, 0)
    assert kept.bound < once.bound


@SOME
@given(st.lists(_ROWS, min_size=1, max_size=15), st.integers(0, 14))
def test_a_longer_horizon_is_never_safer(rows: list[dict[str, object]], which: int) -> None:
    frame = _incidence(rows)
    near, far = (estimate(frame, _WINDOW, horizon)["bound"] for horizon in (10, 25))
    assert (far >= near).all()


@pytest.mark.parametrize("in_spells", [False, True])
def test_the_bound_holds_on_staff_drawn_by_lot(in_spells: bool) -> None:
    """Days by lot or work in spells: nowhere breaks surely more than was said, and the risky are told from the safe."""
    predictions = []
    for seed in (1, 2):
        inputs = simulate(seed, 150, 120, in_spells=in_spells).inputs()
        (fold,) = choose_folds(history_of(inputs))
        _, said = try_plan(prepare_trial(inputs, fold, PlanOptions()), PlanOptions())
        predictions += said
    table = reliability(predictions)
    assert all(row["holds"] for row in table)
    assert sum(one.broke for one in predictions) > 15
    low = [one for one in predictions if one.bound <= 0.2]
    high = [one for one in predictions if one.bound > 0.2]
    assert len(low) > 100
    assert sum(one.broke for one in low) / len(low) < sum(one.broke for one in high) / len(high) / 2
    scores = brier(predictions)
    # To say of everybody what the old constant said would be worse.
    constant = sum((0.2822 - one.broke) ** 2 for one in predictions) / len(predictions)
    assert scores["expected"] is not None
    assert scores["expected"] < constant
