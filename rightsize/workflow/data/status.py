"""Report what a store holds and lacks, and what each missing thing blocks; prune it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of, read_tree
from rightsize.analyze.lacks import Lack
from rightsize.analyze.listings import Listings
from rightsize.analyze.verdicts.coverage import covered_sign_in_kinds, open_groups
from rightsize.analyze.window import (
    LONGEST_GAP,
    NEWEST_DAYS,
    Window,
    administrative,
    choose_window,
    days_of_scopes,
    is_shown,
    judge_days,
)
from rightsize.model.access_answers import DENY_ASSIGNMENTS, ELIGIBILITY, ROLE_ASSIGNMENTS
from rightsize.model.errors import EvidenceError
from rightsize.model.progress import counted
from rightsize.store.connection import Store, open_if_there, open_store
from rightsize.store.ddl import RESOLVED
from rightsize.store.pruning import Pruning, compact, plan_pruning, prune
from rightsize.store.queries import filled_text
from rightsize.store.stored_analysis import is_current, stored_window
from rightsize.workflow.data.next_command import command_for

TABLES: Mapping[str, str] = {
    "coverage": "*",
    "group_closure": "*",
    "group_members": "*",
    "listings": "*",
    "principals": "principal_id, principal_type, listed",
    "role_assignments": "principal_id, principal_type, role_definition_id, created_on",
    "role_definitions": "role_definition_id",
    "scopes": "*",
}
"""The tables that a status is read from, with the columns that it needs."""
_PEOPLE, _WORKLOADS = ("interactive", "non_interactive"), ("managed_identity", "service_principal")
# A subscription is complete where any reader has a complete listing of the kind.
_COMPLETE = """
    SELECT DISTINCT scope, kind = 'providers' AS is_providers FROM inventories WHERE complete"""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a store lacks.

    Attributes:
        blocks: What cannot be said or done without it.
    """

    what: str
    blocks: str


def _missing(store: Store, inputs: Inputs, lacks: Iterable[Lack], window: Window | None) -> list[Missing]:
    """Return what the store lacks, in the order in which it stops an analysis."""
    complete = store.frame(_COMPLETE)
    return [
        *_of_grants(inputs, store.has_rows("operations")),
        *_of_access(lacks),
        *_of_logs(inputs, window),
        *_of_sign_ins(inputs, window),
        *_of_inventories(inputs, complete),
    ]


def _of_grants(inputs: Inputs, has_catalogue: bool) -> Iterator[Missing]:
    assignments = inputs.role_assignments
    if assignments.is_empty():
        yield Missing("role assignments", "there is no access to judge")
    if not has_catalogue:
        yield Missing("catalogue of operations", "unused operations cannot be named, and `propose` stops")
    held = folded(assignments["role_definition_id"].drop_nulls()).unique()
    known = folded(inputs.role_definitions["role_definition_id"].drop_nulls())
    unknown = held.filter(~held.is_in(known.implode())).len()
    if unknown:
        yield Missing(
            f"definitions of {counted(unknown, 'assigned role')}",
            "what these roles grant is not known, so their assignments stay",
        )
    holders = folded(assignments["principal_id"].drop_nulls()).unique()
    listed = folded(inputs.principals.filter(pl.col("listed").fill_null(False))["principal_id"])
    unlisted = holders.filter(~holders.is_in(listed.implode())).len()
    if unlisted:
        yield Missing(
            f"listings of {counted(unlisted, 'holder')}", "whether they still exist is not known, and names are missing"
        )
    groups = folded(assignments.filter(pl.col("principal_type") == "Group")["principal_id"].drop_nulls()).unique()
    closed = groups.filter(groups.is_in(open_groups(inputs).implode())).len()
    if closed:
        yield Missing(
            f"members of {counted(closed, 'group')} with assignments", "who these groups reach, and who used them"
        )


def _of_access(lacks: Iterable[Lack]) -> Iterator[Missing]:
    """Yield what is not listed completely; roles and group members are counted among the grants."""
    found = Counter(lack.listing for lack in lacks)
    for kind in (ROLE_ASSIGNMENTS, ELIGIBILITY, DENY_ASSIGNMENTS):
        if found[kind.name]:
            yield Missing(f"{kind.words} of {counted(found[kind.name], 'scope')}", kind.costs)


def _of_logs(inputs: Inputs, window: Window | None) -> Iterator[Missing]:
    rows = administrative(inputs.coverage)
    if rows.is_empty() or window is None:
        yield Missing("Activity Log", "it covers no day, so no operation can be shown as unused")
        return
    tree = read_tree(inputs.scopes, place_of(rows["scope"].unique()))
    places = tree.subscriptions.select("place").with_columns(since=pl.lit(window.first_day))
    days = days_of_scopes(rows, tree).unique().filter(window.holds("day"))
    judged = judge_days(days, window, places)
    dark = judged.filter(~is_shown(pl.col("state")))
    if not dark.is_empty():
        yield Missing(
            f"days of the Activity Log of {dark.height:,} of {counted(judged.height, 'subscription')}: "
            f"{window.days_asked} days of the window, the newest {NEWEST_DAYS} and no gap over {LONGEST_GAP} needed",
            "what was not used there cannot be shown, so assignments stay",
        )
    if window.preview is not None:
        yield Missing(
            f"a whole window: the logs fit one of {window.days} days",
            "a plan is a preview, and `rollout` refuses it without `--accept-short-window`",
        )


def _of_sign_ins(inputs: Inputs, window: Window | None) -> Iterator[Missing]:
    covered = covered_sign_in_kinds(inputs, window) if window is not None else []
    for who, kinds in (("people", _PEOPLE), ("workloads", _WORKLOADS)):
        lacking = [kind.replace("_", " ") for kind in kinds if kind not in covered]
        if lacking:
            yield Missing(
                f"sign-in logs of {who} for the whole window ({', '.join(lacking)})",
                "reads of Azure Resource Manager cannot be excluded, so a reading role stays",
            )


def _of_inventories(inputs: Inputs, complete: pl.DataFrame) -> Iterator[Missing]:
    scopes = inputs.scopes.filter(pl.col("kind") == "subscription")
    places = folded(scopes["scope"]).unique()
    for is_providers, what, blocks in (
        (False, "complete listing of resources", "operations on types that do not exist there cannot be excluded"),
        (True, "listing of resource providers", "operations of unregistered providers cannot be excluded"),
    ):
        done = folded(complete.filter(pl.col("is_providers") == is_providers)["scope"])
        lacking = places.filter(~places.is_in(done.implode())).len()
        if lacking:
            yield Missing(f"{what} of {lacking:,} of {counted(places.len(), 'subscription')}", blocks)


def listings_of(store: Store) -> Listings:
    """Return the listings that answers about access rest on."""
    return Listings(store.table("listings"), {})


def lacks_of(db: Path) -> list[Lack]:
    """Return the listings that make a `no` somewhere in the tenant unknown; none where there is no store."""
    with open_if_there(db) as store:
        return [] if store is None else listings_of(store).every()


_SOURCES = """
    SELECT source, count(*) AS files, sum(read)::BIGINT AS read, sum(rejected)::BIGINT AS rejected,
        sum(unused_record)::BIGINT AS unused_record
    FROM loads GROUP BY source ORDER BY source"""
_COVERAGE = """
    SELECT source, category, scope, min(day) AS first_day, max(day) AS last_day, sum(events)::BIGINT AS events,
        count(*) FILTER (state = 'observed') AS observed,
        count(*) FILTER (state = 'declared_empty') AS declared_empty,
        count(*) FILTER (state = 'quiet') AS quiet,
        count(*) FILTER (state = 'missing') AS missing
    FROM coverage GROUP BY source, category, scope ORDER BY source, category, scope"""
# The newest reading of each kind and reader counts; a subscription without an inventory is shown, too.
_INVENTORIES = """
    SELECT scope, kind, reader_id, read_on, complete, problem
    FROM inventories
    QUALIFY row_number() OVER (PARTITION BY scope, kind, reader_id ORDER BY read_on DESC) = 1
    UNION ALL
    SELECT lower(s.scope), NULL, NULL, NULL, false, 'nobody says who listed its resources'
    FROM scopes AS s WHERE s.kind = 'subscription' AND lower(s.scope) NOT IN (SELECT scope FROM inventories)
    ORDER BY scope, kind, reader_id"""
_REJECTS = """
    SELECT source, reason, count(*) AS records FROM rejects
    GROUP BY source, reason ORDER BY records DESC, source, reason"""
_REQUESTS = """
    SELECT source, access, sum(events)::BIGINT AS requests, count(DISTINCT resource) AS resources
    FROM request_access GROUP BY source, access ORDER BY source, requests DESC, access"""
_UNMAPPED = """
    SELECT source, count(*) AS operations, sum(events)::BIGINT AS requests
    FROM unmapped_operations GROUP BY source ORDER BY source"""
_UNKNOWN = "SELECT count(*) AS operations, coalesce(sum(events), 0)::BIGINT AS events FROM unknown_operations"


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The contents of a store.

    Attributes:
        sources: `{source, files, read, rejected, unused_record}`; the last null where no file was counted so.
        contents: `{what, kind, rows}`; a table without rows has one row with null for its kind.
        window: The days that an analysis would use, or None where no log is loaded.
        analysis: `{first_day, last_day, is_current}` of the stored analysis: its window, and whether it is of the
            present content, rules and version; None where none is stored.
        coverage: `{source, category, scope, first_day, last_day, events, observed, declared_empty, quiet, missing}`,
            the last four in days.
        rejects: `{source, reason, records}`.
        unknown_operations: `{operations, events}`.
        requests: `{source, access, requests, resources}`: requests of data planes by what let them through.
        unmapped: `{source, operations, requests}`: requests whose operation no rule maps to a permission.
        inventories: `{scope, kind, reader_id, read_on, complete, problem}`: what each reader last listed of each
            subscription, and why that is not complete; a subscription without a listing has one row without a kind.
        listings: `{listing, of, why, command}`: each listing of access that is not complete, the dearest first, and
            the command that gets it.
        missing: What the store lacks, and what that blocks.
    """

    sources: list[dict[str, Any]]
    contents: list[dict[str, Any]]
    window: Window | None
    analysis: dict[str, str | bool] | None
    coverage: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    unknown_operations: dict[str, int]
    requests: list[dict[str, Any]]
    unmapped: list[dict[str, Any]]
    inventories: list[dict[str, Any]]
    listings: list[Lack]
    missing: list[Missing]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever loaded."""
        return not self.sources and all(row["rows"] == 0 for row in self.contents)

    @property
    def has_catalogue(self) -> bool:
        """Whether a catalogue of operations is loaded."""
        return any(row["what"] == "operations" and row["rows"] for row in self.contents)

    def document(self) -> dict[str, Any]:
        """Return the JSON answer of `status`."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        return said | {
            "window": None if self.window is None else self.window.as_json(),
            "listings": [one.row() for one in self.listings],
            "missing": [asdict(one) for one in self.missing],
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the status as one long table: `{section, subject, measure, value}`."""
        for section, content in self.document().items():
            for entry in content if isinstance(content, list) else [content or {}]:
                subject = " ".join(str(value) for value in entry.values() if isinstance(value, str))
                for measure, value in entry.items():
                    if value is not None and not isinstance(value, str):
                        yield {"section": section, "subject": subject, "measure": measure, "value": value}


def read_status(db: Path) -> StoreStatus:
    """Return the contents of the store at `db`; raise InputError where there is none."""
    return read_status_and_next(db, None)[0]


def read_status_and_next(db: Path, plan: Path | None) -> tuple[StoreStatus, str | None]:
    """Return the same with the command that comes next.

    Args:
        db: The store.
        plan: The usual folder of a plan, as `next_command.command_for` takes it; None where nobody is told the command.
    """
    with open_store(db, read_only=True) as store:
        step = None if plan is None else command_for(store, plan, is_changed=False)
        return _status_of(store), step


def _status_of(store: Store) -> StoreStatus:
    inputs = _read_inputs(store)
    window, lacks = _window(inputs), Listings(inputs.listings, {}).incomplete()
    return StoreStatus(
        sources=store.rows(_SOURCES),
        contents=store.rows(filled_text("answers/contents", resolved=RESOLVED)),
        window=window,
        analysis=_analysis(store),
        coverage=store.rows(_COVERAGE),
        rejects=store.rows(_REJECTS),
        unknown_operations=store.rows(_UNKNOWN)[0],
        requests=store.rows(_REQUESTS),
        unmapped=store.rows(_UNMAPPED),
        inventories=store.rows(_INVENTORIES),
        listings=lacks,
        missing=_missing(store, inputs, lacks, window),
    )


def read_coverage(db: Path) -> pl.DataFrame:
    """Return one row a log and scope, with the columns of `StoreStatus.coverage`; raise InputError without a store."""
    with open_store(db, read_only=True) as store:
        return store.frame(_COVERAGE)


def _analysis(store: Store) -> dict[str, str | bool] | None:
    days, current = stored_window(store), is_current(store)
    if days is None or current is None:
        return None
    return {
        "first_day": days.first_day.isoformat(),
        "last_day": days.last_day.isoformat(),
        "is_current": current,
    }


def _read_inputs(store: Store) -> Inputs:
    """Return the tables that a status is read from; of use and sign-ins they have the newest day alone."""
    usage = store.frame("SELECT max(day) AS day FROM base.usage_days")
    sign_ins = store.frame(
        "SELECT max(day) AS day FROM "
        "(SELECT day FROM base.sign_in_days UNION ALL SELECT day FROM base.reduced_sign_ins)"
    )
    tables = {name: store.frame(f"SELECT {columns} FROM {name}") for name, columns in TABLES.items()}
    return Inputs.of(**tables, usage_days=usage, sign_ins=sign_ins)


def _window(inputs: Inputs) -> Window | None:
    """Return the window that an analysis would choose, or None where no log is loaded."""
    newest = (inputs.usage_days["day"], inputs.sign_ins["day"])
    is_empty = inputs.coverage.is_empty() and all(day.null_count() for day in newest)
    return None if is_empty else choose_window(inputs)


def prune_store(db: Path | str, keep_days: int, *, done: bool) -> Pruning:
    """Return what a pruning to the last `keep_days` days deletes, and prune the store where `done` is set.

    Raises:
        EvidenceError: No log was loaded.
        InputError: There is no store, another process has it open, or the disk has no room to write it anew.
    """
    with open_store(db, read_only=not done, existing=True) as store:
        pruning = plan_pruning(store, keep_days)
        if pruning is None:
            raise EvidenceError(f"`{db}` has no day of any log", hint="`rightsize load PATH…` loads exports")
        if not done:
            return pruning
        prune(store, pruning)
    compact(Path(db))
    return replace(pruning, bytes_after=Path(db).stat().st_size)
