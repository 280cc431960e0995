"""Held use: what a finding or a quarantine saw first is not learnt from, until a person decides or the term is over."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.behaviour.judge import FINDINGS_SCHEMA, find_held, with_held

DAY = dt.date(2026, 3, 10)
NEW, KNOWN = "Microsoft.Web/sites/config/list/action", "Microsoft.Web/sites/restart/action"
SITE, OTHER = "/subscriptions/s/site", "/subscriptions/s/other"


def used(who: str, operation: str, ago: int, scope: str = SITE, suspect: int = 0, calls: int = 1) -> dict[str, Any]:
    day = DAY - dt.timedelta(days=ago)
    at = dt.datetime.combine(day, dt.time(22))
    row = {"principal_id": who, "operation": operation, "scope": scope, "plane": "control", "day": day}
    return row | {"first_seen": at, "last_seen": at, "succeeded": calls, "failed": 0, "started": 0, "suspect": suspect}


def finding(who: str, ago: int, *operations: str) -> dict[str, Any]:
    day = DAY - dt.timedelta(days=ago)
    at = dt.datetime.combine(day, dt.time(22))
    return {"principal_id": who, "day": day, "operations": list(operations), "first_time": at, "last_time": at}


def held(rows: list[dict[str, Any]], *findings: dict[str, Any], trusted: dt.date | None = None) -> list[str | None]:
    """The basis of each row, null where it is learnt from."""
    found = pl.DataFrame(list(findings), schema=FINDINGS_SCHEMA)
    start = dt.datetime.combine(trusted or DAY, dt.time())
    span = [("ann", start, start + dt.timedelta(hours=23))] if trusted else []
    times = {"principal_id": pl.String, "from_time": pl.Datetime("us"), "to_time": pl.Datetime("us")}
    usage = pl.DataFrame(rows)
    result = find_held(usage, found, pl.DataFrame(span, schema=times, orient="row"), DAY)
    basis = dict(result.select("row", "basis").iter_rows())
    counted = with_held(usage, result)
    assert [row["succeeded"] == row["suspect"] for row in counted.to_dicts()] == [
        number in basis or rows[number]["suspect"] > 0 for number in range(len(rows))
    ]
    return [basis.get(number) for number in range(len(rows))]


def test_first_uses_of_a_finding_and_their_repetition_are_held_and_work_is_not() -> None:
    rows = [used("ann", KNOWN, 30), used("ann", KNOWN, 5), used("ann", NEW, 5), used("ann", NEW, 4, OTHER),
            used("ann", KNOWN, 5, OTHER), used("bob", NEW, 5)]  # fmt: skip
    assert held(rows, finding("ann", 5, NEW)) == [None, None, "behaviour", "behaviour", "behaviour", None]


@pytest.mark.parametrize(("ago", "basis"), [(30, "behaviour"), (31, None)])
def test_a_hold_ends_with_its_term(ago: int, basis: str | None) -> None:
    assert held([used("ann", NEW, ago), used("ann", NEW, 1)], finding("ann", ago, NEW)) == [basis, basis]


def test_what_a_person_trusts_is_learnt_from_with_all_that_followed() -> None:
    rows = [used("ann", NEW, 5), used("ann", NEW, 1)]
    assert held(rows, finding("ann", 5, NEW), trusted=DAY - dt.timedelta(days=5)) == [None, None]


def test_what_was_used_first_in_quarantine_stays_held_in_later_nights() -> None:
    """As a runbook that an attacker left; a use from before the signal is evidence."""
    rows = [used("job", NEW, 5, suspect=1), *(used("job", NEW, ago) for ago in (4, 3, 2, 1))]
    assert held(rows) == [None, "signal", "signal", "signal", "signal"]
    assert held([used("job", NEW, 9), *rows]) == [None] * 6


def test_a_day_that_adds_up_from_earlier_days_holds_those() -> None:
    rows = [used("ann", KNOWN, 60), used("ann", NEW, 20), used("ann", KNOWN, 2)]
    assert held(rows, finding("ann", 2, NEW)) == [None, "behaviour", None]
