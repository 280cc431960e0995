-- title: Nobody holds a privileged directory role permanently
-- description: Users and groups with a permanent role that Microsoft marks as privileged. Emergency access accounts
--   fail here by design: put them into the file of exemptions.
-- severity: high
-- subject: principal
-- needs: directory_roles
-- with: directory
-- tags: MCSB PA-2, NIST AC-6(5), CIS 5.3.4
-- columns: resource, status, reason
SELECT d.principal_id AS resource,
       CASE WHEN bool_or(d.privileged AND d.standing) THEN 'fail'
            WHEN bool_or(d.standing AND NOT d.role_known) THEN 'unknown' ELSE 'pass' END AS status,
       concat(any_value(d.who), ' has ',
              coalesce(min(d.assigned) FILTER (d.privileged AND d.standing), min(d.assigned)),
              CASE status WHEN 'fail' THEN ' for good'
                   WHEN 'unknown' THEN ', whose definition is not loaded' END) AS reason
FROM directory d
WHERE d.through_group IS NULL AND d.assignee_type IN ('User', 'Group')
GROUP BY d.principal_id
