SELECT * FROM base.app_role_assignments
WHERE ('app_role_assignments', app_role_assignment_id) NOT IN (SELECT (source, grant_id) FROM ({vanished}))
