-- The events of some days with one of some operations.
SELECT lower(hex(e.event_key)) AS event_key, e.time, o.folded AS operation, s.spelling AS scope,
    CASE e.rank WHEN 4 THEN 'succeeded' WHEN 1 THEN 'started' END AS outcome,
    coalesce(substr(e.principal_id, 2), u.principal_id) AS actor_id,
    substr(coalesce(e.principal_name, e.app_id), 2) AS actor_name, substr(e.app_id, 2) AS app_id,
    substr(e.ip, 2) AS ip, coalesce(b.assigned_role_id, a.role_definition_id, q.role_definition_id) AS role,
    coalesce(b.assigned_principal_id, a.principal_id, q.principal_id) AS holder, q.request_type
FROM base.events AS e
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
LEFT JOIN base.request_bodies AS b USING (event_key)
LEFT JOIN (
    SELECT role_assignment_id, min(role_definition_id) AS role_definition_id, min(principal_id) AS principal_id
    FROM base.role_assignments GROUP BY 1
) AS a ON o.folded LIKE 'microsoft.authorization/roleassignments/%'
    AND a.role_assignment_id = lower(string_split(s.folded, '/')[-1])
LEFT JOIN base.schedule_requests AS q ON o.folded LIKE 'microsoft.authorization/role%schedulerequests/write'
    AND q.request_id = lower(string_split(s.folded, '/')[-1])
LEFT JOIN (
    SELECT alias, min(principal_id) AS principal_id FROM base.principal_aliases
    GROUP BY 1 HAVING count(DISTINCT principal_id) = 1
) AS u ON e.principal_id IS NULL AND u.alias = lower(substr(coalesce(e.principal_name, e.app_id), 2))
WHERE {watched}
