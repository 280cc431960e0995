-- The first character of a column that the highest-ranked row decides is the mark of its rank (store/ddl.py).
SELECT e.time, e.source, e.plane, w.principal_id, substr(e.principal_id, 2) AS logged_principal_id,
    substr(e.principal_type, 2) AS principal_type, substr(e.principal_name, 2) AS principal_name,
    substr(e.app_id, 2) AS app_id, o.spelling AS operation, s.spelling AS scope, {outcome[e.rank]} AS outcome,
    substr(e.role_assignment_id, 2) AS role_assignment_id, substr(e.role_definition_id, 2) AS role_definition_id,
    substr(e.evidence_principal_id, 2) AS evidence_principal_id, e.correlation_id, substr(e.event_id, 2) AS event_id,
    substr(e.ip, 2) AS ip, substr(e.access, 2) AS access, substr(e.token_id, 2) AS token_id,
    substr(e.session_id, 2) AS session_id, lower(hex(e.event_key)) AS event_key
FROM base.events AS e
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
LEFT JOIN ({actors}) AS w USING (actor_key)
