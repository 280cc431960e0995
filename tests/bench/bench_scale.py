"""Stores of one million events and more: time, memory and disk of each load, and what pruning leaves.

BENCH_SCALE has the sizes in millions; each is loaded from Parquet of Log Analytics, a million events a run, five days
each, as somebody does who loads every few days. BENCH_FOLDER is where there is room for it, 110 bytes an event.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
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
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
        folder = Path(name)
        db, first, logs = folder / "store.duckdb", folder / "first.parquet", folder / "logs.parquet"
        begun = time.perf_counter()
        written(first, f"write_analytics(path, {STEP}, day=0, days={STEP_DAYS})")
        runs: list[Took] = []
        for size in sorted(SIZES):
            smaller = len(runs)
            while len(runs) * STEP < size * 1_000_000:
                written(logs, f"write_later_analytics(path, Path({str(first)!r}), {len(runs)}, {STEP_DAYS})")
                runs.append(measure(ENTRY, "load", str(logs), "--db", str(db), "-q", *LIMIT))
            yield from _standing(f"{size:g} million events", runs, smaller, db, time.perf_counter() - begun)
        logs.unlink()
        took = measure(ENTRY, "prune", "--keep-days", "10", "--yes", "--db", str(db), "-q")
        yield "pruned to 10 days", f"{took.seconds:.1f} s", f"{took.megabytes:,.0f} MB, {_size(db)}, exit {took.code}"


def _standing(what: str, runs: list[Took], smaller: int, db: Path, elapsed: float) -> Iterator[Row]:
    seconds, cpu = sum(took.seconds for took in runs), sum(took.cpu for took in runs)
    peak, code = max(took.megabytes for took in runs), max(took.code for took in runs)
    yield what, f"{seconds:.1f} s", f"{cpu:.1f} s cpu, at most {peak:,.0f} MB, {_size(db)} of disk, exit {code}"
    a_call = db.stat().st_size / (len(runs) * STEP)
    yield "  a call, of all loads", f"{seconds / (len(runs) * STEP) * 1e6:.1f} us", f"{a_call:,.0f} bytes of disk"
    last = runs[max(smaller, len(runs) - 3) :]
    median = statistics.median(took.cpu for took in last)
    told = f"{median / runs[0].cpu:.2f} x the first, {statistics.median(took.megabytes for took in last):,.0f} MB"
    yield f"  the last loads of {STEP:,}", f"{median:.1f} s cpu", told
    yield "  gone by, with making the logs up", f"{elapsed:.0f} s", ""


def _size(db: Path) -> str:
    return f"{db.stat().st_size / 1e6:,.0f} MB"
