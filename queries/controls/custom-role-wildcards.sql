-- title: Custom roles have no wildcards except for reads
-- description: Strings with `*` in actions or data actions of custom roles, other than `*/read`. They grant every
--   matching operation that Azure adds.
-- severity: medium
-- subject: role_definition
-- needs: custom_roles
-- tags: MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
WITH wild AS (
    SELECT p.role_definition_id, list_sort(list(DISTINCT p.pattern)) AS patterns
    FROM role_permissions p
    WHERE p.kind IN ('action', 'data_action') AND contains(p.pattern, '*')
      AND NOT (p.kind = 'action' AND p.pattern ILIKE '%/read')
    GROUP BY p.role_definition_id
)
SELECT d.role_definition_id AS resource,
       CASE WHEN w.patterns IS NULL THEN 'pass' ELSE 'fail' END AS status,
       concat(d.role_name, CASE WHEN w.patterns IS NOT NULL THEN ' grants ' END, array_to_string(w.patterns[:3], ', '),
              CASE WHEN len(w.patterns) > 3 THEN concat(' and ', len(w.patterns) - 3, ' more') END) AS reason
FROM role_definitions d
LEFT JOIN wild w ON w.role_definition_id = d.role_definition_id
WHERE d.role_type = 'CustomRole'
