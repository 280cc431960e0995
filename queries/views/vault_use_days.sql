SELECT coalesce(p.principal_id, alias.principal_id) AS principal_id, p.principal_name, p.app_id,
    o.spelling AS operation, s.spelling AS scope, p.day, sum(p.events)::BIGINT AS events,
    sum(p.suspect)::BIGINT AS suspect, min(p.first_seen) AS first_seen, max(p.last_seen) AS last_seen
FROM base.policy_days AS p
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
LEFT JOIN ({resolved}) AS alias ON p.principal_id IS NULL AND alias.alias = p.principal_name
WHERE s.folded LIKE '%/providers/{vault}/%'
GROUP BY ALL
UNION ALL
-- Records that do not say what let the request through.
SELECT u.principal_id, u.principal_name, NULL, u.operation, u.scope, u.day,
    sum(u.succeeded + u.failed + u.started)::BIGINT, sum(u.suspect)::BIGINT, min(u.first_seen),
    max(u.last_seen)
FROM usage_days AS u
JOIN vaults AS v ON v.model = '{policies}'
    AND v.scope = regexp_extract({folded[u.scope]}, '{resource}', 1)
WHERE u.plane = 'data' AND u.succeeded + u.failed + u.started > 0
GROUP BY ALL
