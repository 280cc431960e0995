-- Calls that name both an alias and an object id, of whole records and of reduced rows.
SELECT day, CASE WHEN is_user THEN 'upn' ELSE 'app_id' END AS kind, {folded[substr(named, 2)]} AS alias,
    substr(principal_id, 2) AS principal_id
FROM (
    SELECT DISTINCT time::DATE AS day, substr(principal_type, 2) = 'User' AS is_user,
        CASE WHEN is_user THEN principal_name ELSE app_id END AS named, principal_id
    FROM base.events
    WHERE {days} AND principal_id IS NOT NULL AND (
        (principal_name LIKE '%_@_%' AND substr(principal_type, 2) = 'User')
        OR (app_id IS NOT NULL AND substr(principal_type, 2) = 'ServicePrincipal')))
UNION SELECT r.day, CASE WHEN r.principal_type = 'User' THEN 'upn' ELSE 'app_id' END,
    {folded[CASE WHEN r.principal_type = 'User' THEN r.principal_name ELSE r.app_id END]}, a.principal_id
FROM base.reduced_usage AS r JOIN base.actors AS a USING (actor_key)
WHERE r.day IN (SELECT day FROM touched_days) AND a.principal_id IS NOT NULL AND (
    (r.principal_name LIKE '%_@_%' AND r.principal_type = 'User')
    OR (r.app_id IS NOT NULL AND r.principal_type = 'ServicePrincipal'))
