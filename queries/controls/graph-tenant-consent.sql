-- title: No consent for all users has high privilege
-- description: Delegated permissions of Microsoft Graph that an application has for every user, with a high level of
--   privilege in the permission map.
-- severity: medium
-- subject: principal
-- needs: consents, graph_map
-- tags: MCSB PA-7, NIST AC-6
-- parameter: least integer = 4  lowest level of privilege, 1 to 5, that fails
-- columns: resource, status, reason
WITH held AS (
    SELECT g.client_id, g.consent_type, unnest(g.permissions) AS permission FROM permission_grants g
)
SELECT h.client_id AS resource,
       CASE WHEN count(*) FILTER (h.consent_type = 'AllPrincipals' AND m.privilege_level >= $least) > 0 THEN 'fail'
            ELSE 'pass' END AS status,
       concat(coalesce(any_value(nullif(p.display_name, '')), h.client_id), ' has ',
              coalesce(string_agg(DISTINCT h.permission, ', ' ORDER BY h.permission)
                           FILTER (h.consent_type = 'AllPrincipals' AND m.privilege_level >= $least), 'nothing such'),
              ' for every user') AS reason
FROM held h
LEFT JOIN graph_permissions m ON lower(m.permission) = lower(h.permission) AND m.access = 'delegated'
LEFT JOIN principals p ON p.principal_id = h.client_id
GROUP BY h.client_id
