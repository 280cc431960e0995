SELECT * FROM base.permission_grants
WHERE ('delegated_grants', permission_grant_id) NOT IN (SELECT (source, grant_id) FROM ({vanished}))
