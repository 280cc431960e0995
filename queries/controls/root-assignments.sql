-- title: Nothing is assigned at the root
-- description: Assignments at `/` reach every subscription of the tenant. Most are left over from elevated access,
--   which should be removed after use.
-- severity: critical
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: CIS 5.3.3, MCSB PA-1, NIST AC-6(5)
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN h.level = 'root' THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned) AS reason
FROM held h
WHERE h.through_group IS NULL
