"""What a reduction in the workspace saves: bytes and requests of the same days, as rows and reduced.

A tenant of BENCH_TENANT's size (2,000 principals, 20 subscriptions, 350,000 calls in 120 days); bytes are those of the
answers as JSON, before any compression on the way, of the queries of logs alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rightsize.collect.pages import Run
from rightsize.collect.runs import find_runs
from tests.bench.bench_collect import collecting, measure, served

SLOW = True
TABLES = ("AzureActivity", "StorageBlobLogs", "SigninLogs", "AADServicePrincipalSignInLogs")
Row = tuple[str, str, str]


def run() -> Iterator[Row]:
    """Collect each log both ways, from a service of its own process."""
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as found:
        for table in TABLES:
            reduced = f"reduced_{table}"
            whole = _collected(found, Path(name) / table, table, "--raw")
            small = _collected(found, Path(name) / reduced, reduced)
            yield table, f"{whole[1]:,} rows", _told(whole)
            yield f"  {reduced}", f"{small[1]:,} rows", _told(small)
            yield "  saved", f"{whole[0] / small[0]:.0f} x bytes", f"{whole[2]:,} requests, {small[2]:,} reduced"


def _collected(found: dict[str, str], out: Path, source: str, *more: str) -> tuple[int, int, int]:
    """Return bytes of answers, rows and requests of a collection."""
    took = measure(*collecting(found, out, "--source", source, *more), environment=found)
    run = Run.read(find_runs(out)[-1])
    asked = run.manifest["requests"]
    if took.code or not asked["bytes"]:
        raise RuntimeError(f"{source}: exit {took.code}, {asked}")
    return asked["bytes"], sum(unit.rows for unit in run.units_of(source)), asked["requests"]


def _told(collected: tuple[int, int, int]) -> str:
    size, rows, requests = collected
    return f"{size / 1e6:,.2f} MB of answers, {size / max(rows, 1):,.0f} bytes a row, {requests:,} requests"
