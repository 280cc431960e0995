-- title: Through which groups a principal gets access
-- description: Every group of a principal, nested ones included, with the roles that are assigned to the group.
-- parameter: principal text  object id, user principal name or application id
-- columns: group_id, group_name, depth, role_name, scope, state, role_assignment_id
WITH wanted AS (
    SELECT translate(trim($principal), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS text
),
who AS (
    SELECT text AS principal_id FROM wanted
    UNION
    SELECT principal_id FROM principal_aliases WHERE alias = (SELECT text FROM wanted)
)
SELECT c.group_id,
       g.display_name AS group_name,
       c.depth,
       coalesce(d.role_name, a.role_name) AS role_name,
       a.scope,
       a.state,
       a.role_assignment_id
FROM group_closure c
LEFT JOIN principals g ON g.principal_id = c.group_id
LEFT JOIN role_assignments a ON a.principal_id = c.group_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
WHERE c.member_id IN (SELECT principal_id FROM who)
ORDER BY c.depth NULLS LAST, c.group_id, a.scope, role_name, a.role_assignment_id, a.state
