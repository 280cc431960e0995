-- title: How often eligible access is activated
-- description: After `analyze`: each eligible assignment with its activations, those with changes, and how long they
--   last.
-- columns: role_assignment_id, principal_id, name, role_name, scope, activations, with_changes, hours_95, last_start
SELECT a.role_assignment_id,
       a.principal_id,
       p.display_name AS name,
       a.role_name,
       a.scope,
       count(v.activation_id) AS activations,
       count(v.activation_id) FILTER (WHERE v.events > 0) AS with_changes,
       round(quantile_disc(v.hours, 0.95), 1) AS hours_95,
       max(v.start_on) AS last_start
FROM (
    SELECT r.role_assignment_id, r.principal_id, coalesce(d.role_name, r.role_name) AS role_name, r.scope
    FROM role_assignments r
    LEFT JOIN role_definitions d ON d.role_definition_id = r.role_definition_id
    WHERE r.state = 'eligible'
    UNION ALL
    SELECT r.role_assignment_id, r.principal_id, d.role_name, r.scope
    FROM directory_role_assignments r
    LEFT JOIN directory_roles d ON d.directory_role_id = r.directory_role_id
    WHERE r.state = 'eligible'
) a
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN activations v ON v.eligibility_id = lower(a.role_assignment_id) OR v.eligibility_id = a.role_assignment_id
GROUP BY ALL
ORDER BY activations, a.principal_id, a.scope, a.role_assignment_id
