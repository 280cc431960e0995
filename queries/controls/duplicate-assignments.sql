-- title: No assignment repeats another
-- description: Assignments that another, kept one contains: they hide what taking the other away would leave.
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
