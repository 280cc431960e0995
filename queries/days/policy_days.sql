-- What an access policy of a key vault let through is no use of a role; the operations are needed to replace it.
SELECT source, principal_id, principal_name, app_id, operation_key, scope_key, day, max(events) AS events,
    max(suspect) AS suspect, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM (
    SELECT false AS is_reduced, source, substr(principal_id, 2) AS principal_id,
        {folded[substr(principal_name, 2)]} AS principal_name, substr(app_id, 2) AS app_id, operation_key,
        scope_key, time::DATE AS day, count(*) AS events,
        count(*) FILTER (WHERE event_key IN (SELECT event_key FROM base.quarantined_calls)) AS suspect,
        min(time) AS first_seen, max(time) AS last_seen
    FROM base.events WHERE {days} AND substr(access, 2) = 'access_policy' GROUP BY ALL
    UNION ALL
    SELECT true, r.log, a.principal_id, {folded[r.principal_name]}, r.app_id, r.operation_key, r.scope_key,
        r.day, sum({reduced_calls})::BIGINT, 0, min(r.first_seen), max(r.last_seen)
    FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key) SEMI JOIN touched_days USING (day)
    WHERE r.access = 'access_policy' GROUP BY ALL
) GROUP BY ALL
