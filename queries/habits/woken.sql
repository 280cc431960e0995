-- Calls from `$since` on of what attackers seek where a principal had made none for `$silent` days or ever.
--
-- The principals are those of `asked` in store/habits.py.
--
-- Columns: `principal_id, day, place` (a folded resource group, a subscription, or nothing for all scopes), `gap` in
-- days, null where there was no call before; `operation, name, scope, risk, plane, first_seen` of the calls.
WITH named AS (
    SELECT scope_key, {group_of} AS "group", regexp_extract(folded, '^/subscriptions/[^/]+') AS subscription
    FROM base.scope_names
), spots AS MATERIALIZED (
    SELECT scope_key, min(scope_key) OVER (PARTITION BY "group") AS one,
        min(scope_key) OVER (PARTITION BY subscription) AS many, "group" = subscription AS is_subscription,
        "group", subscription
    FROM named
), sought AS MATERIALIZED (
    SELECT u.actor_key, u.day, x.one, x.many, x."group", x.subscription, u.operation_key, u.scope_key, s.risk,
        u.plane, u.first_seen
    FROM base.usage_days AS u JOIN ({sought}) AS s USING (operation_key) JOIN spots AS x USING (scope_key)
    WHERE u.day BETWEEN $since AND $last AND {calls} > 0
), calls AS MATERIALIZED (
    SELECT p.principal_id, s.* EXCLUDE (actor_key) FROM sought AS s JOIN ({people}) AS p USING (actor_key)
    WHERE {asked}
), used AS MATERIALIZED (
    SELECT DISTINCT principal_id, day, one, many, is_subscription FROM (
        SELECT actor_key, day, one, many, is_subscription FROM base.usage_days JOIN spots USING (scope_key)
        WHERE day BETWEEN $first AND $last AND {calls} > 0 GROUP BY ALL
    ) JOIN ({people}) USING (actor_key)
    WHERE principal_id IN (SELECT principal_id FROM calls)
), places AS (
    SELECT principal_id, day, 'group' AS level, one AS place FROM used SEMI JOIN calls USING (principal_id, one)
    WHERE NOT is_subscription
    UNION SELECT principal_id, day, 'subscription', many FROM used SEMI JOIN calls USING (principal_id, many)
    UNION SELECT principal_id, day, 'all', 0 FROM used
), paused AS (
    SELECT *, (day - lag(day) OVER (PARTITION BY principal_id, level, place ORDER BY day))::BIGINT AS gap
    FROM places
)
SELECT w.principal_id, w.day, w.gap,
    CASE w.level WHEN 'group' THEN c."group" WHEN 'subscription' THEN c.subscription ELSE '' END AS place,
    o.spelling AS operation, o.folded AS name, n.folded AS scope, c.risk, c.plane, c.first_seen
FROM (SELECT * FROM paused WHERE gap IS NULL OR gap >= $silent) AS w
JOIN calls AS c ON c.principal_id = w.principal_id AND c.day = w.day
    AND CASE w.level WHEN 'group' THEN c.one = w.place WHEN 'subscription' THEN c.many = w.place ELSE true END
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS n USING (scope_key)
