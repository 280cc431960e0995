SELECT source, resource, access, coalesce(c.principal_id, alias.principal_id) AS principal_id,
    principal_name, day, sum(events) AS events, max(last_seen) AS last_seen
FROM base.access_days AS c
LEFT JOIN ({resolved}) AS alias ON c.principal_id IS NULL AND alias.alias = c.principal_name
GROUP BY ALL
