-- title: Who asks for access that they lack
-- description: Calls that authorisation refused: blocked work, or somebody who tries what they can do.
-- parameter: least integer = 1  fewest refusals to show
-- columns: principal_id, name, operation, plane, scope, denied, also_allowed, days, first_day, last_day
SELECT u.principal_id,
       coalesce(any_value(p.display_name), u.principal_name) AS name,
       u.operation,
       u.plane,
       u.scope,
       sum(u.denied)::BIGINT AS denied,
       sum(u.succeeded + u.failed + u.started)::BIGINT AS also_allowed,
       count(DISTINCT u.day) FILTER (u.denied > 0) AS days,
       min(u.day) FILTER (u.denied > 0) AS first_day,
       max(u.day) FILTER (u.denied > 0) AS last_day
FROM usage_days u
LEFT JOIN principals p ON p.principal_id = u.principal_id
GROUP BY u.principal_id, u.principal_name, u.operation, u.plane, u.scope
HAVING sum(u.denied) >= greatest($least, 1)
ORDER BY denied DESC, u.principal_id, u.principal_name, u.operation, u.scope, u.plane
