-- title: Days without a log
-- description: Runs of days for which a source has no log, by scope. No operation can be called unused over them.
-- columns: source, category, scope, first_day, last_day, days
WITH missing AS (
    SELECT source, category, scope, day,
           day - row_number() OVER (PARTITION BY source, category, scope ORDER BY day)::INTEGER AS run
    FROM coverage
    WHERE state = 'missing'
)
SELECT source, category, scope, min(day) AS first_day, max(day) AS last_day, count(*) AS days
FROM missing
GROUP BY source, category, scope, run
ORDER BY source, category, scope, first_day
