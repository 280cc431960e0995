"""Credit API permissions with what the unified audit log of Microsoft 365 shows of their applications.

An operation is credited to a permission only where the application holds one permission alone that may have allowed it.
Where it holds several, each of them stays, and none is credited. The log shows no permission as unused: reads need a
licence, are throttled and aggregated, mailboxes may be left out, and reads by cmdlets are not logged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.graph.cases import CaseKey, GraphCase, GraphNeed, SeenRequests
from rightsize.analyze.graph.tables import GRAPH_APP_ID, GraphTables, service_principals
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason
from rightsize.analyze.text import folded
from rightsize.analyze.window import Window
from rightsize.rbac.text import fold
from rightsize.rules.m365 import audited_needs

LOG = "m365_audit_log"


@dataclass(frozen=True, slots=True)
class AuditedUse:
    """The operations of an application that one of its permissions may have allowed.

    Attributes:
        key: Client, access, and the user of a grant of one user, else empty.
        api_app_id: The API of the permission.
        permission: As it is held.
        alone: Whether the application holds no other permission that may have allowed them.
        seen: The operations; one that only records in quarantine show has no events.
    """

    key: CaseKey
    api_app_id: str
    permission: str
    alone: bool
    seen: tuple[SeenRequests, ...]


def is_loaded(tables: GraphTables) -> bool:
    """Return whether any day of the unified audit log is loaded."""
    return not tables.coverage.filter(pl.col("source") == LOG).is_empty()


def audited_use(tables: GraphTables, held: pl.DataFrame, window: Window) -> tuple[AuditedUse, ...]:
    """Return what the log shows of held permissions, sorted; held is as `held_permissions` returns it."""
    owned: dict[tuple[str, str], set[tuple[str, str, str]]] = defaultdict(set)
    for client, access, user, api, permission in held.select(
        "client_id", "access", "user_id", "api_app_id", "permission"
    ).iter_rows():
        owned[client, access].add((user or "", api or "", permission))
    found: dict[tuple[CaseKey, str, str, bool], list[SeenRequests]] = defaultdict(list)
    for client, access, user, *what in _operations(tables, window).iter_rows():
        seen = SeenRequests(*what)
        wanted = {(need.api_app_id, fold(one)) for need in audited_needs(seen.operation) for one in need.permissions}
        may = sorted(
            one
            for one in owned.get((client, access), ())
            if one[0] in ("", user or "") and (one[1], fold(one[2])) in wanted
        )
        alone = len({one[1:] for one in may}) == 1
        for owner, api, permission in may:
            found[(client, access, owner), api, permission, alone].append(seen)
    return tuple(
        AuditedUse(key, api, permission, alone, tuple(sorted(seen, key=lambda one: one.operation)))
        for (key, api, permission, alone), seen in sorted(found.items())
    )


def _operations(tables: GraphTables, window: Window) -> pl.DataFrame:
    """Return `client_id, access, user_id` and the columns of SeenRequests, of the window and before it."""
    frames = [_summed(tables, window).with_columns(earlier=pl.lit(False))]
    if window.earlier is not None:
        frames.append(_summed(tables, window.earlier).with_columns(earlier=pl.lit(True)))
    one = ["client_id", "access", "user_id", "operation"]
    both = pl.concat(frames).filter(~pl.col("earlier") | pl.col("earlier").all().over(one))
    return both.select(*one, "events", "days", "first_seen", "last_seen", "earlier").sort(*one, nulls_last=True)


def _summed(tables: GraphTables, window: Window) -> pl.DataFrame:
    clients = service_principals(tables).filter(pl.col("app_id").is_not_null()).select("app_id", "client_id")
    used = pl.col("succeeded") - pl.min_horizontal(pl.col("succeeded"), pl.col("suspect").fill_null(0))
    return (
        tables.m365_usage_days.filter(window.holds("day"))
        .with_columns(use=used, app_id=folded(pl.col("app_id")), user_id=folded(pl.col("principal_id")))
        .filter(pl.col("succeeded") > 0)
        .join(clients.unique("app_id", keep="first", maintain_order=True), on="app_id", how="inner")
        .group_by("client_id", "access", "user_id", "operation")
        .agg(
            events=pl.col("use").sum(),
            days=pl.col("day").filter(pl.col("use") > 0).n_unique().cast(pl.Int64),
            first_seen=pl.col("first_seen").filter(pl.col("use") > 0).min(),
            last_seen=pl.col("last_seen").filter(pl.col("use") > 0).max(),
        )
    )


def add_audited(cases: Mapping[CaseKey, GraphCase], audited: tuple[AuditedUse, ...]) -> None:
    """Add to the cases of Graph what the unified audit log shows of their permissions.

    Nothing is added for an operation where Graph's own log shows a request that one of the permissions allowed: it is
    the same call.
    """
    explained = _explained(cases, audited)
    for one in audited:
        case = cases.get(one.key)
        if case is None or one.api_app_id != GRAPH_APP_ID:
            continue
        for seen in one.seen:
            if (one.key[:2], seen.operation) in explained:
                continue
            if not seen.events:
                case.kept.setdefault(one.permission, (OutOfCoverage.QUARANTINED.value, (seen.operation,)))
                continue
            if not one.alone:
                case.kept.setdefault(one.permission, (UnobservableReason.CANNOT_TELL.value, (seen.operation,)))
                continue
            case.requests.setdefault(seen.operation, seen)
            need = GraphNeed("audited", "", seen.operation, frozenset({one.permission}), frozenset(), (seen.operation,))
            case.needs = (*case.needs, need)


def _explained(
    cases: Mapping[CaseKey, GraphCase], audited: tuple[AuditedUse, ...]
) -> frozenset[tuple[tuple[str, ...], str]]:
    """Return the client, access and operation of what Graph's own log shows too."""

    def found() -> Iterator[tuple[tuple[str, ...], str]]:
        for one in audited:
            case = cases.get(one.key)
            if case is not None and any(one.permission in need.held for need in case.needs):
                yield from ((one.key[:2], seen.operation) for seen in one.seen)

    return frozenset(found())
