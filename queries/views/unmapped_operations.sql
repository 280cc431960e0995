-- An activity of the directory is marked in its name, and has no resource.
SELECT e.source, regexp_replace(o.spelling, '^{unmapped}', '') AS operation, sum(e.events) AS events,
    count(DISTINCT regexp_extract(s.folded, '{resource}', 1)) AS resources, min(e.first_seen) AS first_seen,
    max(e.last_seen) AS last_seen
FROM base.operation_days AS e
JOIN base.operation_names AS o USING (operation_key) LEFT JOIN base.scope_names AS s USING (scope_key)
WHERE e.access = 'unmapped' OR (e.plane = 'directory' AND starts_with(o.folded, '{unmapped}'))
GROUP BY e.source, o.spelling
