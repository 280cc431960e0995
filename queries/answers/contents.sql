-- The kinds of a table's rows; a table without rows gets one row, so that a missing source is visible.
-- Sign-ins are the rows of the view `sign_ins`. Distinct texts make counting millions slow, so a principal's rows of days
-- are counted as they stand, unless it has several names or more rows elsewhere; of these a number stands for the key.
WITH elsewhere AS (
    SELECT kind, coalesce(i.principal_id, alias.principal_id) AS principal_id, app_id, resource_id, day
    FROM (
        SELECT kind, principal_id, principal_name, app_id, resource_id, day FROM base.sign_in_days
        WHERE principal_id IS NULL
        UNION ALL
        SELECT sign_in_kind, principal_id, principal_name, app_id, resource_id, day FROM base.reduced_sign_ins
    ) AS i
    LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
), several AS (
    SELECT principal_id FROM base.sign_in_days WHERE hash(principal_id) IN (
        SELECT id FROM (SELECT DISTINCT hash(principal_id) AS id, hash(principal_name) AS name FROM base.sign_in_days)
        GROUP BY id HAVING count(*) > 1)
    UNION SELECT principal_id FROM elsewhere
), sign_ins AS (
    SELECT kind, count(*) AS rows FROM base.sign_in_days WHERE principal_id IS NOT NULL GROUP BY ALL
    UNION ALL SELECT kind, -count(*) FROM base.sign_in_days SEMI JOIN several USING (principal_id) GROUP BY ALL
    UNION ALL SELECT kind, count(*) FROM (
        SELECT kind, hash(principal_id, app_id, resource_id, day) FROM base.sign_in_days
        SEMI JOIN several USING (principal_id)
        UNION SELECT kind, hash(principal_id, app_id, resource_id, day) FROM elsewhere
    ) GROUP BY ALL
), counted AS (
    SELECT 1 AS place, principal_type AS kind, count(*) AS rows FROM principals GROUP BY ALL
    UNION ALL SELECT 2, listing, count(*) FROM group_members GROUP BY ALL
    UNION ALL SELECT 3, kind, count(*) FROM scopes GROUP BY ALL
    UNION ALL SELECT 4, role_type, count(*) FROM role_definitions GROUP BY ALL
    UNION ALL SELECT 5, state, count(*) FROM role_assignments GROUP BY ALL
    UNION ALL SELECT 6, NULL, count(*) FROM deny_assignments
    UNION ALL SELECT 7, CASE WHEN is_data_action THEN 'data' WHEN NOT is_data_action THEN 'control' END, count(*)
    FROM operations GROUP BY ALL
    UNION ALL SELECT 8, source, count(*) FROM base.events GROUP BY ALL
    UNION ALL SELECT 9, kind, sum(rows)::BIGINT FROM sign_ins GROUP BY ALL HAVING sum(rows) > 0
)
SELECT t.what, c.kind, coalesce(c.rows, 0) AS rows
FROM (VALUES (1, 'principals'), (2, 'group members'), (3, 'scopes'), (4, 'role definitions'),
    (5, 'role assignments'), (6, 'deny assignments'), (7, 'operations'), (8, 'events'), (9, 'sign-ins')
) AS t (place, what)
LEFT JOIN counted AS c ON c.place = t.place
ORDER BY t.place, rows DESC, c.kind
