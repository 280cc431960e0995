"""A day by the hour and three by the day; a day more after 30, 90 and 180 days; 30 days of the demo hour by hour."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.demo.generator import generate, write_exports
from rightsize.guard.watch.conclude import WatchSettings
from rightsize.guard.watch.run import Outlets, run_pass
from rightsize.store.connection import open_store
from tests.bench.bench_signals import background
from tests.bench.planted_attacks import START, moment
from tests.bench.quiet_tenant import load_frames, make_quiet, write_quiet
from tests.bench.tenant_history import grow, write_day
from tests.tenants.streams import Stream, copy_listings

SLOW = True
CALLS, HISTORIES = int(os.environ.get("BENCH_CALLS", "4000")), (30, 90, 180)
SEED = 503
END, DAYS, KILLED = dt.datetime(2026, 10, 1), 30, 0.05


def run() -> Iterator[tuple[str, str, str]]:
    """Yield the rows."""
    with tempfile.TemporaryDirectory(prefix="rightsize-watch-") as folder:
        yield from hours_of_a_day(Path(folder))
        yield from one_more_day(Path(folder))
    yield from thirty_days()


def hours_of_a_day(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what the passes over a quiet tenant cost beside loading: 24 of an hour, and three of a day."""
    made, begin, base = make_quiet(SEED), moment(START, 0), root / "quiet.duckdb"
    early = pl.col("time") < begin
    write_quiet(replace(made, events=made.events.filter(early), sign_ins=made.sign_ins.filter(early)), base)
    run_pass(base, [], WatchSettings(), Outlets(list))
    for what, hours, number in (("hour", 1, 24), ("day", 24, 3)):
        db, costs = root / f"{what}.duckdb", list[float]()
        shutil.copy(base, db)
        for step in range(number):
            since = begin + dt.timedelta(hours=hours * step)
            if frames := background(made, since, since + dt.timedelta(hours=hours)):
                with open_store(db, read_only=False) as store:
                    load_frames(store, frames, f"{what} {step}")
            began = time.process_time()
            run_pass(db, [], WatchSettings(), Outlets(list))
            costs.append(time.process_time() - began)
        ordered = sorted(costs)
        beside = f"median {ordered[number // 2]:.2f} s, from {ordered[0]:.2f} to {ordered[-1]:.2f} s"
        yield f"CPU of {number} passes of a {what}, beside loading", f"{sum(costs):.2f} s", beside


def one_more_day(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what a pass costs after one more day, in stores of more and more days of as many calls each."""
    costs: dict[int, float] = {}
    for days, db in grow(root, CALLS, HISTORIES):
        folder = root / f"in{days}"
        folder.mkdir()
        run_pass(db, [folder], WatchSettings(), Outlets(list))
        found = []
        # The first of them takes in what the first pass left, so it does not count.
        for day in range(days, days + 4):
            write_day(folder, CALLS, day)
            began = time.process_time()
            run_pass(db, [folder], WatchSettings(), Outlets(list))
            found.append(time.process_time() - began)
        costs[days] = sorted(found[1:])[1]
        beside = f"{costs[days] / costs[HISTORIES[1]]:.2f} of that at 90 days" if len(costs) > 1 else ""
        yield f"CPU of a pass that ends a day, after {days} days", f"{costs[days]:.2f} s", beside


def thirty_days() -> Iterator[tuple[str, str, str]]:
    """Yield the replay: what it costs, and whether it tells what one pass tells."""
    root = Path(tempfile.mkdtemp(prefix="rightsize-watch-"))
    tenant = generate()
    stream, start = Stream.of(tenant), END - dt.timedelta(days=DAYS)
    write_exports(tenant, root / "exports")
    copy_listings(root / "exports", root / "past")
    stream.write(root / "past" / "activity.jsonl", dt.datetime(2026, 1, 1), start)
    run_pass(root / "first.duckdb", [root / "past"], WatchSettings(), Outlets(list))
    for name in ("once", "steps"):
        shutil.copy(root / "first.duckdb", root / f"{name}.duckdb")
    stream.write(root / "once" / "all.jsonl", start, END)
    whole: list[Any] = []
    began = time.process_time()
    run_pass(root / "once.duckdb", [root / "once"], WatchSettings(), Outlets(whole.extend))
    yield "one pass over 30 days, CPU", f"{time.process_time() - began:.1f} s", f"{len(whole)} changes"
    told, costs, killed = _stepwise(root, stream, start)
    wanted = {one["change_id"] for one in whole}
    yield "hourly passes tell the same, each once", str(sorted(told) == sorted(wanted)), f"{killed} passes killed"
    plain = sorted(cost for cost, days in costs if not days)
    daily = sorted(cost for cost, days in costs if days)
    yield "CPU of a pass of an hour, median", f"{plain[len(plain) // 2]:.2f} s", f"of {len(plain)}"
    yield "CPU of a pass that ends a day, median", f"{daily[len(daily) // 2]:.2f} s", f"of {len(daily)}"
    third = len(costs) // 3
    first, last = (sum(cost for cost, _ in part) / third for part in (costs[:third], costs[-third:]))
    yield "mean of the last ten days beside the first ten", f"{last / first:.2f}", "1 is no growth"
    with open_store(root / "steps.duckdb", read_only=True) as store:
        counts = {name: store.frame(f"SELECT count(*) AS n FROM base.{name}")["n"][0]
                  for name in ("watch_seen", "watch_files", "watch_changes", "touched")}  # fmt: skip
    yield "rows of state after 30 days", str(sum(counts.values())), json.dumps(counts)
    shutil.rmtree(root)


def _stepwise(root: Path, stream: Stream, start: dt.datetime) -> tuple[list[str], list[tuple[float, int]], int]:
    chance, costs, killed = random.Random(6), [], 0  # noqa: S311  nothing rests on it
    folder, db, file = root / "steps", root / "steps.duckdb", root / "changes.jsonl"
    folder.mkdir()
    for hour in range(DAYS * 24):
        at = start + dt.timedelta(hours=hour)
        stream.write(folder / f"{hour:04d}.jsonl", at, at + dt.timedelta(hours=1))
        while chance.random() < KILLED:
            child = multiprocessing.get_context("spawn").Process(
                target=_pass_that_dies, args=(db, folder, file, chance.uniform(0.05, 4))
            )
            child.start()
            child.join()
            killed += child.exitcode != 0
        began = time.process_time()
        done = run_pass(db, [folder], WatchSettings(), Outlets(list, file))
        costs.append((time.process_time() - began, done.concluded.days))
    lines = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["id"] for line in lines], costs, killed


def _pass_that_dies(db: Path, folder: Path, file: Path, after: float) -> None:
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, after)
    run_pass(db, [folder], WatchSettings(), Outlets(list, file))
