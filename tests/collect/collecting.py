"""Collect from the loopback tenant, with a clock whose waits pass at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rightsize.collect.pages import Run
from rightsize.workflow.data.collect import CollectReport, collect_tenant
from tests.azure.hurried import Hurried
from tests.loopback.server import Loopback

UNTIL = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
Collect = Callable[..., CollectReport]


def collector(service: Loopback, folder: Path) -> Collect:
    """Return a function that collects below a folder; its options are those of `collect_tenant`."""

    def run(out: str = "runs", **options: Any) -> CollectReport:
        settings: dict[str, Any] = {
            "cloud": str(service.cloud),
            "auth": "env",
            "until": UNTIL,
            "clock": Hurried(),
            **options,
        }
        return collect_tenant(folder / out, **settings)

    return run


def row_of(report: CollectReport, source: str) -> Any:
    return next(row for row in report.rows if row.source == source)


def ids(report: CollectReport, source: str) -> set[str]:
    return {record["id"].lower() for record in Run.read(report.folder).records(source)}
