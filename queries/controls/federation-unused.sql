-- title: Federated credentials are used
-- description: Applications and managed identities that trust an outside subject by which nobody signed in, although
--   the sign-in logs would have shown it.
-- severity: medium
-- subject: principal
-- needs: federated_credentials, analysis
-- tags: MCSB IM-3, NIST AC-6(7)
-- columns: resource, status, reason
SELECT coalesce(v.principal_id, v.role_assignment_id) AS resource,
       CASE WHEN count(*) FILTER (v.verdict = 'unused') > 0 THEN 'fail'
            WHEN count(*) FILTER (v.verdict = 'used') = count(*) THEN 'pass' ELSE 'unknown' END AS status,
       concat(coalesce(any_value(nullif(p.display_name, '')), resource),
              CASE status WHEN 'fail' THEN concat(' trusts ', count(*) FILTER (v.verdict = 'unused'), ' of ', count(*),
                                                  ' outside subjects that did not sign in, and a log would have shown it')
                   WHEN 'unknown' THEN ' trusts outside subjects of which no log says whether they signed in' END) AS reason
FROM verdicts v
LEFT JOIN principals p ON p.principal_id = v.principal_id
WHERE v.plane = 'trust'
GROUP BY resource
