-- title: No agent has a permission that Microsoft blocks for agents
-- description: Agent identities and agent blueprints that hold, inherit or may inherit a permission of Microsoft Graph
--   that cannot be granted to agents any more. The rules are in `rules/agent_blocked_permissions.csv`.
-- severity: high
-- subject: principal
-- needs: agents, graph_grants, analysis
-- with: agents
-- tags: MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
SELECT a.principal_id AS resource, CASE WHEN f.subject IS NULL THEN 'pass' ELSE 'fail' END AS status,
       concat(a.who, ' ', f.reason) AS reason
FROM agents a
LEFT JOIN findings f ON f.control = 'agent_blocked_permission' AND f.subject = a.principal_id
