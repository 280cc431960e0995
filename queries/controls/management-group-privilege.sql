-- title: No risky role is permanent at a management group
-- description: Permanent roles at a management group that give privilege, read secrets, run code, destroy, or switch
--   off monitoring. An attacker with one of them reaches every subscription below.
-- severity: high
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN NOT h.role_known THEN 'unknown'
            WHEN h.standing AND coalesce(w.risky, 0) > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN NOT h.role_known THEN ', a role whose definition is not loaded'
                   ELSE concat(', with ', coalesce(w.risky, 0), ' risky operations') END) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.level = 'management_group'
