-- title: The sign-in logs have no gaps
-- description: The four kinds of sign-in logs, with their missing days. Workloads have sign-in logs of their own,
--   which many exports leave out.
-- severity: low
-- subject: tenant
-- needs: sign_in_log
-- tags: MCSB LT-2, NIST AU-12
-- columns: resource, status, reason
SELECT '/' || kinds.kind AS resource,
       CASE WHEN c.days IS NULL OR c.missing > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat('sign-ins of kind ', kinds.kind, ': ',
              CASE WHEN c.days IS NULL THEN 'no log is loaded'
                   ELSE concat(c.missing, ' of ', c.days, ' days are missing') END) AS reason
FROM (VALUES ('interactive'), ('non_interactive'), ('service_principal'), ('managed_identity')) kinds(kind)
LEFT JOIN (
    SELECT category, count(DISTINCT day) AS days, count(DISTINCT day) FILTER (state = 'missing') AS missing
    FROM coverage WHERE source = 'sign_in_log' GROUP BY category
) c ON c.category = kinds.kind
