"""Inputs: derived tables are computed once for the same tables, and kept no longer than these."""

from __future__ import annotations

import gc
from dataclasses import replace

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs, empty, once


@pytest.fixture
def inputs() -> Inputs:
    return Inputs.of(principals=pl.DataFrame({"principal_id": ["p", "q"]}))


def test_inputs_that_share_what_a_step_reads_share_the_step(inputs: Inputs) -> None:
    taken: list[int] = []

    @once("principals")
    def count(given: Inputs) -> int:
        taken.append(given.principals.height)
        return taken[-1]

    others = replace(inputs, usage_days=empty("usage_days").clone())
    assert [count(inputs), count(others), count(inputs)] == [2, 2, 2]
    assert count(replace(inputs, principals=inputs.principals.head(1))) == 1
    assert taken == [2, 1]


def test_a_step_that_names_no_table_reads_all(inputs: Inputs) -> None:
    taken: list[Inputs] = []
    step = once()(lambda given: taken.append(given) or len(taken))
    assert [step(inputs), step(inputs), step(replace(inputs, scopes=inputs.scopes.clone()))] == [1, 1, 2]


def test_what_a_step_found_goes_with_its_tables() -> None:
    class Found:
        """Something that a step finds."""

    step = once("principals")(lambda _: Found())
    step(Inputs.of(principals=pl.DataFrame({"principal_id": ["p"]})))
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Found)]


def test_a_table_as_declared_is_taken_as_it_is(inputs: Inputs) -> None:
    """So that what was found of it before holds of it again."""
    assert Inputs.of(principals=inputs.principals).principals is inputs.principals


def test_use_is_read_as_the_store_has_it() -> None:
    """Texts that repeat are kept once; rows, their order, nulls and types stay."""
    texts = ["b", None, "a", "b", "", None]
    days = (
        empty("usage_days")
        .clear(6)
        .with_columns(
            plane=pl.Series(["control", "data", "graph", "control", "data", "control"]),
            operation=pl.Series(texts),
            scope=pl.Series(texts[::-1]),
            succeeded=pl.Series([1, None, 3, 4, 5, 6]),
        )
    )
    read = Inputs.read(lambda name: days if name == "usage_days" else empty(name)).usage_days
    assert read.equals(days.filter(pl.col("plane") != "graph"))
    assert read.schema == days.schema
