"""Logs reduced on Spark and loaded by DuckDB: seconds of CPU for a million records, and what leaves the lake.

Seconds of CPU hold on a machine that does other things too; docs/figures.md has them.
"""

from __future__ import annotations

import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.bench.bench_compare import write_activity

SLOW = True
RECORDS = int(os.environ.get("RIGHTSIZE_BENCH_RECORDS", "400000"))


def run() -> Iterator[tuple[str, str, str]]:
    """Reduce a small and a large log on one Spark each, so that its start does not count; then load on DuckDB."""
    from rightsize.workflow.data.load_spark import load_on_spark  # noqa: PLC0415  needs the extra `spark`

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        small, large = RECORDS // 20, RECORDS
        spent = {}
        for records in (small, large):
            lake = scratch / str(records)
            lake.mkdir()
            for part in range(4):
                write_activity(lake / f"{part}.jsonl.gz", records // 4)
            results = lake / "results"
            results.mkdir()
            with _java_watched() as seconds:
                load_on_spark(lake / "spark.duckdb", [str(lake / "*.gz")], "local[2]", results=str(results))
            spent[records] = max(seconds)
        rate = (large - small) / (spent[large] - spent[small])
        yield "Spark: records a second of CPU, start-up taken off", f"{rate:,.0f}", f"start-up {spent[small]:.0f} s CPU"
        raw = sum(path.stat().st_size for path in (scratch / str(large)).glob("*.gz"))
        left = sum(path.stat().st_size for path in (scratch / str(large) / "results").rglob("*.parquet"))
        yield "bytes in the lake, compressed", f"{raw / 1e6:,.1f} MB", f"{raw / large:.0f} a record"
        with open_store(scratch / str(large) / "spark.duckdb", read_only=True) as store:
            (rows,) = store.connection.execute("SELECT count(*) FROM usage_days").fetchall()[0]
        yield "bytes that leave it", f"{left / 1e6:,.1f} MB", f"{left / raw:.1%}; {rows:,} rows of use"
        used = resource.getrusage(resource.RUSAGE_SELF)
        load_paths(scratch / "here.duckdb", sorted((scratch / str(large)).glob("*.gz")))
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
        yield "rightsize load: records a second of CPU", f"{large / seconds:,.0f}", ""


@contextmanager
def _java_watched() -> Iterator[list[float]]:
    """Give the seconds of CPU that Java below this process has used, time after time: nobody waits for its end."""
    seen: list[float] = [0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.append(_seconds_of_java())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def _seconds_of_java() -> float:
    used = 0
    for folder in Path("/proc").iterdir():
        try:
            name, values = (folder / "stat").read_text().rsplit(")", 1)
        except OSError:
            continue
        fields = values.split()
        if name.endswith("(java") and int(fields[2]) == os.getpgrp():
            used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")
