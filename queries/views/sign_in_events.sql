SELECT i.* REPLACE (coalesce(i.principal_id, alias.principal_id) AS principal_id)
FROM base.sign_in_rows AS i
LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
