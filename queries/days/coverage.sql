-- The state of each log by scope and day.
WITH spans AS (
    SELECT source, category, scope, min(day) AS first_day, max(day) AS last_day,
        count(*) >= {quiet_share} * (max(day) - min(day) + 1) AS is_dense
    FROM base.observed_days GROUP BY ALL
), days AS (
    SELECT source, category, scope, is_dense,
        unnest(generate_series(first_day::TIMESTAMP, last_day::TIMESTAMP, INTERVAL 1 DAY))::DATE AS day
    FROM spans
    UNION SELECT d.source, d.category, d.scope, coalesce(s.is_dense, false), d.day
    FROM declared_days AS d LEFT JOIN spans AS s USING (source, category, scope)
), joined AS (
    SELECT days.*, coalesce(o.events, 0) AS events, d.declared_by,
        max(CASE WHEN o.events IS NOT NULL THEN days.day END) OVER (
            PARTITION BY days.source, days.category, days.scope ORDER BY days.day) AS seen_before,
        min(CASE WHEN o.events IS NOT NULL THEN days.day END) OVER (
            PARTITION BY days.source, days.category, days.scope ORDER BY days.day
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS seen_after
    FROM days LEFT JOIN base.observed_days AS o USING (source, category, scope, day)
    LEFT JOIN declared_days AS d USING (source, category, scope, day)
)
SELECT source, category, scope, day, events, declared_by, CASE
    WHEN events > 0 THEN 'observed'
    WHEN declared_by IS NOT NULL THEN 'declared_empty'
    WHEN is_dense AND seen_after - seen_before - 1 <= {quiet_days} THEN 'quiet'
    ELSE 'missing' END AS state
FROM joined
