-- title: Disabled accounts that still hold access
-- description: Principals whose sign-in is disabled, with the assignments that work again once it is enabled.
-- columns: principal_id, name, principal_type, role_name, scope, state, role_assignment_id
SELECT p.principal_id,
       p.display_name AS name,
       p.principal_type,
       coalesce(d.role_name, a.role_name) AS role_name,
       a.scope,
       a.state,
       a.role_assignment_id
FROM role_assignments a
JOIN principals p ON p.principal_id = a.principal_id AND p.account_enabled = false
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
ORDER BY p.principal_id, a.scope, role_name, a.role_assignment_id, a.state
