-- title: What code declares and nobody performed
-- description: Operations that loaded code declares for a principal and that no log shows it performing at that scope
--   or below: work that is yet to come, or code that is not deployed any more.
-- columns: principal_id, name, operation, scope, file, resource, declared_on, until
SELECT d.principal_id, p.display_name AS name, d.operation, d.scope, d.file, d.resource, d.declared_on, d.until
FROM declared_needs d
LEFT JOIN principals p ON p.principal_id = d.principal_id
WHERE NOT EXISTS (
    SELECT 1 FROM usage_days u
    WHERE u.principal_id = d.principal_id
      AND lower(u.operation) = lower(d.operation)
      AND u.succeeded + u.failed + u.started > 0
      AND (lower(u.scope) = d.scope OR starts_with(lower(u.scope), rtrim(d.scope, '/') || '/'))
)
ORDER BY d.principal_id, d.operation, d.scope, d.file, d.resource, d.declared_on, d.until
