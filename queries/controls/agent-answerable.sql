-- title: Somebody answers for every agent
-- description: Agent identities and agent blueprints without a sponsor and without an owner. A sponsor or owner whose
--   account is disabled or deleted does not count. Microsoft asks for a sponsor when an agent is made; he may have left
--   since.
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
           coalesce(sum(k.people), 0) AS people, coalesce(sum(k.present), 0) AS present
    FROM agents a
    LEFT JOIN known k ON k.object_id = a.principal_id OR NOT a.is_agent AND lower(k.app_id) = a.blueprint_app_id
    GROUP BY a.principal_id
)
SELECT principal_id AS resource, CASE WHEN present > 0 THEN 'pass' ELSE 'fail' END AS status,
       concat(CASE WHEN is_agent THEN 'the agent ' ELSE 'the blueprint ' END, who,
              CASE WHEN people > 0 THEN ' has only sponsors and owners whose accounts are disabled or deleted'
                   ELSE ' has neither a sponsor nor an owner' END) AS reason
FROM counted
