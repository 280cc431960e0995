"""Counted verdicts name their set of operations, and equal sets have one name, wherever they are judged."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.counting import name_sets
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.store.connection import Store, open_store
from tests.analyze.tiny import RG, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"


def tenant(tiny: Tiny) -> Tiny:
    tiny.role("owner", "*", data=["*"]).role("again", "*", data=["*"]).role("starter", START)
    tiny.assign("a", "p", "owner").assign("b", "q", "again", RG).assign("c", "q", "starter").cover()
    return tiny.use("p", START)


def sets(analysis: Analysis) -> dict[str, set[str]]:
    return {name: set(names) for name, names in analysis.sets.group_by("set_id").agg("operation").iter_rows()}


@pytest.mark.slow
def test_a_counted_row_names_the_set_that_it_counts(tiny: Tiny) -> None:
    analysis = tenant(tiny).analyse()
    known = sets(analysis)
    for row in analysis.verdicts.to_dicts():
        if row["operation"] is not None:
            assert row["set_id"] is None
            continue
        named = analysis.verdicts.filter(role_assignment_id=row["role_assignment_id"])["operation"].drop_nulls()
        assert row["operations"] == len(known[row["set_id"]] - set(named))


@pytest.mark.slow
def test_equal_sets_of_two_roles_are_listed_once(tiny: Tiny) -> None:
    analysis = tenant(tiny).analyse()
    by_assignment = {
        name: set(found["set_id"].drop_nulls()) for (name,), found in analysis.verdicts.group_by("role_assignment_id")
    }
    assert by_assignment["a"] == by_assignment["b"]
    assert len(sets(analysis)) == len(by_assignment["a"] | by_assignment["c"])
    assert analysis.sets.unique().height == analysis.sets.height


def test_the_name_depends_on_the_operations_alone() -> None:
    rows = pl.DataFrame({"operation": ["x", "y", "z"], "plane": ["control", "control", "data"], "k": [1, 1, 1]})
    other = rows.reverse().with_columns(k=pl.lit(7, pl.Int64))
    more = pl.concat([other, pl.DataFrame({"operation": ["w"], "plane": ["data"], "k": [8]})])
    (first,), both = name_sets(rows, ["k"])[0]["set_id"].to_list(), name_sets(more, ["k"])
    assert dict(both[0].select("k", "set_id").iter_rows())[7] == first
    assert first == "f5bc05b33363dcff"
    moved = name_sets(rows.with_columns(plane=pl.lit("data")), ["k"])[0]["set_id"].item()
    assert moved != first


@pytest.mark.slow
def test_the_view_says_why_each_operation_is_kept(tiny: Tiny, tmp_path: Path) -> None:
    """What a row of its own names comes before the set in which it would be counted."""
    analysis = tenant(tiny).analyse()
    expected = {(name, one): tiny.judged(name)[one] for name in "abc" for one in tiny.judged(name)}
    with open_store(tmp_path / "s.duckdb", read_only=False) as store:
        store.write_answer("verdicts", analysis.verdicts)
        store.write_answer("verdict_operation_sets", analysis.sets)
        found = asked(store)
    assert found == expected


def asked(store: Store) -> dict[tuple[str, str], tuple[str, str]]:
    rows = store.frame("SELECT role_assignment_id, operation, verdict, reason FROM verdict_operations")
    assert rows.height == rows.select("role_assignment_id", "operation").unique().height
    return {(name, operation): (verdict, reason) for name, operation, verdict, reason in rows.iter_rows()}
