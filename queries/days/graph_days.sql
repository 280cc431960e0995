-- Requests that both whole records and reduced rows show have the greater of the two counts.
SELECT app_id, principal_id, access, operation_key, day, min(first_seen) AS first_seen,
    max(last_seen) AS last_seen, max(succeeded) AS succeeded, max(failed) AS failed, max(started) AS started,
    max(denied) AS denied, max(suspect) AS suspect, max(other) AS other
FROM (
    SELECT substr(app_id, 2) AS app_id, substr(principal_id, 2) AS principal_id,
        CASE WHEN substr(principal_type, 2) = 'User' THEN 'delegated' ELSE 'application' END AS access,
        operation_key, time::DATE AS day, min(time) AS first_seen, max(time) AS last_seen,
        count(*) FILTER (WHERE rank = 4) AS succeeded, count(*) FILTER (WHERE rank = 3) AS failed,
        count(*) FILTER (WHERE rank = 1) AS started, count(*) FILTER (WHERE rank = 2) AS denied,
        count(*) FILTER (WHERE rank NOT IN (0, 2)
            AND event_key IN (SELECT event_key FROM base.quarantined_calls)) AS suspect,
        count(*) FILTER (WHERE rank = 0) AS other
    FROM base.events WHERE {days} AND plane = 'graph' AND source <> 'm365_audit_log' GROUP BY ALL
    UNION ALL
    SELECT r.app_id, a.principal_id,
        CASE WHEN r.principal_type = 'User' THEN 'delegated' ELSE 'application' END, r.operation_key, r.day,
        min(r.first_seen), max(r.last_seen), sum(r.succeeded)::BIGINT, sum(r.failed)::BIGINT,
        sum(r.started)::BIGINT, sum(r.denied)::BIGINT,
        sum(CASE WHEN {in_window} THEN r.succeeded + r.failed + r.started ELSE 0 END)::BIGINT,
        sum(r.other)::BIGINT
    FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key) SEMI JOIN touched_days USING (day)
    WHERE r.log = 'graph_activity_log' GROUP BY ALL
) GROUP BY ALL
