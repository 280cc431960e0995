-- title: At least two owners per subscription
-- description: Subscriptions with too few owners, those of management groups above included. If a single owner
--   leaves, nobody can manage access.
-- severity: medium
-- subject: scope
-- needs: assignments, subscriptions
-- with: held, opaque
-- tags: CIS 5.27, MCSB PA-5, NIST AC-2
-- parameter: least integer = 2  fewest owners that pass
-- columns: resource, status, reason
WITH RECURSIVE above AS (
    SELECT scope AS subscription, lower(scope) AS place, lower(parent_scope) AS parent
    FROM scopes WHERE kind = 'subscription'
    UNION
    SELECT a.subscription, lower(s.scope), lower(s.parent_scope)
    FROM above a JOIN scopes s ON lower(s.scope) = a.parent
),
owners AS (
    SELECT a.subscription,
           count(DISTINCT h.holder) FILTER (h.holder_type IS DISTINCT FROM 'Group') AS owners,
           count(DISTINCT q.group_id) AS opaque
    FROM above a
    JOIN held h ON lower(h.scope) = a.place
    LEFT JOIN opaque q ON q.group_id = h.holder
    WHERE h.role_definition_id = '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'
    GROUP BY a.subscription
)
SELECT s.scope AS resource,
       CASE WHEN coalesce(o.owners, 0) >= $least THEN 'pass'
            WHEN coalesce(o.opaque, 0) > 0 THEN 'unknown' ELSE 'fail' END AS status,
       concat(coalesce(o.owners, 0), ' can be owners',
              CASE WHEN o.opaque > 0 THEN concat(', and the members of ', o.opaque, ' more groups are not loaded') END) AS reason
FROM scopes s
LEFT JOIN owners o ON o.subscription = s.scope
WHERE s.kind = 'subscription'
