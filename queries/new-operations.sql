-- title: Operations that a principal used for the first time
-- description: Operations that a principal performed for the first time on or after a day, although it was active
--   before: new work, or a stolen credential.
-- parameter: since day  first day of the new operations
-- columns: principal_id, name, operation, plane, first_day, days, calls
WITH used AS (
    SELECT principal_id, operation, plane, min(day) AS first_day, count(DISTINCT day) AS days,
           sum(succeeded + failed + started)::BIGINT AS calls
    FROM usage_days
    WHERE principal_id IS NOT NULL AND succeeded + failed + started > 0
    GROUP BY principal_id, operation, plane
)
SELECT u.principal_id, p.display_name AS name, u.operation, u.plane, u.first_day, u.days, u.calls
FROM used u
LEFT JOIN principals p ON p.principal_id = u.principal_id
WHERE u.first_day >= $since
  AND EXISTS (SELECT 1 FROM used b WHERE b.principal_id = u.principal_id AND b.first_day < $since)
ORDER BY u.first_day, u.principal_id, u.operation, u.plane
