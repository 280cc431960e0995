-- The days with rows of each log by category and scope, from events, sign-ins and reduced rows.
WITH counted AS (
    SELECT source, category, scope_key, operation_key, time::DATE AS day, 1 AS events, false AS is_reduced
    FROM base.events WHERE {days} AND category IS DISTINCT FROM '{downloaded}'
        AND source NOT IN ({no_evidence})
    UNION ALL
    SELECT log, category, scope_key, operation_key, day, {reduced_calls}, true
    FROM base.reduced_usage WHERE day IN (SELECT day FROM touched_days)
), places AS (
    SELECT scope_key, nullif(regexp_extract(folded, '{resource}', 1), '') AS resource, {service} AS service,
        CASE
            WHEN folded LIKE '/subscriptions/_%' THEN '/subscriptions/' || string_split(folded, '/')[3]
            WHEN folded LIKE '/providers/microsoft.management/managementgroups/_%' THEN
                '/providers/microsoft.management/managementgroups/' || string_split(folded, '/')[5]
            ELSE '/' END AS place
    FROM base.scope_names WHERE scope_key IN (SELECT scope_key FROM counted)
), placed AS (
    SELECT e.source, coalesce(e.category, 'Administrative') AS category, CASE
            WHEN e.source IN ({logs_by_service}) AND resource IS NOT NULL THEN
                resource || coalesce('/' || coalesce(o.service, n.service) || '/default', '')
            WHEN e.source IN ({resource_logs}) THEN coalesce(resource, place)
            ELSE place END AS scope,
        e.day, sum(e.events) AS events, e.is_reduced
    FROM counted AS e JOIN places AS n USING (scope_key)
    LEFT JOIN (SELECT operation_key, {service} AS service FROM base.operation_names) AS o
        USING (operation_key)
    GROUP BY ALL
    UNION ALL
    SELECT 'sign_in_log', kind, '/', time::DATE, count(*), false FROM base.sign_in_rows WHERE {days}
    GROUP BY ALL
    UNION ALL
    SELECT 'sign_in_log', sign_in_kind, '/', day, sum(succeeded + failed), true
    FROM base.reduced_sign_ins WHERE day IN (SELECT day FROM touched_days) GROUP BY ALL
)
SELECT source, category, scope, day, max(events)::BIGINT AS events FROM placed GROUP BY ALL
