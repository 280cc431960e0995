-- The directory audit log names the application, the Activity Log the credential.
SELECT DISTINCT CASE WHEN u.plane = 'directory' THEN ltrim(s.folded, '/')
        ELSE split_part(s.folded, '/federatedidentitycredentials/', 1) END AS object_id,
    split_part(s.folded, '/federatedidentitycredentials/', 2) AS name, u.day
FROM base.usage_days AS u
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
WHERE u.succeeded + u.failed + u.started > 0 AND (
    (u.plane = 'directory' AND o.folded LIKE 'microsoft.directory/applications/%')
    OR o.folded = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write')
