-- title: Subscriptions are below the limit of role assignments
-- description: Subscriptions close to Azure's limit of 4,000 role assignments. At the limit nobody can assign or
--   replace a role. Eligible assignments do not count.
-- severity: low
-- subject: scope
-- needs: assignments, subscriptions
-- tags: NIST CP-2
-- parameter: most integer = 3600  most role assignments that pass
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
