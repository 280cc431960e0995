"""The days of the Activity Log that a manifest declares by its requests."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from urllib.parse import quote

import pytest

from rightsize.ingest.entities.manifests import Vouched
from rightsize.ingest.loaded_files import LoadedFile
from rightsize.ingest.whole_exports import read_windows
from rightsize.model.times import Declaration

ONE = "/subscriptions/11111111-1111-4111-8111-111111111111"
GROUP = "/providers/microsoft.management/managementgroups/root"
VALUES = "/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01"
READ_ON = dt.datetime(2026, 10, 1, 12)


def asked(scope: str, first: str, last: str) -> str:
    condition = f"eventTimestamp ge '{first}T00:00:00Z' and eventTimestamp le '{last}T00:00:00Z'"
    return f"az rest --method get --url '{scope}{VALUES}&$filter={quote(condition)}'"


def entry(query: str, **changes: object) -> tuple[Vouched, LoadedFile]:
    said = Vouched(
        "/x/a", "a", "activity_log", query, None, True, 5, 9, None, "r", READ_ON, READ_ON, "manifest", query, 1, "t"
    )
    file = LoadedFile(1, "a", {"activity_log"}, read=5, size=9)
    return replace(said, **changes), file  # type: ignore[arg-type]


def window(scope: str, first: str, last: str) -> Declaration:
    return Declaration("activity_log", scope, dt.date.fromisoformat(first), dt.date.fromisoformat(last), "manifest")


def test_adjoining_slices_are_one_window_up_to_the_last_settled_day() -> None:
    """Rows arrive late: the day before the reading counts, the day of the reading does not."""
    slices = [asked(ONE, "2026-07-04", "2026-08-03"), asked(ONE, "2026-08-03", "2026-10-02")]
    assert read_windows([entry(query) for query in slices]) == [window(ONE, "2026-07-05", "2026-09-30")]
    early = dt.datetime(2026, 10, 1, 2)
    assert read_windows([entry(query, read_on=early) for query in slices]) == [window(ONE, "2026-07-05", "2026-09-29")]


def test_a_gap_parts_the_windows() -> None:
    slices = [asked(ONE, "2026-09-01", "2026-09-10"), asked(ONE, "2026-09-12", "2026-09-20")]
    assert read_windows([entry(query) for query in slices]) == [
        window(ONE, "2026-09-01", "2026-09-09"),
        window(ONE, "2026-09-12", "2026-09-19"),
    ]


def test_a_management_group_has_the_days_that_all_have() -> None:
    """A declaration covers everything below its scope, so one refused scope limits those above."""
    both = [entry(asked(GROUP, "2026-09-01", "2026-09-20")), entry(asked(ONE, "2026-09-05", "2026-09-25"))]
    assert read_windows(both) == [window(GROUP, "2026-09-05", "2026-09-19"), window(ONE, "2026-09-05", "2026-09-24")]
    refused = [both[0], entry(asked(ONE, "2026-09-05", "2026-09-25"), complete=False, error="Forbidden")]
    assert read_windows(refused) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"complete": False},
        {"error": "cut"},
        {"finished_on": None},
        {"rows": 4},
        {"rows": None},
        {"size": 8},
        {"kind": "resources"},
        {"query": "az monitor activity-log list --offset 90d"},
        {"query": asked(ONE, "2026-09-01", "2026-09-20").replace("get", "post")},
        {"query": asked(ONE, "2026-09-01", "2026-09-20").replace("&$filter", "&$select=caller&$filter")},
        {"query": asked(ONE, "2026-09-01", "2026-09-20").replace("%2709", "%20and%20caller%20eq%20%27x%27%2709")
            .replace("ge%20", "ge%20%20")},
        {"query": asked(ONE, "2026-09-01", "2026-09-20").replace("2026-09-20", "2026-99-20")},
        {"query": asked(ONE, "2026-09-01", "2026-09-20").replace(ONE, f"{ONE}/resourceGroups/a")},
        {"query": asked(ONE, "2026-09-01", "2026-09-20") + " 'unclosed"},
    ],
)  # fmt: skip
def test_what_may_lack_something_declares_nothing(changes: dict[str, object]) -> None:
    query = asked(ONE, "2026-09-01", "2026-09-20")
    assert read_windows([entry(query)])
    assert read_windows([entry(**{"query": query, **changes})]) == []  # type: ignore[arg-type]


def test_a_missing_file_declares_nothing() -> None:
    said, _ = entry(asked(ONE, "2026-09-01", "2026-09-20"))
    assert read_windows([(said, None)]) == []
