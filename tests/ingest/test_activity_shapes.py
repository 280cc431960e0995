"""The same calls give the same events, whatever shape their export has."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.pipeline import normalised_events
from tests.ingest.renderings import SHAPES, STATUSES, Call, diagnostic, write

pytestmark = pytest.mark.slow


OUTCOMES = {
    "started": "started",
    "accepted": "started",
    "succeeded": "succeeded",
    "failed": "failed",
    "denied": "denied",
    "policy": "failed",
}
# Only some shapes have an id for each event, and only some keep the spelling of a scope.
COMPARED = (
    "principal_id", "principal_type", "principal_name", "app_id", "outcome", "role_assignment_id", "role_definition_id",
    "evidence_principal_id", "correlation_id", "ip", "source", "plane", "operation", "scope", "time",
)  # fmt: skip


LINES = ("rest-lines", "diagnostic-lines", "table-csv", "sdk-lines")


def alone(folder: Path, shape: str, calls: list[Call]) -> Path:
    """Write calls in a shape, into a folder of its own."""
    (folder / shape).mkdir()
    return write(folder / shape, shape, calls)


def parse(*paths: Path) -> list[dict[str, Any]]:
    _, chunks = normalised_events([str(path) for path in paths])
    return [event for chunk in chunks for event in chunk]


def compared(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(event[name] for name in COMPARED) for event in events]


CALLS = [
    Call(
        number,
        status,
        is_user=number % 2 == 0,
        time=dt.datetime(2025, 3, 4, 15, 6, number, 890000),
        has_evidence=number % 3 > 0,
    )
    for number, status in enumerate([*STATUSES] * 2)
]


@pytest.mark.many(5)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_events(shape: str, tmp_path: Path) -> None:
    """One event a call, with the fields that any shape has."""
    events = parse(write(tmp_path, shape, CALLS))
    assert [event["outcome"] for event in events] == [OUTCOMES[call.status] for call in CALLS]
    expected = [
        (
            call.oid,
            "User" if call.is_user else "ServicePrincipal",
            call.upn,
            "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            OUTCOMES[call.status],
            "123abc2a-6c31-4b0a-b03a-891259123abc" if call.has_evidence else None,
            "b24988ac-6180-42a0-ab88-20f7382dd24c" if call.has_evidence else None,
            call.oid if call.has_evidence else None,
            call.correlation,
            "203.0.113.7",
            "activity_log",
            "control",
            call.operation,
            call.resource,
            call.time,
        )
        for call in CALLS
    ]
    assert compared(events) == expected


# A Parquet file has its columns from its records, and an empty file no encoding.
def test_an_empty_export_is_empty(tmp_path: Path) -> None:
    """A page, a table or a list without records is no error."""
    assert parse(*(alone(tmp_path, shape, []) for shape in SHAPES if shape not in ("table-parquet", "utf-16"))) == []


def test_begin_accept_and_end_are_one_event(tmp_path: Path) -> None:
    """The rows of a call merge: earliest time, highest outcome."""
    start = dt.datetime(2025, 3, 4, 5, 6, 7)
    ended = [("succeeded", 18), ("accepted", 9), ("started", 0)]
    paths = [
        alone(tmp_path, shape, [Call(number, name, time=start + dt.timedelta(seconds=late)) for name, late in ended])
        for number, shape in enumerate(LINES)
    ]
    assert [(event["time"], event["outcome"]) for event in parse(*paths)] == [(start, "succeeded")] * len(LINES)


@pytest.mark.nightly
def test_all_shapes_together_are_one_event_a_call(tmp_path: Path) -> None:
    """Overlapping exports of different shapes add nothing."""
    paths = [alone(tmp_path, shape, CALLS) for shape in SHAPES]
    assert len(parse(*paths)) == len(CALLS)
    assert compared(parse(*paths)) == compared(parse(*reversed(paths)))


def test_other_categories_are_no_use(tmp_path: Path) -> None:
    """Only the Administrative category is use of the control plane."""
    others = ["Policy", "ServiceHealth", "Security", "Alert", "Autoscale", "Recommendation"]
    calls = [Call(number, category=category) for number, category in enumerate(others)]
    assert parse(*(alone(tmp_path, shape, calls) for shape in LINES)) == []


def test_a_diagnostic_record_without_its_real_category_counts(tmp_path: Path) -> None:
    """Write, Delete and Action are what a record says of an administrative operation."""
    record = diagnostic(Call(1))
    del record["properties"]["eventCategory"]
    (tmp_path / "x").write_text(json.dumps(record))
    assert len(parse(tmp_path / "x")) == 1
