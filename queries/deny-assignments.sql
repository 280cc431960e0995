-- title: What deny assignments forbid
-- description: Deny assignments and their principals; `everybody` means all principals but the excluded ones.
-- columns: deny_assignment_id, name, scope, does_not_apply_to_child_scopes, is_system_protected, everybody, principals, excluded
SELECT deny_assignment_id,
       deny_assignment_name AS name,
       scope,
       does_not_apply_to_child_scopes,
       is_system_protected,
       coalesce(list_contains(principal_ids, '00000000-0000-0000-0000-000000000000'), false) AS everybody,
       principal_ids AS principals,
       exclude_principal_ids AS excluded
FROM deny_assignments
ORDER BY scope, deny_assignment_id
