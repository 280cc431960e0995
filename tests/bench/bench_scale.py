"""Stores of one million events and more: time, memory and disk of each load, and what pruning leaves.

BENCH_SCALE has the sizes in millions; each is loaded from Parquet of Log Analytics, a million events a run, five days
each, as somebody does who loads every few days.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.bench_collect import ENTRY, Took, measure
from tests.bench.bench_load import written

SLOW = True
SIZES = [float(text) for text in os.environ.get("BENCH_SCALE", "1,3").split(",")]
STEP, STEP_DAYS = int(os.environ.get("BENCH_STEP", "1000000")), 5
LIMIT = ("--memory-limit", os.environ.get("BENCH_MEMORY", "2GiB"))
Row = tuple[str, str, str]


def run() -> Iterator[Row]:
    """Go up to the greatest size, and tell how it stands at each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = folder / "store.duckdb"
        runs: list[Took] = []
        for size in sorted(SIZES):
            begun = len(runs)
            while len(runs) * STEP < size * 1_000_000:
                call = f"write_analytics(path, {STEP}, day={len(runs) * STEP_DAYS}, days={STEP_DAYS})"
                logs = written(folder / "logs.parquet", call)
                runs.append(measure(ENTRY, "load", str(logs), "--db", str(db), "-q", *LIMIT))
                logs.unlink()
            yield from _standing(f"{size:g} million events", runs, begun, db)
        took = measure(ENTRY, "prune", "--keep-days", "10", "--yes", "--db", str(db), "-q")
        yield "pruned to 10 days", f"{took.seconds:.1f} s", f"{took.megabytes:,.0f} MB, {_size(db)}, exit {took.code}"


def _standing(what: str, runs: list[Took], begun: int, db: Path) -> Iterator[Row]:
    seconds, cpu = sum(took.seconds for took in runs), sum(took.cpu for took in runs)
    peak, code = max(took.megabytes for took in runs), max(took.code for took in runs)
    last = statistics.median(took.cpu for took in runs[begun:])
    yield what, f"{seconds:.1f} s", f"{cpu:.1f} s cpu, at most {peak:,.0f} MB, {_size(db)} of disk, exit {code}"
    yield f"  a run of {STEP:,} events then", f"{last:.1f} s cpu", f"{last / runs[0].cpu:.2f} x the first"


def _size(db: Path) -> str:
    return f"{db.stat().st_size / 1e6:,.0f} MB"
