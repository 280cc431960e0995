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
@pytest.mark.many(6)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in ("table-parquet", "utf-16")])
def test_an_empty_export_is_empty(shape: str, tmp_path: Path) -> None:
    """A page, a table or a list without records is no error."""
    path = write(tmp_path, shape, [])
    assert parse(path) == []


@pytest.mark.parametrize("shape", ["rest-lines", "diagnostic-lines", "table-csv", "sdk-lines"])
def test_begin_accept_and_end_are_one_event(shape: str, tmp_path: Path) -> None:
    """The rows of a call merge: earliest time, highest outcome."""
    start = dt.datetime(2025, 3, 4, 5, 6, 7)
    rows = [
        Call(5, status, time=start + dt.timedelta(seconds=9 * place))
        for place, status in enumerate(["started", "accepted", "succeeded"])
    ]
    rows.reverse()
    (event,) = parse(write(tmp_path, shape, rows))
    assert (event["time"], event["outcome"]) == (start, "succeeded")


@pytest.mark.nightly
def test_all_shapes_together_are_one_event_a_call(tmp_path: Path) -> None:
    """Overlapping exports of different shapes add nothing."""
    paths = []
    for shape in SHAPES:
        folder = tmp_path / shape
        folder.mkdir()
        paths.append(write(folder, shape, CALLS))
    assert len(parse(*paths)) == len(CALLS)
    assert compared(parse(*paths)) == compared(parse(*reversed(paths)))


@pytest.mark.many(3)
@pytest.mark.parametrize("category", ["Policy", "ServiceHealth", "Security", "Alert", "Autoscale", "Recommendation"])
@pytest.mark.parametrize("shape", ["rest-lines", "diagnostic-lines", "table-csv", "sdk-lines"])
def test_other_categories_are_no_use(shape: str, category: str, tmp_path: Path) -> None:
    """Only the Administrative category is use of the control plane."""
    assert parse(write(tmp_path, shape, [Call(1, category=category)])) == []


def test_a_diagnostic_record_without_its_real_category_counts(tmp_path: Path) -> None:
    """Write, Delete and Action are what a record says of an administrative operation."""
    record = diagnostic(Call(1))
    del record["properties"]["eventCategory"]
    (tmp_path / "x").write_text(json.dumps(record))
    assert len(parse(tmp_path / "x")) == 1
