-- title: Assignments of deleted principals
-- description: Assignments whose principal is among the deleted items, unknown to the export that lists them, or absent
--   from a listing of its kind that is complete. A principal of another tenant is no orphan.
-- columns: role_assignment_id, state, principal_id, principal_type, role_name, scope, created_on, sign
WITH held AS (
    SELECT a.*, p.deleted_on, coalesce(p.listed, false) AS listed,
           CASE coalesce(nullif(a.principal_type, 'Unknown'), p.principal_type)
               WHEN 'User' THEN 'users'
               WHEN 'Group' THEN 'groups'
               WHEN 'ServicePrincipal' THEN 'servicePrincipals'
               WHEN 'ManagedIdentity' THEN 'servicePrincipals'
           END AS listing
    FROM role_assignments a
    LEFT JOIN principals p ON p.principal_id = a.principal_id
    WHERE a.principal_tenant_id IS NULL
),
judged AS (
    SELECT h.*,
           CASE WHEN h.deleted_on IS NOT NULL THEN 'among the deleted items'
                WHEN h.listed THEN NULL
                WHEN h.principal_type = 'Unknown' OR h.principal_name = '' THEN 'unknown to the export'
                WHEN EXISTS (SELECT 1 FROM listings l WHERE l.listing = h.listing AND l.complete)
                    THEN 'in no listing' END AS sign
    FROM held h
)
SELECT j.role_assignment_id,
       j.state,
       j.principal_id,
       j.principal_type,
       coalesce(d.role_name, j.role_name) AS role_name,
       j.scope,
       j.created_on,
       j.sign
FROM judged j
LEFT JOIN role_definitions d ON d.role_definition_id = j.role_definition_id
WHERE j.sign IS NOT NULL
ORDER BY j.sign, j.principal_id, j.scope, j.role_assignment_id, j.state
