-- title: Why an operation is kept, or may go
-- description: After `analyze`: each assignment that grants the operation, with the verdict, the reason and the last call
--   that counts. Only what is `unused` is taken away by default.
-- parameter: operation text = Microsoft.Authorization/roleAssignments/write  the operation, whatever its case
-- columns: principal_id, name, verdict, reason, calls, last_seen, scope, plane, role_assignment_id, state
SELECT v.principal_id,
       p.display_name AS name,
       v.verdict,
       v.reason,
       v.events AS calls,
       v.last_seen,
       v.scope,
       v.plane,
       v.role_assignment_id,
       v.state
FROM verdict_operations v
LEFT JOIN principals p ON p.principal_id = v.principal_id
WHERE translate(v.operation, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
    = translate(trim($operation), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
ORDER BY v.principal_id, v.scope, v.role_assignment_id, v.state, v.plane
