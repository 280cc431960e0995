-- title: The tenant is below the limit of custom roles
-- description: Custom roles close to Azure's limit of 5,000 in a tenant.
-- severity: low
-- subject: tenant
-- needs: custom_roles
-- tags: NIST CP-2
-- parameter: most integer = 4500  most custom roles that pass
-- columns: resource, status, reason
SELECT '/' AS resource, CASE WHEN count(*) > $most THEN 'fail' ELSE 'pass' END AS status,
       concat(count(*), ' of 5,000 custom roles') AS reason
FROM role_definitions
WHERE role_type = 'CustomRole'
