-- title: Assignments of principals that no longer exist
-- description: Assignments with the finding `orphaned_assignment` of the last analysis: the export does not know their
--   principal, or no complete listing of its kind has it. One that is deleted and may come back is no orphan, and
--   neither is a principal of another tenant.
-- columns: role_assignment_id, state, principal_id, principal_type, role_name, scope, created_on, sign
SELECT a.role_assignment_id,
       a.state,
       a.principal_id,
       a.principal_type,
       coalesce(d.role_name, a.role_name) AS role_name,
       a.scope,
       a.created_on,
       f.reason AS sign
FROM findings f
JOIN role_assignments a ON a.role_assignment_id = f.subject
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
WHERE f.control = 'orphaned_assignment'
ORDER BY f.reason, a.principal_id, a.scope, a.role_assignment_id, a.state
