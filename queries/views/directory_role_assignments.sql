-- What is activated is listed as an assignment, too. Activations belong to no listing and stay, as history.
SELECT * FROM base.directory_role_assignments AS a
WHERE NOT (a.state = 'active' AND EXISTS (
    SELECT 1 FROM base.directory_role_assignments AS b
    WHERE b.role_assignment_id = a.role_assignment_id AND b.state = 'activated'))
    -- A member of the older listing of roles has no id of an assignment.
    AND NOT (starts_with(a.role_assignment_id, '{listed_member}') AND EXISTS (
        SELECT 1 FROM base.directory_role_assignments AS b
        WHERE NOT starts_with(b.role_assignment_id, '{listed_member}') AND b.state <> 'eligible'
            AND b.principal_id = a.principal_id AND b.directory_role_id = a.directory_role_id AND b.scope = a.scope))
    AND (CASE a.state WHEN 'active' THEN 'directory_role_assignments'
            WHEN 'eligible' THEN 'directory_eligibility_instances' ELSE '' END,
        lower(a.role_assignment_id)) NOT IN (SELECT (source, grant_id) FROM ({vanished}))
