-- title: An assignment explains every use
-- description: Use that no loaded assignment explains: removed assignments, keys, or an incomplete export.
-- severity: medium
-- subject: principal
-- needs: assignments, analysis
-- tags: MCSB PA-4, NIST AU-6
-- columns: resource, status, reason
SELECT f.subject AS resource, 'fail' AS status, f.reason
FROM findings f
WHERE f.control = 'unexplained_use'
UNION ALL
SELECT '/', 'pass', 'every use is explained by an assignment'
WHERE NOT EXISTS (SELECT 1 FROM findings WHERE control = 'unexplained_use')
