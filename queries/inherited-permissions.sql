-- title: What agents inherit from their blueprint
-- description: Permissions of the principal of each blueprint, and whether its agents inherit them: the mode of the API
--   in inheritable_permissions, `not listed` where no export says it. `rightsize agents` adds use and tokens.
-- parameter: blueprint text = ''  application id of a blueprint; empty for all
-- columns: blueprint, blueprint_app_id, agent, agent_id, access, permission, api_app_id, mode, grant_id
WITH listed AS (
    SELECT coalesce(b.blueprint_app_id, i.blueprint_id) AS blueprint_app_id,
           i.resource_app_id,
           i.access,
           i.mode,
           list_transform(i.permissions, lambda one: lower(one)) AS permissions
    FROM inheritable_permissions i
    LEFT JOIN agent_blueprints b ON b.object_id = i.blueprint_id
),
held AS (
    SELECT a.principal_id AS holder,
           'application' AS access,
           coalesce(p.permission, a.app_role_id) AS permission,
           api.app_id AS api_app_id,
           a.app_role_assignment_id AS grant_id
    FROM app_role_assignments a
    LEFT JOIN principals api ON api.principal_id = a.resource_id
    LEFT JOIN api_permissions p
        ON p.api_app_id = api.app_id AND p.permission_id = a.app_role_id AND p.access = 'application'
    UNION ALL
    SELECT g.client_id, 'delegated', unnest(g.permissions), api.app_id, g.permission_grant_id
    FROM permission_grants g
    LEFT JOIN principals api ON api.principal_id = g.resource_id
)
SELECT holder.display_name AS blueprint,
       agent.blueprint_app_id,
       agent.display_name AS agent,
       agent.principal_id AS agent_id,
       held.access,
       held.permission,
       held.api_app_id,
       coalesce(listed.mode, 'not listed') AS mode,
       held.grant_id
FROM principals agent
JOIN principals holder ON holder.app_id = agent.blueprint_app_id AND holder.principal_id <> agent.principal_id
JOIN held ON held.holder = holder.principal_id
LEFT JOIN listed
    ON listed.blueprint_app_id = agent.blueprint_app_id
    AND listed.resource_app_id = held.api_app_id
    AND listed.access = held.access
WHERE ($blueprint = '' OR agent.blueprint_app_id = lower(trim($blueprint)))
  AND (coalesce(listed.mode, '') <> 'enumerated' OR list_contains(listed.permissions, lower(held.permission)))
  AND coalesce(listed.mode, '') <> 'none'
ORDER BY ALL
