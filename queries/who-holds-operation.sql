-- title: Who holds an operation, and through which role
-- description: Assignments whose role grants the operation, members of groups included. It does not evaluate deny
--   assignments and conditions: `who-can` does.
-- parameter: operation text = Microsoft.Authorization/roleAssignments/write  the operation, whatever its case
-- columns: principal_id, name, principal_type, through_group, role_name, scope, state, conditional, plane, role_assignment_id
WITH granted AS (
    SELECT * FROM granted_operations
    WHERE translate(operation, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
        = translate(trim($operation), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
),
held AS (
    SELECT g.*, g.principal_id AS holder, NULL AS through_group FROM granted g
    UNION ALL
    SELECT g.*, c.member_id, g.principal_id FROM granted g JOIN group_closure c ON c.group_id = g.principal_id
)
SELECT h.holder AS principal_id,
       p.display_name AS name,
       p.principal_type,
       h.through_group,
       d.role_name,
       h.scope,
       h.state,
       h.conditional,
       h.plane,
       h.role_assignment_id
FROM held h
LEFT JOIN principals p ON p.principal_id = h.holder
LEFT JOIN role_definitions d ON d.role_definition_id = h.role_definition_id
ORDER BY principal_id, h.scope, h.role_assignment_id, h.state, h.plane, h.through_group
