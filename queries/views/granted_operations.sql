SELECT a.role_assignment_id, a.state, r.operation, r.plane, a.principal_id, a.role_definition_id, a.scope,
    r.conditional OR a.condition IS NOT NULL AS conditional
FROM role_assignments AS a JOIN base.role_operations AS r USING (role_definition_id)
