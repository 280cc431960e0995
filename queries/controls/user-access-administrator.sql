-- title: User Access Administrator is restricted
-- description: User Access Administrator can give every right, and often stays after a Global Administrator elevated
--   their access. It passes where it is only eligible, or where a condition limits the roles that it may assign.
-- severity: high
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: CIS 5.3.3, MCSB PA-1, NIST AC-6(1)
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN h.standing AND h.condition IS NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned) AS reason
FROM held h
WHERE h.through_group IS NULL AND h.role_definition_id = '18d7d88d-d35e-4fb5-a5c3-7773c20a72d9'
