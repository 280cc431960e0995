-- title: What agents inherit from their blueprint
-- description: Permissions of the principal of each blueprint that its agents inherit, or may inherit. `mode` is that
--   of the API in inheritable_permissions: `conflicting` where exports disagree, `not listed` where no export lists what
--   the blueprint lets its agents inherit. Agents that only sign-ins name are among them. `rightsize agents` adds use
--   and tokens.
-- parameter: blueprint text = ''  application id of a blueprint; empty for all
-- columns: blueprint, blueprint_app_id, agent, agent_id, access, permission, api_app_id, mode, grant_id
WITH blueprints AS (
    SELECT lower(object_id) AS object_id, lower(blueprint_app_id) AS app_id
    FROM agent_blueprints
    WHERE object_id IS NOT NULL AND blueprint_app_id IS NOT NULL
),
people AS (
    SELECT lower(principal_id) AS id, lower(app_id) AS app_id, lower(blueprint_app_id) AS blueprint_app_id,
           display_name, principal_type, deleted_on IS NOT NULL AS gone,
           coalesce(lower(object_type) = 'agentidentity', false) AS is_agent,
           coalesce(lower(object_type) = 'agentidentityblueprintprincipal', false) AS is_blueprint
    FROM principals
),
-- An agent that sign-ins know by an application id has the id of its principal; the last blueprint they name counts.
sighted AS (
    SELECT coalesce(p.id, s.app_id) AS id,
           last(s.blueprint_app_id ORDER BY s.last_seen NULLS FIRST, s.blueprint_app_id)
               FILTER (s.blueprint_app_id <> '') AS blueprint_app_id
    FROM (SELECT lower(app_id) AS app_id, lower(blueprint_app_id) AS blueprint_app_id, last_seen FROM agent_sightings
          WHERE lower(agent_type) = 'agenticappinstance' AND app_id IS NOT NULL) s
    LEFT JOIN (SELECT app_id, min(id) AS id FROM people GROUP BY app_id) p ON p.app_id = s.app_id
    WHERE s.app_id NOT IN (SELECT app_id FROM people WHERE is_blueprint AND app_id IS NOT NULL
                           UNION ALL SELECT app_id FROM blueprints
                           UNION ALL SELECT lower(blueprint_app_id) FROM agent_sightings
                           WHERE blueprint_app_id IS NOT NULL)
    GROUP BY 1
),
agents AS (
    SELECT coalesce(p.id, s.id) AS id, p.display_name, coalesce(p.blueprint_app_id, s.blueprint_app_id) AS app_id
    FROM people p
    FULL JOIN sighted s ON s.id = p.id
    WHERE s.id IS NOT NULL OR p.is_agent OR (p.blueprint_app_id IS NOT NULL AND p.principal_type <> 'User')
),
holders AS (
    SELECT app_id, first(id ORDER BY gone, NOT is_blueprint, id) AS id,
           first(display_name ORDER BY gone, NOT is_blueprint, id) AS display_name
    FROM people
    WHERE app_id IS NOT NULL AND NOT is_agent
    GROUP BY app_id
),
listed AS (
    SELECT coalesce(b.app_id, lower(i.blueprint_id)) AS app_id,
           lower(i.resource_app_id) AS api_app_id,
           i.access,
           CASE WHEN count(DISTINCT i.mode) > 1 THEN 'conflicting' ELSE min(i.mode) END AS mode,
           flatten(list(list_transform(i.permissions, lambda one: lower(one)))) AS permissions
    FROM inheritable_permissions i
    LEFT JOIN blueprints b ON b.object_id = lower(i.blueprint_id)
    GROUP BY 1, 2, 3
),
-- An API that a complete listing of a blueprint lacks is not inherited.
whole AS (
    SELECT DISTINCT coalesce(b.app_id, lower(l."of")) AS app_id
    FROM listings l
    LEFT JOIN blueprints b ON b.object_id = lower(l."of")
    WHERE l.listing = 'inheritablePermissions' AND l.complete AND coalesce(l.rejected, 0) = 0
),
grants AS (
    SELECT lower(a.principal_id) AS holder, 'application' AS access, NULL AS permission,
           lower(a.app_role_id) AS permission_id, lower(a.resource_id) AS resource_id, a.resource_name,
           a.app_role_assignment_id AS grant_id
    FROM app_role_assignments a
    WHERE lower(coalesce(a.principal_type, 'ServicePrincipal')) = 'serviceprincipal'
      AND a.app_role_id <> '00000000-0000-0000-0000-000000000000'
    UNION ALL
    SELECT lower(g.client_id), 'delegated', unnest(g.permissions), NULL, lower(g.resource_id), NULL,
           g.permission_grant_id
    FROM permission_grants g
),
named AS (
    SELECT g.holder, g.access, g.permission, g.permission_id, g.grant_id,
           CASE WHEN api.app_id IS NULL AND g.resource_name = 'Microsoft Graph'
                THEN '00000003-0000-0000-c000-000000000000' ELSE api.app_id END AS api_app_id
    FROM grants g
    LEFT JOIN people api ON api.id = g.resource_id
),
held AS (
    SELECT n.holder, n.access, n.api_app_id, n.grant_id, coalesce(n.permission, p.permission, n.permission_id) AS name,
           min(coalesce(n.permission_id, lower(p.permission_id))) AS permission_id
    FROM named n
    LEFT JOIN api_permissions p
        ON lower(p.api_app_id) = n.api_app_id AND p.access = n.access
        AND (lower(p.permission_id) = n.permission_id OR lower(p.permission) = lower(n.permission))
    GROUP BY ALL
)
SELECT DISTINCT
       holders.display_name AS blueprint,
       agents.app_id AS blueprint_app_id,
       coalesce(agents.display_name, agents.id) AS agent,
       agents.id AS agent_id,
       held.access,
       held.name AS permission,
       held.api_app_id,
       coalesce(listed.mode, 'not listed') AS mode,
       held.grant_id
FROM agents
JOIN holders ON holders.app_id = agents.app_id
JOIN held ON held.holder = holders.id
LEFT JOIN listed
    ON listed.app_id = agents.app_id AND listed.api_app_id = held.api_app_id AND listed.access = held.access
WHERE ($blueprint = '' OR agents.app_id = lower(trim($blueprint)))
  AND (listed.mode IS NOT NULL OR held.api_app_id IS NULL OR agents.app_id NOT IN (SELECT app_id FROM whole))
  AND coalesce(listed.mode, '') <> 'none'
  AND (coalesce(listed.mode, '') <> 'enumerated' OR list_contains(listed.permissions, lower(held.name))
       OR coalesce(list_contains(listed.permissions, held.permission_id), false))
ORDER BY ALL
