-- title: The Activity Log has no gaps
-- description: Subscriptions with days without a loaded Activity Log. Attacks and use on these days are not visible.
-- severity: medium
-- subject: scope
-- needs: subscriptions
-- tags: MCSB LT-3, NIST AU-12
-- columns: resource, status, reason
SELECT s.scope AS resource,
       CASE WHEN c.place IS NULL OR c.missing > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(CASE WHEN c.place IS NULL THEN 'no Activity Log of it is loaded'
              ELSE concat(c.missing, ' of ', c.days, ' days are missing') END) AS reason
FROM scopes s
LEFT JOIN (
    SELECT lower(scope) AS place, count(DISTINCT day) AS days, count(DISTINCT day) FILTER (state = 'missing') AS missing
    FROM coverage WHERE source = 'activity_log' GROUP BY place
) c ON c.place = lower(s.scope)
WHERE s.kind = 'subscription'
