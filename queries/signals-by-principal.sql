-- title: Principals with open signals
-- description: Principals that alerts and risks name, with the open signals, the highest severity, and the days with
--   unusual behaviour.
-- columns: principal_id, name, signals, severity, last_time, odd_days
SELECT e.principal_id, min(p.display_name) AS name, count(DISTINCT s.signal_id) AS signals,
       arg_min(s.severity, list_position(['high', 'medium', 'low', 'informational'], s.severity)) AS severity,
       max(s.last_time) AS last_time,
       (SELECT count(*) FROM behaviour_findings b WHERE b.principal_id = e.principal_id) AS odd_days
FROM signal_entities e
JOIN signals s ON s.signal_id = e.signal_id
LEFT JOIN principals p ON p.principal_id = e.principal_id
WHERE e.entity_kind = 'principal' AND e.principal_id IS NOT NULL AND NOT s.dismissed AND s.kind <> 'incident'
GROUP BY e.principal_id
ORDER BY signals DESC, e.principal_id
