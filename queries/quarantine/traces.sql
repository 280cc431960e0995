-- The sessions of the sign-ins that signals name, and the tokens of these sessions.
WITH rows AS (
    SELECT sign_in_id, session_id, token_id, time, time::DATE AS day FROM base.sign_in_rows WHERE {days}
), keys AS (
    SELECT signal_id, kind, value, start_on FROM standing_keys
    WHERE kind IN ('sign_in', 'named_session') AND {asked}
), named AS (
    SELECT k.signal_id, i.* FROM keys AS k JOIN rows AS i ON i.sign_in_id = k.value AND i.time >= k.start_on
    WHERE k.kind = 'sign_in'
), sessions AS (
    SELECT signal_id, session_id FROM named WHERE session_id IS NOT NULL
    UNION SELECT signal_id, value FROM keys WHERE kind = 'named_session'
    {known}
)
SELECT signal_id, 'session' AS kind, session_id AS value, day, min(time) - to_days({session_days}) AS start_on
FROM named WHERE session_id IS NOT NULL GROUP BY ALL
UNION ALL
SELECT signal_id, 'token', token_id, day, min(time) - to_days(1) FROM named WHERE token_id IS NOT NULL
GROUP BY ALL
UNION ALL
SELECT s.signal_id, 'session_token', i.token_id, i.day, min(i.time) - to_days(1)
FROM sessions AS s JOIN rows AS i USING (session_id)
JOIN standing_signals AS g ON g.signal_id = s.signal_id
    AND i.time >= g.first_time - to_days({session_days})
WHERE i.token_id IS NOT NULL GROUP BY ALL
