"""How long one waits for answers from a store: `can`, `explain`, `reach`, `sql`, `status`, against importing libraries.

BENCH_STORE names the store; without it a demo tenant of BENCH_TENANT's size is made.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rightsize.store.connection import open_store
from tests.bench.bench_collect import ENTRY, EVENTS, PRINCIPALS, SUBSCRIPTIONS, Took, measure

SLOW = True
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
Row = tuple[str, str, str]


def run() -> Iterator[Row]:
    """Ask each question RUNS times, interleaved; medians."""
    with tempfile.TemporaryDirectory() as made:
        db = Path(os.environ.get("BENCH_STORE") or _make(Path(made)))
        with open_store(db, read_only=True) as store:
            counts = {table: len(store.table(table)) for table in ("principals", "role_assignments")}
            principal, scope = store.frame(
                "SELECT principal_id, scope FROM role_assignments WHERE principal_type = 'User' "
                "ORDER BY role_assignment_id LIMIT 1"
            ).row(0)
        yield "the store", f"{db.stat().st_size / 1e6:,.0f} MB", f"{counts}"
        action = "Microsoft.Compute/virtualMachines/write"
        commands = {
            "import duckdb and polars": ("import duckdb, polars",),
            "can": (ENTRY, "can", principal, action, "--at", scope, "--db", str(db)),
            "explain": (ENTRY, "explain", principal, "--db", str(db)),
            "reach": (ENTRY, "reach", principal, "--db", str(db)),
            "sql": (ENTRY, "sql", "SELECT 1", "--db", str(db)),
            "status": (ENTRY, "status", "--db", str(db)),
        }
        found: dict[str, list[Took]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                found[name].append(measure(*command))
        for name, times in found.items():
            seconds, cpu = (statistics.median(getattr(took, what) for took in times) for what in ("seconds", "cpu"))
            yield name, f"{seconds * 1000:,.0f} ms", f"{cpu * 1000:,.0f} ms cpu, exit {max(t.code for t in times)}"


def _make(folder: Path) -> Path:
    size = ("--principals", str(PRINCIPALS), "--subscriptions", str(SUBSCRIPTIONS), "--events", str(EVENTS))
    measure(ENTRY, "demo", str(folder / "demo"), "-q", *size)
    return folder / "demo" / "demo.duckdb"
