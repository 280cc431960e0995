"""Build SQL that summarises each principal's past behaviour: active days, first uses, and places of origin.

A principal does the same things every day, so months reduce to one row a principal and thing, and one a principal and
day. The sums use the integer keys of the store; texts are joined only to the result.
"""

from __future__ import annotations

from rightsize.analyze.behaviour.facts import GROUP
from rightsize.store.ddl import RESOLVED, RESOLVED_ACTORS

_CALLS = "succeeded + failed + started + denied"
_PEOPLE = f"SELECT * FROM ({RESOLVED_ACTORS}) WHERE principal_id IS NOT NULL"

USAGE_BY_DAY = f"""
    SELECT p.principal_id, u.* EXCLUDE (actor_key)
    FROM (
        SELECT actor_key, day, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
            sum({_CALLS})::BIGINT AS calls
        FROM base.usage_days WHERE day BETWEEN $first AND $last AND {_CALLS} > 0 GROUP BY ALL
    ) AS u JOIN ({_PEOPLE}) AS p USING (actor_key)"""
"""SQL for the calls of each principal on each day from `$first` to `$last`, as input of `active_days`."""

PLACES = f"""
    SELECT coalesce(p.principal_id, alias.principal_id) AS principal_id, p.is_sign_in, p.app_id, p.network, p.country,
        p.network_number, p.day
    FROM base.place_days AS p LEFT JOIN ({RESOLVED}) AS alias
        ON p.principal_id IS NULL AND alias.alias = p.principal_name
    WHERE coalesce(p.principal_id, alias.principal_id) IS NOT NULL AND p.day BETWEEN $first AND $last"""
"""SQL for the places from which each principal called and signed in, on each day from `$first` to `$last`."""


def _first_rows() -> str:
    span = f"day BETWEEN $first AND $last AND {_CALLS} > 0"
    return f"""
        WITH groups AS (
            SELECT actor_key, min(first_seen) AS first_seen, arg_min(scope_key, first_seen) AS scope_key FROM (
                SELECT actor_key, scope_key, min(first_seen) AS first_seen FROM base.usage_days WHERE {span}
                GROUP BY actor_key, scope_key
            ) JOIN base.scope_names USING (scope_key)
            GROUP BY actor_key, coalesce(nullif(regexp_extract(folded, '{GROUP}', 1), ''), folded)
        ), operations AS (
            SELECT actor_key, operation_key, min(first_seen) AS first_seen FROM base.usage_days WHERE {span}
            GROUP BY actor_key, operation_key
        ), planes AS (
            SELECT actor_key, plane, min(first_seen) AS first_seen FROM base.usage_days WHERE {span}
            GROUP BY actor_key, plane
        ), chosen AS (
            SELECT u.rowid AS found FROM base.usage_days AS u SEMI JOIN groups USING (actor_key, scope_key, first_seen)
            WHERE {span}
            UNION SELECT u.rowid FROM base.usage_days AS u SEMI JOIN operations
                USING (actor_key, operation_key, first_seen) WHERE {span}
            UNION SELECT u.rowid FROM base.usage_days AS u SEMI JOIN planes USING (actor_key, plane, first_seen)
            WHERE {span}
            UNION SELECT u.rowid FROM base.usage_days AS u SEMI JOIN (
                SELECT operation_key FROM base.operation_names WHERE folded IN (SELECT unnest($always))
            ) USING (operation_key) WHERE {span} AND day >= $lately
        )
        SELECT p.principal_id, o.spelling AS operation, s.spelling AS scope, u.plane, u.day, u.first_seen, u.last_seen,
            u.succeeded, u.failed, u.started, u.denied
        FROM base.usage_days AS u JOIN ({_PEOPLE}) AS p USING (actor_key)
        JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
        WHERE u.rowid IN (SELECT found FROM chosen)"""


FIRST_ROWS = _first_rows()
"""SQL for the rows of `usage_days` from `$first` to `$last` that show the first time of each activity.

These are, at least, the first rows of each principal with each operation, each subscription or resource group and each
plane, and all its rows with the operations in `$always`, folded, from `$lately` on.
"""


def active_days(by_day: str, least: int) -> str:
    """Return SQL for the active days of each principal, with a summary of the time before each.

    Columns: `principal_id, day, first_seen, last_seen, calls`; how many active days came `before`, the first one of all
    (`start`), the days since the last one (`gap`) and the longest such pause before (`longest`), the earliest and
    latest hour (`early`, `late`) and the most calls (`most`) until then; the first day that had `least` before it
    (`enough`), null on earlier ones.

    Args:
        by_day: SQL for `principal_id, day, first_seen, last_seen, calls`, in any number of rows a day.
        least: How many active days are enough.
    """
    return f"""
        WITH whole AS (
            SELECT principal_id, day, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
                sum(calls)::BIGINT AS calls
            FROM ({by_day}) GROUP BY principal_id, day
        ), paused AS (
            SELECT *, (day - lag(day) OVER (PARTITION BY principal_id ORDER BY day))::BIGINT AS gap FROM whole
        )
        SELECT *, row_number() OVER until_now - 1 AS before, first_value(day) OVER until_now AS start,
            nth_value(day, {least + 1}) OVER until_now AS enough,
            max(gap) OVER past AS longest, min(hour(first_seen)) OVER past AS early,
            max(hour(last_seen)) OVER past AS late, max(calls) OVER past AS most
        FROM paused
        WINDOW until_now AS (PARTITION BY principal_id ORDER BY day),
            past AS (PARTITION BY principal_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"""


def logged_days(places: str) -> str:
    """Return SQL for the number of days with a known origin of each principal, counted up to each day.

    Columns: `principal_id, day, is_sign_in`, and the days with `networks`, `applications`, `carriers` and `countries`.

    Args:
        places: SQL for `principal_id, is_sign_in, app_id, network, country, network_number, day`.
    """
    said = {
        "networks": "network",
        "applications": "app_id",
        "carriers": "coalesce(network_number, network)",
        "countries": "country",
    }
    flags = ", ".join(f"bool_or({text} IS NOT NULL)::BIGINT AS {name}" for name, text in said.items())
    counts = ", ".join(f"(sum({name}) OVER until_now)::BIGINT AS {name}" for name in said)
    return f"""
        SELECT principal_id, day, is_sign_in, {counts} FROM (
            SELECT principal_id, day, is_sign_in, {flags} FROM ({places}) GROUP BY principal_id, day, is_sign_in
        ) WINDOW until_now AS (PARTITION BY principal_id, is_sign_in ORDER BY day)"""


def first_places(places: str) -> str:
    """Return SQL for the first day of each principal with each network, country and client, from rows as `PLACES`."""
    return f"SELECT * EXCLUDE (day), min(day) AS day FROM ({places}) GROUP BY ALL"
