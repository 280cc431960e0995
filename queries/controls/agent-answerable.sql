-- title: Somebody answers for every agent
-- description: Agent identities and agent blueprints without a sponsor and without an owner. A sponsor or owner whose
--   account is disabled or deleted does not count. Microsoft asks for a sponsor when an agent is made; he may have left
--   since. Without a complete listing of owners and of sponsors the answer is unknown; for a blueprint these are the
--   owners and sponsors of its application and the owners of its principal.
-- severity: medium
-- subject: principal
-- needs: agents, sponsors
-- with: agents
-- tags: MCSB PA-3, NIST AC-2
-- columns: resource, status, reason
WITH named AS (
    SELECT object_id, app_id, sponsor_id AS answers FROM object_sponsors
    UNION
    SELECT object_id, app_id, owner_id FROM object_owners
),
known AS (
    SELECT n.object_id, n.app_id, count(*) AS people,
           count(*) FILTER (p.deleted_on IS NULL AND p.account_enabled IS DISTINCT FROM false) AS present
    FROM named n
    LEFT JOIN principals p ON p.principal_id = n.answers
    GROUP BY n.object_id, n.app_id
),
counted AS (
    SELECT a.principal_id, any_value(a.who) AS who, any_value(a.is_agent) AS is_agent,
           any_value(a.blueprint_app_id) IN (SELECT lower(blueprint_app_id) FROM agent_blueprints) AS has_application,
           coalesce(sum(k.people), 0) AS people, coalesce(sum(k.present), 0) AS present
    FROM agents a
    LEFT JOIN known k ON k.object_id = a.principal_id OR NOT a.is_agent AND lower(k.app_id) = a.blueprint_app_id
    GROUP BY a.principal_id
),
listed AS (
    SELECT coalesce(list(concat(listing, ' of ', "of")), []) AS every FROM listings
    WHERE complete AND listing IN ('owners', 'sponsors')
),
judged AS (
    SELECT c.*, CASE
        WHEN is_agent THEN
            list_has_any(every, ['owners of serviceprincipals',
                                 'owners of serviceprincipals/microsoft.graph.agentidentity'])
            AND list_has_any(every, ['sponsors of serviceprincipals/microsoft.graph.agentidentity'])
        ELSE has_application
            AND list_has_any(every, ['owners of applications',
                                     'owners of applications/microsoft.graph.agentidentityblueprint'])
            AND list_has_any(every, ['sponsors of applications/microsoft.graph.agentidentityblueprint'])
            AND list_has_any(every, ['owners of serviceprincipals',
                                     'owners of serviceprincipals/microsoft.graph.agentidentityblueprintprincipal'])
        END AS is_whole
    FROM counted c
    CROSS JOIN listed
)
SELECT principal_id AS resource,
       CASE WHEN present > 0 THEN 'pass' WHEN is_whole THEN 'fail' ELSE 'unknown' END AS status,
       concat(CASE WHEN is_agent THEN 'the agent ' ELSE 'the blueprint ' END, who,
              CASE WHEN people > 0 THEN ' has only sponsors and owners whose accounts are disabled or deleted'
                   ELSE ' has neither a sponsor nor an owner' END,
              CASE WHEN status = 'unknown' THEN ' in a loaded listing, and no complete one of both is loaded'
                   ELSE '' END) AS reason
FROM judged
