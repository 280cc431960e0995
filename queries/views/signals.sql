-- What one export says of an alert, a newer state in another, or its incident takes back.
WITH twins AS (
    SELECT coalesce(original_id, signal_id) AS same,
        arg_max(coalesce(dismissed, false),
            (coalesce(updated_on, TIMESTAMP '1970-01-01'), coalesce(dismissed, false))) AS dismissed
    FROM base.signals WHERE kind <> 'incident' GROUP BY ALL
), closed AS (
    SELECT e.value AS alert FROM base.signals AS i JOIN base.signal_entities AS e USING (signal_id)
    WHERE i.kind = 'incident' AND i.dismissed AND e.entity_kind = 'alert'
    UNION SELECT split_part(e.signal_id, '/', 2)
    FROM base.signal_entities AS e JOIN base.signals AS i ON i.signal_id = 'graph_incident/' || e.value
    WHERE e.entity_kind = 'incident' AND i.dismissed
), detected AS (
    SELECT e.value AS sign_in, bool_and(coalesce(d.dismissed, false)) AS dismissed
    FROM base.signals AS d JOIN base.signal_entities AS e USING (signal_id)
    WHERE d.kind = 'risk_detection' AND e.entity_kind = 'sign_in' GROUP BY ALL
)
SELECT s.* REPLACE (coalesce(CASE s.kind WHEN 'incident' THEN s.dismissed
    WHEN 'risky_sign_in' THEN coalesce(g.dismissed, s.dismissed)
    ELSE t.dismissed OR (s.kind = 'alert' AND split_part(s.signal_id, '/', 2) IN (SELECT alert FROM closed)
        AND s.dismissed IS NULL) END, false) AS dismissed)
FROM base.signals AS s LEFT JOIN twins AS t ON t.same = coalesce(s.original_id, s.signal_id)
LEFT JOIN detected AS g ON s.kind = 'risky_sign_in' AND g.sign_in = split_part(s.signal_id, '/', 2)
