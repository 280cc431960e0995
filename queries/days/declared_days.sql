-- Each declaration by day, category, and known scope at or below it.
WITH RECURSIVE below(top, scope) AS (
    SELECT DISTINCT {folded[scope]}, {folded[scope]} FROM base.declared_windows
    UNION
    SELECT below.top, s.folded FROM below JOIN base.scopes AS s ON s.parent = below.scope
    WHERE s.kind IN ('management_group', 'subscription')
), places AS (
    SELECT w.source, w.category, below.scope, w.first_day, w.last_day, w.declared_by
    FROM base.declared_windows AS w JOIN below ON below.top = {folded[w.scope]}
    WHERE w.source NOT IN ({tenant_logs}, {resource_logs})
    UNION
    SELECT w.source, w.category, o.scope, w.first_day, w.last_day, w.declared_by
    FROM base.declared_windows AS w
    JOIN base.observed_days AS o
        ON o.source = w.source AND starts_with(o.scope, rtrim({folded[w.scope]}, '/') || '/')
    WHERE w.source NOT IN ({resource_logs})
    UNION
    SELECT source, category, '/', first_day, last_day, declared_by FROM base.declared_windows
    WHERE source IN ({tenant_logs})
), named AS (
    SELECT p.source, c.category, p.scope, p.first_day, p.last_day, p.declared_by
    FROM places AS p JOIN log_categories AS c ON c.source = p.source AND p.category IN ('*', c.category)
    UNION
    SELECT s.source, s.category, s.scope, w.first_day, w.last_day, w.declared_by
    FROM base.declared_windows AS w JOIN below ON below.top = {folded[w.scope]}
    JOIN log_senders AS s ON s.source = w.source AND w.category IN ('*', s.category)
        AND (s.scope = below.scope OR starts_with(s.scope, rtrim(below.scope, '/') || '/'))
)
SELECT source, category, scope, day, min(declared_by) AS declared_by FROM (
    SELECT source, category, scope, declared_by,
        unnest(generate_series(first_day::TIMESTAMP, last_day::TIMESTAMP, INTERVAL 1 DAY))::DATE AS day
    FROM named
) GROUP BY ALL
