-- title: At least two owners a subscription
-- description: A single owner who leaves locks everybody out; those of management groups above count too.
-- severity: medium
-- subject: scope
-- needs: assignments, subscriptions
-- with: held, opaque
-- tags: CIS 5.27, MCSB PA-5, NIST AC-2
-- parameter: least integer = 2  so many owners there have to be
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
              CASE WHEN o.opaque > 0 THEN concat(', and who is in ', o.opaque, ' more groups is not loaded') END) AS reason
FROM scopes s
LEFT JOIN owners o ON o.subscription = s.scope
WHERE s.kind = 'subscription'
