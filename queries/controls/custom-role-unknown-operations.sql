-- title: Custom roles name operations that exist
-- description: Actions of custom roles without `*` that the catalogue of operations does not have. A misspelt action
--   grants nothing today, and grants any later operation of that name.
-- severity: low
-- subject: role_definition
-- needs: custom_roles, catalogue
-- tags: NIST CM-7
-- columns: resource, status, reason
WITH odd AS (
    SELECT p.role_definition_id, list_sort(list(DISTINCT p.pattern)) AS patterns
    FROM role_permissions p
    WHERE p.kind IN ('action', 'data_action') AND NOT contains(p.pattern, '*')
      AND lower(p.pattern) NOT IN (SELECT lower(operation) FROM operations)
    GROUP BY p.role_definition_id
)
SELECT d.role_definition_id AS resource,
       CASE WHEN o.patterns IS NULL THEN 'pass' ELSE 'fail' END AS status,
       concat(d.role_name, CASE WHEN o.patterns IS NOT NULL THEN
           concat(' names ', array_to_string(o.patterns[:3], ', '), ', which the catalogue does not have') END) AS reason
FROM role_definitions d
LEFT JOIN odd o ON o.role_definition_id = d.role_definition_id
WHERE d.role_type = 'CustomRole'
