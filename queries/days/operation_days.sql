-- For an operation that no rule knows, the resources of its calls are counted too.
SELECT source, plane, access, operation_key, scope_key, day, max(events) AS events,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM (
    SELECT false AS is_reduced, source, plane, substr(access, 2) AS access, operation_key,
        CASE WHEN substr(access, 2) = 'unmapped' THEN scope_key END AS scope_key,
        time::DATE AS day, count(*) AS events, min(time) AS first_seen, max(time) AS last_seen
    FROM base.events WHERE {days} GROUP BY ALL
    UNION ALL
    SELECT true, log, plane, access, operation_key, CASE WHEN access = 'unmapped' THEN scope_key END, day,
        sum({reduced_calls})::BIGINT, min(first_seen), max(last_seen)
    FROM base.reduced_usage SEMI JOIN touched_days USING (day) GROUP BY ALL
) GROUP BY ALL
