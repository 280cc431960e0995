-- title: Use that no assignment of today explains
-- description: After `analyze`: authorised calls that no loaded assignment grants, with the reason.
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
