-- title: No person has a permanent risky role over a whole subscription
-- description: People, directly or through a group, with a permanent role that can run code, read secrets, destroy,
--   or switch off monitoring at a subscription or above. Other controls cover roles that give rights.
-- severity: medium
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB PA-2, NIST AC-6
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN NOT h.role_known THEN 'unknown'
            WHEN h.standing AND coalesce(w.risky, 0) > 0 AND NOT w.gives_rights THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN NOT h.role_known THEN ', a role whose definition is not loaded'
                   ELSE concat(', with ', coalesce(w.risky, 0), ' risky operations') END) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.level = 'subscription' AND h.assignee_type IN ('User', 'Group')
