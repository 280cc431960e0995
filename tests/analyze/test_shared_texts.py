"""Groups by texts as numbers: the same rows as by the texts, with each distinct text in memory once."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rightsize.analyze.shared_texts import numbered, summed_by, texts_of
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


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20), st.lists(st.tuples(TEXTS, TEXTS), max_size=20))
@MANY
def test_a_join_by_numbers_is_the_join_by_texts(
    rows: list[tuple[str | None, str | None]], others: list[tuple[str | None, str | None]]
) -> None:
    """A text that only the other side has is nobody's number, and null joins nothing."""
    names = dict.fromkeys(("name", "text"), pl.String())
    left = pl.DataFrame(rows, schema=names, orient="row").with_row_index("left")
    right = pl.DataFrame(others, schema=names, orient="row").with_row_index("right")
    texts = texts_of(left)
    joined = numbered(left.lazy(), texts).join(numbered(right.lazy(), texts), on=[*names]).select("left", "right")
    expected = left.join(right, on=[*names]).select("left", "right")
    assert_frame_equal(joined.collect(), expected, check_row_order=False)


def test_a_text_of_many_groups_is_in_memory_once() -> None:
    words = [f"{number} of a long text" * 100 for number in range(10)]
    rows = pl.DataFrame({"number": range(1_000), "name": words * 100, "text": words * 100})
    found = summed_by(rows, ("number", "name"), AGGREGATES[:1])
    for name in ("name", "text"):
        array = found[name].to_arrow(compat_level=pl.CompatLevel.newest())
        assert sum(buffer.size for buffer in array.buffers() if buffer) < 3 * sum(map(len, words))
