-- title: Operations of logs that no rule maps to a permission
-- description: Coverage that is lost: no rule says which permission these requests used, so their callers keep all
--   that they may have used.
-- columns: source, operation, events, resources, first_seen, last_seen
SELECT source, operation, events, resources, first_seen, last_seen
FROM unmapped_operations
ORDER BY events DESC, source, operation
