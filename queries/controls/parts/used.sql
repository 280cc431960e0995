-- The verdicts of the analysis on each assignment, counted over operations; reads are counted apart: no log shows them.
SELECT v.role_assignment_id,
       v.state,
       coalesce(sum(v.operations) FILTER (v.verdict = 'used'), 0) AS used,
       coalesce(sum(v.operations) FILTER (v.verdict = 'unused'), 0) AS unused,
       coalesce(sum(v.operations) FILTER (v.verdict = 'unobservable'), 0) AS unobservable,
       coalesce(sum(v.operations) FILTER (v.verdict = 'out_of_coverage'), 0) AS out_of_coverage
FROM verdicts v
WHERE v.role_assignment_id IS NOT NULL
GROUP BY v.role_assignment_id, v.state
