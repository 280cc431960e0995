-- title: Privileged directory roles are used
-- description: Roles that Microsoft marks as privileged, without a used action in the window, although the audit log
--   would have shown it.
-- severity: high
-- subject: principal
-- needs: directory_roles, analysis
-- with: directory, used
-- tags: MCSB PA-7, NIST AC-6(7), CIS 5.3.4
-- columns: resource, status, reason
SELECT d.principal_id AS resource,
       CASE WHEN bool_or(coalesce(u.used, 0) = 0 AND u.unused > 0 AND coalesce(u.out_of_coverage, 0) = 0) THEN 'fail'
            WHEN bool_or(coalesce(u.used, 0) = 0) THEN 'unknown' ELSE 'pass' END AS status,
       concat(any_value(d.who), ' has ', min(d.assigned) FILTER (coalesce(u.used, 0) = 0),
              CASE status WHEN 'fail' THEN ' and used nothing of it that the audit log would show'
                   ELSE ', and no log covers its use' END) AS reason
FROM directory d
LEFT JOIN used u ON u.role_assignment_id = d.role_assignment_id AND u.state = d.state
WHERE d.through_group IS NULL AND d.privileged
GROUP BY d.principal_id
