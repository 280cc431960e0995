-- title: No other tenant holds a risky role
-- description: Principals of other tenants (Azure Lighthouse, foreign groups) with a risky role.
-- severity: high
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB PA-8, NIST AC-6(6)
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN h.principal_tenant_id IS NULL AND coalesce(h.assignee_type, '') <> 'ForeignGroup' THEN 'pass'
            WHEN NOT h.role_known THEN 'unknown'
            WHEN coalesce(w.risky, 0) > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' of tenant ', coalesce(h.principal_tenant_id, 'unknown'), ' has ', h.assigned) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL
