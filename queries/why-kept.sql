-- title: Why an operation is kept or can go
-- description: After `analyze`: each assignment that grants the operation, with the verdict, the reason and the last
--   call that counts. By default a plan takes away only what is `unused`.
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
