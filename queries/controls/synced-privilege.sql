-- title: Only cloud accounts can give rights
-- description: Users and groups that are synchronised from an on-premises directory and hold a role that gives
--   rights. An attacker in that directory takes over the cloud.
-- severity: high
-- subject: principal
-- needs: assignments, users, catalogue
-- with: held, powers
-- tags: MCSB PA-1, NIST AC-6(5)
-- columns: resource, status, reason
SELECT h.holder AS resource,
       CASE WHEN bool_or(p.is_synced) THEN 'fail'
            WHEN bool_or(p.principal_id IS NULL) THEN 'unknown' ELSE 'pass' END AS status,
       concat(any_value(h.who), ' has ', min(h.assigned),
              CASE status WHEN 'fail' THEN ' and comes from an on-premises directory'
                   WHEN 'unknown' THEN ' and is in no listing' END) AS reason
FROM held h
JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.gives_rights
LEFT JOIN principals p ON p.principal_id = h.holder
WHERE h.holder_type IN ('User', 'Group')
GROUP BY h.holder
