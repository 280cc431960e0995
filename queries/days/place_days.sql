-- Failed sign-ins may come from anyone, and the directory audit log often has the address of the service that acted
-- for a principal.
SELECT day, is_sign_in, principal_id, {folded[principal_name]} AS principal_name, app_id, {network_of[ip]}
        AS network, country, network_number, sum(calls)::BIGINT AS calls
FROM (
    SELECT day, false AS is_sign_in, substr(principal_id, 2) AS principal_id, substr(named, 2) AS principal_name,
        substr(app_id, 2) AS app_id, substr(ip, 2) AS ip, NULL::VARCHAR AS country,
        NULL::VARCHAR AS network_number, calls
    FROM (
        SELECT time::DATE AS day, principal_id, CASE WHEN principal_id IS NULL THEN coalesce(principal_name, app_id)
            END AS named, app_id, ip, count(*) AS calls
        FROM base.events WHERE {days} AND plane <> 'directory' GROUP BY ALL
    )
    UNION ALL
    SELECT time::DATE, true, principal_id, CASE WHEN principal_id IS NULL THEN principal_name END, app_id, ip,
        country, network_number, count(*)
    FROM base.sign_in_rows WHERE {days} AND succeeded GROUP BY ALL
) GROUP BY ALL
