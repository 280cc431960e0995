-- title: Assignments with a condition
-- description: Assignments that hold only under a condition, with its text.
-- columns: role_assignment_id, state, principal_id, name, role_name, scope, condition
SELECT a.role_assignment_id,
       a.state,
       a.principal_id,
       coalesce(p.display_name, a.principal_name) AS name,
       coalesce(d.role_name, a.role_name) AS role_name,
       a.scope,
       a.condition
FROM role_assignments a
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
WHERE a.condition IS NOT NULL
ORDER BY a.scope, a.principal_id, a.role_assignment_id, a.state
