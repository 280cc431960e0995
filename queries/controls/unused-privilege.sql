-- title: Privileged roles are used
-- description: Assignments of roles that give rights, without a used operation in the window, although a complete log
--   would have shown it.
-- severity: high
-- subject: role_assignment
-- needs: assignments, catalogue, analysis
-- with: held, powers, used
-- tags: MCSB PA-7, NIST AC-6(7), CIS 5.3.4
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN u.used > 0 THEN 'pass'
            WHEN coalesce(u.unused, 0) = 0 OR u.out_of_coverage > 0 THEN 'unknown' ELSE 'fail' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE status WHEN 'pass' THEN concat(' and used ', u.used, ' operations')
                   WHEN 'fail' THEN concat(' and used none of ', u.unused, ' operations that a log would show')
                   ELSE ', and the logs do not cover its use' END) AS reason
FROM held h
JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.gives_rights
LEFT JOIN used u ON u.role_assignment_id = h.role_assignment_id AND u.state = h.state
WHERE h.through_group IS NULL
