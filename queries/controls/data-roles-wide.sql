-- title: No role reaches the data of whole subscriptions
-- description: Permanent roles with data actions at a subscription or above. They include every account, vault and
--   queue that is created later.
-- severity: medium
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN NOT h.role_known THEN 'unknown'
            WHEN h.standing AND coalesce(w.data_operations, 0) > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN NOT h.role_known THEN ', a role whose definition is not loaded'
                   ELSE concat(', with ', coalesce(w.data_operations, 0), ' data operations') END) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.level IN ('root', 'management_group', 'subscription')
