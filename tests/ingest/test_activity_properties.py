"""Order, repetition, file boundaries and the case of ids do not change the events."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import FEWEST
from tests.ingest.parsing import events_of
from tests.ingest.renderings import SHAPES, STATUSES, Call, diagnostic, table_row

pytestmark = pytest.mark.slow

calls = st.lists(
    st.builds(
        Call,
        number=st.integers(0, 5),
        status=st.sampled_from([*STATUSES]),
        time=st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2025, 1, 1)).map(
            lambda time: time.replace(microsecond=0)
        ),
        operation=st.sampled_from(["Microsoft.Compute/virtualMachines/write", "Microsoft.Compute/disks/delete"]),
        is_user=st.booleans(),
        has_evidence=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)
quick = settings(FEWEST, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_as(folder: Path, name: str, records: list[Any]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.nightly
@quick
@given(calls, st.randoms(use_true_random=False))
def test_order_repetition_and_cuts_change_nothing(tmp_path: Path, drawn: list[Call], chance: random.Random) -> None:
    """The same records in any order, twice, in any number of files, in either of two shapes: the same events."""
    records = [chance.choice([diagnostic, table_row])(call) for call in drawn]
    expected = events_of(
        write_as(tmp_path, "a", [r for r in records if "time" in r]),
        write_as(tmp_path, "b", [r for r in records if "time" not in r]),
    )
    again = records + chance.sample(records, len(records) // 2)
    chance.shuffle(again)
    parts = [again[part::3] for part in range(3)]
    paths = [
        write_as(tmp_path, f"{part}{shape}", [record for record in records if ("time" in record) == (shape == "d")])
        for part, records in enumerate(parts)
        for shape in "dt"
    ]
    chance.shuffle(paths)
    assert events_of(*paths) == expected


@quick
@given(calls, st.randoms(use_true_random=False))
def test_the_case_of_ids_changes_nothing(tmp_path: Path, drawn: list[Call], chance: random.Random) -> None:
    """Ids, operations and scopes compare without regard to case; only their spelling may differ."""

    def folded(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(
            (
                {name: value.lower() if isinstance(value, str) else value for name, value in event.items()}
                for event in events
            ),
            key=lambda event: json.dumps(event, default=str),
        )

    def recased(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: recased(item) for name, item in value.items()}
        is_id = isinstance(value, str) and (
            value.startswith(("/sub", "/SUB", "Microsoft.", "MICROSOFT.")) or value.count("-") == 4
        )
        return getattr(value, chance.choice(["upper", "lower"]))() if is_id and "@" not in value else value

    records = [diagnostic(call) for call in drawn]
    assert folded(events_of(write_as(tmp_path, "b", [recased(record) for record in records]))) == folded(
        events_of(write_as(tmp_path, "a", records))
    )


@pytest.mark.nightly
@quick
@given(calls)
def test_all_shapes_agree(tmp_path: Path, drawn: list[Call]) -> None:
    """Any calls are the same events in every shape; only diagnostic records have no event id."""
    rendered = []
    for shape in (
        "diagnostic-lines",
        "event-hub",
        "az-list",
        "sdk-lines",
        "table-csv",
        "table-parquet",
    ):
        path = tmp_path / shape
        path.write_bytes(SHAPES[shape](drawn))
        rendered.append(
            [
                {**event, "operation": event["operation"].lower(), "scope": event["scope"].lower(), "event_id": None}
                for event in events_of(path)
            ]
        )
    assert all(events == rendered[0] for events in rendered)
