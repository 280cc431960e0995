-- title: Nobody can both switch off monitoring and act
-- description: Permanent roles at a subscription or above that can switch off logs, alerts or locks, and also run
--   code or read secrets. An attacker with one of them works unseen.
-- severity: high
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB LT-3, NIST AU-9(4), NIST AC-5
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN NOT h.role_known THEN 'unknown'
            WHEN h.standing AND w.evasion > 0 AND w.code_execution + w.secret > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN NOT h.role_known THEN ', a role whose definition is not loaded'
                   ELSE concat(', with ', coalesce(w.evasion, 0), ' operations that switch off monitoring and ',
                               coalesce(w.code_execution + w.secret, 0), ' that run code or read secrets') END) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.level IN ('root', 'management_group', 'subscription')
