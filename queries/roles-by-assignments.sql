-- title: Which roles are assigned most
-- description: Every assigned role with its number of assignments, holders and operations.
-- columns: role_definition_id, role_name, role_type, assignments, eligible, holders, operations, privilege_operations
WITH granted AS (
    SELECT o.role_definition_id, count(*) AS operations, count(*) FILTER (x.risk = 'privilege') AS privilege_operations
    FROM role_operations o LEFT JOIN operations x ON x.operation = o.operation
    GROUP BY o.role_definition_id
)
SELECT a.role_definition_id,
       coalesce(any_value(d.role_name), min(a.role_name)) AS role_name,
       any_value(d.role_type) AS role_type,
       count(*) AS assignments,
       count(*) FILTER (a.state = 'eligible') AS eligible,
       count(DISTINCT a.principal_id) AS holders,
       any_value(g.operations) AS operations,
       any_value(g.privilege_operations) AS privilege_operations
FROM role_assignments a
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
LEFT JOIN granted g ON g.role_definition_id = a.role_definition_id
GROUP BY a.role_definition_id
ORDER BY assignments DESC, a.role_definition_id
