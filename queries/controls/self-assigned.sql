-- title: Nobody assigned a role to themselves
-- description: Assignments that their own principal created. Deployments do this by design; a person who does it
--   avoids a second approver.
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
                   WHEN 'fail' THEN ', which it assigned itself' END) AS reason
FROM held h
WHERE h.through_group IS NULL AND h.state = 'active'
