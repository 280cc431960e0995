-- From sign-ins to the rows that queries/kql/sign_ins.kql gives too: one a principal, application, resource and hour.
--
-- Reads `sign_in_rows`, the columns of sign_ins.sql, a sign-in perhaps several times. Gives sign_in_kind, principal_id,
-- principal_name, app_id, resource_id, resource_name, day, received, first_seen, last_seen, succeeded, failed.
WITH told AS (
    SELECT
        sign_in_rows.*,
        translate(principal_name, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS name_key
    FROM sign_in_rows
),

once AS (
    SELECT
        min(time) AS time,
        max(kind) AS kind,
        max(principal_id) AS principal_id,
        max(name_key) AS principal_name,
        max(app_id) AS app_id,
        max(resource_id) AS resource_id,
        max(resource_name) AS resource_name,
        max(CASE WHEN succeeded THEN 1 ELSE 0 END) AS gave_token
    FROM told
    GROUP BY
        coalesce(
            'i' || sign_in_id,
            'c' || strftime(time, '%Y%m%d%H%M%S%f') || '|' || coalesce(principal_id, '') || '|' || coalesce(name_key, '')
            || '|' || coalesce(app_id, '') || '|' || coalesce(resource_id, '') || '|' || kind || CASE WHEN succeeded THEN '1' ELSE '0' END
        )
),

placed AS (
    SELECT once.*, CAST(time AS DATE) AS day, substr(strftime(time, '%Y-%m-%d %H:%M:%S'), 1, 13) AS hour FROM once
)

SELECT
    kind AS sign_in_kind,
    principal_id,
    principal_name,
    app_id,
    resource_id,
    max(resource_name) AS resource_name,
    day,
    CAST(hour || ':00:00' AS TIMESTAMP) AS received,
    min(time) AS first_seen,
    max(time) AS last_seen,
    sum(gave_token) AS succeeded,
    sum(1 - gave_token) AS failed
FROM placed
GROUP BY kind, principal_id, principal_name, app_id, resource_id, day, hour
