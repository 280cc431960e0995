-- The days on which a resource was asked with a key or SAS after `$silent` days without.
--
-- Columns: `resource, day, first_seen, last_seen, silent` in days, and `is_known`, whether somebody who has a name
-- ever came from one of their networks.
WITH days AS (
    SELECT resource, day, max(last_seen) AS last_seen FROM base.access_days
    WHERE access IN ('key', 'sas') AND day BETWEEN $first AND $last GROUP BY ALL
), paused AS (
    SELECT *, (day - coalesce(lag(day) OVER (PARTITION BY resource ORDER BY day), begun))::BIGINT AS silent
    FROM days, (SELECT min(day) AS begun FROM base.access_days WHERE day BETWEEN $first AND $last)
), asked AS (
    SELECT k.resource, k.day, k.last_seen, k.silent, min(e.time) AS first_seen,
        list(DISTINCT {network_of[substr(e.ip, 2)]}) AS networks
    FROM (SELECT * FROM paused WHERE silent >= $silent) AS k JOIN base.scope_names AS s
        ON s.folded = k.resource OR starts_with(s.folded, k.resource || '/')
    JOIN base.events AS e ON e.scope_key = s.scope_key AND e.time::DATE = k.day
    WHERE substr(e.access, 2) IN ('key', 'sas') GROUP BY ALL
)
SELECT resource, day, first_seen, last_seen, silent,
    list_has_any(networks, (SELECT list(DISTINCT network) FROM base.place_days WHERE principal_id IS NOT NULL))
        AS is_known
FROM asked
