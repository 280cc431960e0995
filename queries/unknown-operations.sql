-- title: Operations that the catalogue does not know
-- description: Named by events or roles, and not in the catalogue: refresh the catalogue, or look at who spells them so.
-- columns: operation, plane, events, first_seen, last_seen
SELECT operation, plane, events, first_seen, last_seen
FROM unknown_operations
ORDER BY events DESC NULLS LAST, operation, plane
