-- The principals whose day `$last` has anything that can make it unusual, with a digest of that: no finding is without
-- a first use of an operation, silence that ends, many resources, an activation, or two other kinds of news.
--
-- Each kind of fact declares which of these it is about (`analyze.behaviour.judge`); who opened a way is one of two
-- kinds of news. The principal is empty for storage that was read with keys by nobody that the log names.
WITH people AS MATERIALIZED ({people}), sought AS MATERIALIZED ({sought}), today AS MATERIALIZED (
    SELECT p.principal_id, u.* EXCLUDE (actor_key), {calls} AS calls
    FROM base.usage_days AS u JOIN people AS p USING (actor_key) WHERE day = $last AND {calls} > 0
), past AS MATERIALIZED (
    SELECT p.principal_id, u.* EXCLUDE (actor_key), {calls} AS calls
    FROM base.usage_days AS u JOIN people AS p USING (actor_key) SEMI JOIN today USING (principal_id)
    WHERE day >= $first AND day < $last AND {calls} > 0
), named AS MATERIALIZED (
    SELECT scope_key, folded, {group_of} AS "group", {resource_of} AS resource FROM base.scope_names
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
    SELECT DISTINCT * REPLACE (day = $last AS day) FROM ({places})
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
        SELECT principal_id, {items} AS item FROM places WHERE day
        EXCEPT SELECT principal_id, {items} FROM places WHERE NOT day
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
GROUP BY principal_id HAVING bool_or(enough) OR count(DISTINCT family) > 1
