-- title: At most three owners per subscription
-- description: People and workloads with Owner at the subscription itself, with each member of a group.
--   `management-group-privilege` and `root-assignments` count Owners from above.
-- severity: high
-- subject: scope
-- needs: assignments, subscriptions
-- with: held, opaque
-- tags: CIS 5.27, MCSB PA-1, NIST AC-6(5)
-- parameter: most integer = 3  most owners that pass
-- columns: resource, status, reason
WITH owners AS (
    SELECT lower(h.scope) AS place,
           count(DISTINCT h.holder) FILTER (h.holder_type IS DISTINCT FROM 'Group') AS owners,
           count(DISTINCT q.group_id) AS opaque
    FROM held h
    LEFT JOIN opaque q ON q.group_id = h.holder
    WHERE h.level = 'subscription' AND h.state <> 'eligible'
      AND h.role_definition_id = '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'
    GROUP BY lower(h.scope)
)
SELECT s.scope AS resource,
       CASE WHEN coalesce(o.owners, 0) > $most THEN 'fail'
            WHEN coalesce(o.opaque, 0) > 0 THEN 'unknown' ELSE 'pass' END AS status,
       concat(coalesce(o.owners, 0), ' hold Owner',
              CASE WHEN o.opaque > 0 THEN concat(', and the members of ', o.opaque, ' more groups are not loaded') END) AS reason
FROM scopes s
LEFT JOIN owners o ON o.place = lower(s.scope)
WHERE s.kind = 'subscription'
