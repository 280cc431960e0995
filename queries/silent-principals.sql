-- title: Principals with access and no sign-in
-- description: Principals with an assignment, directly or through a group, and no sign-in for the given number of
--   days before the newest covered day. Without a sign-in log `last_sign_in` is the directory's, or unknown.
-- parameter: days integer = 90  days without a sign-in
-- columns: principal_id, name, principal_type, account_enabled, assignments, last_sign_in, days_silent
WITH newest AS (
    SELECT max(day) AS day FROM (
        SELECT max(day) AS day FROM coverage WHERE state <> 'missing'
        UNION ALL SELECT max(day) FROM sign_ins
    )
),
holders AS (
    SELECT principal_id, role_assignment_id FROM role_assignments
    UNION
    SELECT c.member_id, a.role_assignment_id FROM role_assignments a JOIN group_closure c ON c.group_id = a.principal_id
),
held AS (SELECT principal_id, count(*) AS assignments FROM holders GROUP BY principal_id),
seen AS (SELECT principal_id, max(last_seen) AS last_seen FROM sign_ins GROUP BY principal_id)
SELECT h.principal_id,
       p.display_name AS name,
       p.principal_type,
       p.account_enabled,
       h.assignments,
       greatest(p.last_sign_in, s.last_seen) AS last_sign_in,
       date_diff('day', greatest(p.last_sign_in, s.last_seen)::DATE, (SELECT day FROM newest)) AS days_silent
FROM held h
JOIN principals p ON p.principal_id = h.principal_id
LEFT JOIN seen s ON s.principal_id = h.principal_id
WHERE p.principal_type IN ('User', 'ServicePrincipal', 'ManagedIdentity')
  AND (days_silent IS NULL OR days_silent >= $days)
ORDER BY days_silent DESC NULLS FIRST, h.principal_id
