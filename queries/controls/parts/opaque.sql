-- Groups that hold a role and whose members are not loaded.
SELECT DISTINCT a.principal_id AS group_id,
       coalesce(nullif(p.display_name, ''), nullif(a.principal_name, ''), a.principal_id) AS group_name
FROM role_assignments a
LEFT JOIN principals p ON p.principal_id = a.principal_id
WHERE coalesce(p.principal_type, a.principal_type) = 'Group'
  AND NOT EXISTS (SELECT 1 FROM group_closure c WHERE c.group_id = a.principal_id)
  AND NOT EXISTS (
      SELECT 1 FROM listings l
      WHERE l.complete AND l.listing IN ('members', 'transitiveMembers') AND l."of" = a.principal_id
  )
