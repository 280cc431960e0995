-- title: No role that gives rights is permanent
-- description: Permanent roles without a condition, custom ones included, that can assign roles, define roles or
--   elevate access, at any scope. Another control covers Owner at subscriptions and above.
-- severity: high
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB PA-2, NIST AC-6(5), CIS 5.3.4
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN NOT h.role_known THEN 'unknown'
            WHEN h.standing AND h.condition IS NULL AND coalesce(w.gives_rights, false) THEN 'fail'
            ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN NOT h.role_known THEN ', a role whose definition is not loaded'
                   WHEN w.gives_rights THEN ', which can give anybody any right' END) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.state <> 'eligible'
  AND NOT (h.role_definition_id = '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'
           AND h.level IN ('root', 'management_group', 'subscription'))
