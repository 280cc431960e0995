-- title: Which permissions give further access, to how much, and who holds them
-- description: The first steps only; `rightsize reach NAME` follows them to the end.
-- columns: principal_id, name, rule, plane, permission, scope, state, targets, certain, what
SELECT e.principal_id,
       coalesce(p.user_principal_name, p.display_name) AS name,
       e.rule, e.plane, e.permission, e.scope, e.state, e.targets, e.certain, e.what
FROM escalations e
LEFT JOIN principals p ON p.principal_id = e.principal_id
ORDER BY e.targets DESC NULLS FIRST, e.principal_id, e.rule, e.plane, e.permission, e.scope, e.state
