-- The kinds of a table's rows; a table without rows gets one row, so that a missing source is visible.
WITH counted AS (
    SELECT 1 AS place, 'principals' AS what, principal_type AS kind FROM principals
    UNION ALL SELECT 2, 'group members', listing FROM group_members
    UNION ALL SELECT 3, 'scopes', kind FROM scopes
    UNION ALL SELECT 4, 'role definitions', role_type FROM role_definitions
    UNION ALL SELECT 5, 'role assignments', state FROM role_assignments
    UNION ALL SELECT 6, 'deny assignments', NULL FROM deny_assignments
    UNION ALL SELECT 7, 'operations', CASE WHEN is_data_action THEN 'data' WHEN NOT is_data_action THEN 'control'
        END FROM operations
    UNION ALL SELECT 8, 'events', source FROM base.events
    UNION ALL SELECT 9, 'sign-ins', kind FROM ({sign_ins})
)
SELECT t.what, c.kind, count(c.what) AS rows
FROM (VALUES (1, 'principals'), (2, 'group members'), (3, 'scopes'), (4, 'role definitions'),
    (5, 'role assignments'), (6, 'deny assignments'), (7, 'operations'), (8, 'events'), (9, 'sign-ins')
) AS t (place, what)
LEFT JOIN counted AS c ON c.place = t.place
GROUP BY t.place, t.what, c.kind ORDER BY t.place, rows DESC, c.kind
