-- The grants that the newest complete listings no longer have.
SELECT v.grant_id, last_listed_on, missing_on, 'role_assignment' AS kind, v.grant_id || '|' || state AS name,
    principal_id, scope, lower(role_definition_id) AS role, state AS what
FROM vanished_grants AS v JOIN base.role_assignments AS a ON a.role_assignment_id = v.grant_id
    AND a.state = CASE v.source WHEN 'role_assignments' THEN 'active'
        WHEN 'role_eligibility_instances' THEN 'eligible' END
UNION ALL
SELECT v.grant_id, last_listed_on, missing_on, 'directory_role_assignment', v.grant_id || '|' || state,
    principal_id, scope, lower(directory_role_id), state
FROM vanished_grants AS v JOIN base.directory_role_assignments AS a
    ON lower(a.role_assignment_id) = v.grant_id AND a.state = CASE v.source
        WHEN 'directory_role_assignments' THEN 'active'
        WHEN 'directory_eligibility_instances' THEN 'eligible' END
UNION ALL
SELECT v.grant_id, last_listed_on, missing_on, 'app_role_assignment', v.grant_id, principal_id, NULL,
    lower(app_role_id), resource_name
FROM vanished_grants AS v JOIN base.app_role_assignments AS a ON a.app_role_assignment_id = v.grant_id
WHERE v.source = 'app_role_assignments'
UNION ALL
SELECT v.grant_id, last_listed_on, missing_on, 'permission_grant', v.grant_id, client_id, NULL, NULL,
    array_to_string(permissions, ', ')
FROM vanished_grants AS v JOIN base.permission_grants AS a ON a.permission_grant_id = v.grant_id
WHERE v.source = 'delegated_grants'
