"""Build SQL that summarises each principal's past behaviour: active days, first uses, and places of origin.

A principal does the same things every day, so months reduce to one row a principal and thing, and one a principal and
day. The sums use the integer keys of the store; texts are joined only to the result.
"""

from __future__ import annotations

from rightsize.analyze.inputs import GROUP
from rightsize.store.ddl import RESOLVED, RESOLVED_ACTORS
from rightsize.store.sql import RESOURCE, network_of

_CALLS = "succeeded + failed + started + denied"
_PEOPLE = f"SELECT * FROM ({RESOLVED_ACTORS}) WHERE principal_id IS NOT NULL"
# The resource group or subscription, and the resource, of a folded scope; the scope itself where it is in none.
_GROUP_OF, _RESOURCE_OF = (
    f"coalesce(nullif(regexp_extract(folded, '{pattern}', 1), ''), folded)" for pattern in (GROUP, RESOURCE)
)

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


ARRIVED = f"""
    SELECT principal_id, time::DATE AS day, kind, what, min(time) AS arrived FROM (
        SELECT p.principal_id, e.time, unnest(['network', 'application']) AS kind,
            unnest([{network_of("substr(e.ip, 2)")}, substr(e.app_id, 2)]) AS what
        FROM base.events AS e JOIN ({_PEOPLE}) AS p USING (actor_key) WHERE e.plane <> 'directory'
        UNION ALL
        SELECT principal_id, time, unnest(['sign_in_network', 'country']),
            unnest([coalesce('AS' || network_number, {network_of("ip")}), country])
        FROM base.sign_in_rows WHERE succeeded
    ) WHERE what IS NOT NULL AND time::DATE IN (SELECT unnest($days)) AND principal_id IN (SELECT unnest($who))
    GROUP BY ALL"""
"""SQL for `principal_id, day, kind, what, arrived`: when principals in `$who` first came from each place on `$days`."""


def _first_rows() -> str:
    span = f"day BETWEEN $first AND $last AND {_CALLS} > 0"
    return f"""
        WITH groups AS (
            SELECT actor_key, min(first_seen) AS first_seen, arg_min(scope_key, first_seen) AS scope_key FROM (
                SELECT actor_key, scope_key, min(first_seen) AS first_seen FROM base.usage_days WHERE {span}
                GROUP BY actor_key, scope_key
            ) JOIN base.scope_names USING (scope_key)
            GROUP BY actor_key, {_GROUP_OF}
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


IS_ASKED = "($who::VARCHAR[] IS NULL OR principal_id IN (SELECT unnest($who::VARCHAR[])))"
"""A condition on principals: all of them, or those in `$who`."""

_SOUGHT = """
    SELECT operation_key, risk FROM base.operation_names
    JOIN (SELECT unnest($sought::VARCHAR[]) AS folded, unnest($risks::VARCHAR[]) AS risk) USING (folded)"""
"""Operations that attackers seek, of `$sought`, folded, with their classes in `$risks`."""

WOKEN = f"""
    WITH named AS (
        SELECT scope_key, {_GROUP_OF} AS "group", regexp_extract(folded, '^/subscriptions/[^/]+') AS subscription
        FROM base.scope_names
    ), spots AS MATERIALIZED (
        SELECT scope_key, min(scope_key) OVER (PARTITION BY "group") AS one,
            min(scope_key) OVER (PARTITION BY subscription) AS many, "group" = subscription AS is_subscription,
            "group", subscription
        FROM named
    ), sought AS MATERIALIZED (
        SELECT u.actor_key, u.day, x.one, x.many, x."group", x.subscription, u.operation_key, u.scope_key, s.risk,
            u.plane, u.first_seen
        FROM base.usage_days AS u JOIN ({_SOUGHT}) AS s USING (operation_key) JOIN spots AS x USING (scope_key)
        WHERE u.day BETWEEN $since AND $last AND {_CALLS} > 0
    ), calls AS MATERIALIZED (
        SELECT p.principal_id, s.* EXCLUDE (actor_key) FROM sought AS s JOIN ({_PEOPLE}) AS p USING (actor_key)
        WHERE {IS_ASKED}
    ), used AS MATERIALIZED (
        SELECT DISTINCT principal_id, day, one, many, is_subscription FROM (
            SELECT actor_key, day, one, many, is_subscription FROM base.usage_days JOIN spots USING (scope_key)
            WHERE day BETWEEN $first AND $last AND {_CALLS} > 0 GROUP BY ALL
        ) JOIN ({_PEOPLE}) USING (actor_key)
        WHERE principal_id IN (SELECT principal_id FROM calls)
    ), places AS (
        SELECT principal_id, day, 'group' AS level, one AS place FROM used SEMI JOIN calls USING (principal_id, one)
        WHERE NOT is_subscription
        UNION SELECT principal_id, day, 'subscription', many FROM used SEMI JOIN calls USING (principal_id, many)
        UNION SELECT principal_id, day, 'all', 0 FROM used
    ), paused AS (
        SELECT *, (day - lag(day) OVER (PARTITION BY principal_id, level, place ORDER BY day))::BIGINT AS gap
        FROM places
    )
    SELECT w.principal_id, w.day, w.gap,
        CASE w.level WHEN 'group' THEN c."group" WHEN 'subscription' THEN c.subscription ELSE '' END AS place,
        o.spelling AS operation, o.folded AS name, n.folded AS scope, c.risk, c.plane, c.first_seen
    FROM (SELECT * FROM paused WHERE gap IS NULL OR gap >= $silent) AS w
    JOIN calls AS c ON c.principal_id = w.principal_id AND c.day = w.day
        AND CASE w.level WHEN 'group' THEN c.one = w.place WHEN 'subscription' THEN c.many = w.place ELSE true END
    JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS n USING (scope_key)"""
"""SQL for calls from `$since` on of what attackers seek where a principal had made none for `$silent` days or ever.

The principals are those of `IS_ASKED`.

Columns: `principal_id, day, place` (a folded resource group, a subscription, or nothing for all scopes), `gap` in days,
null where there was no call before; `operation, name, scope, risk, plane, first_seen` of the calls.
"""

BREADTH = f"""
    WITH named AS MATERIALIZED (
        SELECT scope_key, min(scope_key) OVER (PARTITION BY resource) AS resource FROM (
            SELECT scope_key, {_RESOURCE_OF} AS resource FROM base.scope_names
        )
    ), spread AS (
        SELECT DISTINCT risk FROM (
            SELECT risk FROM base.usage_days JOIN ({_SOUGHT}) USING (operation_key) JOIN ({_PEOPLE}) USING (actor_key)
            WHERE day BETWEEN $since AND $last AND {_CALLS} > 0 AND risk IN (SELECT unnest($wide)) AND {IS_ASKED}
            GROUP BY principal_id, risk, day HAVING count(DISTINCT scope_key) >= $least
        )
    ), calls AS MATERIALIZED (
        SELECT DISTINCT p.principal_id, c.risk, c.day, c.resource FROM (
            SELECT DISTINCT actor_key, risk, day, resource
            FROM base.usage_days JOIN ({_SOUGHT}) USING (operation_key) JOIN named USING (scope_key)
            WHERE day BETWEEN $first AND $last AND {_CALLS} > 0 AND risk IN (FROM spread)
        ) AS c JOIN ({_PEOPLE}) AS p USING (actor_key)
    ), counted AS (
        SELECT c.*, CASE WHEN k.principal_type = 'User' THEN 'person' ELSE 'workload' END AS "of" FROM (
            SELECT principal_id, risk, day, count(*) AS resources FROM calls GROUP BY ALL
        ) AS c LEFT JOIN base.principals AS k USING (principal_id)
    ), kinds AS (
        SELECT "of", risk, day, sum(days) OVER before AS kind_days, sum(total) OVER before AS kind_total FROM (
            SELECT "of", risk, day, count(*) FILTER (resources > 1) AS days,
                coalesce(sum(resources) FILTER (resources > 1), 0) AS total
            FROM counted GROUP BY ALL
        ) WINDOW before AS (PARTITION BY "of", risk ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), known AS (
        SELECT *, count(*) OVER mine AS days, coalesce(sum(resources) OVER mine, 0)::BIGINT AS total,
            max(resources) OVER mine AS most
        FROM counted
        WINDOW mine AS (PARTITION BY principal_id, risk ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), wide AS MATERIALIZED (
        SELECT * FROM known WHERE resources >= $least AND resources >= 2 * coalesce(most, 0)
    ), listed AS MATERIALIZED (
        SELECT * FROM calls SEMI JOIN wide USING (principal_id, risk, day)
    ), begun AS (
        SELECT resource, arg_min(actor_key, first_seen) AS actor_key, min(first_seen) AS first_seen,
            arg_min(operation_key, first_seen) AS operation_key
        FROM base.usage_days
        JOIN (SELECT * FROM named SEMI JOIN listed USING (resource)) USING (scope_key)
        WHERE day BETWEEN $first AND $last AND {_CALLS} > 0 GROUP BY resource
    ), own AS (
        SELECT c.principal_id, c.risk, c.day, c.resource
        FROM listed AS c JOIN begun AS b USING (resource) JOIN ({_PEOPLE}) AS p USING (actor_key)
        JOIN base.operation_names AS o USING (operation_key)
        LEFT JOIN ({_SOUGHT}) AS s ON s.operation_key = b.operation_key AND s.risk = c.risk
        WHERE p.principal_id = c.principal_id AND ends_with(o.folded, '/write') AND s.risk IS NULL
            AND c.day - b.first_seen::DATE <= $fresh
        UNION
        SELECT c.principal_id, c.risk, c.day, c.resource
        FROM (SELECT * FROM listed WHERE risk = 'destruction') AS c JOIN named USING (resource)
        JOIN base.usage_days AS u USING (scope_key) JOIN ({_PEOPLE}) AS p USING (actor_key)
        WHERE p.principal_id = c.principal_id AND c.day - u.day BETWEEN 1 AND $fresh
    ), made AS (
        SELECT principal_id, risk, day, count(*) AS made FROM own GROUP BY ALL
    )
    SELECT w.*, coalesce(k.kind_days, 0)::BIGINT AS kind_days, coalesce(k.kind_total, 0)::BIGINT AS kind_total,
        coalesce(m.made, 0) AS made
    FROM wide AS w LEFT JOIN kinds AS k USING ("of", risk, day) LEFT JOIN made AS m USING (principal_id, risk, day)"""
"""SQL for days with calls of what attackers seek on many resources, at least `$least` and twice the most of any day.

Classes that no principal of `IS_ASKED` used on so many scopes from `$since` on are left out.

Columns: `principal_id, of, risk, day, resources`; `made`, how many of the resources the principal created within
`$fresh` days by a call that is not itself of the class, as a snapshot's is, or destroyed as `PREPARED` has it; the
`days` with such calls before, the `total` of resources on them and the `most`; `kind_days` and `kind_total` of all
principals of the kind before, of days with two resources or more.
"""

PREPARED = f"""
    SELECT DISTINCT p.principal_id, n.folded AS name, s.folded AS place, u.day
    FROM base.usage_days AS u JOIN ({_SOUGHT}) AS o USING (operation_key) JOIN base.operation_names AS n
        USING (operation_key) JOIN base.scope_names AS s USING (scope_key) JOIN ({_PEOPLE}) AS p USING (actor_key)
    JOIN base.usage_days AS b ON b.scope_key = u.scope_key AND u.day - b.day BETWEEN 1 AND $fresh
    JOIN ({_PEOPLE}) AS q ON q.actor_key = b.actor_key AND q.principal_id = p.principal_id
    WHERE o.risk = 'destruction' AND u.day BETWEEN $first AND $last"""
"""SQL for `principal_id, name, place, day`: what was destroyed by who had called there some days before.

Whoever takes things down stops, empties or marks them first; an attacker destroys what it finds.
"""

OPENED = f"""
    WITH calls AS (
        SELECT p.principal_id AS actor_id, o.folded AS name, s.folded AS place, e.time, e.event_key
        FROM base.events AS e JOIN base.operation_names AS o USING (operation_key)
        JOIN base.scope_names AS s USING (scope_key) JOIN ({_PEOPLE}) AS p USING (actor_key)
        WHERE o.folded IN (SELECT unnest($opening)) AND e.rank IN (1, 4) AND e.time::DATE BETWEEN $first AND $last
    ), named AS (
        SELECT c.* EXCLUDE (event_key), coalesce(b.assigned_principal_id, a.principal_id, d.other_id) AS holder_id,
            coalesce(d.object_id, nullif(ltrim(c.place, '/'), '')) AS object_id
        FROM calls AS c LEFT JOIN base.request_bodies AS b USING (event_key)
        LEFT JOIN base.role_assignments AS a
            ON a.role_assignment_id = string_split(c.place, '/')[-1] AND a.state = 'active'
        LEFT JOIN base.changed_objects AS d ON d.event_key = lower(hex(c.event_key))
    )
    SELECT DISTINCT actor_id, name, time, coalesce(g.member_id, holder_id) AS holder_id, object_id,
        regexp_replace(place, '/(providers/microsoft[.](authorization/roleassignments|managedservices'
            || '|insights/diagnosticsettings)|accesspolicies|federatedidentitycredentials)/.*$', '') AS "group"
    FROM named LEFT JOIN group_closure AS g ON g.group_id = holder_id"""
"""SQL for the calls from `$first` to `$last` that open a way to somebody, by the folded operations in `$opening`.

Columns: `actor_id, name, time`; `group`, the folded scope that is opened; `holder_id`, whom the call, a listing or the
audit log names as the holder, by name or through a group; `object_id`, the first object of a change of the directory.
"""

KEYED = f"""
    WITH days AS (
        SELECT resource, day, max(last_seen) AS last_seen FROM base.access_days
        WHERE access IN ('key', 'sas') AND day BETWEEN $first AND $last GROUP BY ALL
    ), paused AS (
        SELECT *, (day - coalesce(lag(day) OVER (PARTITION BY resource ORDER BY day), begun))::BIGINT AS silent
        FROM days, (SELECT min(day) AS begun FROM base.access_days WHERE day BETWEEN $first AND $last)
    ), asked AS (
        SELECT k.resource, k.day, k.last_seen, k.silent, min(e.time) AS first_seen,
            list(DISTINCT {network_of("substr(e.ip, 2)")}) AS networks
        FROM (SELECT * FROM paused WHERE silent >= $silent) AS k JOIN base.scope_names AS s
            ON s.folded = k.resource OR starts_with(s.folded, k.resource || '/')
        JOIN base.events AS e ON e.scope_key = s.scope_key AND e.time::DATE = k.day
        WHERE substr(e.access, 2) IN ('key', 'sas') GROUP BY ALL
    )
    SELECT resource, day, first_seen, last_seen, silent,
        list_has_any(networks, (SELECT list(DISTINCT network) FROM base.place_days WHERE principal_id IS NOT NULL))
            AS is_known
    FROM asked"""
"""SQL for the days on which a resource was asked with a key or SAS after `$silent` days without.

Columns: `resource, day, first_seen, last_seen, silent` in days, and `is_known`, whether somebody who has a name ever
came from one of their networks.
"""

GRAPH_FIRST = f"""
    WITH days AS (
        SELECT principal_id, operation_key, day, min(first_seen) AS first_seen FROM base.graph_days
        WHERE principal_id IN (SELECT unnest($acting)) AND day BETWEEN $first AND $last AND {_CALLS} > 0 GROUP BY ALL
    ), begun AS (
        SELECT principal_id, operation_key, min(day) AS day, min(first_seen) AS first_seen FROM days GROUP BY ALL
    )
    SELECT b.principal_id, b.day, b.first_seen, o.spelling AS operation, o.folded AS name,
        (SELECT count(DISTINCT d.day) FROM days AS d WHERE d.principal_id = b.principal_id AND d.day < b.day) AS before
    FROM begun AS b JOIN base.operation_names AS o USING (operation_key)"""
"""SQL for the first request of each kind to Microsoft Graph by the principals in `$acting`.

Columns: `principal_id, day, first_seen, operation, name`, and how many days with requests came `before`.
"""

_ITEMS = """unnest([
        CASE WHEN is_sign_in THEN NULL ELSE 'network ' || network END, CASE WHEN is_sign_in THEN 'any ' || network END,
        CASE WHEN is_sign_in THEN 'carrier ' || coalesce(network_number::VARCHAR, network) END,
        CASE WHEN is_sign_in THEN 'country ' || country END,
        CASE WHEN is_sign_in THEN NULL ELSE 'client ' || app_id END])"""

NEWS = f"""
    WITH people AS MATERIALIZED ({_PEOPLE}), sought AS MATERIALIZED ({_SOUGHT}), today AS MATERIALIZED (
        SELECT p.principal_id, u.* EXCLUDE (actor_key), {_CALLS} AS calls
        FROM base.usage_days AS u JOIN people AS p USING (actor_key) WHERE day = $last AND {_CALLS} > 0
    ), past AS MATERIALIZED (
        SELECT p.principal_id, u.* EXCLUDE (actor_key), {_CALLS} AS calls
        FROM base.usage_days AS u JOIN people AS p USING (actor_key) SEMI JOIN today USING (principal_id)
        WHERE day >= $first AND day < $last AND {_CALLS} > 0
    ), named AS MATERIALIZED (
        SELECT scope_key, folded, {_GROUP_OF} AS "group", {_RESOURCE_OF} AS resource FROM base.scope_names
        SEMI JOIN (SELECT scope_key FROM today UNION SELECT scope_key FROM past) USING (scope_key)
    ), been AS MATERIALIZED (
        SELECT principal_id, "group", max(day) AS last FROM past JOIN named USING (scope_key) GROUP BY ALL
    ), days AS (
        SELECT principal_id, day, hour(min(first_seen)) AS early, hour(max(last_seen)) AS late, sum(calls) AS calls
        FROM (FROM today UNION ALL FROM past) GROUP BY ALL
    ), habits AS MATERIALIZED (
        SELECT principal_id, count(*) AS before, min(day) AS start, max(day) AS last, min(early) AS early,
            max(late) AS late, max(calls) AS most
        FROM days WHERE day < $last GROUP BY ALL
    ), grants AS (
        SELECT coalesce(c.member_id, a.principal_id) AS principal_id, lower(rtrim(a.scope, '/')) AS scope,
            a.scope = '/' OR contains(lower(a.scope), '/managementgroups/') AS above
        FROM base.role_assignments AS a LEFT JOIN group_closure AS c ON c.group_id = a.principal_id
        WHERE a.state <> 'activated' AND coalesce(coalesce(a.created_on, a.start_on)::DATE <= $last - $old, true)
    ), silent AS (
        SELECT t.principal_id, t.operation_key, n.folded, n."group",
            coalesce(h.last <= $last - $silent, true) AS everywhere
        FROM today AS t SEMI JOIN sought USING (operation_key) JOIN named AS n USING (scope_key)
        LEFT JOIN been AS b USING (principal_id, "group") LEFT JOIN habits AS h USING (principal_id)
        WHERE coalesce(b.last <= $last - $silent, true)
    ), widely AS MATERIALIZED (
        SELECT principal_id FROM today JOIN sought USING (operation_key)
        WHERE risk IN (SELECT unnest($wide)) GROUP BY principal_id HAVING count(DISTINCT scope_key) >= $least
    ), spread AS (
        SELECT *, max(resources) OVER (PARTITION BY principal_id, risk ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING
            AND 1 PRECEDING) AS most
        FROM (
            SELECT principal_id, risk, day, count(DISTINCT resource) AS resources
            FROM (FROM today UNION ALL FROM past) JOIN sought USING (operation_key) JOIN named USING (scope_key)
            SEMI JOIN widely USING (principal_id) WHERE risk IN (SELECT unnest($wide)) GROUP BY ALL
        )
    ), places AS MATERIALIZED (
        SELECT DISTINCT * REPLACE (day = $last AS day) FROM ({PLACES})
    ), news AS (
        SELECT principal_id, 'operation' AS family, true AS enough, operation_key::VARCHAR AS item
        FROM today ANTI JOIN past USING (principal_id, operation_key)
        UNION SELECT principal_id, 'what', false, plane FROM today ANTI JOIN past USING (principal_id, plane)
        UNION SELECT principal_id, 'what', false, "group" FROM today JOIN named USING (scope_key)
            ANTI JOIN been USING (principal_id, "group")
        UNION SELECT principal_id, 'wakes', true, operation_key || ' ' || "group" FROM silent JOIN grants AS g
            USING (principal_id) WHERE CASE WHEN above THEN everywhere ELSE starts_with(folded || '/', scope || '/') END
        UNION SELECT principal_id, 'breadth', true, risk || ' ' || resources FROM spread
            WHERE day = $last AND resources >= $least AND resources >= 2 * coalesce(most, 0)
        UNION SELECT principal_id, 'much', false, d.calls::VARCHAR FROM days AS d JOIN habits AS h USING (principal_id)
            WHERE day = $last AND d.calls >= 30 AND d.calls >= 4 * h.most
        UNION SELECT principal_id, 'when', false, CASE WHEN h.before >= $settled AND $last >= h.start
                + $burn_in::INTEGER THEN (h.early - d.early >= 2) || ' ' || (d.late - h.late >= 2)
                ELSE d.early || ' ' || d.late END
            FROM days AS d LEFT JOIN habits AS h USING (principal_id)
            WHERE day = $last AND coalesce(h.early - d.early >= 2 OR d.late - h.late >= 2 OR h.before < $settled
                OR $last < h.start + $burn_in::INTEGER OR $last - h.last >= $silent, true)
        UNION SELECT principal_id, 'where', false, item FROM (
            SELECT principal_id, {_ITEMS} AS item FROM places WHERE day
            EXCEPT SELECT principal_id, {_ITEMS} FROM places WHERE NOT day
        ) WHERE item IS NOT NULL
        UNION SELECT principal_id, 'whom', false, '' FROM today JOIN base.operation_names USING (operation_key)
            WHERE folded IN (SELECT unnest($opening))
        UNION SELECT principal_id, 'activation', true, time::VARCHAR FROM (
            SELECT principal_id, requested_on AS time FROM schedule_requests WHERE request_type = 'selfactivate'
            UNION ALL SELECT principal_id, time FROM pim_records WHERE step = 'requested'
        ) WHERE time::DATE = $last
        UNION SELECT principal_id, 'graph', true, operation_key::VARCHAR FROM (FROM base.graph_days WHERE day = $last)
            ANTI JOIN (FROM base.graph_days WHERE day >= $first AND day < $last) USING (principal_id, operation_key)
        UNION SELECT '', 'keys', true, resource || max(last_seen) FROM base.access_days
            WHERE access IN ('key', 'sas') AND day = $last AND resource NOT IN (
                SELECT resource FROM base.access_days
                WHERE access IN ('key', 'sas') AND day > $last - $silent AND day < $last)
            GROUP BY resource
    )
    SELECT principal_id, $last::DATE AS day, list_sort(list(DISTINCT family)) AS families,
        md5(string_agg(family || item, ',' ORDER BY family, item)) AS digest
    FROM news WHERE principal_id IS NOT NULL
    GROUP BY principal_id HAVING bool_or(enough) OR count(DISTINCT family) > 1"""
"""SQL for the principals whose day `$last` has anything that can make it unusual, with a digest of that: no finding is
without a first use of an operation, silence that ends, many resources, an activation, or two other kinds of news.

Each kind of fact declares which of these it is about (`analyze.behaviour.judge`); who opened a way is one of two kinds
of news. The principal is empty for storage that was read with keys by nobody that the log names.
"""
