-- From calls to the use that leaves the engine on which the logs lie: the rows that queries/kql/ gives too.
--
-- Reads `calls`, the columns of collapse.sql. Gives one row a principal, operation, scope, assignment, way of access, day
-- and hour: log, category, plane, principal_id, principal_name, principal_type, app_id, operation, scope,
-- role_assignment_id, access, day, received, first_seen, last_seen, succeeded, failed, started, denied, other.
--
-- `received` is the hour in which a call began. Loads that cut the logs at hours give rows that stand beside each other;
-- the same hour given twice is the same rows. `other` counts calls whose outcome says nothing of authorisation, in rows of
-- their own: they are no use, and show what let requests through and that a log has the day.
WITH named AS (
    SELECT
        calls.*,
        translate(
            coalesce(principal_name, app_id), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
        ) AS name_key,
        CAST(time AS DATE) AS day,
        substr(strftime(time, '%Y-%m-%d %H:%M:%S'), 1, 13) AS hour
    FROM calls
)

SELECT
    source AS log,
    category,
    plane,
    principal_id,
    min(principal_name) AS principal_name,
    min(principal_type) AS principal_type,
    min(app_id) AS app_id,
    substr(min(strftime(time, '%Y%m%d%H%M%S%f') || operation), 21) AS operation,
    substr(min(strftime(time, '%Y%m%d%H%M%S%f') || scope), 21) AS scope,
    role_assignment_id,
    access,
    day,
    CAST(hour || ':00:00' AS TIMESTAMP) AS received,
    min(time) AS first_seen,
    max(time) AS last_seen,
    sum(CASE WHEN rank = 4 THEN 1 ELSE 0 END) AS succeeded,
    sum(CASE WHEN rank = 3 THEN 1 ELSE 0 END) AS failed,
    sum(CASE WHEN rank = 1 THEN 1 ELSE 0 END) AS started,
    sum(CASE WHEN rank = 2 THEN 1 ELSE 0 END) AS denied,
    sum(CASE WHEN rank = 0 THEN 1 ELSE 0 END) AS other
FROM named
GROUP BY source, category, plane, principal_id, name_key, key_operation, key_scope, role_assignment_id, access, day, hour, rank > 0
