SELECT e.correlation_id, o.spelling AS operation, s.spelling AS scope,
    coalesce(substr(e.principal_id, 2), alias.principal_id) AS principal_id,
    substr(coalesce(e.principal_name, e.app_id), 2) AS principal_name, e.time,
    {outcome[e.rank]} AS outcome,
    b.assigned_role_id, b.assigned_type, b.asked_type, b.assigned_principal_id
FROM base.events AS e
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
LEFT JOIN base.request_bodies AS b USING (event_key)
LEFT JOIN ({resolved}) AS alias ON e.principal_id IS NULL
    AND alias.alias = {folded[substr(coalesce(e.principal_name, e.app_id), 2)]}
WHERE o.folded IN ('microsoft.authorization/roleassignments/write',
    'microsoft.authorization/roleassignments/delete')
