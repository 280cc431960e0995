-- Activations belong to no listing and stay, as history.
SELECT * REPLACE (
    coalesce((SELECT spelling FROM base.scope_names AS n WHERE n.folded = {folded[a.scope]}), a.scope) AS scope)
FROM base.role_assignments AS a
WHERE NOT (a.state = 'active' AND EXISTS (
    SELECT 1 FROM base.role_assignments AS b
    WHERE b.role_assignment_id = a.role_assignment_id AND b.state = 'activated'))
    AND (CASE a.state WHEN 'active' THEN 'role_assignments' WHEN 'eligible' THEN 'role_eligibility_instances' ELSE '' END,
        a.role_assignment_id) NOT IN (SELECT (source, grant_id) FROM ({vanished}))
