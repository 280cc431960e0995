-- All signals, with their state and the number of calls that they hold.
WITH named AS (
    SELECT e.signal_id, coalesce(
        string_agg(DISTINCT coalesce(p.user_principal_name, p.display_name, e.value), ', '
            ORDER BY coalesce(p.user_principal_name, p.display_name, e.value))
            FILTER (WHERE e.entity_kind = 'principal'),
        string_agg(DISTINCT e.value, ', ' ORDER BY e.value) FILTER (WHERE e.entity_kind = 'resource'),
        string_agg(DISTINCT e.value, ', ' ORDER BY e.value) FILTER (WHERE e.entity_kind = 'ip')) AS who
    FROM signal_entities AS e LEFT JOIN principals AS p USING (principal_id) GROUP BY ALL
), held AS (
    SELECT signal_id, count(*) AS calls, count(DISTINCT (principal_id, operation, scope)) AS operations
    FROM quarantine GROUP BY ALL
), decided AS (
    SELECT signal_id, min(decision) AS decision FROM signal_decisions WHERE signal_id IS NOT NULL GROUP BY ALL
)
SELECT s.signal_id, s.kind, s.name, s.severity, s.first_time, s.last_time, n.who,
    CASE WHEN d.decision = 'trust' THEN 'trusted' WHEN d.decision = 'quarantine' THEN 'held'
        WHEN s.dismissed THEN 'dismissed' ELSE 'stands' END AS state,
    s.status, s.classification, coalesce(h.calls, 0) AS calls, coalesce(h.operations, 0) AS operations
FROM signals AS s LEFT JOIN named AS n USING (signal_id) LEFT JOIN held AS h USING (signal_id)
LEFT JOIN decided AS d USING (signal_id)
ORDER BY coalesce(h.calls, 0) = 0, list_position(['high', 'medium', 'low', 'informational'], s.severity),
    s.last_time DESC, s.signal_id
