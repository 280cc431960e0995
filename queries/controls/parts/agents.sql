-- Agent identities and principals of agent blueprints that exist. `is_agent` tells them apart, `blueprint_app_id` is the
-- blueprint of both, `user_id` is the user account of an agent identity; `who` is for people.
WITH blueprints AS (
    SELECT DISTINCT lower(blueprint_app_id) AS app_id FROM principals WHERE object_type = 'agentIdentity'
)
SELECT p.principal_id, coalesce(nullif(p.display_name, ''), p.principal_id) AS who,
       p.object_type IS NOT DISTINCT FROM 'agentIdentity' AS is_agent,
       lower(coalesce(p.blueprint_app_id, p.app_id)) AS blueprint_app_id, p.created_on,
       (SELECT min(u.principal_id) FROM principals u WHERE lower(u.parent_id) = lower(p.principal_id)) AS user_id
FROM principals p
WHERE p.deleted_on IS NULL
  AND (p.object_type IN ('agentIdentity', 'agentIdentityBlueprintPrincipal')
       OR p.principal_type = 'ServicePrincipal' AND lower(p.app_id) IN (SELECT app_id FROM blueprints))
