"""Declare the Activity Log as a source, through its REST APIs for subscriptions, management groups and the tenant.

These are separate APIs, and none returns the events of the others' scopes. Azure keeps 90 days; a row arrives up to
twenty minutes late.
Source: Microsoft Learn, REST reference "Activity Logs", "Tenant Activity Logs"; "Azure Activity Log".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from rightsize.collect.forms import read_records
from rightsize.collect.listing import CollectionUnit, Known, Right, Source
from rightsize.collect.sources.asking import arm, instant, slices, subscription_scope

RETENTION_DAYS = 90
_NAME = "activity_log"
_VALUES = "/providers/Microsoft.Insights/eventtypes/management/values"
_LATENESS = dt.timedelta(minutes=30)
# Long enough that quiet subscriptions need few requests, short enough that restarting one costs little.
_SLICE_DAYS = 30


def _units(known: Known) -> Iterator[CollectionUnit]:
    scopes = [(subscription_scope(identifier), "2015-04-01") for identifier in known.subscriptions()]
    if not known.question.subscriptions:
        scopes += [(scope, "2017-03-01-preview") for scope in known.management_groups()]
        scopes.append(("", "2015-04-01"))
    for scope, version in scopes:
        since = known.since(_NAME, scope or "/", _LATENESS, _oldest(known.question.until))
        for first, last in slices(since, known.question.until, _SLICE_DAYS):
            condition = f"eventTimestamp ge '{instant(first)}' and eventTimestamp le '{instant(last)}'"
            request = arm(f"{scope}{_VALUES}", version, budget="activity", filter=condition)
            yield CollectionUnit(f"{scope or '/'}#{instant(first)}", (request,), scope or "/", first, last)


def _oldest(until: dt.datetime) -> dt.datetime:
    """Return the oldest whole day that the log still has."""
    day = until.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - dt.timedelta(days=RETENTION_DAYS - 1)


ACTIVITY_SOURCES = (
    Source(
        _NAME,
        "arm",
        "Activity Log",
        Right("Microsoft.Insights/eventtypes/values/Read"),
        _units,
        ("subscriptions", "management_groups"),
        form=read_records,
        log="activity_log",
        retention=lambda _: RETENTION_DAYS,
        pool="activity",
    ),
)
"""One source with many units."""
