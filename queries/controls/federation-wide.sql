-- title: Federated credentials trust one workload each
-- description: Applications and managed identities that trust pull requests, a whole repository, project or
--   organisation, or a wildcard. Whoever gets into that circle signs in as them.
-- severity: high
-- subject: principal
-- needs: federated_credentials, analysis
-- tags: MCSB IM-3, NIST IA-5
-- columns: resource, status, reason
SELECT coalesce(v.principal_id, v.role_assignment_id) AS resource,
       CASE WHEN count(f.subject) > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(coalesce(any_value(nullif(p.display_name, '')), resource),
              CASE WHEN count(f.subject) > 0 THEN concat(' ', min(f.reason)) END) AS reason
FROM verdicts v
LEFT JOIN findings f ON f.control = 'federated_wide' AND f.subject = v.role_assignment_id
LEFT JOIN principals p ON p.principal_id = v.principal_id
WHERE v.plane = 'trust'
GROUP BY resource
