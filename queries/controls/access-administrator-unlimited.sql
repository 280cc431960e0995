-- title: A condition limits who can assign roles
-- description: Role Based Access Control Administrator without a condition that limits which roles it may assign, and
--   to whom.
-- severity: high
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: MCSB PA-7, NIST AC-6(1)
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN nullif(h.condition, '') IS NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN nullif(h.condition, '') IS NULL THEN ' and may give any role to anybody' END) AS reason
FROM held h
WHERE h.through_group IS NULL AND h.role_definition_id = 'f58310d9-a9f6-439a-9e8d-f62e7b41a168'
