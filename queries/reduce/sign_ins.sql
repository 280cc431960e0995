-- From raw columns to sign-ins, one row a log record.
--
-- Reads `raw_sign_ins`, all text but file_no and line. Gives the columns of `stage_sign_in_rows`, and `problem`, why
-- the row cannot be used.
WITH told AS (
    SELECT
        raw_sign_ins.*,
        translate(
            CASE WHEN kind IN ('service_principal', 'managed_identity', 'microsoft_service_principal')
                THEN service_principal_id ELSE user_id END,
            'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
        ) AS principal_key,
        CASE WHEN kind IN ('service_principal', 'managed_identity', 'microsoft_service_principal')
            THEN service_principal_name ELSE user_name END AS principal_name,
        translate(app_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS app_key,
        translate(resource_app_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS resource_key,
        translate(trim(result), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS result_key,
        -- 2025-01-15T09:30:45.1234567Z, the same with a space or without Z, or with an offset.
        CASE
            WHEN regexp_matches(time, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}([.][0-9]*)?Z?$') THEN
                TRY_CAST(rtrim(substr(time, 1, 26), 'Z') AS TIMESTAMP)
            WHEN regexp_matches(time, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}([.][0-9]+)? ?[+-](0[0-9]|1[0-4]):?[0-5][0-9]$') THEN
                TRY_CAST(replace(replace(time, ' +', '+'), ' -', '-') AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        END AS time_utc
    FROM raw_sign_ins
)

SELECT
    file_no,
    line,
    time_utc AS time,
    translate(sign_in_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS sign_in_id,
    CASE WHEN principal_key LIKE '________-____-____-____-____________'
        AND translate(principal_key, '0123456789abcdef', '') = '----' THEN principal_key END AS principal_id,
    principal_name,
    CASE WHEN app_key LIKE '________-____-____-____-____________'
        AND translate(app_key, '0123456789abcdef', '') = '----' THEN app_key END AS app_id,
    CASE WHEN resource_key LIKE '________-____-____-____-____________'
        AND translate(resource_key, '0123456789abcdef', '') = '----' THEN resource_key END AS resource_id,
    resource_name,
    kind,
    -- A sign-in whose result cannot be read counts as one that gave a token: what may have been read with it is kept.
    coalesce(result_key IN ('0', 'success', 'succeeded'), TRUE) AS succeeded,
    correlation_id,
    -- The id that the token carries into the logs of what is done with it: base64 of either alphabet, capitals count.
    nullif(rtrim(translate(trim(token_id), '+/', '-_'), '='), '') AS token_id,
    nullif(translate(trim(session_id), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '') AS session_id,
    CASE
        WHEN regexp_matches(caller_ip, '^[0-9.]+$') THEN caller_ip
        WHEN regexp_matches(caller_ip, '^[0-9.]+:[0-9]+$') THEN regexp_extract(caller_ip, '^([0-9.]+)', 1)
        WHEN regexp_matches(caller_ip, '^[0-9A-Fa-f:.]+$') THEN caller_ip
    END AS ip,
    CASE
        WHEN length(trim(country)) = 2 AND regexp_matches(trim(country), '^[A-Za-z][A-Za-z]$')
            THEN translate(trim(country), 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')
    END AS country,
    CASE WHEN regexp_matches(trim(network_number), '^0{0,9}[1-9][0-9]{0,9}$') THEN trim(network_number) END AS network_number,
    -- Empty where the log says that no federated credential was used, null where it does not say.
    CASE
        WHEN trim(federated_credential_id) <> '' THEN
            translate(trim(federated_credential_id), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
        WHEN federated_credential_id IS NOT NULL OR translate(
            trim(client_credential), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
        ) IN ('clientsecret', 'certificate') THEN ''
    END AS federated_credential_id,
    CASE
        WHEN time IS NULL OR time = '' THEN 'it has no time'
        WHEN time_utc IS NULL THEN 'its time cannot be read'
        WHEN time_utc < TIMESTAMP '2010-01-01 00:00:00' OR time_utc >= TIMESTAMP '2050-01-01 00:00:00'
            THEN 'its time is before 2010 or after 2049'
        WHEN principal_name IS NULL AND NOT coalesce(
            principal_key LIKE '________-____-____-____-____________'
            AND translate(principal_key, '0123456789abcdef', '') = '----', FALSE
        ) THEN 'it names nobody who signed in'
    END AS problem
FROM told
