-- Assignments by who holds them: the assignee itself and, for a group, everybody in it. `standing` is active without an
-- end and without an activation; `assigned` and `who` are for people.
WITH named AS (
    SELECT a.*,
           CASE WHEN a.scope = '/' THEN 'root'
                WHEN a.scope ILIKE '/providers/Microsoft.Management/managementGroups/%' THEN 'management_group'
                WHEN regexp_matches(a.scope, '^/subscriptions/[^/]+$', 'i') THEN 'subscription'
                WHEN regexp_matches(a.scope, '^/subscriptions/[^/]+/resourceGroups/[^/]+$', 'i') THEN 'resource_group'
                ELSE 'resource' END AS level,
           a.state = 'active' AND a.end_on IS NULL AND NOT EXISTS (
               SELECT 1 FROM role_assignments x
               WHERE x.role_assignment_id = a.role_assignment_id AND x.state = 'activated'
           ) AS standing,
           d.role_definition_id IS NOT NULL AS role_known,
           coalesce(d.role_type, '') = 'CustomRole' AS is_custom,
           coalesce(d.role_name, nullif(a.role_name, ''), a.role_definition_id) || ' at ' || a.scope AS assigned,
           coalesce(p.principal_type, a.principal_type) AS assignee_type,
           coalesce(nullif(p.display_name, ''), nullif(a.principal_name, ''), a.principal_id) AS assignee_name
    FROM role_assignments a
    LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
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
