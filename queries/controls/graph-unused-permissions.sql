-- title: Microsoft Graph permissions are used
-- description: Applications with a permission of Microsoft Graph and no request for it in the window, although the
--   log of Microsoft Graph would have shown it.
-- severity: medium
-- subject: principal
-- needs: graph_permissions, analysis
-- tags: MCSB PA-7, NIST AC-6(7)
-- columns: resource, status, reason
SELECT v.principal_id AS resource,
       CASE WHEN count(*) FILTER (v.verdict = 'unused') > 0 THEN 'fail'
            WHEN count(*) FILTER (v.verdict = 'used') = count(*) THEN 'pass' ELSE 'unknown' END AS status,
       concat(coalesce(any_value(nullif(p.display_name, '')), v.principal_id),
              CASE status WHEN 'fail' THEN concat(' did not use ', count(*) FILTER (v.verdict = 'unused'), ' of its ',
                                                  count(*), ' permissions, and a log would have shown it')
                   WHEN 'unknown' THEN ' has permissions whose use no log shows' END) AS reason
FROM verdicts v
LEFT JOIN principals p ON p.principal_id = v.principal_id
WHERE v.plane = 'graph' AND v.verdict <> 'unexplained'
GROUP BY v.principal_id
