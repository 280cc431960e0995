-- title: No custom role is equal to Owner
-- description: Custom roles that grant `*` and can be assigned at a subscription or above.
-- severity: high
-- subject: role_definition
-- needs: custom_roles
-- tags: CIS 5.23, MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
WITH wide AS (
    SELECT d.role_definition_id
    FROM role_definitions d
    WHERE len(list_filter(coalesce(d.assignable_scopes, ['/']), lambda s: s = '/'
        OR s ILIKE '/providers/Microsoft.Management/managementGroups/%'
        OR regexp_matches(s, '^/subscriptions/[^/]+/?$', 'i'))) > 0
),
everything AS (
    SELECT DISTINCT role_definition_id FROM role_permissions WHERE kind = 'action' AND pattern IN ('*', '*/*')
)
SELECT d.role_definition_id AS resource,
       CASE WHEN w.role_definition_id IS NOT NULL AND e.role_definition_id IS NOT NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(d.role_name, CASE WHEN status = 'fail' THEN ' grants everything over whole subscriptions' END) AS reason
FROM role_definitions d
LEFT JOIN wide w ON w.role_definition_id = d.role_definition_id
LEFT JOIN everything e ON e.role_definition_id = d.role_definition_id
WHERE d.role_type = 'CustomRole'
