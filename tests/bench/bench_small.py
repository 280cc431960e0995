"""What every command costs before its answer: small questions and small loads, against importing the two engines.

BENCH_STORE names the store that is asked; without it the demo is made. Processor time of a process and its children, in
turn, medians: a busy machine changes the clock more than this.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from tests.bench.activity_files import write_activity
from tests.bench.bench_collect import ENTRY, Took, measure

SLOW = True
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
FILES = int(os.environ.get("BENCH_FILES", "3000"))
PEOPLE = 20_000
DAY_RECORDS = 3_000
Row = tuple[str, str, str]


def run() -> Iterator[Row]:
    """Ask and load in turn, RUNS times; a load goes into a new store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_activity(folder / "day.json", DAY_RECORDS, days=1, principals=60)
        write_members(folder / "group-members", FILES)
        db = Path(os.environ.get("BENCH_STORE") or folder / "demo" / "demo.duckdb")
        if not db.exists():
            measure(ENTRY, "demo", str(folder / "demo"), "-q")
        asked = [("sql", "SELECT 1"), ("status",), ("status", "logs"), ("jobs",), ("reach", "layers"), ("agents",)]
        sides = {
            "import duckdb and polars": ("import duckdb, polars",),
            **{" ".join(words): (ENTRY, *words, "--db", str(db), "-q") for words in asked},
        }
        loads = {
            f"load of a day, {DAY_RECORDS:,} records": folder / "day.json",
            f"load of {FILES:,} files of group members": folder / "group-members",
        }
        found: dict[str, list[Took]] = {one: [] for one in (*sides, *loads)}
        for _ in range(RUNS):
            for one, command in sides.items():
                found[one].append(measure(*command))
            for one, path in loads.items():
                new = folder / "new.duckdb"
                new.unlink(missing_ok=True)
                found[one].append(measure(ENTRY, "load", str(path), "--db", str(new), "-q"))
        base = statistics.median(took.cpu for took in found["import duckdb and polars"])
        for one, times in found.items():
            cpu, peak = (statistics.median(getattr(took, what) for took in times) for what in ("cpu", "megabytes"))
            code = max(took.code for took in times)
            yield (
                one,
                f"{cpu:.2f} s cpu",
                f"{cpu / base:.1f} x the imports, {peak:,.0f} MB" + f", exit {code}" * (code > 0),
            )


def write_members(folder: Path, files: int) -> Path:
    """Write a page of members for each of many groups, as `az ad group member list` and Graph return them."""
    folder.mkdir()
    for number in range(files):
        members = [(number * 7 + place * 13) % PEOPLE for place in range(1 + number % 20)]
        page = {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#directoryObjects",
            "value": [
                {
                    "@odata.type": "#microsoft.graph.user",
                    "id": str(UUID(int=(1 << 64) + one)),
                    "displayName": f"Person {one}",
                    "userPrincipalName": f"person{one}@example.com",
                }
                for one in members
            ],
        }
        (folder / f"{UUID(int=(2 << 64) + number)}.json").write_text(json.dumps(page), encoding="utf-8")
    return folder
