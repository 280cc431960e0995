-- title: First and last use of each assignment
-- description: After `analyze`: the calls that are credited to each assignment, the longest unused first.
-- columns: role_assignment_id, state, principal_id, name, role_name, scope, used_operations, calls, first_seen, last_seen
SELECT a.role_assignment_id,
       a.state,
       a.principal_id,
       any_value(coalesce(p.display_name, a.principal_name)) AS name,
       any_value(coalesce(d.role_name, a.role_name)) AS role_name,
       any_value(a.scope) AS scope,
       count(DISTINCT v.operation) AS used_operations,
       coalesce(sum(v.events), 0)::BIGINT AS calls,
       min(v.first_seen) AS first_seen,
       max(v.last_seen) AS last_seen
FROM role_assignments a
LEFT JOIN verdicts v
    ON v.role_assignment_id = a.role_assignment_id AND v.state = a.state AND v.verdict = 'used'
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
GROUP BY a.role_assignment_id, a.state, a.principal_id
ORDER BY last_seen NULLS FIRST, a.role_assignment_id, a.state
