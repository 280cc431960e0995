-- title: No principal tries operations that it lacks
-- description: Principals with refused calls of `least` or more different operations: a script that signs in as the
--   wrong principal, or somebody who tests their access.
-- severity: low
-- subject: principal
-- needs: activity_log, usage
-- tags: MCSB LT-1, NIST AU-6
-- parameter: least integer = 5  fewest different refused operations that fail
-- columns: resource, status, reason
SELECT coalesce(u.principal_id, u.principal_name) AS resource,
       CASE WHEN count(DISTINCT u.operation) FILTER (u.denied > 0) >= $least THEN 'fail' ELSE 'pass' END AS status,
       concat(coalesce(any_value(nullif(p.display_name, '')), any_value(u.principal_name), u.principal_id), ' was refused ',
              count(DISTINCT u.operation) FILTER (u.denied > 0), ' operations') AS reason
FROM usage_days u
LEFT JOIN principals p ON p.principal_id = u.principal_id
WHERE coalesce(u.principal_id, u.principal_name) IS NOT NULL
GROUP BY u.principal_id, u.principal_name
