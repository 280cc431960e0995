-- title: How many principals can perform risky operations
-- description: Operations of a class of risk, with the assignments that grant them and the principals that hold
--   these, members of groups included. It also shows whether anybody performed them.
-- parameter: risk text = privilege  class: privilege, secret, code_execution, destruction, evasion, exposure, data_access
-- columns: operation, risk, assignments, principals, calls, last_seen
WITH risky AS (SELECT operation, risk FROM operations WHERE risk = $risk),
granting AS (
    SELECT r.operation, a.role_assignment_id, a.principal_id
    FROM risky r
    JOIN role_operations o ON o.operation = r.operation
    JOIN role_assignments a ON a.role_definition_id = o.role_definition_id
),
holders AS (
    SELECT operation, principal_id FROM granting
    UNION
    SELECT g.operation, c.member_id FROM granting g JOIN group_closure c ON c.group_id = g.principal_id
),
held AS (SELECT operation, count(*) AS principals FROM holders GROUP BY operation),
granted AS (SELECT operation, count(DISTINCT role_assignment_id) AS assignments FROM granting GROUP BY operation),
used AS (
    SELECT operation, sum(succeeded + failed + started)::BIGINT AS calls,
           max(last_seen) FILTER (succeeded + failed + started > 0) AS last_seen
    FROM usage_days GROUP BY operation
)
SELECT r.operation, r.risk, g.assignments, h.principals, coalesce(u.calls, 0) AS calls, u.last_seen
FROM risky r
JOIN granted g ON g.operation = r.operation
JOIN held h ON h.operation = r.operation
LEFT JOIN used u ON u.operation = r.operation
ORDER BY h.principals DESC, r.operation
