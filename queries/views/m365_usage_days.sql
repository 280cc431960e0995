SELECT m.app_id, coalesce(m.principal_id, alias.principal_id) AS principal_id, m.access,
    o.spelling AS operation, m.day, min(m.first_seen) AS first_seen, max(m.last_seen) AS last_seen,
    sum(m.succeeded)::BIGINT AS succeeded, sum(m.suspect)::BIGINT AS suspect
FROM base.m365_days AS m JOIN base.operation_names AS o USING (operation_key)
LEFT JOIN ({resolved}) AS alias ON m.principal_id IS NULL AND alias.alias = m.principal_name
GROUP BY ALL
