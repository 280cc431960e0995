"""Properties that every analysis has, for any tenant."""

from __future__ import annotations

import functools
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rightsize.analyze.findings import find
from rightsize.analyze.inputs import containing, read_tree
from rightsize.analyze.tenant import granted_by_patterns
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA, Analysis
from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.algebra import grants
from rightsize.rbac.scopes import is_within, parse_scope
from tests.analyze.tiny import CATALOGUE, MG, RG, SUB, VM, Tiny
from tests.examples import FEW, SOME

_SCOPES = [SUB, RG, VM, "/", MG, "/subscriptions/s2", f"{SUB}/resourceGroups/rg10"]
_PRINCIPALS = ["p", "q", "g", "h"]
_OPERATIONS = [*CATALOGUE, "Microsoft.New/things/write"]
_ROLES = {"vm": ["Microsoft.Compute/*"], "all": ["*"], "read": ["*/read"], "new": ["Microsoft.New/things/write"]}


def tenant(seed: int, *, coverage: bool = True) -> Tiny:
    """A random small tenant; without `coverage` the same one with no log declared."""
    rng = random.Random(seed)  # noqa: S311  test data
    tiny = Tiny().member("g", "p", "h").member("h", "q")
    tiny.add("scopes", scope=MG, kind="management_group", parent_scope="/", listed=True)
    tiny.add("scopes", scope=SUB, kind="subscription", parent_scope=MG, listed=True)
    for role, actions in _ROLES.items():
        tiny.role(role, *actions, data=["*"] if role == "all" else [])
    for index in range(rng.randint(1, 7)):
        state = rng.choice(["active", "active", "eligible", "activated"])
        role = rng.choice([*_ROLES, "missing"])
        tiny.assign(f"a{index}", rng.choice(_PRINCIPALS), role, rng.choice(_SCOPES), state, eligibility_id="a0")
    for _ in range(rng.randint(0, 12)):
        operation = rng.choice(_OPERATIONS)
        tiny.use(
            rng.choice([*_PRINCIPALS, None]),
            operation,
            rng.choice(_SCOPES),
            plane="data" if CATALOGUE.get(operation) else "control",
            role_assignment_id=rng.choice([None, None, "a0", "a1", "gone"]),
            succeeded=rng.choice([0, 1]),
            failed=rng.choice([0, 1]),
            denied=rng.choice([0, 3]),
            suspect=rng.choice([0, 0, 1]),
            principal_name="n@contoso.com",
        )
    covered = [scope for scope in (SUB, MG, "/", "/subscriptions/s2") if rng.random() < 0.7]
    for scope in covered if coverage else []:
        tiny.cover(scope, days=range(rng.choice([9, 10])))
    return tiny


SEEDS = st.integers(0, 11)
"""Few, and the same in every property, so that each tenant is analysed once for all of them."""


@functools.cache
def analysed(seed: int) -> Analysis:
    """The analysis of a tenant."""
    return tenant(seed).analyse()


def used(analysis: Analysis) -> pl.DataFrame:
    return analysis.verdicts.filter(pl.col("verdict") == "used")


@pytest.mark.nightly
@given(SEEDS)
@FEW
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    tiny = tenant(seed)
    first, second = analysed(seed), tiny.analyse(shuffled=seed)
    assert dict(first.verdicts.schema) == VERDICTS_SCHEMA
    assert_frame_equal(first.verdicts, second.verdicts)
    assert_frame_equal(first.profiles, second.profiles)
    assert_frame_equal(first.profile_operations, second.profile_operations)
    assert_frame_equal(find(tiny.inputs(), first), find(tiny.inputs(shuffled=seed), second))


@pytest.mark.nightly
@given(SEEDS)
@FEW
def test_coverage_never_changes_what_was_used(seed: int) -> None:
    assert_frame_equal(used(tenant(seed, coverage=False).analyse()), used(analysed(seed)))


@pytest.mark.slow
@given(SEEDS)
@FEW
def test_use_is_credited_to_an_assignment_that_grants_it_at_its_scope(seed: int) -> None:
    tiny = tenant(seed)
    tree = {"/subscriptions/s1": MG}
    roles = {
        name: [PermissionBlock(tuple(actions), data_actions=("*",) if name == "all" else ())]
        for name, actions in _ROLES.items()
    }
    by_id = {(row["role_assignment_id"], row["state"]): row for row in tiny.rows["role_assignments"]}
    for row in used(analysed(seed)).iter_rows(named=True):
        assignment = by_id[row["role_assignment_id"], row["state"]]
        if row["reason"] != "activation" and assignment["role_definition_id"] in roles:
            blocks = roles[assignment["role_definition_id"]]
            assert grants(blocks, row["operation"], row["plane"]) == "yes"
        # The log is believed about a management group whose subscriptions are not all placed.
        if row["reason"] not in ("activation", "evidence"):
            assert is_within(parse_scope(row["scope"]), parse_scope(assignment["scope"]), tree)


@pytest.mark.slow
@given(SEEDS)
@FEW
def test_every_call_is_used_unexplained_refused_or_in_quarantine(seed: int) -> None:
    tiny, analysis = tenant(seed), analysed(seed)
    answered = analysis.verdicts.filter(pl.col("verdict").is_in(["used", "unexplained"]))
    for row in tiny.rows.get("usage_days", []):
        calls = row["succeeded"] + row["failed"]
        who = row["principal_id"] or row["principal_name"]
        same = [
            (pl.col("operation") == row["operation"]),
            (pl.col("scope") == row["scope"]),
            (pl.col("principal_id") == who),
        ]
        if calls > row["suspect"]:
            assert not answered.filter(*same).is_empty()
        elif calls:
            held = analysis.profile_operations.filter(
                (pl.col("operation") == row["operation"]) & (pl.col("reason") == "quarantined")
            )
            assert not held.is_empty() or not answered.filter(*same).is_empty()


@pytest.mark.nightly
@given(SEEDS)
@FEW
def test_refused_calls_change_no_verdict(seed: int) -> None:
    tiny = tenant(seed)
    tiny.use("p", "Microsoft.Compute/virtualMachines/delete", succeeded=0, denied=7)
    assert_frame_equal(analysed(seed).verdicts, tiny.analyse().verdicts)


@pytest.mark.slow
@given(SEEDS)
@FEW
def test_every_assignment_has_a_profile_and_says_something(seed: int) -> None:
    tiny, analysis = tenant(seed), analysed(seed)
    keys = {(row["role_assignment_id"], row["state"]) for row in tiny.rows["role_assignments"]}
    assert set(analysis.profiles.select("role_assignment_id", "state").iter_rows()) == keys
    assert set(analysis.verdicts.drop_nulls("state").select("role_assignment_id", "state").iter_rows()) == keys


_PATTERN = st.sampled_from(["*", "*/read", "a/*", "a/b/*", "a/b/read", "A/*/read", "a/b/write", "c/*", "*b*"])
_BLOCK = st.tuples(*(st.lists(_PATTERN, max_size=2) for _ in range(4)))


@given(st.lists(_BLOCK, min_size=1, max_size=3))
@SOME
def test_granting_over_columns_is_the_granting_of_rbac(blocks: list[tuple[list[str], ...]]) -> None:
    kinds = ("action", "not_action", "data_action", "not_data_action")
    rows = [
        {"role": "r", "block": index, "kind": kind, "pattern": pattern, "condition": None}
        for index, block in enumerate(blocks)
        for kind, patterns in zip(kinds, block, strict=True)
        for pattern in patterns
    ]
    schema = {"role": pl.String, "block": pl.Int64, "kind": pl.String, "pattern": pl.String, "condition": pl.String}
    names = ["a/read", "a/b/read", "a/b/write", "c/b/read", "b"]
    wanted = pl.DataFrame({"name": names * 2, "plane": ["control"] * 5 + ["data"] * 5})
    got = set(granted_by_patterns(pl.DataFrame(rows, schema=schema), wanted).select("name", "plane").iter_rows())
    nouns = [
        PermissionBlock(actions=tuple(a), not_actions=tuple(n), data_actions=tuple(d), not_data_actions=tuple(m))
        for a, n, d, m in blocks
    ]
    assert got == {(n, p) for n, p in wanted.iter_rows() if grants(nouns, n, p) == "yes"}


_PLACES = [*_SCOPES, f"{VM}/extensions/e", f"{MG}/providers/a.b/c/d", "/providers/a.b/c/d"]
_SOME = st.lists(st.sampled_from([scope.lower() for scope in _PLACES]), min_size=1, unique=True)


@given(_SOME, _SOME, st.booleans())
@SOME
def test_containment_of_scopes_over_columns_is_that_of_rbac(
    places: list[str], assigned: list[str], placed: bool
) -> None:
    tree = {SUB.lower(): MG.lower()} if placed else {}
    rows = [(scope, parent, True) for scope, parent in tree.items()]
    schema = {"scope": pl.String, "parent_scope": pl.String, "listed": pl.Boolean}
    known = read_tree(pl.DataFrame(rows, schema=schema, orient="row"), pl.Series([*places, *assigned]))
    got = set(containing(pl.Series(places), pl.Series(assigned), known).iter_rows())
    expected = {(p, a) for p in places for a in assigned if is_within(parse_scope(p), parse_scope(a), tree)}
    assert got == expected
