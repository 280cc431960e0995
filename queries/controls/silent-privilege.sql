-- title: Holders of risky roles sign in
-- description: Holders of risky roles without a sign-in for `days` days before the newest covered day. Emergency
--   access accounts fail here by design: put them into the file of exemptions.
-- severity: medium
-- subject: principal
-- needs: assignments, catalogue, sign_in_log
-- with: held, powers
-- tags: MCSB PA-4, NIST AC-2(3)
-- parameter: days integer = 90  days without a sign-in
-- columns: resource, status, reason
WITH newest AS (
    SELECT max(day) AS day, max(day) - $days::INTEGER AS since
    FROM coverage
    WHERE source = 'sign_in_log' AND category <> 'microsoft_service_principal' AND state <> 'missing'
),
kinds AS (
    SELECT CASE c.category WHEN 'service_principal' THEN 'ServicePrincipal' WHEN 'managed_identity' THEN 'ManagedIdentity'
                           ELSE 'User' END AS type,
           max(first_day) AS first_day, sum(gaps) AS gaps
    FROM (
        SELECT category, min(day) AS first_day,
               count(*) FILTER (state = 'missing' AND day > (SELECT since FROM newest)) AS gaps
        FROM coverage WHERE source = 'sign_in_log' AND category <> 'microsoft_service_principal' GROUP BY category
    ) c
    GROUP BY type
),
seen AS (SELECT principal_id, max(last_seen) AS last_seen FROM sign_ins WHERE succeeded > 0 GROUP BY principal_id),
risky AS (
    SELECT h.holder, any_value(h.holder_type) AS type, min(h.assigned) AS assigned
    FROM held h JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.risky > 0
    WHERE h.holder_type IN ('User', 'ServicePrincipal', 'ManagedIdentity')
    GROUP BY h.holder
)
SELECT r.holder AS resource,
       CASE WHEN greatest(p.last_sign_in, s.last_seen)::DATE > n.since THEN 'pass'
            WHEN k.type IS NULL OR k.gaps > 0 OR k.first_day > n.since + 1 THEN 'unknown'
            ELSE 'fail' END AS status,
       concat(coalesce(nullif(p.display_name, ''), r.holder), ' has ', r.assigned,
              CASE status WHEN 'unknown' THEN concat('; the sign-in log does not cover ', $days, ' days of its kind')
                   WHEN 'fail' THEN concat(' and has not signed in for ', $days, ' days') END) AS reason
FROM risky r
CROSS JOIN newest n
LEFT JOIN principals p ON p.principal_id = r.holder
LEFT JOIN seen s ON s.principal_id = r.holder
LEFT JOIN kinds k ON k.type = r.type
