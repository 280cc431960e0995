"""Collecting a tenant of 2,000 principals, 20 subscriptions and a million log rows, against its exports.

The service runs in a process of its own, with the budgets of Azure lifted: what is measured is this side. What Azure's
budgets would take at least is said beside it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.azure.exchange import BUDGETS
from rightsize.collect.pages import Run
from rightsize.collect.runs import find_runs
from rightsize.collect.sources import SOURCES
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import digest_content

SLOW = True
PRINCIPALS, SUBSCRIPTIONS, EVENTS = (int(text) for text in os.environ.get("BENCH_TENANT", "2000,20,350000").split(","))
TIMES_KILLED = 5
UNTIL = "2026-10-01T00:00:00"
ENTRY = "from rightsize.cli.main import main; main()"
WRITE = (
    "import sys, tempfile; from pathlib import Path; from rightsize.demo.generator import generate; "
    "from rightsize.demo.tenant import TenantSpec; from tests.collect.served import write_served; "
    "from tests.loopback.content import Content; p, s, e = map(int, sys.argv[2:]); "
    "tenant = generate(TenantSpec(principals=p, subscriptions=s, events=e)); "
    "write_served(Content(tenant, Path(tempfile.mkdtemp())), Path(sys.argv[1]))"
)
Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Took:
    """What a command took: seconds, megabytes at most, how it ended, and seconds of all processors together."""

    seconds: float
    megabytes: float
    code: int
    cpu: float = 0.0


def measure(*command: str, environment: dict[str, str] | None = None, kill_after: float | None = None) -> Took:
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", *command], env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL
    )
    if kill_after is not None:
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, process.returncode << 8, None)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / 1000 if usage else 0.0
    cpu = usage.ru_utime + usage.ru_stime if usage else 0.0
    return Took(time.perf_counter() - start, peak, process.returncode, cpu)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[dict[str, str]]:
    """Serve the tenant and yield the variables of the service; the cloud has no budgets to speak of."""
    size = ["--principals", str(PRINCIPALS), "--subscriptions", str(SUBSCRIPTIONS), "--events", str(EVENTS)]
    command = [sys.executable, "-m", "tests.loopback", *size, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        found: dict[str, str] = {}
        assert process.stdout is not None
        for line in process.stdout:
            name, _, value = line.removeprefix("export ").strip().partition("=")
            found[name] = value
            if name == "LOOPBACK_WORKSPACE":
                break
        cloud = json.loads(Path(found["LOOPBACK_CLOUD"]).read_text())
        path = folder / "cloud.json"
        path.write_text(json.dumps({**cloud, "budgets": {name: [1e6, 1] for name in BUDGETS}}))
        try:
            yield {**found, "LOOPBACK_CLOUD": str(path)}
        finally:
            process.terminate()


def collecting(found: dict[str, str], out: Path, *more: str) -> list[str]:
    where = ["--cloud", found["LOOPBACK_CLOUD"], "--auth", "env", "--until", UNTIL, "--days", "121"]
    return [
        ENTRY,
        "collect",
        "-q",
        *where,
        "--workspace",
        found["LOOPBACK_WORKSPACE"],
        "--out",
        str(out),
        "--no-load",
        *more,
    ]


def run() -> Iterator[Row]:
    """Collect, load and plan in every way, and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        took = measure(WRITE, str(folder / "exports"), *map(str, (PRINCIPALS, SUBSCRIPTIONS, EVENTS)))
        yield "exports are written", f"{took.seconds:.1f} s", ""
        took = measure(ENTRY, "load", str(folder / "exports"), "--db", str(folder / "exports.duckdb"), "-q")
        yield "exports are loaded", f"{took.seconds:.1f} s", f"{took.megabytes:,.0f} MB"
        with served(folder) as found:
            measure(*collecting(found, folder / "warm", "--raw", "--source", "AzureActivity_counts"), environment=found)
            yield from _clean(found, folder)
            yield from _killed(found, folder)
            yield from _typed(found)
        with served(folder, "--faults", "every:10") as found:
            yield from _under_faults(found, folder)
        yield from _plans(folder)
        with served(folder) as found:
            yield from _reduced(found, folder)


def _clean(found: dict[str, str], folder: Path) -> Iterator[Row]:
    took = measure(*collecting(found, folder / "clean", "--raw"), environment=found)
    run = _run_in(folder / "clean")
    requests, pages, rows = run.manifest["requests"], *_written(run)
    yield "collected clean", f"{took.seconds:.1f} s", f"{took.megabytes:,.0f} MB, {rows / took.seconds:,.0f} rows/s"
    yield "  requests", f"{requests['requests']:,}", f"{pages:,} pages are the least; {rows:,} rows"
    seconds, which = _least_seconds(run)
    yield "  Azure's budgets would take at least", f"{seconds:.0f} s", f"for {which}"
    yield from _loaded(folder, "clean")


def _under_faults(found: dict[str, str], folder: Path) -> Iterator[Row]:
    measure(*collecting(found, folder / "warm2", "--raw", "--source", "AzureActivity_counts"), environment=found)
    took = measure(*collecting(found, folder / "faults", "--raw"), environment=found)
    run = _run_in(folder / "faults")
    requests, (pages, _) = run.manifest["requests"], _written(run)
    told = f"{pages:,} pages; {requests['throttled']:,} throttled, {requests['failed']:,} failed"
    yield (
        "collected, a fault every tenth request",
        f"{took.seconds:.1f} s",
        f"{took.megabytes:,.0f} MB, exit {took.code}",
    )
    yield "  requests", f"{requests['requests']:,}", told
    yield from _loaded(folder, "faults")


def _killed(found: dict[str, str], folder: Path) -> Iterator[Row]:
    chance = random.Random(2)  # noqa: S311  any points will do
    start, killed = time.perf_counter(), 0
    for _ in range(TIMES_KILLED):
        took = measure(
            *collecting(found, folder / "killed", "--raw"), environment=found, kill_after=chance.uniform(3, 15)
        )
        if took.code != -signal.SIGKILL:
            break
        killed += 1
    else:
        took = measure(*collecting(found, folder / "killed", "--raw"), environment=found)
    pages, _ = _written(_run_in(folder / "killed"))
    yield (
        f"collected, killed {killed} times",
        f"{time.perf_counter() - start:.1f} s",
        f"exit {took.code}, {pages:,} pages",
    )
    yield from _loaded(folder, "killed")


def _reduced(found: dict[str, str], folder: Path) -> Iterator[Row]:
    took = measure(*collecting(found, folder / "reduced"), environment=found)
    _, rows = _written(_run_in(folder / "reduced"))
    yield "collected, reduced in the workspace", f"{took.seconds:.1f} s", f"{rows:,} rows, {took.megabytes:,.0f} MB"


def _loaded(folder: Path, name: str) -> Iterator[Row]:
    db = folder / f"{name}.duckdb"
    took = measure(ENTRY, "load", str(folder / name), "--db", str(db), "-q")
    same = (
        ""
        if name == "clean"
        else f"store {'equal to' if _digest(db) == _digest(folder / 'clean.duckdb') else 'OTHER than'} clean"
    )
    yield "  loaded", f"{took.seconds:.1f} s", same


def _digest(db: Path) -> str:
    with open_store(db, read_only=True) as store:
        return digest_content(store)


def _plans(folder: Path) -> Iterator[Row]:
    texts = []
    for name in ("exports", "clean"):
        took = measure(
            ENTRY, "propose", "--db", str(folder / f"{name}.duckdb"), "--out", str(folder / f"plan-{name}"), "-q"
        )
        path = folder / f"plan-{name}" / "plan.json"
        if not path.exists():
            yield f"plan of {name}", f"{took.seconds:.1f} s", f"exit {took.code}"
            return
        text = path.read_text()
        texts.append(text.replace(json.loads(text)["generated_from"]["content_hash"], ""))
        yield f"plan of {name}", f"{took.seconds:.1f} s", f"{took.megabytes:,.0f} MB"
    same = "equal, but for the hash of all that the store holds" if texts[0] == texts[1] else "OTHER"
    yield "  plan of the collection against that of the exports", "", same


def _run_in(folder: Path) -> Run:
    return Run.read(find_runs(folder)[-1])


def _written(run: Run) -> tuple[int, int]:
    return sum(unit.pages for unit in run.units.values()), sum(unit.rows for unit in run.units.values())


def _least_seconds(run: Run) -> tuple[float, str]:
    """Return what the busiest budget would take for the pages of a run, after its first burst."""
    pages: dict[str, int] = {}
    for source in SOURCES:
        # Subscriptions are counted by themselves; this takes them together and so says too much rather than too little.
        pages[source.workers] = pages.get(source.workers, 0) + sum(unit.pages for unit in run.units_of(source.name))
    spent = {
        name: max(0.0, (count - BUDGETS[name].requests) * BUDGETS[name].seconds / BUDGETS[name].requests)
        for name, count in pages.items()
        if name in BUDGETS
    }
    which = max(spent, key=lambda name: spent[name])
    return spent[which], which


def _typed(found: dict[str, str]) -> Iterator[Row]:
    script = "from tests.bench.typed_models import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **found}, capture_output=True, text=True, check=False
    )
    rows: list[Any] = json.loads(told.stdout or "[]")
    for what, raw, typed in rows:
        yield f"rows/s of {what}: raw pages", f"{raw:,.0f}", f"typed models {typed:,.0f}, {raw / typed:,.0f} x"
