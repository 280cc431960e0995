-- The names of assignments, principals and roles by their ids.
WITH unused AS (
    SELECT role_assignment_id, sum(operations) FILTER (verdict = 'unused') AS unused
    FROM verdicts GROUP BY role_assignment_id
)
SELECT a.role_assignment_id AS id, min(a.principal_id) AS principal_id,
       min(coalesce(nullif(p.display_name, ''), a.principal_name)) AS principal_name,
       min(coalesce(p.principal_type, a.principal_type)) AS principal_type,
       min(a.role_definition_id) AS role_definition_id, min(coalesce(d.role_name, a.role_name)) AS role_name,
       min(a.scope) AS scope, any_value(u.unused)::BIGINT AS unused
FROM role_assignments a
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
LEFT JOIN unused u ON u.role_assignment_id = a.role_assignment_id
WHERE a.role_assignment_id IN (SELECT unnest($ids::VARCHAR[]))
GROUP BY a.role_assignment_id
UNION ALL
SELECT principal_id, principal_id, display_name, principal_type, NULL, NULL, NULL, NULL
FROM principals WHERE principal_id IN (SELECT unnest($ids::VARCHAR[]))
UNION ALL
SELECT role_definition_id, NULL, NULL, NULL, role_definition_id, role_name, NULL, NULL
FROM role_definitions WHERE role_definition_id IN (SELECT unnest($ids::VARCHAR[]))
