-- title: Disabled accounts hold no roles
-- description: Disabled accounts with an assignment, directly or through a group. Whoever enables one gets its
--   access.
-- severity: medium
-- subject: principal
-- needs: assignments, users
-- with: held
-- tags: CIS 5.3.5, MCSB PA-3, NIST AC-2(3)
-- columns: resource, status, reason
SELECT h.holder AS resource,
       CASE WHEN bool_or(p.account_enabled IS FALSE) THEN 'fail'
            WHEN bool_or(p.account_enabled IS NULL) THEN 'unknown' ELSE 'pass' END AS status,
       concat(any_value(coalesce(nullif(p.display_name, ''), h.holder)),
              CASE status WHEN 'fail' THEN ' is disabled and has ' WHEN 'unknown' THEN
                  ' may be disabled or not (the listing does not say), and has ' ELSE ' has ' END, min(h.assigned)) AS reason
FROM held h
JOIN principals p ON p.principal_id = h.holder AND p.principal_type IN ('User', 'ServicePrincipal', 'ManagedIdentity')
GROUP BY h.holder
