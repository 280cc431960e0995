-- title: Every assignment gives access
-- description: Assignments with an empty role, an empty group, a disabled holder or an end that has passed. They give
--   no access today, and a change elsewhere can make them work again.
-- severity: low
-- subject: role_assignment
-- needs: assignments, analysis
-- tags: MCSB PA-4, NIST AC-2
-- columns: resource, status, reason
SELECT f.subject AS resource, 'fail' AS status, f.reason
FROM findings f
WHERE f.control = 'inert_assignment'
UNION ALL
SELECT '/', 'pass', 'every assignment gives somebody something'
WHERE NOT EXISTS (SELECT 1 FROM findings WHERE control = 'inert_assignment')
