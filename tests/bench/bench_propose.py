"""A whole plan for a large tenant: 20,000 principals, 200,000 assignments, 1,500,000 distinct uses."""

from __future__ import annotations

import datetime as dt
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.verdicts import analyse
from rightsize.propose.dials import Dials
from rightsize.propose.plan import make_plan
from tests.bench.bench_analyze import GROUPS, WINDOW, build

SLOW = True
ASSIGNMENTS, USES = 200_000, 1_500_000
HABITS, NOISE = 3, 33
"""Ways to use a role, and one call in so many is anything else that it grants."""


def run() -> Iterator[tuple[str, str, str]]:
    """Time the analysis and the plan once, with the peak of memory after each."""
    yield from measure(ASSIGNMENTS, USES)


def measure(assignments: int, uses: int) -> Iterator[tuple[str, str, str]]:
    """Time a tenant of a size."""
    inputs = tenant(assignments, uses)
    yield "distinct uses", f"{_distinct(inputs.usage_days):,}", f"{assignments:,} assignments"
    begin = time.perf_counter()
    analysis = analyse(inputs, WINDOW)
    yield "analyse", _seconds(begin), _peak()
    begin = time.perf_counter()
    plan = make_plan(inputs, analysis, Dials(), content_hash="")
    yield "make_plan", _seconds(begin), _peak()
    kinds = Counter(one.kind for one in plan.proposals)
    yield (
        "proposals",
        f"{len(plan.proposals):,}",
        ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common()),
    )
    before, after = (sum(getattr(one, name) for one in plan.proposals) for name in ("excess_before", "excess_after"))
    yield "new roles", f"{len(plan.roles):,}", f"{100 * (before - after) / before:.0f} % of the excess removed"
    yield "replay", f"{plan.replay['denied']} denied", f"{plan.replay['allowed']:,} allowed"


def tenant(assignments: int, uses: int) -> Inputs:
    """Return the tenant: everything in it is old, and most principals use their roles in one of a few ways."""
    inputs = build(assignments)
    old = pl.lit(dt.datetime(2020, 1, 1))
    groups = pl.DataFrame({"n": range(GROUPS)}).select(
        principal_id=pl.format("group{}", "n"), principal_type=pl.lit("Group"), listed=True
    )
    complete = groups.select(listing=pl.lit("members"), of="principal_id", complete=True)
    return replace(
        inputs,
        role_assignments=inputs.role_assignments.with_columns(
            created_on=old.cast(inputs.role_assignments.schema["created_on"])
        ),
        role_definitions=inputs.role_definitions.with_columns(role_type=pl.lit("BuiltInRole")),
        principals=Inputs.of(principals=pl.concat([inputs.principals.select(groups.columns), groups])).principals,
        listings=Inputs.of(listings=complete).listings,
        scopes=_with_resource_groups(inputs),
        usage_days=_habits(inputs, uses),
    )


def _with_resource_groups(inputs: Inputs) -> pl.DataFrame:
    named = inputs.role_assignments.filter(pl.col("scope").str.contains("/resourceGroups/")).select("scope").unique()
    more = named.sort("scope").select("scope", kind=pl.lit("resource_group"), listed=True)
    return pl.concat([inputs.scopes, Inputs.of(scopes=more).scopes.select(inputs.scopes.columns)])


def _habits(inputs: Inputs, uses: int) -> pl.DataFrame:
    """Return use of the assigned roles, one row a distinct use on one day."""
    first = inputs.group_closure.unique("group_id", keep="first", maintain_order=True)
    actors = inputs.role_assignments.filter(pl.col("state") == "active").join(
        first, left_on="principal_id", right_on="group_id", how="left", maintain_order="left"
    )
    actors = actors.select(
        "role_assignment_id", "role_definition_id", "scope", actor=pl.coalesce("member_id", "principal_id")
    ).with_row_index("a")
    writes = inputs.role_operations.filter(~pl.col("operation").str.ends_with("/read"))
    writes = writes.sort("role_definition_id", "operation")
    number = pl.int_range(pl.len(), dtype=pl.Int64).over("role_definition_id")
    numbered = writes.select("role_definition_id", "operation", o=number).filter(pl.col("o") < 60)
    sizes = numbered.group_by("role_definition_id").agg(size=pl.len().cast(pl.UInt64))
    actors = actors.join(sizes, on="role_definition_id", maintain_order="left")
    rows = int(uses * 1.4)
    draw = pl.int_range(rows, eager=True)
    picked = actors[draw.hash(21) % len(actors)].hstack(
        pl.DataFrame({"o": draw.hash(22) % 60, "n": draw.hash(23) % NOISE, "d": draw.hash(24) % WINDOW.days})
    )
    habit = pl.col("a") % HABITS
    usual = (pl.col("o") % 10) * HABITS + habit
    picked = picked.with_columns(
        o=(pl.when(pl.col("n") > 0).then(usual).otherwise("o") % pl.col("size")).cast(pl.Int64)
    )
    day = pl.lit(WINDOW.first_day) + pl.duration(days=pl.col("d").cast(pl.Int64))
    found = picked.join(numbered, on=["role_definition_id", "o"], maintain_order="left").select(
        "operation",
        principal_id="actor",
        scope=pl.when(pl.col("scope").str.contains("/resourceGroups/"))
        .then(pl.format("{}/providers/Bench.P/things/t{}", "scope", pl.col("o") % 7))
        .otherwise(pl.format("{}/resourceGroups/rg{}/providers/Bench.P/things/t1", "scope", pl.col("a") % 30)),
        plane=pl.lit("control"),
        role_assignment_id="role_assignment_id",
        day=day.cast(pl.Date),
        first_seen=day.cast(pl.Datetime("us")),
        last_seen=day.cast(pl.Datetime("us")),
        succeeded=1,
    )
    return Inputs.of(usage_days=found).usage_days


def _distinct(usage: pl.DataFrame) -> int:
    return usage.select("principal_id", "operation", "scope").unique().height


def _seconds(begin: float) -> str:
    return f"{time.perf_counter() - begin:.1f} s"


def _peak() -> str:
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GB"
