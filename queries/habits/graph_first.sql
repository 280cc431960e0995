-- The first request of each kind to Microsoft Graph by the principals in `$acting`.
--
-- Columns: `principal_id, day, first_seen, operation, name`, and how many days with requests came `before`.
WITH days AS (
    SELECT principal_id, operation_key, day, min(first_seen) AS first_seen FROM base.graph_days
    WHERE principal_id IN (SELECT unnest($acting)) AND day BETWEEN $first AND $last AND {calls} > 0 GROUP BY ALL
), begun AS (
    SELECT principal_id, operation_key, min(day) AS day, min(first_seen) AS first_seen FROM days GROUP BY ALL
)
SELECT b.principal_id, b.day, b.first_seen, o.spelling AS operation, o.folded AS name,
    (SELECT count(DISTINCT d.day) FROM days AS d WHERE d.principal_id = b.principal_id AND d.day < b.day) AS before
FROM begun AS b JOIN base.operation_names AS o USING (operation_key)
