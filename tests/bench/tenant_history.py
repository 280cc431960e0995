"""Build a store of months with the same daily volume and a detection a day, and single days to add."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from rightsize.workflow.data.load import load_paths
from tests.bench.activity_files import FIRST_DAY, write_analytics, write_later_analytics

PEOPLE = 1_000
_STEP = 10
_CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#identityProtection/riskDetections"


def grow(root: Path, calls: int, sizes: Sequence[int]) -> Iterator[tuple[int, Path]]:
    """Yield copies of a store that grows, when it has so many days.

    Args:
        root: A folder.
        calls: Calls a day.
        sizes: Days, multiples of ten.
    """
    first = write_analytics(root / "first.parquet", calls * _STEP, day=0, days=_STEP, principals=PEOPLE)
    for run in range(max(sizes) // _STEP):
        logs = first if run == 0 else write_later_analytics(root / "later.parquet", first, run, _STEP)
        found = _write_detections(root / "found.json", range(run * _STEP, (run + 1) * _STEP))
        load_paths(root / "all.duckdb", [logs, found])
        if (days := (run + 1) * _STEP) in sizes:
            yield days, Path(shutil.copy(root / "all.duckdb", root / f"{days}.duckdb"))


def write_day(folder: Path, calls: int, day: int) -> None:
    """Write the calls and the detection of one more day, in files of their own."""
    scratch = write_analytics(folder.parent / "one.parquet", calls, day=0, days=1, principals=PEOPLE)
    write_later_analytics(folder / f"{day}.parquet", scratch, day, 1)
    _write_detections(folder / f"{day}.json", [day])


def _write_detections(path: Path, days: Sequence[int]) -> Path:
    path.write_text(json.dumps({"@odata.context": _CONTEXT, "value": [_detection(day) for day in days]}))
    return path


def _detection(day: int) -> dict[str, str]:
    noon = dt.datetime.combine(FIRST_DAY, dt.time(12)) + dt.timedelta(days=day)
    time = f"{noon.isoformat()}Z"
    return {
        "id": f"detection-{day}",
        "riskEventType": "unfamiliarFeatures",
        "riskState": "atRisk",
        "riskLevel": "high",
        "ipAddress": "203.0.113.9",
        "activityDateTime": time,
        "detectedDateTime": time,
        "lastUpdatedDateTime": time,
        "userId": f"{day * 7 % PEOPLE:08x}-1111-4222-8333-444444444444",
    }
