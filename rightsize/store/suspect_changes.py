"""Read what principals called in their suspect time, what was removed later, and who acted after being given access."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from rightsize.store.connection import Store
from rightsize.store.marks import sealed_before
from rightsize.store.sql import registered

_WINDOWS = "SELECT start_on, end_on FROM main.quarantine_windows WHERE list_contains($who, principal_id) " \
    "AND basis <> 'address'"  # fmt: skip
_TAKES_AWAY = "(operation ILIKE '%/delete' OR operation ILIKE '%/delete/action')"


def suspect_calls(store: Store, principals: Sequence[str]) -> pl.DataFrame:
    """Return the calls of principals in their suspect time that were let through, with the objects that they changed.

    These are the calls in quarantine, and the other calls within a window of suspicion of the principals themselves;
    `suspect` tells them apart. Columns: `event_key, time, source, plane, operation, scope, outcome, principal_id, ip,
    suspect, role, holder`, and those of `changed_objects`, with `properties` as a list of `name, old, new`.
    """
    return store.frame(
        f"""
        WITH windows AS ({_WINDOWS}), held AS (SELECT DISTINCT event_key FROM main.quarantine),
        span AS (
            SELECT least((SELECT min(start_on) FROM windows),
                (SELECT min(time) FROM main.quarantine WHERE list_contains($who, principal_id))) AS first
        )
        SELECT e.event_key, e.time, e.source, e.plane, e.operation, e.scope, e.outcome,
            e.principal_id, e.ip, h.event_key IS NOT NULL AS suspect,
            b.assigned_role_id AS role, b.assigned_principal_id AS holder, c.activity, c.object_id, c.object_type,
            c.object_name, c.other_id, c.other_type, c.other_name,
            TRY(from_json(c.properties, '[{{"name": "VARCHAR", "old": "VARCHAR", "new": "VARCHAR"}}]')) AS properties
        FROM main.events AS e LEFT JOIN held AS h USING (event_key)
        LEFT JOIN main.changed_objects AS c USING (event_key)
        LEFT JOIN base.request_bodies AS b ON lower(hex(b.event_key)) = e.event_key
        WHERE list_contains($who, e.principal_id) AND e.time >= (SELECT first FROM span)
            AND (e.outcome IN ('succeeded', 'started') OR c.event_key IS NOT NULL)
            AND (h.event_key IS NOT NULL OR EXISTS (
                SELECT 1 FROM windows AS w WHERE e.time BETWEEN w.start_on AND w.end_on))
        ORDER BY e.time, e.event_key""",
        {"who": list(principals)},
    )


def suspect_spans(store: Store, principals: Sequence[str]) -> pl.DataFrame:
    """Return `start_on, end_on`: the windows of suspicion of principals, and the span of their calls in quarantine."""
    return store.frame(
        f"""
        {_WINDOWS} UNION
        SELECT min(time), max(time) FROM main.quarantine WHERE list_contains($who, principal_id) HAVING count(*) > 0
        ORDER BY 1, 2""",
        {"who": list(principals)},
    )


def first_seen(store: Store, places: pl.Series) -> pl.DataFrame:
    """Return `place, first_seen`: when a log first shows a call at a place, of those that any log shows.

    Args:
        store: The store.
        places: Folded ids of resources.
    """
    return store.frame(
        """
        SELECT s.folded AS place, min(u.first_seen) AS first_seen
        FROM base.usage_days AS u JOIN base.scope_names AS s USING (scope_key)
        WHERE list_contains($places, s.folded) GROUP BY ALL""",
        {"places": places.to_list()},
    )


def has_uncounted_days(store: Store, first: dt.datetime, last: dt.datetime) -> bool:
    """Return whether a span has use without single calls: reduced rows, or days whose calls were pruned."""
    before = sealed_before(store.connection)
    reduced = "SELECT 1 FROM base.reduced_usage WHERE last_seen >= $first AND first_seen <= $last LIMIT 1"
    found = store.connection.execute(reduced, {"first": first, "last": last}).fetchone()
    return found is not None or (before is not None and first.date() < before)


def removals(store: Store, since: dt.datetime) -> pl.DataFrame:
    """Return the calls since a time that took something away: `time, actor, place, activity, object_id, other_id`.

    `place` is the resource, `activity` that of the directory; one of the two is null.
    """
    return store.frame(
        f"""
        SELECT e.time, coalesce(e.principal_id, e.principal_name) AS actor,
            CASE WHEN e.plane = 'control' THEN e.scope END AS place, c.activity, c.object_id, c.other_id
        FROM main.events AS e LEFT JOIN main.changed_objects AS c USING (event_key)
        WHERE e.time >= $since AND ((e.plane = 'control' AND e.outcome = 'succeeded' AND {_TAKES_AWAY})
            OR c.event_key IS NOT NULL)
        ORDER BY e.time""",
        {"since": since},
    )


def used_after(store: Store, given: pl.DataFrame) -> pl.DataFrame:
    """Return what principals did after they were given something: `principal_id, first, last, calls, sign_ins`.

    Args:
        store: The store.
        given: `principal_id`, folded and distinct, and `given_on`.
    """
    with registered(store.connection, {"given_access": given}):
        found = store.connection.execute("""
            SELECT g.principal_id, min(a.time) AS first, max(a.time) AS last,
                count(*) FILTER (WHERE NOT a.is_sign_in) AS calls, count(*) FILTER (WHERE a.is_sign_in) AS sign_ins
            FROM given_access AS g JOIN (
                SELECT principal_id, time, false AS is_sign_in FROM main.events
                WHERE principal_id IN (SELECT principal_id FROM given_access)
                UNION ALL
                SELECT principal_id, time, true FROM main.sign_in_events
                WHERE succeeded AND principal_id IN (SELECT principal_id FROM given_access)
            ) AS a ON a.principal_id = g.principal_id AND a.time >= g.given_on
            GROUP BY ALL ORDER BY 2, 1""").fetchall()
    times, counts = dict.fromkeys(("first", "last"), pl.Datetime("us")), dict.fromkeys(("calls", "sign_ins"), pl.Int64)
    schema: dict[str, Any] = {"principal_id": pl.String, **times, **counts}
    return pl.DataFrame(found, schema=schema, orient="row")
