"""Patterns instead of operations: nothing more on today's catalogue or beyond today's grant, fewest strings."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import parse_role_definitions
from rightsize.propose.core.bitsets import OperationIndex, index_operations
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.selection.wildcard_compaction import Compactor, describe_opening, fewest_strings
from rightsize.rbac.algebra import contains, grants
from rightsize.rbac.permissions import Reading
from rightsize.rbac.text import fold
from tests.examples import MANY

OWNER = (PermissionBlock(actions=("*",), data_actions=("*",)),)
NAMES = (
    "A.Boxes/boxes/read",
    "A.Boxes/boxes/write",
    "A.Boxes/boxes/delete",
    "A.Boxes/boxes/open/action",
    "A.Boxes/boxes/lids/read",
    "A.Boxes/boxes/lids/write",
    "A.Boxes/crates/read",
    "A.Boxes/crates/open/action",
    "B.Things/things/read",
    "B.Things/things/open/action",
)
"""Operations of the control plane; the data plane has `A.Boxes/boxes/things/read` and `/write`."""
DATA = ("A.Boxes/boxes/things/read", "A.Boxes/boxes/things/write")


def _index(control: Iterable[str] = NAMES, data: Iterable[str] = DATA) -> OperationIndex:
    rows = [("control", name, True) for name in control] + [("data", name, True) for name in data]
    schema = {"plane": pl.String, "operation": pl.String, "in_catalogue": pl.Boolean}
    catalogue = pl.DataFrame(rows, schema=schema, orient="row")
    return index_operations(catalogue, catalogue.clear().select("plane", "operation"))


def _compact(
    actions: Iterable[str],
    *ceilings: Sequence[PermissionBlock],
    taken_out: tuple[str, ...] = (),
    data: Iterable[str] = (),
) -> RoleContent:
    content = RoleContent(tuple(sorted(actions)), taken_out, tuple(sorted(data)))
    return Compactor(_index()).compact(content, [tuple(blocks) for blocks in ceilings or (OWNER,)])


BOXES = [name for name in NAMES if name.startswith("A.Boxes/boxes/")]


def test_all_of_a_type_is_one_string() -> None:
    assert _compact(BOXES).actions == ("A.Boxes/boxes/*",)


def test_all_of_a_provider_is_one_string_that_names_it() -> None:
    """The provider is never the star: what other providers bring is nobody's need."""
    assert _compact(NAMES).actions == ("A.Boxes/*", "B.Things/things/*")


def test_the_same_ending_in_one_provider_is_one_string() -> None:
    opens = [name for name in NAMES if name.endswith("/open/action")]
    assert _compact(opens).actions == ("A.Boxes/*/open/action", "B.Things/things/open/action")


def test_a_pattern_is_no_broader_than_it_has_to_be() -> None:
    """All writes below boxes are needed, so nothing else than writes below boxes is left open."""
    assert _compact(["A.Boxes/boxes/write", "A.Boxes/boxes/lids/write"]).actions == ("A.Boxes/*/write",)
    assert _compact(["A.Boxes/boxes/lids/read", "A.Boxes/boxes/lids/write"]).actions == ("A.Boxes/boxes/lids/*",)


def test_an_operation_of_the_catalogue_that_is_not_needed_forbids_a_pattern() -> None:
    needed = [name for name in BOXES if name != "A.Boxes/boxes/delete"]
    assert _compact(needed).actions == (
        "A.Boxes/boxes/lids/*",
        "A.Boxes/boxes/open/action",
        "A.Boxes/boxes/read",
        "A.Boxes/boxes/write",
    )


def test_a_single_operation_stays_as_it_is() -> None:
    assert _compact(["B.Things/things/open/action"]).actions == ("B.Things/things/open/action",)


@pytest.mark.parametrize(
    ("ceiling", "expected"),
    [
        (["A.Boxes/*"], ("A.Boxes/boxes/*",)),
        (["A.Boxes/boxes/*"], ("A.Boxes/boxes/*",)),
        (BOXES, tuple(sorted(BOXES))),
        (["A.Boxes/boxes/*/read", *BOXES], tuple(sorted(BOXES))),
        (["A.Boxes/boxes/lids/*", *BOXES], tuple(sorted({*BOXES[:4], "A.Boxes/boxes/lids/*"}))),
    ],
)
def test_a_pattern_stays_inside_what_is_granted_today(ceiling: list[str], expected: tuple[str, ...]) -> None:
    """For all strings: what Azure adds to a pattern, today's grant would have got too."""
    assert _compact(BOXES, [PermissionBlock(actions=tuple(ceiling))]).actions == expected


def test_a_pattern_stays_inside_every_grant_that_the_role_replaces() -> None:
    narrow = [PermissionBlock(actions=("A.Boxes/boxes/lids/*", *BOXES))]
    assert "A.Boxes/boxes/*" not in _compact(BOXES, OWNER, narrow).actions


def test_what_today_takes_out_is_not_granted_by_a_pattern() -> None:
    """Today lacks an operation that the catalogue does not have yet."""
    today = [PermissionBlock(actions=("*",), not_actions=("A.Boxes/boxes/burn/action",))]
    assert _compact(BOXES, today).actions == (
        "A.Boxes/boxes/delete",
        "A.Boxes/boxes/lids/*",
        "A.Boxes/boxes/open/action",
        "A.Boxes/boxes/read",
        "A.Boxes/boxes/write",
    )


def test_what_the_role_takes_out_is_not_touched() -> None:
    """Else a not-pattern would cut what the pattern stands for, now or tomorrow."""
    content = _compact([*BOXES, "C.Other/*/read"], taken_out=("A.Boxes/*/secrets/read",))
    assert "A.Boxes/boxes/*" not in content.actions
    assert content.not_actions == ("A.Boxes/*/secrets/read",)


def test_a_conditional_grant_of_today_stands_behind_no_pattern() -> None:
    today = [PermissionBlock(actions=("*",), condition="c"), PermissionBlock(actions=tuple(BOXES))]
    assert _compact(BOXES, today).actions == tuple(sorted(BOXES))


def test_planes_do_not_mix() -> None:
    """All operations of the type on one plane say nothing of the other."""
    content = _compact(BOXES[:1], data=DATA)
    assert content == RoleContent(("A.Boxes/boxes/read",), (), ("A.Boxes/boxes/things/*",))


def test_patterns_that_were_there_stay() -> None:
    kept = _compact(["*/read", "A.Boxes/boxes/write", "A.Boxes/boxes/lids/write"])
    assert kept.actions == ("*/read", "A.Boxes/*/write")


def test_without_a_grant_of_today_nothing_is_written_anew() -> None:
    content = RoleContent(tuple(sorted(BOXES)))
    assert Compactor(_index()).compact(content, []) == content


@pytest.mark.parametrize(
    ("pattern", "language", "example"),
    [
        (
            "A.Boxes/*/write",
            "every operation that begins with `A.Boxes/` and ends in `/write`",
            "A.Boxes/added2/write",
        ),
        ("A.Boxes/boxes/*", "every operation that begins with `A.Boxes/boxes/`", "A.Boxes/boxes/added/action"),
        ("*/read", "every operation of any resource provider that ends in `/read`", "New.Provider/added/read"),
        ("*", "every operation of any resource provider", "New.Provider/added/action"),
        (
            "A.Boxes/bo*s/read",
            "every operation that begins with `A.Boxes/bo` and ends in `s/read`",
            "A.Boxes/boaddeds/read",
        ),
    ],
)
def test_what_a_pattern_leaves_open_is_said(pattern: str, language: str, example: str) -> None:
    """In words, and by an operation that it grants and that neither the catalogue has nor the role takes out."""
    index = _index([*NAMES, "A.Boxes/added/WRITE"])
    opening = describe_opening(pattern, "control", ("A.Boxes/gone/*",), index)
    assert (opening.language, opening.example) == (language, example)
    assert describe_opening("A.Boxes/*", "control", ("A.Boxes/added/*",), index).example == "A.Boxes/added2/action"
    assert describe_opening("A.Boxes/*", "control", ("A.Boxes/*/action",), index).example == "A.Boxes/added2/write"


segments = st.sampled_from("abc")
operations = st.lists(segments, min_size=2, max_size=4).map("/".join)
catalogues = st.sets(operations, min_size=1, max_size=14)
CEILINGS = (
    OWNER,
    (PermissionBlock(actions=("a/*", "b/a/*", "*/c")),),
    (PermissionBlock(actions=("*",), not_actions=("a/b/*", "c/*/a")),),
    (PermissionBlock(actions=("a/*", "b/*"), not_actions=("*/b",)), PermissionBlock(actions=("c/*", "a/b/b"))),
)


def _naive_fewest(needed: set[str], catalogue: set[str], ceiling: Sequence[PermissionBlock]) -> int:
    """Try every set of patterns."""
    patterns = set()
    for name in needed:
        parts = name.split("/")
        for head in range(1, len(parts)):
            for tail in range(len(parts) - head):
                patterns.add("/".join([*parts[:head], "*", *parts[len(parts) - tail :]]))
    allowed = {}
    for pattern in patterns:
        block = [PermissionBlock(actions=(pattern,))]
        may_match = {name for name in catalogue if grants(block, name, "control") == "yes"}
        matched = {name for name in catalogue if grants(block, name, "control", Reading.LEAST) == "yes"}
        if may_match <= needed and len(matched) > 1 and contains(ceiling, block) is None:
            allowed[pattern] = frozenset(matched)
    sets = sorted(set(allowed.values()), key=sorted)
    sets = [one for one in sets if not any(one < other for other in sets)]
    return min(
        size + len(needed - set().union(*chosen))
        for size in range(len(sets) + 1)
        for chosen in itertools.combinations(sets, size)
    )


@given(catalogues, st.sets(st.integers(0, 13)), st.sampled_from(CEILINGS))
@MANY
def test_fewest_strings_that_grant_the_same(
    catalogue: set[str], wanted: set[int], ceiling: tuple[PermissionBlock, ...]
) -> None:
    """Same operations of the catalogue on both planes, inside today's grant, one whole-segment star, and no fewer."""
    index = _index(catalogue, {f"{name}/x" for name in catalogue})
    granted = index.granted_by(ceiling, Reading.LEAST)
    ordered = sorted(catalogue)
    needed = {ordered[at] for at in wanted if at < len(ordered)}
    needed = {name for name in needed if granted & index.mask([("control", fold(name))])}
    before = RoleContent(tuple(sorted(needed)))
    after = Compactor(index).compact(before, [ceiling])
    assert index.granted_by([after.block]) == index.granted_by([before.block])
    assert contains(ceiling, [after.block]) is None
    for text in after.actions:
        assert text.count("*") <= 1
        assert all(segment in ("*", segment.replace("*", "")) for segment in text.split("/"))
        assert not text.startswith("*")
    assert len(after.actions) == _naive_fewest(needed, catalogue, ceiling)
    assert Compactor(index).compact(after, [ceiling]) == after


@given(st.dictionaries(st.integers(0, 30), st.frozensets(st.integers(0, 9), max_size=6), max_size=7))
@MANY
def test_the_choice_of_patterns_is_a_best_one(stands: dict[int, frozenset[int]]) -> None:
    """Whatever overlaps what: counted against every choice."""
    named = {f"p{number:02}": bits for number, bits in stands.items() if bits}

    def cost(chosen: Iterable[str]) -> int:
        covered = frozenset[int]().union(*(named[pattern] for pattern in chosen))
        everything = frozenset[int]().union(*named.values())
        return len(tuple(chosen)) + len(everything - covered)

    best = min(
        (cost(chosen) for size in range(len(named) + 1) for chosen in itertools.combinations(named, size)),
        default=math.inf,
    )
    found = fewest_strings(named)
    assert cost(found) == best
    assert found == fewest_strings(dict(reversed(named.items())))


def test_over_the_whole_catalogue_of_azure(shared_data: Path) -> None:
    """What built-in roles grant, written in full and compacted inside Owner: the same grants in far fewer strings."""
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as stream:
        known = {row["operation"]: row["is_data_action"] == "true" for row in csv.DictReader(stream)}
    index = _index((name for name, data in known.items() if not data), (name for name, data in known.items() if data))
    compactor = Compactor(index)
    roles = parse_role_definitions((shared_data / "catalog" / "built-in-roles.json").read_bytes())
    strings = [0, 0]
    for role in sorted(roles, key=lambda role: role.role_definition_id)[::60]:
        full: dict[str, list[str]] = {"control": [], "data": []}
        for plane, name in index.members(index.granted_by(role.permissions)):
            full[plane].append(name)
        before = RoleContent(tuple(sorted(full["control"])), (), tuple(sorted(full["data"])))
        after = compactor.compact(before, [OWNER])
        assert index.granted_by([after.block]) == index.granted_by([before.block])
        strings[0] += len(before.actions) + len(before.data_actions)
        strings[1] += len(after.actions) + len(after.data_actions)
    assert strings[1] * 3 < strings[0]
