-- title: No blueprint lets its agents inherit everything
-- description: Agent blueprints whose agents inherit all application permissions or all delegated permissions of an API.
--   They also inherit whatever is granted to the blueprint's principal later.
-- severity: medium
-- subject: principal
-- needs: agents, inheritable
-- with: agents
-- tags: MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
WITH listed AS (
    SELECT lower(coalesce(b.blueprint_app_id, i.blueprint_id)) AS blueprint_app_id, i.access, i.mode,
           coalesce((SELECT min(p.display_name) FROM principals p WHERE lower(p.app_id) = lower(i.resource_app_id)),
                    i.resource_app_id) AS api
    FROM inheritable_permissions i
    LEFT JOIN agent_blueprints b ON lower(b.object_id) = lower(i.blueprint_id)
)
SELECT a.principal_id AS resource,
       CASE WHEN count(*) FILTER (l.mode = 'allAllowed') > 0 THEN 'fail'
            WHEN count(*) FILTER (l.mode NOT IN ('none', 'enumerated')) > 0 THEN 'unknown' ELSE 'pass' END AS status,
       concat('the agents of ', any_value(a.who),
              CASE status WHEN 'fail' THEN concat(' inherit ', string_agg(DISTINCT concat(
                                   'all ', l.access, ' permissions of ', l.api), ' and ') FILTER (l.mode = 'allAllowed'))
                   WHEN 'unknown' THEN ' inherit in a way that no document of Microsoft names' END) AS reason
FROM agents a
LEFT JOIN listed l ON l.blueprint_app_id = a.blueprint_app_id
WHERE NOT a.is_agent
GROUP BY a.principal_id
