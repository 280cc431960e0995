"""Build SQL that summarises each principal's past behaviour: active days, first uses, and places of origin.

A principal does the same things every day, so months reduce to one row a principal and thing, and one a principal and
day. The sums use the integer keys of the store; texts are joined only to the result.
"""

from __future__ import annotations

from functools import cache

from rightsize.analyze.inputs import GROUP
from rightsize.store.ddl import RESOLVED, RESOLVED_ACTORS
from rightsize.store.queries import filled_text
from rightsize.store.sql import RESOURCE

_CALLS = "succeeded + failed + started + denied"
_PEOPLE = f"SELECT * FROM ({RESOLVED_ACTORS}) WHERE principal_id IS NOT NULL"
# The resource group or subscription, and the resource, of a folded scope; the scope itself where it is in none.
_GROUP_OF, _RESOURCE_OF = (
    f"coalesce(nullif(regexp_extract(folded, '{pattern}', 1), ''), folded)" for pattern in (GROUP, RESOURCE)
)

IS_ASKED = "($who::VARCHAR[] IS NULL OR principal_id IN (SELECT unnest($who::VARCHAR[])))"
"""A condition on principals: all of them, or those in `$who`."""

_SOUGHT = """
    SELECT operation_key, risk FROM base.operation_names
    JOIN (SELECT unnest($sought::VARCHAR[]) AS folded, unnest($risks::VARCHAR[]) AS risk) USING (folded)"""
"""Operations that attackers seek, of `$sought`, folded, with their classes in `$risks`."""

_ITEMS = """unnest([
        CASE WHEN is_sign_in THEN NULL ELSE 'network ' || network END, CASE WHEN is_sign_in THEN 'any ' || network END,
        CASE WHEN is_sign_in THEN 'carrier ' || coalesce(network_number::VARCHAR, network) END,
        CASE WHEN is_sign_in THEN 'country ' || country END,
        CASE WHEN is_sign_in THEN NULL ELSE 'client ' || app_id END])"""


@cache
def habit(name: str) -> str:
    """Return the SQL of a text of `queries/habits`, whose head says what it returns."""
    return filled_text(
        f"habits/{name}",
        asked=IS_ASKED,
        calls=_CALLS,
        group_of=_GROUP_OF,
        items=_ITEMS,
        people=_PEOPLE,
        places="" if name == "places" else habit("places"),
        resolved=RESOLVED,
        resource_of=_RESOURCE_OF,
        sought=_SOUGHT,
        span=f"day BETWEEN $first AND $last AND {_CALLS} > 0",
    )


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
    """Return SQL for the first day of each principal with each network, country and client, of rows of `places`."""
    return f"SELECT * EXCLUDE (day), min(day) AS day FROM ({places}) GROUP BY ALL"
