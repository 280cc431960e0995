-- title: Assignments without any use in the logs
-- description: After `analyze`: assignments without a credited call, with the verdicts on their operations. Only
--   `unused` is sure; for `unobservable` no log exists, and for `out_of_coverage` none is loaded.
-- columns: role_assignment_id, state, principal_id, name, role_name, scope, created_on, unused, unobservable, out_of_coverage
SELECT v.role_assignment_id,
       v.state,
       any_value(a.principal_id) AS principal_id,
       any_value(coalesce(p.display_name, a.principal_name)) AS name,
       any_value(coalesce(d.role_name, a.role_name)) AS role_name,
       any_value(a.scope) AS scope,
       any_value(a.created_on) AS created_on,
       coalesce(sum(v.operations) FILTER (v.verdict = 'unused'), 0)::BIGINT AS unused,
       coalesce(sum(v.operations) FILTER (v.verdict = 'unobservable'), 0)::BIGINT AS unobservable,
       coalesce(sum(v.operations) FILTER (v.verdict = 'out_of_coverage'), 0)::BIGINT AS out_of_coverage
FROM verdicts v
JOIN role_assignments a ON a.role_assignment_id = v.role_assignment_id AND a.state = v.state
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
GROUP BY v.role_assignment_id, v.state
HAVING count(*) FILTER (v.verdict = 'used') = 0
ORDER BY unused DESC, v.role_assignment_id, v.state
