-- title: Every agent is used
-- description: Agent identities without a sign-in, a request to Microsoft Graph or a call in Azure for `days` days
--   before the newest covered day, their user accounts included. An agent that nobody uses can be disabled.
-- severity: low
-- subject: principal
-- needs: agents, sign_in_log
-- with: agents
-- tags: MCSB PA-4, NIST AC-2(3)
-- parameter: days integer = 90  days without a sign of life
-- columns: resource, status, reason
WITH covered AS (
    SELECT max(day) AS newest, max(day) - $days::INTEGER AS since, min(day) AS first_day,
           count(*) FILTER (state = 'missing' AND day > (
               SELECT max(day) - $days::INTEGER FROM coverage
               WHERE source = 'sign_in_log' AND category = 'service_principal' AND state <> 'missing')) AS gaps
    FROM coverage
    WHERE source = 'sign_in_log' AND category = 'service_principal'
),
seen AS (
    SELECT principal_id AS who, last_seen FROM sign_ins WHERE succeeded > 0
    UNION ALL
    SELECT app_id, last_seen FROM sign_ins WHERE succeeded > 0
    UNION ALL
    SELECT principal_id, last_seen FROM agent_sightings
    UNION ALL
    SELECT app_id, last_seen FROM agent_sightings
    UNION ALL
    SELECT principal_id, last_seen FROM usage_days
    UNION ALL
    SELECT principal_id, last_seen FROM graph_usage_days
    UNION ALL
    SELECT app_id, last_seen FROM graph_usage_days
),
latest AS (SELECT lower(who) AS who, max(last_seen) AS last_seen FROM seen GROUP BY lower(who))
SELECT a.principal_id AS resource,
       CASE WHEN max(l.last_seen)::DATE > any_value(c.since) THEN 'pass'
            WHEN any_value(c.gaps) > 0 OR any_value(c.first_day) > any_value(c.since) + 1
                OR any_value(a.created_on)::DATE > any_value(c.since) THEN 'unknown'
            ELSE 'fail' END AS status,
       concat('the agent ', any_value(a.who),
              CASE status WHEN 'unknown' THEN concat(' is younger than ', $days, ' days, or the sign-in log does not ',
                                                     'cover so many days')
                   WHEN 'fail' THEN concat(' has shown no sign of life for ', $days, ' days') END) AS reason
FROM agents a
CROSS JOIN covered c
LEFT JOIN principals p ON p.principal_id = a.principal_id
LEFT JOIN latest l ON l.who IN (a.principal_id, lower(p.app_id), a.user_id)
WHERE a.is_agent
GROUP BY a.principal_id
