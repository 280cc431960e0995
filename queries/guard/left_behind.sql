-- What principals did while they were suspect, the oldest first.
WITH windows AS ({windows}), held AS (SELECT DISTINCT event_key FROM main.quarantine),
span AS (
    SELECT least((SELECT min(start_on) FROM windows),
        (SELECT min(time) FROM main.quarantine WHERE list_contains($who, principal_id))) AS first
)
SELECT e.event_key, e.time, e.source, e.plane, e.operation, e.scope, e.outcome,
    e.principal_id, e.ip, h.event_key IS NOT NULL AS suspect,
    b.assigned_role_id AS role, b.assigned_principal_id AS holder, c.activity, c.object_id, c.object_type,
    c.object_name, c.other_id, c.other_type, c.other_name,
    TRY(from_json(c.properties, '[{"name": "VARCHAR", "old": "VARCHAR", "new": "VARCHAR"}]')) AS properties
FROM main.events AS e LEFT JOIN held AS h USING (event_key)
LEFT JOIN main.changed_objects AS c USING (event_key)
LEFT JOIN base.request_bodies AS b ON lower(hex(b.event_key)) = e.event_key
WHERE list_contains($who, e.principal_id) AND e.time >= (SELECT first FROM span)
    AND (e.outcome IN ('succeeded', 'started') OR c.event_key IS NOT NULL)
    AND (h.event_key IS NOT NULL OR EXISTS (
        SELECT 1 FROM windows AS w WHERE e.time BETWEEN w.start_on AND w.end_on))
UNION ALL BY NAME
SELECT 'pim ' || record_id AS event_key, time, 'entra_audit_log' AS source, 'pim' AS plane,
    'activation of a group' AS operation, '/' AS scope, 'succeeded' AS outcome, principal_id, true AS suspect,
    'activation of a group' AS activity, principal_id AS object_id, group_id AS other_id
FROM main.pim_records AS r
WHERE group_id IS NOT NULL AND step IN ('requested', 'activated') AND list_contains($who, principal_id)
    AND EXISTS (SELECT 1 FROM windows AS w WHERE r.time BETWEEN w.start_on AND w.end_on)
ORDER BY time, event_key
