-- title: What is in quarantine, and calls outside it that show the same
-- description: Each use inside an alert or a risky session, with the calls outside it that show the same use. Without
--   such calls the access is kept until a person decides.
-- columns: principal_id, name, operation, scope, calls, first_seen, last_seen, other_calls, signals
WITH clean AS (
    SELECT principal_id, operation, scope, greatest(sum(succeeded + failed + started) - sum(suspect), 0)::BIGINT AS calls
    FROM usage_days GROUP BY principal_id, operation, scope
)
SELECT q.principal_id, min(p.display_name) AS name, q.operation, q.scope, count(DISTINCT q.event_key) AS calls,
       min(q.time) AS first_seen, max(q.time) AS last_seen, coalesce(min(c.calls), 0) AS other_calls,
       list_sort(list(DISTINCT q.signal_id)) AS signals
FROM quarantine q
LEFT JOIN principals p ON p.principal_id = q.principal_id
LEFT JOIN clean c ON c.principal_id = q.principal_id AND c.operation = q.operation AND c.scope = q.scope
WHERE q.outcome IN ('succeeded', 'failed', 'started')
GROUP BY q.principal_id, q.operation, q.scope
ORDER BY other_calls, q.principal_id, q.operation, q.scope
