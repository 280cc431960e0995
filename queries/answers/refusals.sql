-- Refused calls, one row a day.
WITH days AS (
    SELECT principal_id, operation, scope, plane, day, sum(denied)::BIGINT AS denied,
        max(last_seen) AS last_seen
    FROM usage_days WHERE denied > 0 AND principal_id IS NOT NULL AND last_seen >= $since GROUP BY ALL
), calls AS (
    SELECT operation, scope, plane, principal_id, time::DATE AS day, max(time) AS last_denied,
        count(*) FILTER (WHERE time >= $since) AS since
    FROM events WHERE outcome = 'denied' AND time >= $since::DATE GROUP BY ALL
)
SELECT d.principal_id, d.operation, d.scope, d.plane, coalesce(max(c.since), max(d.denied))::BIGINT AS calls,
    coalesce(max(c.last_denied), max(d.last_seen)) AS last_seen
FROM days AS d LEFT JOIN calls AS c ON c.operation = d.operation AND c.scope = d.scope AND c.plane = d.plane
    AND c.day = d.day AND coalesce(c.principal_id, d.principal_id) = d.principal_id
GROUP BY d.principal_id, d.operation, d.scope, d.plane, d.day ORDER BY ALL
