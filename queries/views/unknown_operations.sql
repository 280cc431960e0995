SELECT o.spelling AS operation, plane, sum(events)::BIGINT AS events, min(first_seen) AS first_seen,
    max(last_seen) AS last_seen
FROM base.operation_days JOIN base.operation_names AS o USING (operation_key)
-- Other planes have no catalogue, and what no role let through is in none.
WHERE plane IN ('control', 'data') AND coalesce(access, 'roles') IN ('roles', 'unsaid')
    AND NOT EXISTS (SELECT 1 FROM base.operations AS c WHERE c.operation = o.spelling)
GROUP BY ALL
