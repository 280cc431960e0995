-- title: Nobody is a permanent Owner at a subscription or above
-- description: Owner, permanent and without a condition, of people and groups, which could be eligible. Emergency
--   access accounts fail here by design: put them into the file of exemptions.
-- severity: high
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: MCSB PA-2, NIST AC-6(5), CIS 5.3.4
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN h.standing AND h.condition IS NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned, CASE WHEN h.standing THEN ' permanently' END) AS reason
FROM held h
WHERE h.through_group IS NULL AND h.level IN ('root', 'management_group', 'subscription')
  AND h.role_definition_id = '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'
  AND h.assignee_type IN ('User', 'Group')
