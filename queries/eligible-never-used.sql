-- title: Eligible assignments that nobody used
-- description: After `analyze`: eligible assignments without a credited call, activations included.
-- columns: role_assignment_id, principal_id, name, role_name, scope, start_on, end_on, activated_now
SELECT a.role_assignment_id,
       a.principal_id,
       coalesce(p.display_name, a.principal_name) AS name,
       coalesce(d.role_name, a.role_name) AS role_name,
       a.scope,
       a.start_on,
       a.end_on,
       EXISTS (
           SELECT 1 FROM role_assignments x WHERE x.state = 'activated' AND x.eligibility_id = a.role_assignment_id
       ) AS activated_now
FROM role_assignments a
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = a.role_definition_id
WHERE a.state = 'eligible'
  AND EXISTS (SELECT 1 FROM verdicts)
  AND NOT EXISTS (
      SELECT 1 FROM verdicts v
      WHERE v.verdict = 'used'
        AND ((v.role_assignment_id = a.role_assignment_id AND v.state = 'eligible')
             OR v.role_assignment_id IN (
                 SELECT x.role_assignment_id FROM role_assignments x
                 WHERE x.state = 'activated' AND x.eligibility_id = a.role_assignment_id
             ))
  )
ORDER BY a.principal_id, a.scope, role_name, a.role_assignment_id
