-- From calls to the use that leaves the engine on which the logs lie: the rows that queries/kql/ gives too.
--
-- Reads `calls`, the columns of collapse.sql. Gives one row a principal, operation, scope, assignment, day and hour:
-- log, category, plane, principal_id, principal_name, principal_type, app_id, operation, scope, role_assignment_id, day,
-- received, first_seen, last_seen, succeeded, failed, started, denied.
--
-- `received` is the hour in which a call began. Loads that cut the logs at hours give rows that stand beside each other;
-- the same hour given twice is the same rows. A call whose outcome says nothing of authorisation is not in it.
WITH named AS (
    SELECT
        calls.*,
        CASE WHEN principal_id IS NULL THEN translate(
            coalesce(principal_name, app_id), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
        ) END AS name_key,
        CAST(time AS DATE) AS day,
        substr(strftime(time, '%Y-%m-%d %H:%M:%S'), 1, 13) AS hour
    FROM calls
    WHERE rank > 0
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
    day,
    CAST(hour || ':00:00' AS TIMESTAMP) AS received,
    min(time) AS first_seen,
    max(time) AS last_seen,
    sum(CASE WHEN rank = 4 THEN 1 ELSE 0 END) AS succeeded,
    sum(CASE WHEN rank = 3 THEN 1 ELSE 0 END) AS failed,
    sum(CASE WHEN rank = 1 THEN 1 ELSE 0 END) AS started,
    sum(CASE WHEN rank = 2 THEN 1 ELSE 0 END) AS denied
FROM named
GROUP BY source, category, plane, principal_id, name_key, key_operation, key_scope, role_assignment_id, day, hour
