-- title: Custom roles with wildcards
-- description: Strings with `*` that custom roles grant, with the number of operations and assignments of the role. A
--   wildcard grants every matching operation that Azure adds.
-- columns: role_definition_id, role_name, kind, pattern, operations_of_role, assignments
SELECT p.role_definition_id,
       d.role_name,
       p.kind,
       p.pattern,
       (SELECT count(*) FROM role_operations o WHERE o.role_definition_id = p.role_definition_id) AS operations_of_role,
       (SELECT count(*) FROM role_assignments a WHERE a.role_definition_id = p.role_definition_id) AS assignments
FROM role_permissions p
JOIN role_definitions d ON d.role_definition_id = p.role_definition_id AND d.role_type = 'CustomRole'
WHERE p.kind IN ('action', 'data_action') AND contains(p.pattern, '*')
GROUP BY p.role_definition_id, d.role_name, p.kind, p.pattern
ORDER BY assignments DESC, p.role_definition_id, p.kind, p.pattern
