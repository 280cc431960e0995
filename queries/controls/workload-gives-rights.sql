-- title: No workload can give rights
-- description: Service principals and managed identities with an unconditional role that can give anybody any right.
--   An attacker with its secret, or with code on its machine, gets all access.
-- severity: high
-- subject: principal
-- needs: assignments, catalogue
-- with: held, powers
-- tags: MCSB IM-3, MCSB PA-1, NIST AC-6(1)
-- columns: resource, status, reason
SELECT h.holder AS resource,
       CASE WHEN count(*) FILTER (w.gives_rights AND h.condition IS NULL) > 0 THEN 'fail'
            WHEN count(*) FILTER (NOT h.role_known) > 0 THEN 'unknown' ELSE 'pass' END AS status,
       concat(any_value(h.who), ' has ', coalesce(min(h.assigned) FILTER (w.gives_rights AND h.condition IS NULL),
              min(h.assigned) FILTER (NOT h.role_known), min(h.assigned))) AS reason
FROM held h
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.holder_type IN ('ServicePrincipal', 'ManagedIdentity')
GROUP BY h.holder
