-- title: Azure roles decide about key vaults
-- description: Key vaults that access policies still decide. Azure roles and their conditions, reviews and activations
--   mean nothing there, and all management APIs before 2026-02-01 retire on 27 February 2027.
-- severity: medium
-- subject: scope
-- needs: assignments
-- tags: MCSB PA-7, NIST AC-6
-- columns: resource, status, reason
SELECT v.scope AS resource,
       CASE v.model WHEN 'roles' THEN 'pass' WHEN 'policies' THEN 'fail' ELSE 'unknown' END AS status,
       CASE v.model
           WHEN 'roles' THEN 'Azure roles decide about its data'
           WHEN 'policies' THEN concat('access policies decide about its data; holders: ', count(DISTINCT (p.principal_id, p.app_id)))
           ELSE 'no listing has its properties, so it is not known what decides about its data'
       END AS reason
FROM vaults v
LEFT JOIN vault_policies p ON p.scope = v.scope AND NOT p.is_foreign
GROUP BY v.scope, v.model
