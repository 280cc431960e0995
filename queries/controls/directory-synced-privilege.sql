-- title: Only cloud accounts hold privileged directory roles
-- description: Users and groups that are synchronised from an on-premises directory and hold a role that Microsoft
--   marks as privileged. An attacker in that directory takes over the tenant.
-- severity: high
-- subject: principal
-- needs: directory_roles, users
-- with: directory
-- tags: MCSB PA-1, NIST AC-6(5)
-- columns: resource, status, reason
SELECT d.holder AS resource,
       CASE WHEN bool_or(p.is_synced) THEN 'fail'
            WHEN bool_or(p.principal_id IS NULL) THEN 'unknown' ELSE 'pass' END AS status,
       concat(any_value(d.who), ' has ', min(d.assigned),
              CASE status WHEN 'fail' THEN ' and comes from an on-premises directory'
                   WHEN 'unknown' THEN ' and is in no listing' END) AS reason
FROM directory d
LEFT JOIN principals p ON p.principal_id = d.holder
WHERE d.privileged AND coalesce(d.holder_type, 'User') IN ('User', 'Group')
GROUP BY d.holder
