-- title: There are two emergency access accounts
-- description: Fewer than `least` accounts are named like emergency access accounts. Only names are visible: test by
--   hand that the accounts work and are monitored.
-- severity: medium
-- subject: tenant
-- needs: users, analysis
-- tags: MCSB PA-5, NIST CP-2
-- parameter: least integer = 2  fewest accounts that pass
-- columns: resource, status, reason
SELECT '/' AS resource,
       CASE WHEN count(*) >= $least THEN 'pass' ELSE 'unknown' END AS status,
       concat(count(*), ' accounts are named like emergency access accounts; others may have other names') AS reason
FROM findings
WHERE control = 'emergency_access_account'
