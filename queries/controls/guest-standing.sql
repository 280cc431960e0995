-- title: No guest has permanent access
-- description: Users of type Guest with a permanent assignment, directly or through a group.
-- severity: medium
-- subject: principal
-- needs: assignments, users
-- with: held, opaque
-- tags: CIS 5.3.2, MCSB PA-4, NIST AC-6(6)
-- columns: resource, status, reason
SELECT p.principal_id AS resource,
       CASE WHEN count(*) FILTER (h.standing) > 0 THEN 'fail'
            WHEN any_value(q.groups) > 0 THEN 'unknown' ELSE 'pass' END AS status,
       concat(coalesce(nullif(p.display_name, ''), p.principal_id),
              CASE WHEN status = 'fail' THEN concat(' has ', min(h.assigned) FILTER (h.standing))
                   WHEN status = 'unknown' THEN ' may have some through a group whose members are not loaded' END) AS reason
FROM principals p
LEFT JOIN held h ON h.holder = p.principal_id
CROSS JOIN (SELECT count(*) AS groups FROM opaque) q
WHERE p.user_type = 'Guest'
GROUP BY p.principal_id, p.display_name
