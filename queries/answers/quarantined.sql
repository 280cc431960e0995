-- The operations of each principal with calls in quarantine.
WITH clean AS (
    SELECT principal_id, operation, scope, sum(succeeded + failed + started) - sum(suspect) AS clean
    FROM usage_days GROUP BY ALL
)
SELECT q.principal_id, coalesce(min(p.user_principal_name), min(p.display_name), min(q.principal_name)) AS name,
    q.operation, q.scope, q.plane, count(DISTINCT q.event_key) AS calls, min(q.time) AS first_seen,
    max(q.time) AS last_seen, greatest(coalesce(min(c.clean), 0), 0)::BIGINT AS other_calls,
    coalesce(min(c.clean), 0) <= 0 AS only_evidence,
    list_sort(list(DISTINCT q.signal_id)) AS signals, list_sort(list(DISTINCT q.basis)) AS basis
FROM quarantine AS q LEFT JOIN principals AS p USING (principal_id)
LEFT JOIN clean AS c ON c.principal_id = q.principal_id AND c.operation = q.operation AND c.scope = q.scope
WHERE q.outcome IN ('succeeded', 'failed', 'started')
GROUP BY q.principal_id, q.operation, q.scope, q.plane
ORDER BY only_evidence DESC, name, first_seen, q.operation, q.scope
