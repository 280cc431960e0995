SELECT coalesce(a.principal_id, alias.principal_id) AS principal_id, a.principal_name, o.spelling AS operation,
    s.spelling AS scope, u.plane, r.role_assignment_id, u.day, u.first_seen, u.last_seen, u.succeeded, u.failed,
    u.started, u.denied, u.suspect
FROM base.usage_days AS u
JOIN base.actors AS a USING (actor_key)
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
LEFT JOIN base.assignment_names AS r USING (assignment_key)
LEFT JOIN ({resolved}) AS alias ON alias.alias = a.principal_name
