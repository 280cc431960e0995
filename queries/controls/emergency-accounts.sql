-- title: There are two emergency access accounts
-- description: Fewer accounts than so many are named like emergency access accounts. Names are all that can be seen: that
--   they work, and that somebody watches them, has to be tried by hand.
-- severity: medium
-- subject: tenant
-- needs: users, analysis
-- tags: MCSB PA-5, NIST CP-2
-- parameter: least integer = 2  so many there have to be
-- columns: resource, status, reason
SELECT '/' AS resource,
       CASE WHEN count(*) >= $least THEN 'pass' ELSE 'unknown' END AS status,
       concat(count(*), ' accounts are named like emergency access accounts; others may be, under names of their own') AS reason
FROM findings
WHERE control = 'emergency_access_account'
