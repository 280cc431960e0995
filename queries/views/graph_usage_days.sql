SELECT g.app_id, g.principal_id, g.access, o.spelling AS operation, g.day, g.first_seen, g.last_seen,
    g.succeeded, g.failed, g.started, g.denied, g.suspect, g.other
FROM base.graph_days AS g JOIN base.operation_names AS o USING (operation_key)
