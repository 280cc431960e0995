-- From raw columns to events, one row a log record, before the rows of one call are merged (collapse.sql).
--
-- Reads
--   raw_events              the raw columns of every log shape, all text but file_no and line; beside an id the GUID in
--                           it, and beside a sub-status the number and the name in it, each empty or null where is none
--   log_statuses            field ('status' or 'http'), spelling (folded), meaning
--   log_error_codes         code (folded), meaning: 'refused', 'linked' or 'authorised'
--   log_storage_operations  service, operation (folded), action, plane, level
--   log_storage_actions     action (folded), plane, level
-- Gives the columns of `stage_event_rows`, and `problem`: why the row cannot be used, null where it can.
--
-- Only the Administrative category is use of the control plane; rows of other categories are left out.
-- Runs on DuckDB and, carried over by sqlglot, on Spark: nothing here depends on a locale, a time zone or the order of
-- rows. Only ASCII letters are folded; where a text has no others, lower() does the same as translate(), twenty times
-- faster.
WITH told AS (
    SELECT raw_events.*, source = 'storage_log' AS is_storage, coalesce(auth_scope, resource_id) AS named_scope
    FROM raw_events
),

spelt AS (
    SELECT
        told.*,
        CASE WHEN bit_length(status) = 8 * length(status) THEN lower(status)
            ELSE translate(status, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS status_key,
        CASE WHEN bit_length(category) = 8 * length(category) THEN lower(category)
            ELSE translate(category, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS category_key,
        CASE WHEN bit_length(error_code) = 8 * length(error_code) THEN lower(error_code)
            ELSE translate(error_code, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS error_key,
        CASE WHEN NOT is_storage THEN NULL
            WHEN bit_length(operation_name) = 8 * length(operation_name) THEN lower(operation_name)
            ELSE translate(operation_name, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS operation_key,
        CASE WHEN bit_length(auth_action) = 8 * length(auth_action) THEN lower(auth_action)
            ELSE translate(auth_action, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS action_key,
        CASE WHEN bit_length(status_code) = 8 * length(status_code) THEN lower(status_code)
            ELSE translate(status_code, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS status_code_key,
        CASE WHEN is_storage THEN NULL WHEN bit_length(named_scope) = 8 * length(named_scope) THEN lower(named_scope)
            ELSE translate(named_scope, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS scope_key,
        replace(lower(authentication), ' ', '') AS authentication_key,
        lower(authorization_result) AS result_key,
        CASE WHEN is_storage THEN
            lower(coalesce(service, '') || ' ' || coalesce(resource_id, '') || ' ' || coalesce(uri, ''))
        END AS service_text,
        -- The container, queue, table or share: the second step of the object's key, else the first of its URI's path.
        CASE
            WHEN object_key LIKE '/%' OR object_key LIKE '"/%' THEN
                regexp_extract(object_key, '^"?/[^/"]*/([^/"]+)', 1)
            WHEN uri IS NOT NULL THEN regexp_extract(uri, '^[A-Za-z]+://[^/]+/([^/?]+)', 1)
        END AS container
    FROM told
),

known AS (
    SELECT
        spelt.*,
        statuses.meaning AS status_meaning,
        -- Keys, signatures and anonymous requests prove use of the key, never of a data action, and of nobody.
        coalesce(is_storage AND authentication_key NOT IN ('oauth', 'kerberos'), FALSE) AS by_key,
        CASE
            WHEN sub_status_number <> '' THEN CAST(sub_status_number AS INTEGER)
            WHEN sub_status_names.meaning IS NOT NULL THEN CAST(sub_status_names.meaning AS INTEGER)
            WHEN status_code_key LIKE '___' AND regexp_matches(status_code_key, '^[0-9]+$') THEN CAST(status_code_key AS INTEGER)
            ELSE CAST(status_code_names.meaning AS INTEGER)
        END AS http_code,
        CASE
            WHEN error_codes.meaning IS NOT NULL THEN error_codes.meaning
            WHEN error_message LIKE '%on the linked scope%' THEN 'linked'
            WHEN error_message LIKE '%does not have authorization to perform action%' THEN 'refused'
        END AS error_meaning,
        CASE
            WHEN service_text LIKE '%queueservice%' OR service_text LIKE '%storagequeuelogs%'
                OR service_text LIKE '%.queue.%' OR service_text LIKE 'queue %' THEN 'queue'
            WHEN service_text LIKE '%tableservice%' OR service_text LIKE '%storagetablelogs%'
                OR service_text LIKE '%.table.%' OR service_text LIKE 'table %' THEN 'table'
            WHEN service_text LIKE '%fileservice%' OR service_text LIKE '%storagefilelogs%'
                OR service_text LIKE '%.file.%' OR service_text LIKE 'file %' THEN 'file'
            ELSE 'blob'
        END AS storage_service
    FROM spelt
    LEFT JOIN log_statuses AS statuses ON statuses.field = 'status' AND statuses.spelling = status_key
    LEFT JOIN log_statuses AS sub_status_names
        ON sub_status_names.field = 'http' AND sub_status_names.spelling = sub_status_name
    LEFT JOIN log_statuses AS status_code_names
        ON status_code_names.field = 'http' AND status_code_names.spelling = status_code_key
    LEFT JOIN log_error_codes AS error_codes ON error_codes.code = error_key
    WHERE
        is_storage
        -- A diagnostic record says Write, Delete or Action where its real category is not given.
        OR category IN ('Administrative', 'Write', 'Delete', 'Action')
        OR category_key IS NULL
        OR category_key IN ('', 'administrative', 'write', 'delete', 'action')
),

judged AS (
    SELECT
        known.*,
        CASE
            WHEN by_key THEN 'other'
            WHEN is_storage THEN CASE
                WHEN result_key = 'denied' OR status_meaning = 'refused' THEN 'denied'
                WHEN authentication_key IS NULL AND coalesce(claim_object_id, claim_upn, claim_app_id) IS NULL THEN 'other'
                WHEN http_code BETWEEN 200 AND 399 THEN 'succeeded'
                WHEN http_code IN (401, 403) AND result_key IS NULL THEN 'denied'
                WHEN http_code IS NOT NULL THEN 'failed'
                WHEN status_meaning IN ('succeeded', 'failed') THEN status_meaning
                WHEN result_key = 'granted' THEN 'started'
                ELSE 'other'
            END
            WHEN status_meaning = 'succeeded' THEN 'succeeded'
            -- A policy or a lock refuses what the role had allowed: the permission was used.
            WHEN error_meaning = 'authorised' THEN 'failed'
            WHEN error_meaning IN ('refused', 'linked') OR http_code IN (401, 403) THEN 'denied'
            WHEN status_meaning IN ('failed', 'started') THEN status_meaning
            WHEN http_code = 202 THEN 'started'
            WHEN http_code BETWEEN 200 AND 299 THEN 'succeeded'
            WHEN http_code >= 300 THEN 'failed'
            ELSE 'other'
        END AS judged_outcome,
        -- A linked refusal is demand for the linked action and scope that the message names; the first, where several.
        CASE WHEN error_meaning = 'linked' AND NOT is_storage AND coalesce(status_meaning, '') <> 'succeeded' THEN
            regexp_extract(
                error_message,
                'does not have (?:permission|authorization) to perform action[(]?s?[)]? ''([^'',]+)[^'']*'' (?:on the linked|over scope)',
                1
            )
        END AS linked_action,
        CASE WHEN error_meaning = 'linked' AND NOT is_storage AND coalesce(status_meaning, '') <> 'succeeded' THEN
            regexp_extract(error_message, '(?:on the linked scope[(]?s?[)]?|over scope) ''([^'',]+)', 1)
        END AS linked_scope,
        CASE WHEN is_storage THEN coalesce(by_operation.level, by_action.level, 'container') END AS level,
        CASE
            WHEN NOT is_storage THEN 'control'
            WHEN auth_action IS NULL THEN coalesce(by_operation.plane, 'data')
            ELSE coalesce(by_action.plane, 'data')
        END AS plane,
        CASE
            -- trim() reads each character, and nearly no text needs it.
            WHEN bit_length(auth_action) = 8 * length(auth_action)
                AND NOT (auth_action LIKE ' %' OR auth_action LIKE '% ') THEN nullif(auth_action, '')
            WHEN auth_action IS NOT NULL THEN nullif(trim(auth_action), '')
            ELSE coalesce(by_operation.action, nullif(trim(operation_name), ''))
        END AS direct_operation,
        by_operation.action IS NULL AS is_unmapped,
        CASE
            WHEN NOT is_storage AND bit_length(named_scope) = 8 * length(named_scope)
                AND NOT (named_scope LIKE ' %' OR named_scope LIKE '% ') THEN named_scope
            WHEN NOT is_storage THEN trim(named_scope)
            ELSE regexp_extract(
                resource_id, '^(/[Ss][Uu][Bb][Ss][^/]*/.*/[Ss][Tt][Oo][Rr][Aa][Gg][Ee][Aa][Cc][^/]*/[^/]+)', 1
            )
        END AS direct_scope,
        -- 2025-01-15T09:30:45.1234567Z, the same with a space or without Z, or with an offset.
        CASE
            WHEN regexp_matches(time, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}([.][0-9]*)?Z?$') THEN
                TRY_CAST(CASE WHEN length(time) > 26 THEN substr(time, 1, 26) ELSE rtrim(time, 'Z') END AS TIMESTAMP)
            WHEN regexp_matches(time, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}([.][0-9]+)? ?[+-](0[0-9]|1[0-4]):?[0-5][0-9]$') THEN
                TRY_CAST(replace(replace(time, ' +', '+'), ' -', '-') AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        END AS event_time,
        -- Log Analytics rewrites the time of what it receives late; nothing is submitted before it happened.
        CASE WHEN regexp_matches(submitted, '^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}([.][0-9]*)?Z$') THEN
            TRY_CAST(rtrim(substr(submitted, 1, 26), 'Z') AS TIMESTAMP)
        END AS submitted_time
    FROM known
    LEFT JOIN log_storage_actions AS by_action ON is_storage AND by_action.action = action_key
    LEFT JOIN log_storage_operations AS by_operation
        ON is_storage AND by_operation.service = storage_service AND by_operation.operation = operation_key
),

placed AS (
    SELECT
        judged.*,
        CASE WHEN linked_action <> '' THEN linked_action ELSE direct_operation END AS operation,
        CASE
            WHEN linked_action <> '' AND linked_scope <> '' THEN linked_scope
            WHEN NOT is_storage THEN direct_scope
            WHEN direct_scope = '' THEN NULL
            WHEN level = 'account' OR container IS NULL OR container = '' THEN direct_scope
            WHEN storage_service = 'queue' THEN direct_scope || '/queueServices/default/queues/' || container
            WHEN storage_service = 'table' THEN direct_scope || '/tableServices/default/tables/' || container
            WHEN storage_service = 'file' THEN direct_scope || '/fileServices/default/fileshares/' || container
            ELSE direct_scope || '/blobServices/default/containers/' || container
        END AS scope_text,
        -- A linked refusal whose message cannot be read is nobody's demand and nobody's use.
        CASE WHEN linked_action = '' THEN 'other' ELSE judged_outcome END AS outcome,
        CASE WHEN submitted_time < event_time THEN submitted_time ELSE event_time END AS time_utc,
        CASE WHEN caller LIKE '________-____-____-____-____________' THEN CAST(TRY_CAST(caller AS UUID) AS VARCHAR) END AS caller_guid
    FROM judged
),

addressed AS (
    SELECT
        placed.*,
        CASE WHEN scope_text LIKE '%/' AND scope_text <> '/' THEN regexp_replace(scope_text, '/+$', '') ELSE scope_text END AS scope,
        CASE WHEN NOT by_key THEN coalesce(nullif(object_guid, ''), caller_guid) END AS principal_id,
        CASE WHEN NOT by_key THEN
            coalesce(
                claim_upn, claim_email, claim_unique_name, CASE WHEN caller_guid IS NULL THEN caller END, claim_display_name
            )
        END AS principal_name,
        CASE WHEN NOT by_key THEN nullif(app_guid, '') END AS app_id,
        CASE
            WHEN regexp_matches(caller_ip, '^[0-9.]+$') THEN caller_ip
            WHEN caller_ip LIKE '[%' THEN regexp_extract(caller_ip, '^.([0-9A-Fa-f:.]+)[]]', 1)
            WHEN regexp_matches(caller_ip, '^[0-9.]+:[0-9]+$') THEN regexp_extract(caller_ip, '^([0-9.]+)', 1)
            WHEN regexp_matches(caller_ip, '^[0-9A-Fa-f:.]+$') THEN caller_ip
        END AS ip
    FROM placed
),

keyed AS (
    SELECT
        addressed.*,
        CASE WHEN bit_length(correlation_id) = 8 * length(correlation_id) THEN lower(correlation_id)
            ELSE translate(correlation_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS correlation_key,
        CASE WHEN bit_length(event_id) = 8 * length(event_id) THEN lower(event_id)
            ELSE translate(event_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS event_key,
        -- What is as it was named is folded once, and where DuckDB knows of a column that it is all ASCII.
        CASE WHEN operation = auth_action THEN action_key
            WHEN bit_length(operation) = 8 * length(operation) THEN lower(operation)
            ELSE translate(operation, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS key_operation,
        CASE WHEN NOT is_storage AND scope = named_scope THEN scope_key
            WHEN bit_length(scope) = 8 * length(scope) THEN lower(scope)
            ELSE translate(scope, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS key_scope
    FROM addressed
),

called AS (
    SELECT
        keyed.*,
        -- Without either id a record is a call of its own, and the same record again is the same call.
        coalesce(
            correlation_key, event_key,
            '@' || time || '|' || coalesce(principal_id, principal_name, '') || '|' || coalesce(ip, '')
        ) AS call_id
    FROM keyed
)

SELECT
    file_no,
    line,
    time_utc AS time,
    source,
    plane,
    principal_id,
    CASE
        WHEN by_key THEN NULL
        WHEN lower(claim_token_type) = 'user' THEN 'User'
        WHEN lower(claim_token_type) = 'app' THEN 'ServicePrincipal'
        WHEN evidence_guid = principal_id AND evidence_principal_type IN ('User', 'ServicePrincipal')
            THEN evidence_principal_type
        WHEN claim_resource IS NOT NULL THEN 'ServicePrincipal'
        WHEN principal_name IS NOT NULL OR claim_delegated_scope IS NOT NULL THEN 'User'
        WHEN principal_id IS NOT NULL AND (app_id IS NOT NULL OR caller_guid IS NOT NULL) THEN 'ServicePrincipal'
    END AS principal_type,
    principal_name,
    app_id,
    operation,
    scope,
    outcome,
    nullif(assignment_guid, '') AS role_assignment_id,
    nullif(definition_guid, '') AS role_definition_id,
    nullif(evidence_guid, '') AS evidence_principal_id,
    correlation_key AS correlation_id,
    event_key AS event_id,
    nullif(ip, '') AS ip,
    -- Of a storage request each object and each of its operations are calls of their own.
    CASE
        WHEN NOT is_storage THEN call_id
        ELSE call_id || '|' || md5(coalesce(object_key, uri, '')) || '|' || coalesce(operation_index, '0')
    END AS key_correlation,
    key_operation,
    key_scope,
    CASE WHEN is_storage THEN category ELSE 'Administrative' END AS category,
    -- What let a storage request through; the control plane knows only roles.
    CASE
        WHEN NOT is_storage THEN NULL
        WHEN authentication_key IS NULL AND coalesce(claim_object_id, claim_upn, claim_app_id) IS NULL THEN 'unsaid'
        WHEN authentication_key LIKE '%sas%' THEN 'sas'
        WHEN authentication_key LIKE '%key%' THEN 'key'
        WHEN by_key THEN 'anonymous'
        WHEN auth_action IS NULL AND is_unmapped THEN 'unmapped'
        ELSE 'roles'
    END AS access,
    -- The token that the call came with: base64 of either alphabet, whose capitals count.
    CASE WHEN NOT by_key THEN nullif(
        CASE
            WHEN bit_length(claim_token_id) = 8 * length(claim_token_id) AND NOT (claim_token_id LIKE '%+%'
                OR claim_token_id LIKE '%/%' OR claim_token_id LIKE '%=' OR claim_token_id LIKE '% %') THEN claim_token_id
            ELSE rtrim(translate(trim(claim_token_id), '+/', '-_'), '=')
        END, ''
    ) END AS token_id,
    CASE WHEN NOT by_key THEN nullif(
        CASE WHEN bit_length(claim_session_id) = 8 * length(claim_session_id) THEN lower(trim(claim_session_id))
            ELSE translate(trim(claim_session_id), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END, ''
    ) END AS session_id,
    CASE outcome WHEN 'succeeded' THEN 4 WHEN 'failed' THEN 3 WHEN 'denied' THEN 2 WHEN 'started' THEN 1 ELSE 0 END AS rank,
    CASE
        -- Nearly every row: nothing below is then computed.
        WHEN time_utc >= TIMESTAMP '2010-01-01 00:00:00' AND time_utc < TIMESTAMP '2050-01-01 00:00:00'
            AND bit_length(operation) <= 4000 AND scope LIKE '/%' AND operation LIKE '%/%'
            AND NOT (operation LIKE '/%' OR operation LIKE '%/')
            THEN NULL
        WHEN time IS NULL THEN 'it has no time'
        WHEN time_utc IS NULL THEN 'its time cannot be read'
        WHEN time_utc < TIMESTAMP '2010-01-01 00:00:00' OR time_utc >= TIMESTAMP '2050-01-01 00:00:00'
            THEN 'its time is before 2010 or after 2049'
        WHEN operation IS NULL THEN 'it names no operation'
        -- A text that is no operation, such as the name that a portal shows, is a call all the same.
        WHEN length(operation) > 500 THEN 'its operation is longer than 500 characters'
        WHEN scope IS NULL OR scope NOT LIKE '/%' THEN 'it names no resource or scope'
    END AS problem
FROM called
