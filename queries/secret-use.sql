-- title: Who read or renewed keys, secrets and credentials
-- description: Operations of the risk class `secret` that were performed, such as listKeys, listSecrets and
--   regenerateKey.
-- columns: principal_id, name, operation, scope, calls, days, first_day, last_day
SELECT u.principal_id,
       coalesce(any_value(p.display_name), u.principal_name) AS name,
       u.operation,
       u.scope,
       sum(u.succeeded + u.failed + u.started)::BIGINT AS calls,
       count(DISTINCT u.day) AS days,
       min(u.day) AS first_day,
       max(u.day) AS last_day
FROM usage_days u
JOIN operations o
    ON translate(o.operation, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
     = translate(u.operation, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
LEFT JOIN principals p ON p.principal_id = u.principal_id
WHERE o.risk = 'secret' AND u.succeeded + u.failed + u.started > 0
GROUP BY u.principal_id, u.principal_name, u.operation, u.scope
ORDER BY calls DESC, u.principal_id, u.principal_name, u.operation, u.scope
