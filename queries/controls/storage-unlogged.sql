-- title: Every storage account logs its data plane
-- description: Known storage accounts that no storage log covers. Nothing shows who reads their data, and their data
--   actions can never be called unused.
-- severity: medium
-- subject: scope
-- needs: assignments
-- tags: MCSB LT-3, NIST AU-12
-- columns: resource, status, reason
SELECT s.scope AS resource,
       CASE WHEN c.days > 0 THEN 'pass' ELSE 'unknown' END AS status,
       concat(CASE WHEN c.days > 0 THEN concat('a storage log covers ', c.days, ' days')
              ELSE 'no storage log of it is loaded, which may mean that there is none' END) AS reason
FROM scopes s
LEFT JOIN (
    SELECT lower(split_part(scope, '/blobServices/', 1)) AS place, count(DISTINCT day) AS days
    FROM coverage WHERE source = 'storage_log' AND state <> 'missing' GROUP BY place
) c ON c.place = lower(s.scope)
WHERE lower(s.resource_type) = 'microsoft.storage/storageaccounts'
