SELECT c.* EXCLUDE (principal_name, own_session)
        REPLACE (coalesce(c.principal_id, alias.principal_id) AS principal_id),
    coalesce(own_session, s.session_id) AS session_id,
    s.signed_in, s.sign_in_id, s.sign_in_kind, s.sign_in_principal_id, s.sign_in_ip, s.resource_id
FROM (
    SELECT substr(e.token_id, 2) AS token_id, e.source, e.plane, substr(e.principal_id, 2) AS principal_id,
        CASE WHEN e.principal_id IS NULL
            THEN {folded[substr(coalesce(e.principal_name, e.app_id), 2)]} END AS principal_name,
        substr(e.app_id, 2) AS app_id, substr(e.session_id, 2) AS own_session, count(*) AS calls,
        count(DISTINCT e.operation_key) AS operations, count(*) FILTER (WHERE e.rank = 2) AS denied,
        min(e.time) AS first_seen, max(e.time) AS last_seen, count(DISTINCT substr(e.ip, 2)) AS addresses
    FROM base.events AS e WHERE e.token_id IS NOT NULL GROUP BY ALL
) AS c
LEFT JOIN (
    -- One token, though several exports of its sign-in may be without the id that makes them one.
    SELECT token_id, min(time) AS signed_in, min(sign_in_id) AS sign_in_id, min(kind) AS sign_in_kind,
        min(principal_id) AS sign_in_principal_id, min(ip) AS sign_in_ip, min(resource_id) AS resource_id,
        min(session_id) AS session_id
    FROM base.sign_in_rows WHERE token_id IS NOT NULL AND succeeded GROUP BY token_id
) AS s USING (token_id)
LEFT JOIN ({resolved}) AS alias ON c.principal_id IS NULL AND alias.alias = c.principal_name
