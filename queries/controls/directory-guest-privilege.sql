-- title: No guest holds a privileged directory role
-- description: Users of type Guest with a role that Microsoft marks as privileged, directly or through a group,
--   active or eligible.
-- severity: high
-- subject: principal
-- needs: directory_roles, users
-- with: directory
-- tags: CIS 5.3.2, MCSB PA-1, NIST AC-6(6)
-- columns: resource, status, reason
SELECT p.principal_id AS resource,
       CASE WHEN count(*) FILTER (d.privileged) > 0 THEN 'fail'
            WHEN count(*) FILTER (NOT d.role_known) > 0 THEN 'unknown' ELSE 'pass' END AS status,
       concat(coalesce(nullif(p.display_name, ''), p.principal_id),
              CASE WHEN status = 'fail' THEN concat(' has ', min(d.assigned) FILTER (d.privileged))
                   WHEN status = 'unknown' THEN ' has a role whose definition is not loaded' END) AS reason
FROM principals p
LEFT JOIN directory d ON d.holder = p.principal_id
WHERE p.user_type = 'Guest'
GROUP BY p.principal_id, p.display_name
