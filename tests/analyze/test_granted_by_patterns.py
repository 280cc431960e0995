"""The columnar expansion of blocks into granted operations equals the algebra, which reads one operation at a time."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.tenant import granted_by_patterns, with_doubt
from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.algebra import grants
from rightsize.rbac.permissions import Reading
from tests.examples import SOME

NAMES = ("a/b", "a/b/c", "a/c", "b/c", "a/b/b/c", "c")
text = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=4).map("/".join)
texts = st.lists(text, max_size=2, unique=True).map(tuple)
block = st.builds(PermissionBlock, actions=texts, not_actions=texts, condition=st.sampled_from([None, None, "c"]))
repeated = st.lists(st.sampled_from(["a/*", "a/*/b", "A/*/b", "a/**/c", "a/*/c", "a/b/*/c", "c"]), max_size=2).map(
    tuple
)
alike = st.builds(PermissionBlock, actions=repeated, not_actions=repeated, condition=st.sampled_from([None, None, "c"]))
roles = st.lists(st.one_of(st.lists(block, max_size=2), st.lists(alike, max_size=4)), min_size=1, max_size=3)


def _patterns(held: list[list[PermissionBlock]]) -> pl.DataFrame:
    rows = [
        (str(role), number, kind, pattern, one.condition)
        for role, blocks in enumerate(held)
        for number, one in enumerate(blocks)
        for kind, patterns in (("action", one.actions), ("not_action", one.not_actions))
        for pattern in patterns
    ]
    schema = {"role": pl.String, "block": pl.Int64, "kind": pl.String, "pattern": pl.String, "condition": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.slow
@given(roles)
@SOME
def test_columns_grant_what_the_algebra_grants_by_each_reading(held: list[list[PermissionBlock]]) -> None:
    """`yes` without a condition, `conditional` with one, and `doubtful` where the two readings differ."""
    wanted = pl.DataFrame({"name": NAMES}).with_columns(plane=pl.lit("control"))
    answers = {
        (str(role), name, reading): grants(blocks, name, "control", reading)
        for role, blocks in enumerate(held)
        for name in NAMES
        for reading in Reading
    }
    for reading in Reading:
        found = granted_by_patterns(_patterns(held), wanted, reading)
        rows = {(role, name): conditional for role, name, _, conditional in found.iter_rows()}
        for role, name, read in answers:
            if read is reading:
                said = "no" if (role, name) not in rows else "conditional" if rows[role, name] else "yes"
                assert answers[role, name, reading] == said
    most = granted_by_patterns(_patterns(held), wanted)
    for role, name, doubtful in with_doubt(most, _patterns(held)).select("role", "name", "doubtful").iter_rows():
        assert doubtful == (answers[role, name, Reading.MOST] != answers[role, name, Reading.LEAST])


def test_a_string_that_one_block_grants_and_another_excludes_is_certain() -> None:
    """Whatever `a/*/c` means, one of both blocks grants `a/c`; alone, neither does for certain."""
    cut, back = PermissionBlock(actions=("a/*",), not_actions=("a/*/c",)), PermissionBlock(actions=("A/**/c",))
    wanted = pl.DataFrame({"name": ["a/c"], "plane": ["control"]})
    for held, granting in (([cut, back], 1), ([cut], 0), ([back], 0)):
        assert len(granted_by_patterns(_patterns([held]), wanted, Reading.LEAST)) == granting
        assert len(granted_by_patterns(_patterns([held]), wanted)) == 1
