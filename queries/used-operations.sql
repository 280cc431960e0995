-- title: What a principal did
-- description: Authorised operations that a principal performed, with how often and when.
-- parameter: principal text  object id, user principal name or application id
-- columns: operation, plane, scope, calls, failed, days, first_seen, last_seen
WITH wanted AS (
    SELECT translate(trim($principal), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS text
),
who AS (
    SELECT text AS principal_id FROM wanted
    UNION
    SELECT principal_id FROM principal_aliases WHERE alias = (SELECT text FROM wanted)
)
SELECT operation,
       plane,
       scope,
       sum(succeeded + failed + started)::BIGINT AS calls,
       sum(failed)::BIGINT AS failed,
       count(DISTINCT day) AS days,
       min(first_seen) AS first_seen,
       max(last_seen) AS last_seen
FROM usage_days
WHERE principal_id IN (SELECT principal_id FROM who)
   OR translate(principal_name, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') = (SELECT text FROM wanted)
GROUP BY operation, plane, scope
HAVING sum(succeeded + failed + started) > 0
ORDER BY calls DESC, operation, scope, plane
