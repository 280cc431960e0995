-- title: Operations that the catalogue does not have
-- description: Operations that events or roles name and the catalogue lacks: update the catalogue, or correct their
--   spelling.
-- columns: operation, plane, events, first_seen, last_seen
SELECT operation, plane, events, first_seen, last_seen
FROM unknown_operations
ORDER BY events DESC NULLS LAST, operation, plane
