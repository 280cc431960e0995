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
from collections.abc import Iterable

import duckdb

from rightsize.model.errors import UsageError
from rightsize.rbac.text import fold
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.tables import rows_of
from rightsize.store.merging.staging import DOWNLOADED, IN_WINDOW, REDUCED_CALLS, with_reduced
from rightsize.store.queries import query_text
from rightsize.store.sql import RESOURCE, folded, network_of, outcome, sealed_before

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

_OF_EVENTS = {
    # Calls that name both an alias and an object id, of whole records and of reduced rows.
    "alias_days": f"""
        SELECT day, CASE WHEN is_user THEN 'upn' ELSE 'app_id' END AS kind, {folded("substr(named, 2)")} AS alias,
            substr(principal_id, 2) AS principal_id
        FROM (
            SELECT DISTINCT time::DATE AS day, substr(principal_type, 2) = 'User' AS is_user,
                CASE WHEN is_user THEN principal_name ELSE app_id END AS named, principal_id
            FROM base.events
            WHERE {{days}} AND principal_id IS NOT NULL AND (
                (principal_name LIKE '%_@_%' AND substr(principal_type, 2) = 'User')
                OR (app_id IS NOT NULL AND substr(principal_type, 2) = 'ServicePrincipal')))
        UNION SELECT r.day, CASE WHEN r.principal_type = 'User' THEN 'upn' ELSE 'app_id' END,
            {folded("CASE WHEN r.principal_type = 'User' THEN r.principal_name ELSE r.app_id END")}, a.principal_id
        FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key)
        WHERE r.day IN (SELECT day FROM touched_days) AND a.principal_id IS NOT NULL AND (
            (r.principal_name LIKE '%_@_%' AND r.principal_type = 'User')
            OR (r.app_id IS NOT NULL AND r.principal_type = 'ServicePrincipal'))""",
    # Requests that both whole records and reduced rows show have the greater of the two counts.
    "graph_days": f"""
        SELECT app_id, principal_id, access, operation_key, day, min(first_seen) AS first_seen,
            max(last_seen) AS last_seen, max(succeeded) AS succeeded, max(failed) AS failed, max(started) AS started,
            max(denied) AS denied, max(suspect) AS suspect, max(other) AS other
        FROM (
            SELECT substr(app_id, 2) AS app_id, substr(principal_id, 2) AS principal_id,
                CASE WHEN substr(principal_type, 2) = 'User' THEN 'delegated' ELSE 'application' END AS access,
                operation_key, time::DATE AS day, min(time) AS first_seen, max(time) AS last_seen,
                count(*) FILTER (WHERE rank = 4) AS succeeded, count(*) FILTER (WHERE rank = 3) AS failed,
                count(*) FILTER (WHERE rank = 1) AS started, count(*) FILTER (WHERE rank = 2) AS denied,
                count(*) FILTER (WHERE rank NOT IN (0, 2)
                    AND event_key IN (SELECT event_key FROM base.quarantined_calls)) AS suspect,
                count(*) FILTER (WHERE rank = 0) AS other
            FROM base.events WHERE {{days}} AND plane = 'graph' AND source <> 'm365_audit_log' GROUP BY ALL
            UNION ALL
            SELECT r.app_id, a.principal_id,
                CASE WHEN r.principal_type = 'User' THEN 'delegated' ELSE 'application' END, r.operation_key, r.day,
                min(r.first_seen), max(r.last_seen), sum(r.succeeded)::BIGINT, sum(r.failed)::BIGINT,
                sum(r.started)::BIGINT, sum(r.denied)::BIGINT,
                sum(CASE WHEN {IN_WINDOW} THEN r.succeeded + r.failed + r.started ELSE 0 END)::BIGINT,
                sum(r.other)::BIGINT
            FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key) SEMI JOIN touched_days USING (day)
            WHERE r.log = 'graph_activity_log' GROUP BY ALL
        ) GROUP BY ALL""",
    # Records that name no application say nothing of a permission.
    "m365_days": f"""
        SELECT substr(app_id, 2) AS app_id, substr(principal_id, 2) AS principal_id,
            {folded("substr(principal_name, 2)")} AS principal_name,
            CASE WHEN substr(principal_type, 2) = 'User' THEN 'delegated' ELSE 'application' END AS access,
            operation_key, time::DATE AS day, min(time) AS first_seen, max(time) AS last_seen,
            count(*) FILTER (WHERE rank <> 0) AS succeeded,
            count(*) FILTER (WHERE rank <> 0
                AND event_key IN (SELECT event_key FROM base.quarantined_calls)) AS suspect
        FROM base.events WHERE {{days}} AND source = 'm365_audit_log' AND app_id IS NOT NULL GROUP BY ALL""",
    # Use that both whole records and reduced rows show has the greater of the two counts.
    "access_days": f"""
        SELECT source, resource, access, principal_id, principal_name, day, max(events) AS events,
            max(last_seen) AS last_seen
        FROM (
            SELECT is_reduced, e.source, coalesce(nullif(regexp_extract(s.folded, '{RESOURCE}', 1), ''), s.folded)
                AS resource, e.access, e.principal_id, {folded("e.principal_name")} AS principal_name, e.day,
                sum(e.events)::BIGINT AS events, max(e.last_seen) AS last_seen
            FROM (
                SELECT false AS is_reduced, source, scope_key, substr(access, 2) AS access,
                    substr(principal_id, 2) AS principal_id,
                    substr(coalesce(principal_name, app_id), 2) AS principal_name, time::DATE AS day,
                    count(*) AS events, max(time) AS last_seen
                FROM base.events WHERE {{days}} AND access IS NOT NULL GROUP BY ALL
                UNION ALL
                SELECT true, r.log, r.scope_key, r.access, a.principal_id, coalesce(r.principal_name, r.app_id), r.day,
                    {REDUCED_CALLS}, r.last_seen
                FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key) SEMI JOIN touched_days USING (day)
                WHERE r.access IS NOT NULL
            ) AS e JOIN base.scope_names AS s USING (scope_key) GROUP BY ALL
        ) GROUP BY ALL""",
    # What an access policy of a key vault let through is no use of a role; the operations are needed to replace it.
    "policy_days": f"""
        SELECT source, principal_id, principal_name, app_id, operation_key, scope_key, day, max(events) AS events,
            max(suspect) AS suspect, min(first_seen) AS first_seen, max(last_seen) AS last_seen
        FROM (
            SELECT false AS is_reduced, source, substr(principal_id, 2) AS principal_id,
                {folded("substr(principal_name, 2)")} AS principal_name, substr(app_id, 2) AS app_id, operation_key,
                scope_key, time::DATE AS day, count(*) AS events,
                count(*) FILTER (WHERE event_key IN (SELECT event_key FROM base.quarantined_calls)) AS suspect,
                min(time) AS first_seen, max(time) AS last_seen
            FROM base.events WHERE {{days}} AND substr(access, 2) = 'access_policy' GROUP BY ALL
            UNION ALL
            SELECT true, r.log, a.principal_id, {folded("r.principal_name")}, r.app_id, r.operation_key, r.scope_key,
                r.day, sum({REDUCED_CALLS})::BIGINT, 0, min(r.first_seen), max(r.last_seen)
            FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key) SEMI JOIN touched_days USING (day)
            WHERE r.access = 'access_policy' GROUP BY ALL
        ) GROUP BY ALL""",
    # For an operation that no rule knows, the resources of its calls are counted too.
    "operation_days": f"""
        SELECT source, plane, access, operation_key, scope_key, day, max(events) AS events,
            min(first_seen) AS first_seen, max(last_seen) AS last_seen
        FROM (
            SELECT false AS is_reduced, source, plane, substr(access, 2) AS access, operation_key,
                CASE WHEN substr(access, 2) = 'unmapped' THEN scope_key END AS scope_key,
                time::DATE AS day, count(*) AS events, min(time) AS first_seen, max(time) AS last_seen
            FROM base.events WHERE {{days}} GROUP BY ALL
            UNION ALL
            SELECT true, log, plane, access, operation_key, CASE WHEN access = 'unmapped' THEN scope_key END, day,
                sum({REDUCED_CALLS})::BIGINT, min(first_seen), max(last_seen)
            FROM base.reduced_usage SEMI JOIN touched_days USING (day) GROUP BY ALL
        ) GROUP BY ALL""",
}

_SIGN_INS = """
    SELECT principal_id, principal_name, app_id, resource_id, kind, time::DATE AS day,
        max(resource_name) AS resource_name, count(*) FILTER (WHERE succeeded) AS succeeded,
        count(*) FILTER (WHERE NOT succeeded) AS failed, max(time) AS last_seen
    FROM base.sign_in_rows WHERE {days} GROUP BY ALL"""

# Sign-ins of workloads by credential; a log that does not say the credential gives null.
_CREDENTIALS = """
    SELECT principal_id, principal_name, app_id, resource_id, kind, federated_credential_id, time::DATE AS day,
        max(resource_name) AS resource_name, count(*) FILTER (WHERE succeeded) AS succeeded,
        count(*) FILTER (WHERE NOT succeeded) AS failed, min(time) FILTER (WHERE succeeded) AS first_seen,
        max(time) FILTER (WHERE succeeded) AS last_seen
    FROM base.sign_in_rows WHERE {days} AND kind IN ('service_principal', 'managed_identity') GROUP BY ALL"""

# Failed sign-ins may come from anyone, and
# the directory audit log often has the address of the service that acted for a principal.
_PLACES = f"""
    SELECT day, is_sign_in, principal_id, {folded("principal_name")} AS principal_name, app_id, {network_of("ip")}
            AS network, country, network_number, sum(calls)::BIGINT AS calls
    FROM (
        SELECT day, false AS is_sign_in, substr(principal_id, 2) AS principal_id, substr(named, 2) AS principal_name,
            substr(app_id, 2) AS app_id, substr(ip, 2) AS ip, NULL::VARCHAR AS country,
            NULL::VARCHAR AS network_number, calls
        FROM (
            SELECT time::DATE AS day, principal_id, CASE WHEN principal_id IS NULL THEN coalesce(principal_name, app_id)
                END AS named, app_id, ip, count(*) AS calls
            FROM base.events WHERE {{days}} AND plane <> 'directory' GROUP BY ALL
        )
        UNION ALL
        SELECT time::DATE, true, principal_id, CASE WHEN principal_id IS NULL THEN principal_name END, app_id, ip,
            country, network_number, count(*)
        FROM base.sign_in_rows WHERE {{days}} AND succeeded GROUP BY ALL
    ) GROUP BY ALL"""

DAY_TABLES = ("usage_days", *_OF_EVENTS, "sign_in_days", "credential_days", "observed_days", "place_days")
"""The tables of schema `base` with one or more rows for each day."""


def recompute_days(con: duckdb.DuckDBPyConnection) -> None:
    """Recompute the tables of DAY_TABLES for the days in `touched_days`, from their events and sign-ins."""
    # A call of an open day may have started on a sealed day, whose rows are pruned.
    con.execute("DELETE FROM touched_days WHERE day < $before", {"before": sealed_before(con)})
    days = days_between(con)
    if days is None:
        return
    for name in DAY_TABLES:
        con.execute(f"DELETE FROM base.{name} WHERE day IN (SELECT day FROM touched_days)")
    counted = days
    if con.execute("SELECT 1 FROM base.events WHERE source = 'cloud_audit_log' LIMIT 1").fetchall():
        counted = f"{days} AND event_key NOT IN ({_TWINS.format(days=days)})"
    con.execute(f"CREATE OR REPLACE TEMP VIEW event_keys AS {_USAGE.format(days=counted)}")
    usage = f"SELECT * RENAME (principal_key AS actor_key) FROM ({query_text('reduce/reduce')})"
    con.execute(f"INSERT INTO base.usage_days BY NAME {with_reduced(con, usage)}")
    con.execute("DROP VIEW event_keys")
    for name, text in _OF_EVENTS.items():
        con.execute(f"INSERT INTO base.{name} BY NAME {text.format(days=days)}")
    con.execute(f"INSERT INTO base.sign_in_days BY NAME {_SIGN_INS.format(days=days)}")
    con.execute(f"INSERT INTO base.credential_days BY NAME {_CREDENTIALS.format(days=days)}")
    con.execute(f"INSERT INTO base.observed_days BY NAME {observed_days(days)}")
    con.execute(f"INSERT INTO base.place_days BY NAME {_PLACES.format(days=days)}")


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
    con.execute(f"INSERT INTO base.credential_days BY NAME {_CREDENTIALS.format(days=days)}")


def fill_policy_days(con: duckdb.DuckDBPyConnection) -> None:
    """Compute `policy_days` for all open days; of sealed days the operations are not known."""
    con.execute("CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT day FROM base.access_days "
                "WHERE access = 'access_policy' AND day >= $first",
                {"first": sealed_before(con) or dt.date(1970, 1, 1)})  # fmt: skip
    days = days_between(con)
    if days is not None:
        con.execute(f"INSERT INTO base.policy_days BY NAME {_OF_EVENTS['policy_days'].format(days=days)}")
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
