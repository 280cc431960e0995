"""Compute the coverage of each log by scope and day: observed, declared empty, quiet, or missing.

Rows prove only their own days. Up to two consecutive days without rows are quiet if nine of ten days of the span have
rows. Longer gaps are missing, and so are days before the first and after the last row. A user who knows that an export
is complete declares it; then a day without rows was a day without calls.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import duckdb

from rightsize.model.errors import UsageError
from rightsize.rbac.text import fold
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.tables import rows_of
from rightsize.store.merge_reduced import REDUCED_CALLS
from rightsize.store.sql import RESOURCE, folded
from rightsize.store.staging import DOWNLOADED

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


def observed_days(days: str) -> str:
    """Return SQL for the rows of `base.observed_days`, from events, sign-ins and reduced rows.

    Args:
        days: A condition on the column `time`.
    """
    return f"""
        WITH counted AS (
            SELECT source, category, scope_key, operation_key, time::DATE AS day, 1 AS events, false AS is_reduced
            FROM base.events WHERE {days} AND category IS DISTINCT FROM '{DOWNLOADED}'
                AND source NOT IN ({_NO_EVIDENCE})
            UNION ALL
            SELECT log, category, scope_key, operation_key, day, {REDUCED_CALLS}, true
            FROM base.reduced_usage WHERE day IN (SELECT day FROM touched_days)
        ), places AS (
            SELECT scope_key, nullif(regexp_extract(folded, '{RESOURCE}', 1), '') AS resource, {_SERVICE} AS service,
                CASE
                    WHEN folded LIKE '/subscriptions/_%' THEN '/subscriptions/' || string_split(folded, '/')[3]
                    WHEN folded LIKE '/providers/microsoft.management/managementgroups/_%' THEN
                        '/providers/microsoft.management/managementgroups/' || string_split(folded, '/')[5]
                    ELSE '/' END AS place
            FROM base.scope_names WHERE scope_key IN (SELECT scope_key FROM counted)
        ), placed AS (
            SELECT e.source, coalesce(e.category, 'Administrative') AS category, CASE
                    WHEN e.source IN ({_LOGS_BY_SERVICE}) AND resource IS NOT NULL THEN
                        resource || coalesce('/' || coalesce(o.service, n.service) || '/default', '')
                    WHEN e.source IN ({_RESOURCE_LOGS}) THEN coalesce(resource, place)
                    ELSE place END AS scope,
                e.day, sum(e.events) AS events, e.is_reduced
            FROM counted AS e JOIN places AS n USING (scope_key)
            LEFT JOIN (SELECT operation_key, {_SERVICE} AS service FROM base.operation_names) AS o
                USING (operation_key)
            GROUP BY ALL
            UNION ALL
            SELECT 'sign_in_log', kind, '/', time::DATE, count(*), false FROM base.sign_in_rows WHERE {days}
            GROUP BY ALL
            UNION ALL
            SELECT 'sign_in_log', sign_in_kind, '/', day, sum(succeeded + failed), true
            FROM base.reduced_sign_ins WHERE day IN (SELECT day FROM touched_days) GROUP BY ALL
        )
        SELECT source, category, scope, day, max(events)::BIGINT AS events FROM placed GROUP BY ALL"""


def derive_coverage(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `coverage` from the days of `base.observed_days` and declarations."""
    con.execute("CREATE OR REPLACE TEMP TABLE declared_days (source VARCHAR, category VARCHAR, scope VARCHAR, "
                "day DATE, declared_by VARCHAR)")  # fmt: skip
    if con.execute("SELECT 1 FROM base.declared_windows LIMIT 1").fetchall():
        _declare_days(con)
    con.execute("DELETE FROM base.coverage")
    con.execute(f"""
        INSERT INTO base.coverage BY NAME
        WITH spans AS (
            SELECT source, category, scope, min(day) AS first_day, max(day) AS last_day,
                count(*) >= {QUIET_SHARE} * (max(day) - min(day) + 1) AS is_dense
            FROM base.observed_days GROUP BY ALL
        ), days AS (
            SELECT source, category, scope, is_dense,
                unnest(generate_series(first_day::TIMESTAMP, last_day::TIMESTAMP, INTERVAL 1 DAY))::DATE AS day
            FROM spans
            UNION SELECT d.source, d.category, d.scope, coalesce(s.is_dense, false), d.day
            FROM declared_days AS d LEFT JOIN spans AS s USING (source, category, scope)
        ), joined AS (
            SELECT days.*, coalesce(o.events, 0) AS events, d.declared_by,
                max(CASE WHEN o.events IS NOT NULL THEN days.day END) OVER (
                    PARTITION BY days.source, days.category, days.scope ORDER BY days.day) AS seen_before,
                min(CASE WHEN o.events IS NOT NULL THEN days.day END) OVER (
                    PARTITION BY days.source, days.category, days.scope ORDER BY days.day
                    ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS seen_after
            FROM days LEFT JOIN base.observed_days AS o USING (source, category, scope, day)
            LEFT JOIN declared_days AS d USING (source, category, scope, day)
        )
        SELECT source, category, scope, day, events, declared_by, CASE
            WHEN events > 0 THEN 'observed'
            WHEN declared_by IS NOT NULL THEN 'declared_empty'
            WHEN is_dense AND seen_after - seen_before - 1 <= {QUIET_DAYS} THEN 'quiet'
            ELSE 'missing' END AS state
        FROM joined""")


def _declare_days(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `declared_days` with each declaration by day, category, and known scope at or below it.

    For logs that resources send, a declaration covers only the categories that a resource is known to send: by rows in
    the log, or by its diagnostic settings. A category that is not sent is never complete.
    """
    _name_senders(con)
    con.execute(f"""
        INSERT INTO declared_days BY NAME
        WITH RECURSIVE below(top, scope) AS (
            SELECT DISTINCT {folded("scope")}, {folded("scope")} FROM base.declared_windows
            UNION
            SELECT below.top, s.folded FROM below JOIN base.scopes AS s ON s.parent = below.scope
            WHERE s.kind IN ('management_group', 'subscription')
        ), places AS (
            SELECT w.source, w.category, below.scope, w.first_day, w.last_day, w.declared_by
            FROM base.declared_windows AS w JOIN below ON below.top = {folded("w.scope")}
            WHERE w.source NOT IN ({_TENANT_LOGS}, {_RESOURCE_LOGS})
            UNION
            SELECT w.source, w.category, o.scope, w.first_day, w.last_day, w.declared_by
            FROM base.declared_windows AS w
            JOIN base.observed_days AS o
                ON o.source = w.source AND starts_with(o.scope, rtrim({folded("w.scope")}, '/') || '/')
            WHERE w.source NOT IN ({_RESOURCE_LOGS})
            UNION
            SELECT source, category, '/', first_day, last_day, declared_by FROM base.declared_windows
            WHERE source IN ({_TENANT_LOGS})
        ), named AS (
            SELECT p.source, c.category, p.scope, p.first_day, p.last_day, p.declared_by
            FROM places AS p JOIN log_categories AS c ON c.source = p.source AND p.category IN ('*', c.category)
            UNION
            SELECT s.source, s.category, s.scope, w.first_day, w.last_day, w.declared_by
            FROM base.declared_windows AS w JOIN below ON below.top = {folded("w.scope")}
            JOIN log_senders AS s ON s.source = w.source AND w.category IN ('*', s.category)
                AND (s.scope = below.scope OR starts_with(s.scope, rtrim(below.scope, '/') || '/'))
        )
        SELECT source, category, scope, day, min(declared_by) AS declared_by FROM (
            SELECT source, category, scope, declared_by,
                unnest(generate_series(first_day::TIMESTAMP, last_day::TIMESTAMP, INTERVAL 1 DAY))::DATE AS day
            FROM named
        ) GROUP BY ALL""")


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
