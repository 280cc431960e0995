-- title: No guest holds a risky role
-- description: Users of type Guest with a role that gives privilege, reads secrets, runs code, destroys, or switches
--   off monitoring. Roles count directly or through a group, active or eligible.
-- severity: high
-- subject: principal
-- needs: assignments, users, catalogue
-- with: held, powers, opaque
-- tags: CIS 5.3.2, MCSB PA-1, NIST AC-6(6)
-- columns: resource, status, reason
SELECT p.principal_id AS resource,
       CASE WHEN count(*) FILTER (w.risky > 0) > 0 THEN 'fail'
            WHEN count(*) FILTER (NOT h.role_known) > 0 OR any_value(q.groups) > 0 THEN 'unknown'
            ELSE 'pass' END AS status,
       concat(coalesce(nullif(p.display_name, ''), p.principal_id),
              CASE WHEN status = 'fail' THEN concat(' has ', min(h.assigned) FILTER (w.risky > 0))
                   WHEN status = 'unknown' THEN ' may have one through a group or role that is not loaded' END) AS reason
FROM principals p
LEFT JOIN held h ON h.holder = p.principal_id
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
CROSS JOIN (SELECT count(*) AS groups FROM opaque) q
WHERE p.user_type = 'Guest'
GROUP BY p.principal_id, p.display_name
