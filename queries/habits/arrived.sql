-- `principal_id, day, kind, what, arrived`: when principals in `$who` first came from each place on `$days`.
SELECT principal_id, time::DATE AS day, kind, what, min(time) AS arrived FROM (
    SELECT p.principal_id, e.time, unnest(['network', 'application']) AS kind,
        unnest([{network_of[substr(e.ip, 2)]}, substr(e.app_id, 2)]) AS what
    FROM base.events AS e JOIN ({people}) AS p USING (actor_key) WHERE e.plane <> 'directory'
    UNION ALL
    SELECT principal_id, time, unnest(['sign_in_network', 'country']),
        unnest([coalesce('AS' || network_number, {network_of[ip]}), country])
    FROM base.sign_in_rows WHERE succeeded
) WHERE what IS NOT NULL AND time::DATE IN (SELECT unnest($days)) AND principal_id IN (SELECT unnest($who))
GROUP BY ALL
