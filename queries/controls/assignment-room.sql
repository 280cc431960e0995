-- title: There is room for assignments
-- description: Subscriptions close to the 4,000 assignments that Azure allows each: at the limit nobody can be given, or
--   swapped, anything. Eligible assignments do not count.
-- severity: low
-- subject: scope
-- needs: assignments, subscriptions
-- tags: NIST CP-2
-- parameter: most integer = 3600  so many are fine
-- columns: resource, status, reason
SELECT s.scope AS resource,
       CASE WHEN coalesce(a.held, 0) > $most THEN 'fail' ELSE 'pass' END AS status,
       concat(coalesce(a.held, 0), ' of 4,000 assignments') AS reason
FROM scopes s
LEFT JOIN (
    SELECT regexp_extract(lower(scope), '^/subscriptions/[^/]+') AS place, count(DISTINCT role_assignment_id) AS held
    FROM role_assignments WHERE state <> 'eligible' GROUP BY place
) a ON a.place = lower(s.scope)
WHERE s.kind = 'subscription'
