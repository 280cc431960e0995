-- title: What a principal with declared code performed beside it
-- description: Control-plane operations of principals for which code is declared, that no declaration names at that
--   scope or above: work by hand, a pipeline whose code was not loaded, or somebody else with its credential.
-- columns: principal_id, name, operation, scope, first_day, last_day, calls
SELECT u.principal_id, p.display_name AS name, u.operation, u.scope, min(u.day) AS first_day, max(u.day) AS last_day,
       sum(u.succeeded + u.failed + u.started)::BIGINT AS calls
FROM usage_days u
LEFT JOIN principals p ON p.principal_id = u.principal_id
WHERE u.plane = 'control' AND u.succeeded + u.failed + u.started > 0
  AND u.principal_id IN (SELECT principal_id FROM declared_needs)
  AND NOT EXISTS (
    SELECT 1 FROM declared_needs d
    WHERE d.principal_id = u.principal_id
      AND lower(d.operation) = lower(u.operation)
      AND (lower(u.scope) = d.scope OR starts_with(lower(u.scope), rtrim(d.scope, '/') || '/'))
  )
GROUP BY u.principal_id, p.display_name, u.operation, u.scope
ORDER BY u.principal_id, u.operation, u.scope
