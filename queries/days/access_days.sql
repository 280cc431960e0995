-- Use that both whole records and reduced rows show has the greater of the two counts.
SELECT source, resource, access, principal_id, principal_name, day, max(events) AS events,
    max(last_seen) AS last_seen
FROM (
    SELECT is_reduced, e.source, coalesce(nullif(regexp_extract(s.folded, '{resource}', 1), ''), s.folded)
        AS resource, e.access, e.principal_id, {folded[e.principal_name]} AS principal_name, e.day,
        sum(e.events)::BIGINT AS events, max(e.last_seen) AS last_seen
    FROM (
        SELECT false AS is_reduced, source, scope_key, substr(access, 2) AS access,
            substr(principal_id, 2) AS principal_id,
            substr(coalesce(principal_name, app_id), 2) AS principal_name, time::DATE AS day,
            count(*) AS events, max(time) AS last_seen
        FROM base.events WHERE {days} AND access IS NOT NULL GROUP BY ALL
        UNION ALL
        SELECT true, r.log, r.scope_key, r.access, a.principal_id, coalesce(r.principal_name, r.app_id), r.day,
            {reduced_calls}, r.last_seen
        FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key) SEMI JOIN touched_days USING (day)
        WHERE r.access IS NOT NULL
    ) AS e JOIN base.scope_names AS s USING (scope_key) GROUP BY ALL
) GROUP BY ALL
