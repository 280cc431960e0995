"""Find the changes that a pass reports: log events, grants, behaviour, sources, and roles that differ from a plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.agents import AGENT_TABLES, agent_identities
from rightsize.analyze.behaviour.judge import severities
from rightsize.analyze.graph_tables import GraphTables
from rightsize.analyze.inputs import Inputs, folded
from rightsize.change.bundle import PLAN
from rightsize.guard.watch.changes import (
    Names,
    Origin,
    behaviour_changes,
    event_changes,
    gone_changes,
    note_change,
    reported_events,
    reported_marks,
    standing_changes,
)
from rightsize.guard.watch.grant_deduplication import marks_of_events, marks_of_listed, read_named, said_before
from rightsize.guard.watch.state import CONCLUDED, LISTED, STANDING, privileged_roles
from rightsize.model.file_reading import folder_in, stands_in
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import Folded, fold
from rightsize.propose.core.fingerprint import hash_of_blocks
from rightsize.propose.core.role_catalog import blocks_by_role
from rightsize.rbac.algebra import contains
from rightsize.rules.attacks import watched_operations
from rightsize.rules.tables import rows_of
from rightsize.store.connection import Store
from rightsize.store.merging.listings import gone_grants
from rightsize.store.watching import SEEN, horizon, records_ahead, watched_events, watched_keys
from rightsize.workflow.analysis.behaviour import behaviour_of_days
from rightsize.workflow.analysis.behaviour_inputs import Reader, read_news
from rightsize.workflow.names import read_names
from rightsize.workflow.plan_folder import open_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers

FAILED = "source_failed"
"""The kind of change about a source that a collection could not read, until it can."""

NEWS = "news"
"""The kind of known items that say what news of the newest day a pass has judged."""

_STATE = ((*LISTED, *CONCLUDED), (NEWS,), (FAILED,))
"""The kinds of items that each pass replaces: the state, the news of the newest day, and failed sources."""
_JUDGED = "all"
"""The name of the item that says that the newest day was judged with all that it had."""
_FEW = 7
"""The most days of which the news are read first; of more, somebody always has some."""
_KEY = ["kind", "name"]
_ECHO = "microsoft.authorization/roleassignments/write"
# A log that ends this long before a listing cannot show who removed a grant that the listing lacks.
_LOG_WAITS = dt.timedelta(days=2)


@dataclass(slots=True)
class Found:
    """The results of a pass so far.

    Attributes:
        before: All that earlier passes knew, as `store.watching.SEEN`.
        seen: The known state, as `SEEN`.
        news: The news of the newest day, as `SEEN`.
        failing: The sources that cannot be read, as `SEEN`.
        reported: Further reports of this pass, as `SEEN`.
        changes: The changes, as the table `watch_changes`, without numbers.
    """

    before: pl.DataFrame
    seen: pl.DataFrame = field(init=False)
    news: pl.DataFrame = field(init=False)
    failing: pl.DataFrame = field(init=False)
    reported: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SEEN))
    changes: list[pl.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with what earlier passes knew."""
        self.seen, self.news, self.failing = (self._earlier(kinds) for kinds in _STATE)

    def _earlier(self, kinds: Collection[str]) -> pl.DataFrame:
        return self.before.filter(pl.col("kind").is_in(list(kinds)))

    def known(self, kind: str) -> pl.DataFrame:
        """Return the reports of a kind, from earlier passes and from this one."""
        return pl.concat([self._earlier((kind,)), self.reported.filter(pl.col("kind") == kind)])

    def replaced(self) -> tuple[tuple[str, ...], pl.DataFrame]:
        """Return the kinds of state that this pass changed, with their items."""
        now = zip(_STATE, (self.seen, self.news, self.failing), strict=True)
        changed = [(kinds, items) for kinds, items in now if not _are_same(items, self._earlier(kinds))]
        rows = pl.concat([pl.DataFrame(schema=SEEN), *(items for _, items in changed)])
        return tuple(kind for kinds, _ in changed for kind in kinds), rows


def _are_same(ones: pl.DataFrame, others: pl.DataFrame) -> bool:
    return ones.height == others.height and (
        ones.equals(others) or ones.sort(ones.columns).equals(others.sort(ones.columns))
    )


@dataclass(frozen=True)
class ReportContext:
    """The inputs of reports; the first pass reports nothing. What only reports need is read when there are some."""

    store: Store
    origin: Origin
    is_first: bool

    @cached_property
    def reader(self) -> Reader:
        """A reader of the store that reads each table once in a pass."""
        return Reader(self.store)

    @cached_property
    def strong(self) -> Collection[str]:
        """The folded ids of the roles that can assign roles."""
        return set(privileged_roles(self.reader.table_of("role_operations")))

    @cached_property
    def names(self) -> Names:
        """Display names."""
        return _names(self.reader)


def _names(reader: Reader) -> Names:
    store = reader.store
    # The views of assignments and scopes compute more than names, and take longer to plan than to read.
    inputs = Inputs.of(
        principals=reader.table_of("principals"),
        role_assignments=store.frame(
            "SELECT DISTINCT principal_id, principal_name, principal_type FROM base.role_assignments"
        ),
        scopes=store.frame(
            "SELECT n.spelling AS scope, s.kind, s.display_name FROM base.scopes AS s JOIN base.scope_names AS n "
            "USING (folded) WHERE s.kind IN ('subscription', 'management_group')"
        ),
    )
    principals, places = read_names(store, inputs)
    roles = store.frame("""
        SELECT role_definition_id AS id, role_name AS name FROM main.role_definitions
        UNION ALL SELECT directory_role_id, role_name FROM main.directory_roles
        UNION ALL SELECT permission_id, permission FROM main.api_permissions WHERE access = 'application'""")
    named = roles.drop_nulls().select(folded(pl.col("id")), "name").sort("id", "name").unique("id", keep="first")
    return Names(principals, dict(named.iter_rows()), places, cache(lambda: _agents_of_blueprints(reader.table_of)))


def _agents_of_blueprints(table_of: Callable[[str], pl.DataFrame]) -> dict[str, int]:
    tables = GraphTables.of(**{name: table_of(name) for name in AGENT_TABLES})
    agents = agent_identities(tables).filter(~pl.col("deleted")).drop_nulls("holder_id")
    return dict(agents.group_by("holder_id").agg(pl.len()).sort("holder_id").iter_rows())


def report_events(context: ReportContext, days: Sequence[dt.date], outcome: str, found: Found) -> None:
    """Add the changes of events that neither a pass nor a listing has reported; the first pass marks all as reported.

    Args:
        context: The inputs of reports.
        days: Days of the logs.
        outcome: Outcome of the events: `succeeded`, or `started` for events whose end no log shows.
        found: Gets the changes.
    """
    store, known = context.store, found.known("event")
    # Most passes load none that is new.
    keys = watched_keys(store, days, watched_operations())
    if keys.join(known, left_on="event_key", right_on="name", how="anti").is_empty():
        return
    events = watched_events(store, days, watched_operations()).filter(pl.col("outcome") == outcome)
    fresh = events.join(known, left_on="event_key", right_on="name", how="anti").sort("time", "event_key")
    if fresh.is_empty():
        return
    if not context.is_first:
        said = _said_already(fresh, found)
        unreported = fresh.join(said, on="event_key", how="anti")
        found.changes.append(event_changes(unreported, context.strong, context.origin, context.names))
    earlier = pl.concat([found.known(kind) for kind in ("granted", "revoked", "asked")])
    found.reported = pl.concat([found.reported, reported_events(fresh).join(earlier, on=_KEY, how="anti")])


def _said_already(fresh: pl.DataFrame, found: Found) -> pl.DataFrame:
    """Return the `event_key` of events that a listing has reported, or that PIM wrote for a reported request."""
    marks = marks_of_events(fresh)
    by_listing = said_before(read_named(found.known("listed")["name"]), marks, ["event_key"])
    writers = [row["app_id"] for row in rows_of("log_activation_writers")]
    echoes = fresh.filter((pl.col("operation") == _ECHO) & pl.col("app_id").str.to_lowercase().is_in(writers))
    requests = pl.concat([read_named(found.known("asked")["name"]), marks.drop("event_key")])
    made = marks.join(echoes, on="event_key", how="semi").with_columns(asks=pl.lit("pim_assignment"))
    return pl.concat([by_listing, said_before(made, requests, ["event_key"])]).unique()


def report_state(context: ReportContext, now: pl.DataFrame, as_of: dt.date, newest: dt.date, found: Found) -> None:
    """Add the changes between the known state and the present one; a grant that a log reported is not reported again.

    Args:
        context: The inputs of reports.
        now: The state at the end of the day before `as_of`, as `STANDING` of `guard.watch.state`.
        as_of: The day after the state.
        newest: The newest day of the logs.
        found: Gets the changes, and the state as the known one.
    """
    # Known grants that listings lack now; for some of them the log may still show who removed them.
    gone = gone_grants(context.store).join(found.seen, on=_KEY, how="semi")
    if not context.is_first:
        # Compared with its value, since the permissions of a delegated grant may grow.
        listed = now.filter(pl.col("kind").is_in(LISTED)).join(found.seen, on=[*_KEY, "value"], how="anti")
        said = _said_by_logs(listed, as_of, found)
        found.changes.append(standing_changes(now, found.seen, said, as_of, context.origin, context.names))
        _mark_listed(listed, said, as_of, found)
        _report_gone(context, gone.join(now, on=_KEY, how="anti").filter(_log_is_over(as_of, newest)), as_of, found)
    waiting = gone.filter(~_log_is_over(as_of, newest))
    held = found.seen.join(waiting, on=_KEY, how="semi")
    found.seen = pl.concat([now.select(*_KEY, "value", day=pl.lit(as_of)), held.join(now, on=_KEY, how="anti")])


def _said_by_logs(listed: pl.DataFrame, as_of: dt.date, found: Found) -> pl.DataFrame:
    """Return `kind, name` of grants that listings show for the first time and that a log has reported."""
    granted = found.known("granted")["name"]
    by_id = listed.filter(
        (pl.col("kind") == LISTED[0]) & pl.col("name").str.split("|").list.first().is_in(granted.implode())
    )
    asked = read_named(found.known("asked")["name"])
    marks = marks_of_listed(listed, as_of)
    of_pim = said_before(marks.filter(pl.col("asks") == "pim_assignment"), asked, _KEY, by_place=False)
    others = said_before(marks.filter(pl.col("asks") != "pim_assignment"), asked, _KEY)
    return pl.concat([by_id.select(_KEY), of_pim, others]).unique()


def _mark_listed(listed: pl.DataFrame, said: pl.DataFrame, as_of: dt.date, found: Found) -> None:
    """Mark the grants that a listing reported, so that a log that is loaded later does not report them again."""
    marks = marks_of_listed(listed.join(said, on=_KEY, how="anti"), as_of).filter(pl.col("asks") != "pim_assignment")
    reported = reported_marks("listed", marks, as_of).join(found.reported, on=_KEY, how="anti")
    found.reported = pl.concat([found.reported, reported.unique(_KEY, keep="first", maintain_order=True)])


def _log_is_over(as_of: dt.date, newest: dt.date) -> pl.Expr:
    missing = pl.col("missing_on").dt.date()
    return (missing < as_of) | (missing - newest > _LOG_WAITS)


def _report_gone(context: ReportContext, gone: pl.DataFrame, as_of: dt.date, found: Found) -> None:
    revoked = found.known("revoked")["name"]
    gone = gone.filter(~pl.col("grant_id").is_in(revoked.implode()))
    found.changes.append(gone_changes(gone, as_of, context.names))


def report_behaviour(
    context: ReportContext, days: Collection[dt.date], newest: dt.date, found: Found, *, is_next: bool = False
) -> None:
    """Add the changes about unusual behaviour, once for each principal and day, and once more if it became severer.

    The newest day is judged by what has come until now. What a day shows only grows with its calls, so its end confirms
    what was reported, or makes it severer. The hours of a day are judged one by one: a pass over a whole day reports
    what passes after each hour report.

    Args:
        context: The inputs of reports.
        days: The days that are now complete, the newest day, and earlier days with late records.
        newest: The newest day of the logs, which is not complete.
        found: Gets the changes, and the news of the newest day.
        is_next: Whether only records of the newest day came since the last pass. It is then judged only if it has any
            news that it had not: the verdict on a principal follows from its news, and from those before them.
    """
    asked = {day for day in days if horizon(newest) <= day <= newest}
    # A day before that was judged with all that it has needs no second look.
    before = found.news.filter(pl.col("name") == _JUDGED)["day"] if is_next else ()
    asked -= set(before) - {newest}
    news = read_news(context.reader, asked) if len(asked) <= _FEW else None
    fresh = found.news.clear()
    if news is not None:
        fresh = news.filter(pl.col("day") == newest)
        fresh = fresh.select(kind=pl.lit(NEWS), name="principal_id", value="digest", day="day")
        if is_next and fresh.join(found.news, on=fresh.columns, how="anti").is_empty():
            asked -= {newest}
    judged = pl.DataFrame([(NEWS, _JUDGED, "", newest)] * (newest in asked), schema=pl.Schema(SEEN), orient="row")
    found.news = pl.concat([fresh, judged])
    if not asked:
        return
    known = found.known("behaviour")
    name = pl.concat_str("principal_id", pl.col("day").cast(pl.String), separator="|")
    rows = behaviour_of_days(context.reader, asked, news, _told(known))
    rows = rows.with_columns(kind=pl.lit("behaviour"), name=name, value=severities())
    at_first = pl.when(pl.col("high_on") > pl.col("told_on")).then(pl.lit("medium")).otherwise("value")
    fresh = rows.join(known, on=_KEY, how="anti").with_columns(value=at_first)
    told = pl.concat([known.select(*_KEY, "value"), fresh.select(*_KEY, "value")])
    told = told.filter(pl.col("value") == "medium").select(*_KEY)
    severer = rows.filter(pl.col("value") == "high").join(told, on=_KEY, how="semi")
    severer = severer.with_columns(name=pl.col("name") + "|high").join(known, on=_KEY, how="anti")
    if not context.is_first:
        for some, is_update in ((fresh, False), (severer, True)):
            if some.height:
                found.changes.append(behaviour_changes(some, context.names, newest, is_update=is_update))
    else:
        # What stood before the first pass is known, however it goes on.
        fresh = fresh.with_columns(value=pl.lit(""))
    marks = pl.concat([fresh.select(list(SEEN)), severer.select(list(SEEN))])
    found.reported = pl.concat([found.reported, marks])


def _told(known: pl.DataFrame) -> pl.DataFrame:
    """Return `principal_id, day, value`: of which principal and day was told, as which severity or a higher one."""
    parts = pl.col("name").str.split("|")
    told = known.select(principal_id=parts.list.first(), day=parts.list.get(1).str.to_date(), value="value")
    # What stood before the first pass has no severity: it is not told as any.
    whole = told.filter(pl.col("value") != "medium")
    return pl.concat([told, *(whole.with_columns(value=pl.lit(value)) for value in ("medium", "high"))]).unique()


def report_expiries(store: Store, limit: dt.datetime, day: dt.date, found: Found) -> None:
    """Add the changes that say how many records of each log are dated later than a time.

    Args:
        store: The store.
        limit: Records dated later are ignored.
        day: The day of the changes.
        found: Gets the changes.
    """
    for source, count, latest in records_ahead(store, limit):
        text = f"{count} records of the {source.replace('_', ' ')} are dated in the future, up to "
        text += f"{latest:%Y-%m-%d %H:%M}; each is ignored until its time"
        mark = (source, latest.isoformat(), str(count))
        found.changes.append(note_change("record_ahead", mark, text, "medium", day))


def report_failures(failed: Mapping[str, str] | None, day: dt.date, found: Found) -> None:
    """Add the changes about sources that became unreadable or readable again.

    Args:
        failed: The sources that were not read completely, and why; None where nothing was collected.
        day: The day of the changes.
        found: Gets the changes, and the sources that cannot be read now.
    """
    if failed is None:
        return
    before = set(found.failing["name"])
    for source in sorted(failed.keys() - before):
        text = f"the source {source} could not be read: {failed[source]}"
        found.changes.append(note_change(FAILED, (source, day.isoformat()), text, "medium", day))
    for source in sorted(before - failed.keys()):
        text = f"the source {source} is read again"
        found.changes.append(note_change(f"{FAILED}_gone", (source, day.isoformat()), text, "low", day))
    rows = [(FAILED, source, "", day) for source in sorted(failed)]
    found.failing = pl.DataFrame(rows, schema=pl.Schema(SEEN), orient="row")


def read_applied(folders: Sequence[Path], signers: Signers = ANYBODY) -> dict[Folded, RoleDefinition]:
    """Return the roles of applied plans by folded id; where several plans have the same role, the last one counts.

    Args:
        folders: Plan folders, or folders of rollouts, which contain their plan.
        signers: Whose signature each plan must have.

    Raises:
        InputError: A folder has no plan, or its role files differ from the plan.
        GateError: A plan is not signed by a required signer.
    """
    roles: dict[Folded, RoleDefinition] = {}
    for given in folders:
        folder = folder_in(given, PLAN) if stands_in(given, f"{PLAN}/plan.json") else given
        roles |= open_plan_folder(folder, signers, with_pages=False).read.roles
    return roles


def drifted_roles(applied: dict[Folded, RoleDefinition], inputs: Inputs) -> pl.DataFrame:
    """Return the applied roles that listings show differently, as `STANDING`; unlisted roles are left out."""
    return pl.DataFrame(list(_drifts(applied, inputs)), schema=dict(STANDING))


def _drifts(applied: dict[Folded, RoleDefinition], inputs: Inputs) -> Iterator[dict[str, Any]]:
    table = inputs.role_definitions.filter(folded(pl.col("role_definition_id")).is_in(list(applied)))
    if table.is_empty():
        return
    strings = inputs.role_permissions.filter(folded(pl.col("role_definition_id")).is_in(list(applied)))
    blocks = blocks_by_role(strings)
    for spelt, name, scopes, updated in table.select(
        "role_definition_id", "role_name", "assignable_scopes", "updated_on"
    ).sort("role_definition_id").iter_rows():  # fmt: skip
        role = fold(spelt)
        ours, theirs = applied[role], tuple(blocks.get(role, ()))
        differences = _difference(ours.permissions, theirs)
        if {fold(scope) for scope in scopes or ()} != {fold(scope) for scope in ours.assignable_scopes}:
            differences.append("has other assignable scopes")
        if differences:
            yield dict.fromkeys(STANDING) | {
                "kind": "drift",
                "name": role,
                "value": hash_of_blocks(theirs) + " " + " ".join(sorted(fold(scope) for scope in scopes or ())),
                "severity": "high" if differences[0].startswith("grants") else "medium",
                "time": updated,
                "role": role,
                "what": f"({name}) differs from its applied version: it {' and '.join(differences)}",
            }


def _difference(ours: Sequence[PermissionBlock], theirs: Sequence[PermissionBlock]) -> list[str]:
    if hash_of_blocks(ours) == hash_of_blocks(theirs):
        return []
    differences = []
    for big, small, what in ((ours, theirs, "grants"), (theirs, ours, "no longer grants")):
        witness = contains(big, small)
        if witness is not None:
            differences.append(f"{what} {witness.operation}")
    return differences or ["has the same permissions in other words"]
