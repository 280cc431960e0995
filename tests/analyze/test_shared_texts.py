"""Groups by texts as numbers: the same rows as by the texts, with each distinct text in memory once."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rightsize.analyze.shared_texts import summed_by
from tests.examples import MANY

SCHEMA = {"name": pl.String(), "number": pl.Int64(), "text": pl.String()}
AGGREGATES = [pl.col("text").min(), pl.col("number").sum().alias("sum")]
TEXTS = st.none() | st.sampled_from(["", "a", "B", "ab", "é", "Z", "z"])


@given(st.lists(st.tuples(TEXTS, st.integers(0, 3), TEXTS), max_size=30))
@MANY
def test_groups_by_numbers_are_the_groups_by_texts(rows: list[tuple[str | None, int, str | None]]) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(unread=pl.lit("x"))
    keys = ("name", "number")
    assert_frame_equal(summed_by(frame, keys, AGGREGATES), frame.group_by(keys).agg(AGGREGATES).sort(keys))


def test_a_text_of_many_groups_is_in_memory_once() -> None:
    words = [f"{number} of a long text" * 100 for number in range(10)]
    rows = pl.DataFrame({"number": range(1_000), "name": words * 100, "text": words * 100})
    found = summed_by(rows, ("number", "name"), AGGREGATES[:1])
    for name in ("name", "text"):
        array = found[name].to_arrow(compat_level=pl.CompatLevel.newest())
        assert sum(buffer.size for buffer in array.buffers() if buffer) < 3 * sum(map(len, words))
