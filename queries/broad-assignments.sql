-- title: Assignments at a subscription or above
-- description: Assignments at the root, a management group or a subscription, with the number of operations that
--   their role grants.
-- columns: scope, kind, principal_id, name, principal_type, role_name, state, operations, role_assignment_id
WITH granted AS (SELECT role_definition_id, count(*) AS operations FROM role_operations GROUP BY role_definition_id)
SELECT a.scope,
       s.kind,
       a.principal_id,
       coalesce(p.display_name, a.principal_name) AS name,
       coalesce(p.principal_type, a.principal_type) AS principal_type,
       coalesce(d.role_name, a.role_name) AS role_name,
       a.state,
       g.operations,
       a.role_assignment_id
FROM role_assignments a
JOIN scopes s
    ON translate(s.scope, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
     = translate(a.scope, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
LEFT JOIN granted g ON g.role_definition_id = a.role_definition_id
WHERE s.kind IN ('root', 'management_group', 'subscription')
ORDER BY CASE s.kind WHEN 'root' THEN 0 WHEN 'management_group' THEN 1 ELSE 2 END,
         a.scope, g.operations DESC NULLS LAST, a.role_assignment_id, a.state
