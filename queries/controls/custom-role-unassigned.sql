-- title: Every custom role is assigned
-- description: Custom roles without an active or eligible assignment. They can be assigned at any time, and count
--   towards the limit of 5,000.
-- severity: low
-- subject: role_definition
-- needs: custom_roles, assignments, eligibility
-- tags: MCSB PA-3, NIST CM-7
-- columns: resource, status, reason
SELECT d.role_definition_id AS resource,
       CASE WHEN a.held IS NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(d.role_name, ' has ', coalesce(a.held, 0), ' assignments') AS reason
FROM role_definitions d
LEFT JOIN (SELECT role_definition_id, count(*) AS held FROM role_assignments GROUP BY role_definition_id) a
    ON a.role_definition_id = d.role_definition_id
WHERE d.role_type = 'CustomRole'
