-- title: The principal of every assignment exists
-- description: Assignments whose principal is among the deleted items, unknown to the export that lists the
--   assignment, or in no complete listing of its kind. Principals of other tenants are not orphaned.
-- severity: medium
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: MCSB PA-3, NIST AC-2(3)
-- columns: resource, status, reason
WITH judged AS (
    SELECT h.role_assignment_id, h.who, h.assigned, coalesce(p.listed, false) AS listed, p.deleted_on,
           h.principal_type = 'Unknown' OR h.principal_name = '' AS nameless,
           EXISTS (
               SELECT 1 FROM listings l
               WHERE l.complete AND l.listing = CASE coalesce(nullif(h.principal_type, 'Unknown'), p.principal_type)
                   WHEN 'User' THEN 'users' WHEN 'Group' THEN 'groups' ELSE 'servicePrincipals' END
           ) AS complete,
           nullif(h.principal_name, '') IS NOT NULL AS named
    FROM held h
    LEFT JOIN principals p ON p.principal_id = h.principal_id
    WHERE h.through_group IS NULL AND h.principal_tenant_id IS NULL
)
SELECT j.role_assignment_id AS resource,
       CASE WHEN j.deleted_on IS NOT NULL OR (NOT j.listed AND j.nameless) THEN 'fail'
            WHEN j.listed OR j.named THEN 'pass'
            WHEN j.complete THEN 'fail' ELSE 'unknown' END AS status,
       concat(j.assigned, ' is held by ', j.who,
              CASE WHEN j.deleted_on IS NOT NULL THEN ', who is deleted'
                   WHEN j.listed OR j.named THEN NULL
                   WHEN j.nameless THEN ', whom the export does not know'
                   WHEN j.complete THEN ', who is in no listing'
                   ELSE ', and no complete listing of its kind is loaded' END) AS reason
FROM judged j
