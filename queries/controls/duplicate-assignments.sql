-- title: No assignment repeats another
-- description: Assignments that another, kept assignment contains. Removing one of the two leaves the access in
--   place.
-- severity: low
-- subject: role_assignment
-- needs: assignments, analysis
-- tags: MCSB PA-4, NIST AC-6(7)
-- columns: resource, status, reason
SELECT f.subject AS resource, 'fail' AS status, f.reason
FROM findings f
WHERE f.control = 'duplicate_assignment'
UNION ALL
SELECT '/', 'pass', 'no assignment contains another'
WHERE NOT EXISTS (SELECT 1 FROM findings WHERE control = 'duplicate_assignment')
