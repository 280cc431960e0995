"""Summarise each day's events and sign-ins into the tables of days, such as usage.

A load recomputes these tables only for the days that it touched, so its cost depends on those days and not on the
months in the store. The summary of a day stays when its rows are pruned.

Compute the coverage of each log by scope and day: observed, declared empty, quiet, or missing.

Rows prove only their own days. Up to two consecutive days without rows are quiet if nine of ten days of the span have
rows. Longer gaps are missing, and so are days before the first and after the last row. A user who knows that an export
is complete declares it; then a day without rows was a day without calls.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import duckdb

from rightsize.model.errors import UsageError
from rightsize.model.text import fold
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.tables import rows_of
from rightsize.store.merging.staging import DOWNLOADED, IN_WINDOW, REDUCED_CALLS, with_reduced
from rightsize.store.queries import filled_text, query_text
from rightsize.store.sql import RESOURCE, folded, nonempty, outcome, sealed_before

QUIET_DAYS = 2
QUIET_SHARE = 0.9

CATEGORIES = {log.source: log.covered for log in LOG_SOURCES if log.covered}
"""The categories of each log; a declaration for all categories covers these."""

TENANT_LOGS = tuple(log.source for log in LOG_SOURCES if log.sent_by == "tenant" and log.covered)
"""Logs of the whole tenant: their windows and days are stored at the root scope only."""


def _listed(sources: Iterable[str]) -> str:
    return ", ".join(f"'{source}'" for source in sources)


_TENANT_LOGS = _listed(TENANT_LOGS)
_RESOURCE_LOGS = _listed(log.source for log in LOG_SOURCES if log.sent_by == "resource")
_NO_EVIDENCE = _listed(log.source for log in LOG_SOURCES if not log.is_evidence)
_LOGS_BY_SERVICE = _listed(log.source for log in LOG_SOURCES if log.by_service)
# A storage account has its settings at each of its services, which the operation or the scope names.
_SERVICE = "nullif(regexp_extract(folded, '/storageaccounts/(?:[^/]+/)?([a-z]+services)/', 1), '')"


def declare_window(
    con: duckdb.DuckDBPyConnection, *, source: str, scope: str, first: dt.date, last: dt.date, declared_by: str
) -> None:
    """Store a declaration that a log is complete for a scope and all scopes below it, in whole UTC days.

    Raises:
        UsageError: The source cannot be declared, or the window ends before it starts.
    """
    if source not in CATEGORIES:
        raise UsageError(
            f"`{source}` is not a log that can be declared", hint=f"one of {', '.join(sorted(CATEGORIES))}"
        )
    if last < first:
        raise UsageError(f"the window `{first}..{last}` ends before it starts")
    values = [source, "*", scope.rstrip("/") or "/", first, last, declared_by]
    con.execute(
        "INSERT INTO base.declared_windows (source, category, scope, first_day, last_day, declared_by) "
        "SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?)) AS w EXCEPT SELECT * FROM base.declared_windows",
        values,
    )


def _filled(name: str, days: str = "") -> str:
    """Return a text of `queries/days`; `days` is a condition on the column `time`."""
    return filled_text(
        f"days/{name}",
        days=days,
        downloaded=DOWNLOADED,
        in_window=IN_WINDOW,
        logs_by_service=_LOGS_BY_SERVICE,
        no_evidence=_NO_EVIDENCE,
        quiet_days=str(QUIET_DAYS),
        quiet_share=str(QUIET_SHARE),
        reduced_calls=REDUCED_CALLS,
        resource=RESOURCE,
        resource_logs=_RESOURCE_LOGS,
        service=_SERVICE,
        tenant_logs=_TENANT_LOGS,
    )


def derive_coverage(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `coverage` from the days of `base.observed_days` and declarations."""
    con.execute("CREATE OR REPLACE TEMP TABLE declared_days (source VARCHAR, category VARCHAR, scope VARCHAR, "
                "day DATE, declared_by VARCHAR)")  # fmt: skip
    if con.execute("SELECT 1 FROM base.declared_windows LIMIT 1").fetchall():
        _declare_days(con)
    con.execute("DELETE FROM base.coverage")
    con.execute(f"INSERT INTO base.coverage BY NAME {_filled('coverage')}")


def _declare_days(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `declared_days` with each declaration by day, category, and known scope at or below it.

    For logs that resources send, a declaration covers only the categories that a resource is known to send: by rows in
    the log, or by its diagnostic settings. A category that is not sent is never complete.
    """
    _name_senders(con)
    con.execute(f"INSERT INTO declared_days BY NAME {_filled('declared_days')}")


def _name_senders(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `log_categories`, and `log_senders` (source, category, scope): the logs that each resource sends."""
    con.execute("CREATE OR REPLACE TEMP TABLE log_categories (source VARCHAR, category VARCHAR)")
    rows = [(source, category) for source, categories in CATEGORIES.items() for category in categories]
    con.executemany("INSERT INTO log_categories VALUES (?, ?)", rows)
    kinds = {(row["log"], fold(f"/providers/{row['resource_type']}/")) for row in rows_of("resource_logs")}
    con.execute("CREATE OR REPLACE TEMP TABLE log_kinds (source VARCHAR, kind VARCHAR)")
    con.executemany("INSERT INTO log_kinds VALUES (?, ?)", sorted(kinds))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE log_senders AS
        SELECT DISTINCT source, category, scope FROM base.observed_days WHERE source IN ({_RESOURCE_LOGS})
        UNION
        SELECT c.source, c.category, d.scope
        FROM base.diagnostic_settings AS d
        JOIN log_kinds AS k ON contains(d.scope, k.kind)
        JOIN log_categories AS c ON c.source = k.source AND (d.is_group OR {folded("c.category")} = d.category)
        WHERE d.enabled""")
    con.execute("DROP TABLE log_kinds")


_USAGE = f"""
    SELECT time, time::DATE AS day, actor_key AS principal_key, operation_key, scope_key, plane, assignment_key,
        {outcome("rank")} AS outcome, rank <> 2 AND event_key IN (SELECT event_key FROM base.quarantined_calls)
            AS suspect
    FROM base.events WHERE {{days}}"""

_TWINS = """
    SELECT event_key FROM base.events AS e SEMI JOIN (
        SELECT operation_key, scope_key, time::DATE AS day, actor_key, principal_id IS NULL AS is_name
        FROM base.events WHERE {days} AND source = 'activity_log'
    ) AS a ON a.operation_key = e.operation_key AND a.scope_key = e.scope_key AND a.day = e.time::DATE
        AND (a.actor_key = e.actor_key OR a.is_name <> (e.principal_id IS NULL))
    WHERE {days} AND e.source = 'cloud_audit_log' AND e.correlation_id IS NULL"""
"""Cloud audit events without a correlation id for which the Activity Log has a call on the same day: the same operation
and scope, and the same caller, or one has its id and the other its name."""

_OF_DAYS: Mapping[str, frozenset[str]] = {
    "alias_days": frozenset({"call", "reduced"}),
    "graph_days": frozenset({"graph", "reduced"}),
    "m365_days": frozenset({"m365"}),
    "access_days": frozenset({"access", "reduced"}),
    "policy_days": frozenset({"access", "reduced"}),
    "operation_days": frozenset({"call", "reduced"}),
    "sign_in_days": frozenset({"sign_in"}),
    "credential_days": frozenset({"sign_in"}),
    "observed_days": frozenset({"call", "reduced", "sign_in", "reduced_sign_in"}),
    "place_days": frozenset({"call", "sign_in"}),
}
"""The tables of days beside `usage_days`, each with the kinds of `_KINDS` that it is made of."""

_KINDS = {
    "call": "base.events WHERE {days}",
    "graph": "base.events WHERE {days} AND plane = 'graph'",
    "m365": "base.events WHERE {days} AND source = 'm365_audit_log'",
    "access": "base.events WHERE {days} AND access IS NOT NULL",
    "cloud_audit": "base.events WHERE source = 'cloud_audit_log'",
    "sign_in": "base.sign_in_rows WHERE {days}",
    "reduced": "base.reduced_usage WHERE day IN (SELECT day FROM touched_days)",
    "reduced_sign_in": "base.reduced_sign_ins WHERE day IN (SELECT day FROM touched_days)",
}
"""The kinds of rows of days: few loads have more than one or two."""

DAY_TABLES = ("usage_days", *_OF_DAYS)
"""The tables of schema `base` with one or more rows for each day."""


def recompute_days(con: duckdb.DuckDBPyConnection) -> None:
    """Recompute the tables of DAY_TABLES for the days in `touched_days`, from their events and sign-ins."""
    # A call of an open day may have started on a sealed day, whose rows are pruned.
    con.execute("DELETE FROM touched_days WHERE day < $before", {"before": sealed_before(con)})
    days = days_between(con)
    if days is None:
        return
    held = {name: f"base.{name} WHERE day IN (SELECT day FROM touched_days)" for name in DAY_TABLES}
    kinds = {kind: text.format(days=days) for kind, text in _KINDS.items()}
    found = nonempty(con, held | kinds)
    for name in DAY_TABLES:
        if name in found:
            con.execute(f"DELETE FROM base.{name} WHERE day IN (SELECT day FROM touched_days)")
    counted = days
    if "cloud_audit" in found:
        counted = f"{days} AND event_key NOT IN ({_TWINS.format(days=days)})"
    con.execute(f"CREATE OR REPLACE TEMP VIEW event_keys AS {_USAGE.format(days=counted)}")
    usage = f"SELECT * RENAME (principal_key AS actor_key) FROM ({query_text('reduce/reduce')})"
    con.execute(f"INSERT INTO base.usage_days BY NAME {with_reduced(usage) if 'reduced' in found else usage}")
    con.execute("DROP VIEW event_keys")
    for name, made_of in _OF_DAYS.items():
        if not found.isdisjoint(made_of):
            con.execute(f"INSERT INTO base.{name} BY NAME {_filled(name, days)}")


def fill_credentials(con: duckdb.DuckDBPyConnection) -> None:
    """Recompute `credential_days` for all open days, and take sealed days over without their credentials."""
    first = sealed_before(con) or dt.date(1970, 1, 1)
    con.execute("DELETE FROM base.credential_days")
    con.execute(
        """
        INSERT INTO base.credential_days BY NAME
        SELECT principal_id, principal_name, app_id, resource_id, kind, day, resource_name, succeeded, failed,
            CASE WHEN succeeded > 0 THEN day::TIMESTAMP END AS first_seen,
            CASE WHEN succeeded > 0 THEN last_seen END AS last_seen
        FROM base.sign_in_days WHERE day < $first AND kind IN ('service_principal', 'managed_identity')""",
        {"first": first},
    )
    days = f"time >= TIMESTAMP '{first}'"
    con.execute(f"INSERT INTO base.credential_days BY NAME {_filled('credential_days', days)}")


def fill_policy_days(con: duckdb.DuckDBPyConnection) -> None:
    """Compute `policy_days` for all open days; of sealed days the operations are not known."""
    con.execute("CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT day FROM base.access_days "
                "WHERE access = 'access_policy' AND day >= $first",
                {"first": sealed_before(con) or dt.date(1970, 1, 1)})  # fmt: skip
    days = days_between(con)
    if days is not None:
        con.execute(f"INSERT INTO base.policy_days BY NAME {_filled('policy_days', days)}")
    con.execute("DROP TABLE touched_days")


def days_between(con: duckdb.DuckDBPyConnection, table: str = "touched_days") -> str | None:
    """Return a condition on `time` that holds on the days of a temporary table, or None if it is empty.

    Its bounds are literals, so that a scan skips the stored rows of other days.
    """
    ((first, last, count),) = con.execute(f"SELECT min(day), max(day), count(*) FROM {table}").fetchall()
    if not count:
        return None
    after = last + dt.timedelta(days=1)
    bounds = f"time >= TIMESTAMP '{first}' AND time < TIMESTAMP '{after}'"
    if count == (after - first).days:
        return bounds
    return f"{bounds} AND time::DATE IN (SELECT day FROM {table})"
