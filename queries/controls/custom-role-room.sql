-- title: There is room for custom roles
-- description: Custom roles close to the 5,000 that a tenant may have.
-- severity: low
-- subject: tenant
-- needs: custom_roles
-- tags: NIST CP-2
-- parameter: most integer = 4500  so many are fine
-- columns: resource, status, reason
SELECT '/' AS resource, CASE WHEN count(*) > $most THEN 'fail' ELSE 'pass' END AS status,
       concat(count(*), ' of 5,000 custom roles') AS reason
FROM role_definitions
WHERE role_type = 'CustomRole'
