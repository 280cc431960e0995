-- title: Service principals and managed identities that can give privilege
-- description: Workloads whose roles grant operations of the class `privilege`, with whether a role is permanent.
-- columns: principal_id, name, principal_type, owner_tenant_id, role_name, scope, state, privilege_operations, conditional
WITH privileged AS (
    SELECT o.role_definition_id, count(*) AS privilege_operations, bool_and(o.conditional) AS conditional
    FROM role_operations o JOIN operations x ON x.operation = o.operation
    WHERE x.risk = 'privilege'
    GROUP BY o.role_definition_id
),
held AS (
    SELECT a.*, a.principal_id AS holder FROM role_assignments a
    UNION ALL
    SELECT a.*, c.member_id FROM role_assignments a JOIN group_closure c ON c.group_id = a.principal_id
)
SELECT h.holder AS principal_id,
       p.display_name AS name,
       p.principal_type,
       p.owner_tenant_id,
       coalesce(d.role_name, h.role_name) AS role_name,
       h.scope,
       h.state,
       r.privilege_operations,
       r.conditional OR h.condition IS NOT NULL AS conditional
FROM held h
JOIN principals p ON p.principal_id = h.holder AND p.principal_type IN ('ServicePrincipal', 'ManagedIdentity')
JOIN privileged r ON r.role_definition_id = h.role_definition_id
LEFT JOIN role_definitions d ON d.role_definition_id = h.role_definition_id
ORDER BY r.privilege_operations DESC, principal_id, h.scope, role_name, h.state, h.role_assignment_id
