-- title: The principal of every assignment exists
-- description: Assignments whose principal no longer exists, by the finding `orphaned_assignment` of the analysis: the
--   export does not know it, or no complete listing of its kind has it. A deleted principal that may come back is
--   unknown. Principals of other tenants are not orphaned.
-- severity: medium
-- subject: role_assignment
-- needs: assignments, analysis
-- with: held
-- tags: MCSB PA-3, NIST AC-2(3)
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE f.control WHEN 'orphaned_assignment' THEN 'fail' WHEN 'unresolved_principal' THEN 'unknown' ELSE 'pass'
           END AS status,
       concat(h.assigned, ' is held by ', h.who, ': ' || f.reason) AS reason
FROM held h
LEFT JOIN findings f ON f.subject = h.role_assignment_id
    AND f.control IN ('orphaned_assignment', 'unresolved_principal')
WHERE h.through_group IS NULL AND h.principal_tenant_id IS NULL
