-- title: Roles assigned to single users
-- description: Role assignments of a user and not of a group. Access reviews and offboarding often miss them.
-- columns: principal_id, name, role_name, scope, state, created_on, created_by, role_assignment_id
SELECT a.principal_id,
       coalesce(p.display_name, a.principal_name) AS name,
       coalesce(d.role_name, a.role_name) AS role_name,
       a.scope,
       a.state,
       a.created_on,
       a.created_by,
       a.role_assignment_id
FROM role_assignments a
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
WHERE coalesce(p.principal_type, a.principal_type) = 'User' AND a.member_type IS DISTINCT FROM 'Group'
ORDER BY a.principal_id, a.scope, role_name, a.role_assignment_id, a.state
