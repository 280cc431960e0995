-- The suspect ones of `window_calls`, with the strongest reason of each signal.
WITH addresses AS (SELECT signal_id, value AS ip FROM asked_keys WHERE kind = 'ip'),
traced AS (SELECT DISTINCT signal_id, value AS session_id FROM asked_keys
    WHERE kind IN ('session', 'named_session')),
familiar AS (SELECT signal_id, value FROM asked_keys WHERE kind = 'familiar'),
sessions AS (
    SELECT c.event_key, min(i.session_id) AS session_id
    FROM window_calls AS c JOIN base.sign_in_rows AS i ON i.token_id = c.token_id
        AND i.time BETWEEN c.time - to_days({token_after}) AND c.time + to_days({token_before})
    WHERE c.own_session IS NULL AND i.session_id IS NOT NULL AND {signed_in} GROUP BY c.event_key
), calls AS (
    SELECT c.*, coalesce(c.own_session, s.session_id) AS session_id
    FROM window_calls AS c LEFT JOIN sessions AS s USING (event_key)
), found AS (
    SELECT c.event_key, k.signal_id, CASE k.kind WHEN 'token' THEN 'token' ELSE 'session' END AS basis
    FROM calls AS c JOIN asked_keys AS k ON k.value = c.token_id AND c.time >= k.start_on
    WHERE k.kind IN ('token', 'session_token')
    UNION ALL
    SELECT c.event_key, k.signal_id, 'session'
    FROM calls AS c JOIN asked_keys AS k ON k.value = c.own_session AND c.time >= k.start_on
    WHERE k.kind IN ('session', 'named_session')
    UNION ALL
    SELECT c.event_key, w.signal_id, 'address'
    FROM asked_windows AS w JOIN calls AS c ON c.time BETWEEN w.start_on AND w.end_on
        AND (w.principal_id IS NULL OR c.principal_id = w.principal_id)
    JOIN addresses AS a ON a.signal_id = w.signal_id AND a.ip = c.ip
    WHERE w.basis = 'address'
    UNION ALL
    SELECT c.event_key, w.signal_id, w.basis
    FROM asked_windows AS w JOIN calls AS c
        ON c.principal_id = w.principal_id AND c.time BETWEEN w.start_on AND w.end_on
    WHERE w.basis IN ('principal', 'machine')
        AND NOT (c.session_id IS NOT NULL AND w.signal_id IN (SELECT signal_id FROM traced)
            AND (w.signal_id, c.session_id) NOT IN (SELECT (signal_id, session_id) FROM traced))
        AND NOT (c.ip IS NOT NULL
            AND (w.signal_id, c.principal_id || ' ' || c.ip) IN (SELECT (signal_id, value) FROM familiar))
    UNION ALL
    SELECT c.event_key, w.signal_id, 'decision' FROM asked_windows AS w JOIN calls AS c
        ON c.principal_id = w.principal_id AND c.time BETWEEN w.start_on AND w.end_on
    WHERE w.basis = 'decision'
)
SELECT f.event_key, any_value(c.time)::DATE AS day, f.signal_id, arg_min(f.basis,
    list_position(['decision', 'token', 'session', 'address', 'principal', 'machine'], f.basis)) AS basis
FROM found AS f JOIN window_calls AS c USING (event_key)
WHERE NOT EXISTS (SELECT 1 FROM standing_keys AS k WHERE k.kind = 'trust' AND k.value = c.principal_id
    AND c.time BETWEEN k.start_on AND k.end_on)
GROUP BY f.event_key, f.signal_id
