-- title: No suspect call used a risky role
-- description: Holders of risky roles with calls during an alert or a risky sign-in. Look at these first.
-- severity: critical
-- subject: principal
-- needs: assignments, catalogue, usage, signals
-- with: held, powers
-- tags: MCSB LT-1, NIST SI-4
-- columns: resource, status, reason
SELECT h.holder AS resource,
       CASE WHEN coalesce(max(u.suspect), 0) > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(min(h.who), ' made ', coalesce(max(u.suspect), 0), ' suspect calls and has ', min(h.assigned)) AS reason
FROM held h
JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.risky > 0
LEFT JOIN (SELECT principal_id, sum(suspect) AS suspect FROM usage_days GROUP BY principal_id) u ON u.principal_id = h.holder
WHERE h.holder_type IN ('User', 'ServicePrincipal', 'ManagedIdentity')
GROUP BY h.holder
