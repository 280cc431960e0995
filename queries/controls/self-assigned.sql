-- title: Nobody gave themselves a role
-- description: Assignments whose principal made them. Who deploys with its own identity does this by habit; who does it by
--   hand got past the second pair of eyes.
-- severity: medium
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: MCSB PA-4, NIST AC-5
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN nullif(h.created_by, '') IS NULL THEN 'unknown'
            WHEN h.created_by = h.principal_id THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE status WHEN 'unknown' THEN ', and the export does not say who made it'
                   WHEN 'fail' THEN ', made by itself' END) AS reason
FROM held h
WHERE h.through_group IS NULL AND h.state = 'active'
