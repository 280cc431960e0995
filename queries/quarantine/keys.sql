-- The keys of signals and decisions that need no logs, with the columns of `base.quarantine_keys`.
WITH trusted AS (
    SELECT 'trust/' || principal_id AS signal_id, principal_id, from_time, to_time FROM standing_decisions
    WHERE decision = 'trust' AND signal_id IS NULL AND principal_id IS NOT NULL
)
SELECT DISTINCT signal_id, kind, value, NULL::DATE AS day, start_on, end_on FROM (
    SELECT signal_id, 'standing' AS kind, kind AS value, first_time AS start_on, last_time AS end_on
    FROM standing_signals
    UNION ALL SELECT signal_id, 'standing', 'decision', NULL, NULL FROM suspect_windows WHERE basis = 'decision'
    UNION ALL SELECT signal_id, 'trust', principal_id, from_time, to_time FROM trusted
    UNION ALL SELECT w.signal_id, 'name', w.principal_id || ' ' || alias.alias, NULL, NULL
    FROM (SELECT signal_id, principal_id FROM suspect_windows UNION SELECT signal_id, principal_id FROM trusted)
        AS w JOIN ({resolved}) AS alias USING (principal_id)
    UNION ALL SELECT signal_id, CASE entity_kind WHEN 'session' THEN 'named_session' ELSE entity_kind END,
        value, first_time - to_days({session_days}), NULL
    FROM base.signal_entities JOIN standing_signals USING (signal_id)
    WHERE entity_kind IN ('ip', 'session', 'sign_in'))
