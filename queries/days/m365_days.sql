-- Records that name no application say nothing of a permission.
SELECT substr(app_id, 2) AS app_id, substr(principal_id, 2) AS principal_id,
    {folded[substr(principal_name, 2)]} AS principal_name,
    CASE WHEN substr(principal_type, 2) = 'User' THEN 'delegated' ELSE 'application' END AS access,
    operation_key, time::DATE AS day, min(time) AS first_seen, max(time) AS last_seen,
    count(*) FILTER (WHERE rank <> 0) AS succeeded,
    count(*) FILTER (WHERE rank <> 0
        AND event_key IN (SELECT event_key FROM base.quarantined_calls)) AS suspect
FROM base.events WHERE {days} AND source = 'm365_audit_log' AND app_id IS NOT NULL GROUP BY ALL
