-- Directory roles by who holds them: the assignee itself and, for a group, everybody in it. `privileged` is
-- Microsoft's mark; `standing` is active without an end and without an activation; `assigned` and `who` are for people.
WITH named AS (
    SELECT a.*, coalesce(r.is_privileged, false) AS privileged, r.directory_role_id IS NOT NULL AS role_known,
           a.state = 'active' AND a.end_on IS NULL AND NOT EXISTS (
               SELECT 1 FROM directory_role_assignments x
               WHERE x.role_assignment_id = a.role_assignment_id AND x.state = 'activated'
           ) AS standing,
           coalesce(r.role_name, a.directory_role_id)
               || CASE WHEN a.scope IS NULL OR a.scope = '/' THEN '' ELSE ' at ' || a.scope END AS assigned,
           p.principal_type AS assignee_type, coalesce(nullif(p.display_name, ''), a.principal_id) AS assignee_name
    FROM directory_role_assignments a
    LEFT JOIN directory_roles r ON r.directory_role_id = a.directory_role_id
    LEFT JOIN principals p ON p.principal_id = a.principal_id
)
SELECT n.*, n.principal_id AS holder, n.assignee_type AS holder_type, NULL AS through_group, n.assignee_name AS who
FROM named n
UNION ALL
SELECT n.*, c.member_id, p.principal_type, n.principal_id,
       coalesce(nullif(p.display_name, ''), c.member_id) || ' (through ' || n.assignee_name || ')'
FROM named n
JOIN group_closure c ON c.group_id = n.principal_id
LEFT JOIN principals p ON p.principal_id = c.member_id
