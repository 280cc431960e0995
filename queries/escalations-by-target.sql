-- title: Permissions that give further access, and who holds them
-- description: The first step of each escalation. `rightsize reach NAME` follows all steps.
-- columns: principal_id, name, rule, plane, permission, scope, state, targets, certain, what
SELECT e.principal_id,
       coalesce(p.user_principal_name, p.display_name) AS name,
       e.rule, e.plane, e.permission, e.scope, e.state, e.targets, e.certain, e.what
FROM escalations e
LEFT JOIN principals p ON p.principal_id = e.principal_id
ORDER BY e.targets DESC NULLS FIRST, e.principal_id, e.rule, e.plane, e.permission, e.scope, e.state
