-- title: Who has most unused access
-- description: After `analyze`: the unused operations of each principal, counted once per assignment, beside the
--   operations that it used.
-- parameter: top integer = 25  how many holders to show
-- columns: principal_id, name, principal_type, assignments, unused, unobservable, out_of_coverage, used_operations
WITH held AS (
    SELECT a.principal_id, v.role_assignment_id, v.state, v.verdict, v.operation, v.operations
    FROM verdicts v
    JOIN role_assignments a ON a.role_assignment_id = v.role_assignment_id AND a.state = v.state
)
SELECT h.principal_id,
       any_value(p.display_name) AS name,
       any_value(p.principal_type) AS principal_type,
       count(DISTINCT (h.role_assignment_id, h.state)) AS assignments,
       coalesce(sum(h.operations) FILTER (h.verdict = 'unused'), 0)::BIGINT AS unused,
       coalesce(sum(h.operations) FILTER (h.verdict = 'unobservable'), 0)::BIGINT AS unobservable,
       coalesce(sum(h.operations) FILTER (h.verdict = 'out_of_coverage'), 0)::BIGINT AS out_of_coverage,
       count(DISTINCT h.operation) FILTER (h.verdict = 'used') AS used_operations
FROM held h
LEFT JOIN principals p ON p.principal_id = h.principal_id
GROUP BY h.principal_id
ORDER BY unused DESC, h.principal_id
LIMIT $top
