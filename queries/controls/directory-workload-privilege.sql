-- title: No workload holds a privileged directory role
-- description: Service principals and managed identities with a role that Microsoft marks as privileged. They need no
--   second factor, and whoever can add a credential to them gets the role.
-- severity: high
-- subject: principal
-- needs: directory_roles, service_principals
-- with: directory
-- tags: MCSB IM-3, NIST AC-6(5)
-- columns: resource, status, reason
SELECT d.holder AS resource, CASE WHEN bool_or(d.privileged) THEN 'fail' ELSE 'pass' END AS status,
       concat(any_value(d.who), ' has ', coalesce(min(d.assigned) FILTER (d.privileged), min(d.assigned))) AS reason
FROM directory d
WHERE d.holder_type IN ('ServicePrincipal', 'ManagedIdentity') AND d.role_known
GROUP BY d.holder
