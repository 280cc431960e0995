-- title: Guests who hold access
-- description: Users of type Guest with a role assignment, directly or through a group.
-- columns: principal_id, name, user_principal_name, last_sign_in, through_group, role_name, scope, state, role_assignment_id
WITH held AS (
    SELECT a.*, a.principal_id AS holder, NULL AS through_group FROM role_assignments a
    UNION ALL
    SELECT a.*, c.member_id, a.principal_id FROM role_assignments a JOIN group_closure c ON c.group_id = a.principal_id
)
SELECT p.principal_id,
       p.display_name AS name,
       p.user_principal_name,
       p.last_sign_in,
       h.through_group,
       coalesce(d.role_name, h.role_name) AS role_name,
       h.scope,
       h.state,
       h.role_assignment_id
FROM held h
JOIN principals p ON p.principal_id = h.holder AND p.user_type = 'Guest'
LEFT JOIN role_definitions d ON d.role_definition_id = h.role_definition_id
ORDER BY p.principal_id, h.scope, role_name, h.role_assignment_id, h.state, h.through_group
