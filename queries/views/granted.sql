SELECT a.role_assignment_id AS grant_id, a.state, p.plane,
    coalesce(r.role_name, a.role_definition_id) AS granted, a.principal_id, 'role' AS access, a.scope,
    coalesce(p.conditional, false) OR a.condition IS NOT NULL AS conditional
FROM role_assignments AS a LEFT JOIN role_definitions AS r USING (role_definition_id)
LEFT JOIN (
    SELECT role_definition_id, CASE kind WHEN 'action' THEN 'control' ELSE 'data' END AS plane,
        bool_and(condition IS NOT NULL) AS conditional
    FROM role_permissions WHERE kind IN ('action', 'data_action') GROUP BY ALL
) AS p USING (role_definition_id)
UNION ALL
SELECT g.app_role_assignment_id, 'active', 'graph', coalesce(n.permission, g.app_role_id), g.principal_id,
    'application', g.resource_id, false
FROM app_role_assignments AS g LEFT JOIN (
    SELECT i.principal_id AS resource_id, p.permission_id AS app_role_id, min(p.permission) AS permission
    FROM base.api_permissions AS p JOIN base.principals AS i ON i.app_id = p.api_app_id
    WHERE p.access = 'application' GROUP BY ALL
) AS n USING (resource_id, app_role_id)
UNION ALL
SELECT permission_grant_id, 'active', 'graph', unnest(permissions), client_id, 'delegated',
    CASE WHEN consent_type = 'Principal' THEN principal_id ELSE resource_id END, false
FROM permission_grants
UNION ALL
SELECT a.role_assignment_id, a.state, 'directory', coalesce(r.role_name, a.directory_role_id), a.principal_id,
    'role', a.scope, false
FROM directory_role_assignments AS a LEFT JOIN base.directory_roles AS r USING (directory_role_id)
