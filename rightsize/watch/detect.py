"""Find the changes that a pass reports: log events, new and vanished grants, behaviour, problems of sources."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.grant_deduplication import marks_of_events, marks_of_listed, read_named, said_before
from rightsize.analyze.state_snapshot import LISTED
from rightsize.rules.tables import rows_of
from rightsize.rules.watched import watched_operations
from rightsize.store.connection import Store
from rightsize.store.listings import gone_grants
from rightsize.store.watching import SEEN, horizon, read_seen, records_ahead, watched_events
from rightsize.watch.changes import (
    Names,
    Origin,
    behaviour_changes,
    event_changes,
    events_told,
    gone_changes,
    marks_told,
    note_change,
    standing_changes,
)
from rightsize.workflow.behaviour import behaviour_of_days

FAILED = "source_failed"
"""The kind of change that tells of a source that a collection could not read, until it can."""

_KEY = ["kind", "name"]
_ECHO = "microsoft.authorization/roleassignments/write"
# A log that ends so long before a listing says nothing about who took what is missing in it.
_LOG_WAITS = dt.timedelta(days=2)


@dataclass(slots=True)
class Found:
    """What a pass has found so far.

    Attributes:
        seen: What stands, as it is known, as `store.watching.SEEN`.
        told: What was told in this pass besides, as `SEEN`.
        changes: As the table `watch_changes`, without numbers.
    """

    seen: pl.DataFrame
    told: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SEEN))
    changes: list[pl.DataFrame] = field(default_factory=list)

    def known(self, store: Store, kind: str) -> pl.DataFrame:
        """Return what was told of a kind, in earlier passes and in this one."""
        return pl.concat([read_seen(store, (kind,)), self.told.filter(pl.col("kind") == kind)])


@dataclass(frozen=True, slots=True)
class Telling:
    """What telling needs: `strong` has the roles that can assign roles, folded; the first pass tells nothing."""

    store: Store
    origin: Origin
    names: Names
    strong: Collection[str]
    is_first: bool


def report_events(telling: Telling, days: Sequence[dt.date], outcome: str, found: Found) -> None:
    """Tell the events of some days that were not told yet, and that no listing told; the first pass takes them as told.

    Args:
        telling: What telling needs.
        days: Days of the logs.
        outcome: Of the events: `succeeded`, or `started` for those of which no log says how they ended.
        found: Is added to.
    """
    store = telling.store
    events = watched_events(store, days, watched_operations()).filter(pl.col("outcome") == outcome)
    known = found.known(store, "event")
    fresh = events.join(known, left_on="event_key", right_on="name", how="anti").sort("time", "event_key")
    if fresh.is_empty():
        return
    if not telling.is_first:
        said = _said_already(fresh, store, found)
        untold = fresh.join(said, on="event_key", how="anti")
        found.changes.append(event_changes(untold, telling.strong, telling.origin, telling.names))
    earlier = pl.concat([found.known(store, kind) for kind in ("granted", "revoked", "asked")])
    found.told = pl.concat([found.told, events_told(fresh).join(earlier, on=_KEY, how="anti")])


def _said_already(fresh: pl.DataFrame, store: Store, found: Found) -> pl.DataFrame:
    """Return the `event_key` of events that a listing told before, or that PIM wrote for a request that is told."""
    marks = marks_of_events(fresh)
    by_listing = said_before(read_named(found.known(store, "listed")["name"]), marks, ["event_key"])
    writers = [row["app_id"] for row in rows_of("log_activation_writers")]
    echoes = fresh.filter((pl.col("operation") == _ECHO) & pl.col("app_id").str.to_lowercase().is_in(writers))
    requests = pl.concat([read_named(found.known(store, "asked")["name"]), marks.drop("event_key")])
    made = marks.join(echoes, on="event_key", how="semi").with_columns(asks=pl.lit("pim_assignment"))
    return pl.concat([by_listing, said_before(made, requests, ["event_key"])]).unique()


def report_state(telling: Telling, now: pl.DataFrame, as_of: dt.date, newest: dt.date, found: Found) -> None:
    """Tell what stands, and what stood and does not any more; a grant that a log told is not told again.

    Args:
        telling: What telling needs.
        now: What stands at the end of the day before `as_of`, as `analyze.standing.STANDING`.
        as_of: That day.
        newest: The newest day of the logs.
        found: Is added to, and knows what stands from then on.
    """
    # What is known and listings have no more; of some of it the log may still say who took it.
    gone = gone_grants(telling.store).join(found.seen, on=_KEY, how="semi")
    if not telling.is_first:
        # With what it was worth: of a delegated grant the permissions may grow.
        listed = now.filter(pl.col("kind").is_in(LISTED)).join(found.seen, on=[*_KEY, "value"], how="anti")
        said = _said_by_logs(listed, as_of, telling.store, found)
        found.changes.append(standing_changes(now, found.seen, said, as_of, telling.origin, telling.names))
        _mark_listed(listed, said, as_of, found)
        _tell_gone(telling, gone.join(now, on=_KEY, how="anti").filter(_log_is_over(as_of, newest)), as_of, found)
    waiting = gone.filter(~_log_is_over(as_of, newest))
    held = found.seen.join(waiting, on=_KEY, how="semi")
    found.seen = pl.concat([now.select(*_KEY, "value", day=pl.lit(as_of)), held.join(now, on=_KEY, how="anti")])


def _said_by_logs(listed: pl.DataFrame, as_of: dt.date, store: Store, found: Found) -> pl.DataFrame:
    """Return `kind, name` of what listings show for the first time and a log told."""
    granted = found.known(store, "granted")["name"]
    by_id = listed.filter(
        (pl.col("kind") == LISTED[0]) & pl.col("name").str.split("|").list.first().is_in(granted.implode())
    )
    asked = read_named(found.known(store, "asked")["name"])
    marks = marks_of_listed(listed, as_of)
    of_pim = said_before(marks.filter(pl.col("asks") == "pim_assignment"), asked, _KEY, by_place=False)
    others = said_before(marks.filter(pl.col("asks") != "pim_assignment"), asked, _KEY)
    return pl.concat([by_id.select(_KEY), of_pim, others]).unique()


def _mark_listed(listed: pl.DataFrame, said: pl.DataFrame, as_of: dt.date, found: Found) -> None:
    """Remember which grants a listing told, so that a log that comes later does not tell them again."""
    marks = marks_of_listed(listed.join(said, on=_KEY, how="anti"), as_of).filter(pl.col("asks") != "pim_assignment")
    told = marks_told("listed", marks, as_of).join(found.told, on=_KEY, how="anti")
    found.told = pl.concat([found.told, told.unique(_KEY, keep="first", maintain_order=True)])


def _log_is_over(as_of: dt.date, newest: dt.date) -> pl.Expr:
    missing = pl.col("missing_on").dt.date()
    return (missing < as_of) | (missing - newest > _LOG_WAITS)


def _tell_gone(telling: Telling, gone: pl.DataFrame, as_of: dt.date, found: Found) -> None:
    revoked = found.known(telling.store, "revoked")["name"]
    gone = gone.filter(~pl.col("grant_id").is_in(revoked.implode()))
    found.changes.append(gone_changes(gone, as_of, telling.names))


def report_behaviour(telling: Telling, days: Collection[dt.date], newest: dt.date, found: Found) -> None:
    """Tell of days that are over what nobody did before; of each principal and day once.

    Args:
        telling: What telling needs.
        days: The days that came to an end, and those that records came for afterwards.
        newest: The newest day of the logs, which is not over.
        found: Is added to.
    """
    over = {day for day in days if horizon(newest) <= day < newest}
    if not over:
        return
    rows = behaviour_of_days(telling.store, over)
    name = pl.concat_str("principal_id", pl.col("day").cast(pl.String), separator="|")
    rows = rows.with_columns(kind=pl.lit("behaviour"), name=name)
    fresh = rows.join(found.known(telling.store, "behaviour"), on=_KEY, how="anti")
    if not telling.is_first:
        found.changes.append(behaviour_changes(fresh, telling.names))
    found.told = pl.concat([found.told, fresh.select(*_KEY, "day", value=pl.lit("")).select(list(SEEN))])


def report_expiries(store: Store, limit: dt.datetime, day: dt.date, found: Found) -> None:
    """Tell how many records of each log are dated later than a time.

    Args:
        store: The store.
        limit: What is dated later is not believed.
        day: The day that it is told for.
        found: Is added to.
    """
    for source, count, latest in records_ahead(store, limit):
        text = f"{count} records of the {source.replace('_', ' ')} are dated in the future, up to "
        text += f"{latest:%Y-%m-%d %H:%M}; they are not believed before their time"
        mark = (source, latest.isoformat(), str(count))
        found.changes.append(note_change("record_ahead", mark, text, "medium", day))


def report_failures(store: Store, failed: Mapping[str, str] | None, day: dt.date, found: Found) -> pl.DataFrame:
    """Tell which sources a collection cannot read any more and which it can again; return what is known, as `SEEN`.

    Args:
        store: The store.
        failed: The sources that were not read wholly, and why; None where nothing was collected, which tells nothing.
        day: The day that it is told for.
        found: Is added to.
    """
    known = read_seen(store, (FAILED,))
    if failed is None:
        return known
    before = set(known["name"])
    for source in sorted(failed.keys() - before):
        text = f"the source {source} could not be read: {failed[source]}"
        found.changes.append(note_change(FAILED, (source, day.isoformat()), text, "medium", day))
    for source in sorted(before - failed.keys()):
        text = f"the source {source} is read again"
        found.changes.append(note_change(f"{FAILED}_gone", (source, day.isoformat()), text, "low", day))
    rows = [(FAILED, source, "", day) for source in sorted(failed)]
    return pl.DataFrame(rows, schema=pl.Schema(SEEN), orient="row")
