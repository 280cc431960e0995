"""The table behind the chance of breaking: against a naive reading of its formulas, and what any chance has to obey."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.window import Window
from rightsize.propose.risk.calibration import LEVELS, upper_limit
from rightsize.propose.risk.estimate import Estimate, estimate, estimates_of
from rightsize.rules.prices import measured_proposals
from tests.examples import SOME
from tests.propose.small_tenant import DAY0, DAYS

_WINDOW = Window(DAY0, DAY0 + dt.timedelta(days=DAYS - 1))
_BASES = ("used", "unused", "silent", "seasonal")
_SIZES = st.sampled_from([0, 1, 2, 3, 4, 7, 8, 40])
_ROW = st.fixed_dictionaries(
    {
        "basis": st.sampled_from(_BASES),
        "operations": _SIZES,
        "new_weeks": st.integers(0, 5),
        "early_basis": st.sampled_from(_BASES),
        "early_operations": _SIZES,
        "early_new_weeks": st.integers(0, 5),
        "role": st.sampled_from(["a", "b"]),
        "holder_type": st.sampled_from(["User", "ServicePrincipal", None]),
        "came": st.integers(0, 1),
        "is_tested": st.sampled_from([True, True, True, False]),
        "span_days": st.sampled_from([90.0, 90.0, 12.0]),
    }
)


def _incidence(rows: list[dict[str, Any]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema_overrides={"holder_type": pl.String, "span_days": pl.Float64})
    return frame.with_row_index("number").select(
        pl.exclude("number"),
        role_assignment_id=pl.col("number").cast(pl.String).str.zfill(4),
        state=pl.lit("active"),
        active_days=pl.lit(1, dtype=pl.Int64),
        period=pl.lit(None, dtype=pl.String),
    )


def _cell(row: dict[str, Any], of: str = "") -> tuple[object, ...]:
    """The values that name the narrowest cell, from the widest level on."""
    size = row[f"{of}operations"].bit_length()
    return row[f"{of}basis"], size, min(row[f"{of}new_weeks"], 3), row["holder_type"], row["role"]


def _limit(count: int) -> float:
    return float(pl.select(upper_limit(pl.lit(count))).item())


def _naive(row: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[float, float]:
    """The chance and its bound within the tested days, by the words of the module."""
    own = _cell(row)
    elsewhere = [one for one in measured_proposals() if one.what == own[0]]
    (like,) = (one for one in elsewhere if one.new_weeks in (None, own[2]))
    chance = like.broke / like.of
    tested = [(_cell(one, "early_"), one["came"]) for one in rows if one["is_tested"]]
    borrowed = 32
    for depth in range(1, 6):
        ring = [
            came for cell, came in tested if cell[:depth] == own[:depth] and (depth == 5 or cell[depth] != own[depth])
        ]
        chance = (sum(ring) + borrowed * chance) / (len(ring) + borrowed)
        borrowed = 8
    same = [came for cell, came in tested if cell[0] == own[0]]
    if not same:
        return chance, 1.0
    everywhere = sum(one.broke for one in elsewhere) / sum(one.of for one in elsewhere)
    usual = (sum(same) + 8 * everywhere) / (len(same) + 8)
    return chance, min(1.0, max(chance, chance * _limit(sum(same)) / len(same) / usual))


@pytest.mark.slow
@SOME
@given(st.lists(_ROW, min_size=1, max_size=30))
def test_the_table_is_what_its_formulas_say(rows: list[dict[str, Any]]) -> None:
    found = estimate(_incidence(rows), _WINDOW, 30)
    for row, said in zip(rows, found.iter_rows(named=True), strict=True):
        expected, bound = _naive(row, rows)
        assert said["expected"] == pytest.approx(expected, abs=1e-4)
        assert said["bound"] == pytest.approx(1.0 if row["span_days"] < 30 else bound, abs=1e-4)


def _recomputed(said: Estimate) -> float:
    """The chance from what the plan shows of it."""
    shown = said.as_json()
    counts = {**shown["counts"], "end": [0, 0]}
    names = [*LEVELS, "end"]
    chance, borrowed = counts["measured"][0] / counts["measured"][1], 32
    for wide, narrow in itertools.pairwise(names):
        came, whole = (a - b for a, b in zip(counts[wide], counts[narrow], strict=True))
        chance, borrowed = (came + borrowed * chance) / (whole + borrowed), 8
    return chance


@pytest.mark.slow
@SOME
@given(st.lists(_ROW, min_size=1, max_size=30))
def test_a_reviewer_can_recompute_the_number_from_integers(rows: list[dict[str, Any]]) -> None:
    for said in estimates_of(_incidence(rows), _WINDOW).values():
        assert said.expected == pytest.approx(_recomputed(said), abs=1e-4)
        assert all(isinstance(one, int) for pair in said.as_json()["counts"].values() for one in pair)


@pytest.mark.slow
@SOME
@given(st.lists(_ROW, min_size=1, max_size=25), st.integers(1, 120))
def test_a_chance_is_a_chance(rows: list[dict[str, Any]], horizon: int) -> None:
    """Whatever was counted; and the bound is never below what is expected."""
    found = estimate(_incidence(rows), _WINDOW, horizon)
    assert found.height == len(rows)
    assert found["bound"].is_between(0, 1).all()
    assert found["expected"].is_between(0, 1).all()
    assert (found["bound"] >= found["expected"]).all()


@pytest.mark.slow
@SOME
@given(st.lists(_ROW, min_size=2, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[dict[str, Any]], lot: Any) -> None:
    frame = _incidence(rows)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=lot.randrange(1000))
    assert estimate(shuffled, _WINDOW, 30).equals(estimate(frame, _WINDOW, 30))


@pytest.mark.slow
@SOME
@given(st.lists(_ROW, min_size=1, max_size=15))
def test_what_came_makes_nobody_safer(rows: list[dict[str, Any]]) -> None:
    frame = _incidence(rows)
    quiet, busy = (estimate(frame.with_columns(came=pl.lit(came, dtype=pl.Int64)), _WINDOW, 30) for came in (0, 1))
    assert (busy["expected"] >= quiet["expected"]).all()


@pytest.mark.slow
@SOME
@given(st.lists(_ROW, min_size=1, max_size=15))
def test_a_longer_horizon_is_never_safer(rows: list[dict[str, Any]]) -> None:
    frame = _incidence(rows)
    near, far = (estimate(frame, _WINDOW, horizon) for horizon in (10, 25))
    assert (far["bound"] >= near["bound"]).all()
    assert (far["expected"] >= near["expected"]).all()


def _like(number: int, came: int, **more: object) -> list[dict[str, Any]]:
    """Rows of the same evidence, of which the first ones brought something."""
    evidence = {"basis": "used", "operations": 5, "new_weeks": 0} | more
    row = evidence | {f"early_{name}": evidence[name] for name in ("basis", "operations", "new_weeks")}
    row |= {"role": "a", "holder_type": "User", "is_tested": True, "span_days": 90.0} | {
        name: more[name] for name in ("role", "holder_type") if name in more
    }
    return [row | {"came": int(one < came)} for one in range(number)]


def test_many_of_a_kind_speak_for_themselves_and_few_borrow() -> None:
    """Thousands set the number, whatever was measured elsewhere; three of another role hardly move from their kind."""
    many = _like(4000, 400)
    found = list(estimates_of(_incidence(many + _like(3, 3, role="b")), _WINDOW).values())
    assert found[0].expected == pytest.approx(0.1, abs=0.001)
    assert found[0].bound == pytest.approx(0.109, abs=0.002)
    assert 0.1 < found[-1].expected < 0.4


def test_evidence_that_differs_gives_numbers_that_differ() -> None:
    """Other operations, weeks, holders and roles are other cells; 4 and 7 operations are the same."""
    rows = [
        *_like(40, 2),
        *_like(40, 8, operations=9),
        *_like(40, 10, new_weeks=1),
        *_like(40, 1, holder_type="ServicePrincipal"),
        *_like(40, 3, role="b"),
        *_like(40, 2, operations=7),
    ]
    found = [one.expected for one in estimates_of(_incidence(rows), _WINDOW).values()]
    assert len(set(found)) == 5
    assert found[0] == found[-1]
