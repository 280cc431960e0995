-- title: Use that no assignment of today explains
-- description: After `analyze`: calls that were authorised although nothing that is loaded grants them, and why.
-- columns: principal_id, name, operation, plane, scope, reason, calls, first_seen, last_seen
SELECT v.principal_id,
       p.display_name AS name,
       v.operation,
       v.plane,
       v.scope,
       v.reason,
       v.events AS calls,
       v.first_seen,
       v.last_seen
FROM verdicts v
LEFT JOIN principals p ON p.principal_id = v.principal_id
WHERE v.verdict = 'unexplained'
ORDER BY calls DESC, v.principal_id, v.operation, v.scope, v.plane, v.reason
