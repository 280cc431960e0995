-- title: Fewer than five hold Global Administrator
-- description: Users and workloads that hold Global Administrator, active or eligible, with each member of a group.
--   Emergency access accounts count, too.
-- severity: high
-- subject: tenant
-- needs: directory_roles
-- with: directory
-- tags: CIS 5.26, MCSB PA-1, NIST AC-6(5)
-- parameter: most integer = 4  most holders that pass
-- columns: resource, status, reason
SELECT '/' AS resource, CASE WHEN count(DISTINCT d.holder) > $most THEN 'fail' ELSE 'pass' END AS status,
       concat(count(DISTINCT d.holder), ' hold Global Administrator') AS reason
FROM directory d
WHERE d.directory_role_id = '62e90394-69f5-4237-9190-012177145e10' AND d.holder_type IS DISTINCT FROM 'Group'
