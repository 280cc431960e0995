-- title: Verdicts on everything that is granted
-- description: After `analyze`: how many granted operations have each verdict, and why.
-- columns: plane, verdict, reason, assignments, operations
SELECT plane,
       verdict,
       reason,
       count(DISTINCT (role_assignment_id, state)) AS assignments,
       sum(operations)::BIGINT AS operations
FROM verdicts
GROUP BY plane, verdict, reason
ORDER BY plane, verdict, operations DESC, reason
