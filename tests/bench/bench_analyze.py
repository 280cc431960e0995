"""Analysis of a large tenant: 20,000 principals, 60,000 assignments, 1,000,000 rows of usage.

BENCH_PRINCIPALS is another number of principals; groups and subscriptions grow with them.
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import time
from collections.abc import Iterator

import polars as pl

from rightsize.analyze.findings import find
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.planes import score_assignments, score_principals
from rightsize.analyze.tenant import granted_by_patterns
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import Window
from rightsize.rules.operations import folded

SLOW = True
PRINCIPALS, ASSIGNMENTS, USAGE = int(os.environ.get("BENCH_PRINCIPALS", "20000")), 60_000, 1_000_000
GROUPS, SUBSCRIPTIONS = PRINCIPALS * 3 // 40, max(400, PRINCIPALS // 100)
PROVIDERS, TYPES, RESOURCE_GROUPS = 120, 32, 30
VERBS = ("read", "write", "delete", "restart/action")
WINDOW = Window(dt.date(2026, 1, 1), dt.date(2026, 3, 31))


def run() -> Iterator[tuple[str, str, str]]:
    """Time each step once, with the peak of memory after it."""
    inputs = build()
    yield "rows of role_operations", f"{len(inputs.role_operations):,}", f"{len(inputs.operations):,} operations"
    begin = time.perf_counter()
    analysis = analyse(inputs, WINDOW)
    yield "analyse", _seconds(begin), _peak()
    yield "rows of verdicts", f"{len(analysis.verdicts):,}", f"{len(analysis.profile_operations):,} profile operations"
    for name, step in (
        ("scores by principal", lambda: score_principals(analysis)),
        ("scores by assignment", lambda: score_assignments(analysis)),
        ("findings", lambda: find(inputs, analysis)),
    ):
        begin = time.perf_counter()
        step()
        yield name, _seconds(begin), _peak()


def build(number: int = ASSIGNMENTS) -> Inputs:
    """Generate the tenant with so many assignments; the same one each time."""
    operations = _operations()
    patterns = _patterns(operations)
    role_operations = granted_by_patterns(
        patterns, operations.select(name=folded(operations["operation"]), plane=pl.lit("control"))
    )
    spelling = operations.select("operation", name=folded(operations["operation"]))
    role_operations = role_operations.join(spelling, on="name").rename({"role": "role_definition_id"})
    assignments = _assignments(patterns["role"].unique().sort(), number)
    members = _members()
    return Inputs.of(
        operations=operations,
        role_permissions=patterns.rename({"role": "role_definition_id"}),
        role_definitions=patterns.select(role_definition_id="role", role_name="role").unique(),
        role_operations=role_operations,
        role_assignments=assignments,
        group_closure=members,
        principals=_principals(),
        scopes=_scopes(),
        coverage=_coverage(),
        usage_days=_usage(assignments, members, role_operations),
    )


def _operations() -> pl.DataFrame:
    verbs = pl.DataFrame({"verb": VERBS})
    types = pl.DataFrame({"type": [f"Bench.P{p:03}/type{t:02}" for p in range(PROVIDERS) for t in range(TYPES)]})
    return types.join(verbs, how="cross").select(
        operation=pl.format("{}/{}", "type", "verb"), is_data_action=False, is_guess=False
    )


def _patterns(operations: pl.DataFrame) -> pl.DataFrame:
    rows = [("owner", "*"), ("contributor", "*"), ("reader", "*/read")]
    rows += [(f"p{p:03}-contributor", f"Bench.P{p:03}/*") for p in range(PROVIDERS)]
    rows += [(f"p{p:03}-reader", f"Bench.P{p:03}/*/read") for p in range(PROVIDERS)]
    names = operations["operation"]
    rows += [(f"custom{c:03}", names[(c * 7_919 + step * 101) % len(names)]) for c in range(400) for step in range(25)]
    allow = pl.DataFrame(rows, schema={"role": pl.String, "pattern": pl.String}, orient="row")
    minus = pl.DataFrame({"role": ["contributor"], "pattern": ["Bench.P000/*/write"]})
    both = pl.concat([allow.with_columns(kind=pl.lit("action")), minus.with_columns(kind=pl.lit("not_action"))])
    return both.select("role", "kind", "pattern", block=pl.lit(0, pl.Int64), condition=pl.lit(None, pl.String)).unique(
        maintain_order=True
    )


def _draw(rows: int, seed: int, below: int) -> pl.Series:
    return pl.int_range(rows, eager=True).hash(seed) % below


def _assignments(roles: pl.Series, number: int) -> pl.DataFrame:
    subscription, group = _draw(number, 1, SUBSCRIPTIONS), _draw(number, 2, RESOURCE_GROUPS)
    holder, kind = _draw(number, 3, PRINCIPALS + 4 * GROUPS), _draw(number, 4, 10)
    frame = pl.DataFrame({"s": subscription, "g": group, "h": holder, "k": kind, "r": _draw(number, 5, 100)})
    common = pl.Series(["owner", "contributor", "reader", "reader"])
    role = pl.when(pl.col("r") < 40).then(pl.lit(common).gather(pl.col("r") % 4))
    return frame.with_row_index("i").select(
        role_assignment_id=pl.format("a{}", "i"),
        state=pl.when(pl.col("k") == 0).then(pl.lit("eligible")).otherwise(pl.lit("active")),
        principal_id=pl.when(pl.col("h") < PRINCIPALS)
        .then(pl.format("user{}", "h"))
        .otherwise(pl.format("group{}", pl.col("h") % GROUPS)),
        principal_type=pl.when(pl.col("h") < PRINCIPALS).then(pl.lit("User")).otherwise(pl.lit("Group")),
        role_definition_id=role.otherwise(pl.lit(roles).gather(pl.col("i") % len(roles))),
        scope=pl.when(pl.col("k") < 3)
        .then(pl.format("/subscriptions/s{}", "s"))
        .otherwise(pl.format("/subscriptions/s{}/resourceGroups/rg{}", "s", "g")),
    )


def _members() -> pl.DataFrame:
    rows = GROUPS * 25
    return (
        pl.DataFrame({"g": _draw(rows, 6, GROUPS), "p": _draw(rows, 7, PRINCIPALS)})
        .select(group_id=pl.format("group{}", "g"), member_id=pl.format("user{}", "p"), depth=1)
        .unique(maintain_order=True)
    )


def _principals() -> pl.DataFrame:
    number = pl.int_range(PRINCIPALS, eager=True)
    return pl.DataFrame({"n": number}).select(
        principal_id=pl.format("user{}", "n"), principal_type=pl.lit("User"), listed=True
    )


def _scopes() -> pl.DataFrame:
    return pl.DataFrame({"n": range(SUBSCRIPTIONS)}).select(
        scope=pl.format("/subscriptions/s{}", "n"), kind=pl.lit("subscription"), parent_scope=pl.lit("/"), listed=True
    )


def _coverage() -> pl.DataFrame:
    days = pl.DataFrame({"day": pl.date_range(WINDOW.first_day, WINDOW.last_day, eager=True)})
    # Every tenth subscription has no log, so that assignments differ in what is known.
    covered = _scopes().filter(pl.int_range(pl.len()) % 10 > 0).select("scope")
    return covered.join(days, how="cross").with_columns(
        source=pl.lit("activity_log"), category=pl.lit("Administrative"), state=pl.lit("observed")
    )


def _usage(assignments: pl.DataFrame, members: pl.DataFrame, role_operations: pl.DataFrame) -> pl.DataFrame:
    first_members = members.unique("group_id", keep="first", maintain_order=True)
    actors = assignments.join(first_members, left_on="principal_id", right_on="group_id", how="left").select(
        "role_assignment_id", "role_definition_id", "scope", actor=pl.coalesce("member_id", "principal_id")
    )
    used = role_operations.filter(~pl.col("operation").str.ends_with("/read")).sort("role_definition_id", "operation")
    number = pl.int_range(pl.len(), dtype=pl.Int64).over("role_definition_id")
    numbered = used.select("role_definition_id", "operation", o=number).filter(pl.col("o") < 40)
    sizes = numbered.group_by("role_definition_id").agg(size=pl.len().cast(pl.UInt64))
    actors = actors.join(sizes, on="role_definition_id", maintain_order="left")
    draws = pl.DataFrame({"o": _draw(USAGE, 9, 40), "d": _draw(USAGE, 10, WINDOW.days), "e": _draw(USAGE, 11, 10)})
    picked = actors[_draw(USAGE, 8, len(actors))].hstack(draws)
    picked = picked.with_columns(o=(pl.col("o") % pl.col("size")).cast(pl.Int64)).with_row_index("i")
    day = pl.lit(WINDOW.first_day) + pl.duration(days=pl.col("d").cast(pl.Int64))
    return picked.join(numbered, on=["role_definition_id", "o"], maintain_order="left").select(
        "operation",
        principal_id="actor",
        scope=pl.format("{}/providers/Bench.P/things/t{}", "scope", pl.col("i") % 5_000),
        plane=pl.lit("control"),
        role_assignment_id=pl.when(pl.col("e") < 6).then("role_assignment_id"),
        day=day.cast(pl.Date),
        first_seen=day.cast(pl.Datetime("us")),
        last_seen=day.cast(pl.Datetime("us")),
        succeeded=1,
    )


def _seconds(begin: float) -> str:
    return f"{time.perf_counter() - begin:.1f} s"


def _peak() -> str:
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GB"
