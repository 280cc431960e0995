SELECT q.signal_id, q.basis, e.time, e.source, e.plane,
    coalesce(substr(e.principal_id, 2), alias.principal_id) AS principal_id,
    substr(coalesce(e.principal_name, e.app_id), 2) AS principal_name, o.spelling AS operation,
    s.spelling AS scope, {outcome[e.rank]} AS outcome,
    substr(e.ip, 2) AS ip, lower(hex(e.event_key)) AS event_key
FROM base.quarantined_calls AS q JOIN base.events AS e USING (event_key)
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
LEFT JOIN ({resolved}) AS alias ON e.principal_id IS NULL
    AND alias.alias = {folded[substr(coalesce(e.principal_name, e.app_id), 2)]}
