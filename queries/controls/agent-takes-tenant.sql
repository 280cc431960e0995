-- title: No agent has a way to the whole tenant
-- description: Agent identities that can become Global Administrator or assign roles at the root, in any number of
--   steps, through what they hold, inherit or act as.
-- severity: critical
-- subject: principal
-- needs: agents, analysis
-- with: agents
-- tags: MCSB PA-7, NIST AC-6(1)
-- columns: resource, status, reason
SELECT a.principal_id AS resource,
       CASE WHEN coalesce(bool_or(r.takes_tenant), false) THEN 'fail' ELSE 'pass' END AS status,
       concat(any_value(a.who), ' can take the whole tenant in ', min(r.tenant_steps), ' steps') AS reason
FROM agents a
LEFT JOIN reach r ON r.subject = a.principal_id AND r.basis = 'granted'
WHERE a.is_agent
GROUP BY a.principal_id
