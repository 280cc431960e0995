-- title: Groups that hold roles, with their number of members
-- description: Groups with assignments: their members through any nesting, with guests and workloads among them. It
--   also shows whether a rule or another directory decides the members.
-- columns: group_id, name, assignments, members, guests, workloads, is_dynamic, is_synced
WITH held AS (SELECT principal_id, count(*) AS assignments FROM role_assignments GROUP BY principal_id),
members AS (
    SELECT c.group_id,
           count(*) FILTER (m.principal_type IS DISTINCT FROM 'Group') AS members,
           count(*) FILTER (m.user_type = 'Guest') AS guests,
           count(*) FILTER (m.principal_type IN ('ServicePrincipal', 'ManagedIdentity')) AS workloads
    FROM group_closure c LEFT JOIN principals m ON m.principal_id = c.member_id
    GROUP BY c.group_id
)
SELECT g.principal_id AS group_id,
       g.display_name AS name,
       h.assignments,
       coalesce(m.members, 0) AS members,
       coalesce(m.guests, 0) AS guests,
       coalesce(m.workloads, 0) AS workloads,
       coalesce(list_contains(g.group_types, 'DynamicMembership'), false) AS is_dynamic,
       g.is_synced
FROM principals g
JOIN held h ON h.principal_id = g.principal_id
LEFT JOIN members m ON m.group_id = g.principal_id
WHERE g.principal_type = 'Group'
ORDER BY members DESC, g.principal_id
