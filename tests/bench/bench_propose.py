"""A whole plan for a large tenant: 20,000 principals, 200,000 assignments, 1,500,000 distinct uses.

BENCH_ASSIGNMENTS, BENCH_USES and BENCH_PRINCIPALS are other sizes. The plan is made once from tables in memory, step by
step, and once by `rightsize propose` on a store that holds the same, after `rightsize analyze`.
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.verdicts.judge import analyse
from rightsize.model.plan import Plan
from rightsize.propose import pipeline as steps
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.reading import with_needed_calls
from tests.bench.bench_analyze import GROUPS, WINDOW, build
from tests.bench.bench_collect import ENTRY
from tests.bench.bench_collect import measure as run_command
from tests.bench.tenant_store import write_store

SLOW = True
ASSIGNMENTS = int(os.environ.get("BENCH_ASSIGNMENTS", "200000"))
USES = int(os.environ.get("BENCH_USES", "1500000"))
HABITS, NOISE = 3, 33
"""Ways to use a role, and one call in so many is anything else that it grants."""
_STEPS = (
    "read_tenant",
    "read_plan_settings",
    "break_bounds",
    "decide",
    "grant_needs",
    "identify_roles",
    "read_role_uses",
    "role_evidences",
    "give_texts",
    "prove_drafts",
    "replay_drafts",
    "write_proposals",
    "summarise_roles",
    "price_reads",
)
Row = tuple[str, str, str]
_DISTINCT = ["principal_id", "operation", "scope"]


def run() -> Iterator[Row]:
    """Make the plan both ways, with time and the peak of memory."""
    yield from _in_memory(tenant(ASSIGNMENTS, USES))
    yield from _on_a_store(tenant(ASSIGNMENTS, USES))


def _in_memory(inputs: Inputs) -> Iterator[Row]:
    """Make the plan as the command does, which drops the single uses before roles are chosen."""
    yield "distinct uses", f"{_distinct(inputs.usage_days):,}", f"{ASSIGNMENTS:,} assignments"
    clock = _Clock()
    analysis = with_needed_calls(analyse(inputs, WINDOW), PlanOptions())
    yield "analyse", *clock.told()
    rows: list[Row] = []
    begin = _Clock()
    for name in _STEPS:
        setattr(steps, name, _timed(name, getattr(steps, name), rows))
    basis = steps.read_basis(inputs, analysis, PlanOptions())
    del inputs, analysis
    plan = steps.plan_from_basis(basis, "")
    yield from rows
    yield "make_plan, all of it", *begin.told()
    yield from _described(plan)


def _timed(name: str, step: Callable[..., Any], rows: list[Row]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        clock = _Clock()
        try:
            return step(*given, **named)
        finally:
            rows.append((f"  {name.strip('_').replace('_', ' ')}", *clock.told()))

    return timed


class _Clock:
    def __init__(self) -> None:
        self.begin = time.perf_counter(), time.process_time()

    def told(self) -> tuple[str, str]:
        seconds, cpu = time.perf_counter() - self.begin[0], time.process_time() - self.begin[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        return f"{seconds:.1f} s", f"{cpu:.1f} s cpu, peak so far {peak:.2f} GiB"


def _described(plan: Plan) -> Iterator[Row]:
    kinds = Counter(one.kind for one in plan.proposals)
    told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    yield "proposals", f"{len(plan.proposals):,}", told
    before, after = (sum(getattr(one, name) for one in plan.proposals) for name in ("excess_before", "excess_after"))
    yield "excess", f"{after:,.0f}", f"{before:,.0f} before, {100 * (before - after) / before:.0f} % removed"
    yield "new roles", f"{len(plan.roles):,}", f"{len(plan.curve)} points on the curve"
    yield "replay", f"{plan.replay['denied']} denied", f"{plan.replay['allowed']:,} allowed"


def _on_a_store(inputs: Inputs) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as made:
        db, out = Path(made, "bench.duckdb"), Path(made, "plan")
        write_store(inputs, db)
        yield "the store", f"{db.stat().st_size / 1e6:,.0f} MB", ""
        for command in (("analyze",), ("propose", "--out", str(out))):
            took = run_command(ENTRY, *command, "--db", str(db), "-q", "--output", "csv")
            what = f"{took.cpu:.1f} s cpu, peak {took.megabytes / 1000 / 1.073741824:.2f} GiB, exit {took.code}"
            yield command[0], f"{took.seconds:.1f} s", what
        sizes = {path.name: path.stat().st_size for path in out.rglob("*") if path.is_file()}
        whole = f"{sum(sizes.values()) / 1e6:,.0f} MB in {len(sizes):,} files"
        yield "  plan.json", f"{sizes.get('plan.json', 0) / 1e6:,.0f} MB", whole
        tables = sum(size for name, size in sizes.items() if name.endswith(".parquet"))
        yield "  tables of evidence", f"{tables / 1e6:,.1f} MB", ""


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
    rows = int(uses * 2.4)
    draw = pl.int_range(rows, eager=True)
    picked = actors[draw.hash(21) % len(actors)].hstack(
        pl.DataFrame(
            {
                "o": draw.hash(22) % 60,
                "n": draw.hash(23) % NOISE,
                "v": draw.hash(25) % 2,
                "d": draw.hash(24) % WINDOW.days,
            }
        )
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
        .then(pl.format("{}/providers/Bench.P/things/t{}", "scope", (pl.col("o") + pl.col("v").cast(pl.Int64)) % 7))
        .otherwise(pl.format("{}/resourceGroups/rg{}/providers/Bench.P/things/t{}", "scope", pl.col("a") % 30, "v")),
        plane=pl.lit("control"),
        role_assignment_id="role_assignment_id",
        day=day.cast(pl.Date),
        first_seen=day.cast(pl.Datetime("us")),
        last_seen=day.cast(pl.Datetime("us")),
        succeeded=1,
    )
    distinct = found.select(_DISTINCT).unique(maintain_order=True).head(uses)
    return Inputs.of(usage_days=found.join(distinct, on=_DISTINCT, how="semi")).usage_days


def _distinct(usage: pl.DataFrame) -> int:
    return usage.select(_DISTINCT).unique().height
