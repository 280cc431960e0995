-- title: Who reaches data without Azure roles
-- description: Requests that were authorised by an access policy of a vault or by roles of the service itself: Cosmos
--   DB, SQL, bindings and accounts inside a cluster.
-- columns: principal_id, name, resource, access, requests, days, last_day
SELECT r.principal_id,
       coalesce(any_value(p.display_name), any_value(r.principal_name)) AS name,
       r.resource,
       r.access,
       sum(r.events)::BIGINT AS requests,
       count(DISTINCT r.day) AS days,
       max(r.day) AS last_day
FROM request_access AS r
LEFT JOIN principals AS p USING (principal_id)
WHERE r.access IN ('access_policy', 'own_roles')
GROUP BY r.principal_id, CASE WHEN r.principal_id IS NULL THEN r.principal_name END, r.resource, r.access
ORDER BY requests DESC, resource, access, name
