-- title: No workload has a risky role over a whole subscription
-- description: Service principals and managed identities whose risky role reaches a subscription or more.
-- severity: medium
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB IM-3, MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN h.level NOT IN ('root', 'management_group', 'subscription') THEN 'pass'
            WHEN NOT h.role_known THEN 'unknown'
            WHEN coalesce(w.risky, 0) > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE status WHEN 'unknown' THEN ', a role whose definition is not loaded'
                   WHEN 'fail' THEN concat(', with ', w.risky, ' risky operations') END) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.assignee_type IN ('ServicePrincipal', 'ManagedIdentity')
