-- title: Nobody uses shared keys
-- description: Resources whose keys were read in the loaded time. Whoever has a key needs no role. Keys that were
--   copied before are not visible.
-- severity: medium
-- subject: scope
-- needs: activity_log, usage
-- tags: MCSB IM-8, MCSB IM-1, NIST IA-5
-- columns: resource, status, reason
WITH read AS (
    SELECT u.scope, sum(u.succeeded + u.failed + u.started) AS calls,
           count(DISTINCT coalesce(u.principal_id, u.principal_name)) AS callers, max(u.day) AS last_day
    FROM usage_days u
    WHERE u.plane = 'control' AND regexp_matches(u.operation, '/list\w*keys?(/action)?$', 'i')
      AND u.succeeded + u.failed + u.started > 0
    GROUP BY u.scope
)
SELECT r.scope AS resource, 'fail' AS status,
       concat('its keys were read ', r.calls, ' times by ', r.callers, ' principals, last on ', r.last_day) AS reason
FROM read r
UNION ALL
SELECT '/', 'pass', 'no reading of keys was seen'
WHERE NOT EXISTS (SELECT 1 FROM read)
