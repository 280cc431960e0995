-- title: No Microsoft Graph permission gives the whole tenant
-- description: Applications with an application permission to assign themselves any directory role or any other
--   permission.
-- severity: critical
-- subject: principal
-- needs: graph_permissions, analysis
-- tags: MCSB PA-7, NIST AC-6(1)
-- columns: resource, status, reason
SELECT a.principal_id AS resource, CASE WHEN count(e.permission) > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(coalesce(any_value(nullif(p.display_name, '')), any_value(nullif(a.principal_name, '')), a.principal_id),
              CASE WHEN count(e.permission) > 0 THEN concat(' has ', min(e.permission), ': ', min(e.what)) END) AS reason
FROM app_role_assignments a
LEFT JOIN escalations e
    ON e.principal_id = a.principal_id AND e.plane = 'graph' AND e.gains = 'tenant' AND e.certain
LEFT JOIN principals p ON p.principal_id = a.principal_id
GROUP BY a.principal_id
