-- From raw columns to events, one row a log record, before the rows of one call are merged (collapse.sql).
--
-- Reads
--   raw_events              the raw columns of every log shape, all text but file_no and line
--   log_statuses            field ('status' or 'http'), spelling (folded), meaning
--   log_error_codes         code (folded), meaning: 'refused', 'linked' or 'authorised'
--   log_storage_operations  service, operation (folded), action, plane, level
--   log_storage_actions     action (folded), plane, level
-- Gives the columns of `stage_event_rows`, and
--   problem                 why the row cannot be used, null where it can
--   unknown_status          the status, where no row of log_statuses has it
--
-- Only the Administrative category is use of the control plane; rows of other categories are left out.
-- Runs on DuckDB and, carried over by sqlglot, on Spark: ASCII is folded by translate, nothing here depends on a locale,
-- a time zone or the order of rows.
WITH spelt AS (
    SELECT
        raw_events.*,
        translate(trim(status), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS status_key,
        translate(trim(category), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS category_key,
        translate(trim(error_code), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS error_key,
        translate(trim(operation_name), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS operation_key,
        translate(trim(auth_action), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS action_key,
        translate(authentication, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ ', 'abcdefghijklmnopqrstuvwxyz') AS authentication_key,
        translate(authorization_result, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS result_key,
        -- 'Forbidden (HTTP Status Code: 403)', 'Failed.Forbidden' and '403' are one code.
        regexp_extract(sub_status, '([1-5][0-9][0-9])', 1) AS sub_status_number,
        translate(
            regexp_extract(trim(sub_status), '([A-Za-z]+)( *[(].*)?$', 1),
            'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
        ) AS sub_status_name,
        translate(trim(status_code), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS status_code_key,
        translate(
            coalesce(service, '') || ' ' || coalesce(resource_id, '') || ' ' || coalesce(uri, ''),
            'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
        ) AS service_text,
        -- The container, queue, table or share: the second step of the object's key, else the first of its URI's path.
        CASE
            WHEN object_key LIKE '/%' OR object_key LIKE '"/%' THEN
                regexp_extract(object_key, '^"?/[^/"]*/([^/"]+)', 1)
            ELSE regexp_extract(uri, '^[A-Za-z]+://[^/]+/([^/?]+)', 1)
        END AS container
    FROM raw_events
),

known AS (
    SELECT
        spelt.*,
        statuses.meaning AS status_meaning,
        CASE
            WHEN sub_status_number <> '' THEN CAST(sub_status_number AS INTEGER)
            WHEN sub_status_names.meaning IS NOT NULL THEN CAST(sub_status_names.meaning AS INTEGER)
            WHEN status_code_key LIKE '___' THEN TRY_CAST(status_code_key AS INTEGER)
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
        source = 'storage_log'
        -- A diagnostic record says Write, Delete or Action where its real category is not given.
        OR category_key IS NULL
        OR category_key IN ('', 'administrative', 'write', 'delete', 'action')
),

judged AS (
    SELECT
        known.*,
        CASE
            WHEN source = 'storage_log' THEN CASE
                -- Keys, signatures and anonymous requests prove use of the key, never of a data action.
                WHEN authentication_key IS NOT NULL AND authentication_key NOT IN ('oauth', 'kerberos') THEN 'other'
                WHEN result_key = 'denied' THEN 'denied'
                WHEN status_meaning = 'refused' THEN 'denied'
                WHEN authentication_key IS NULL AND coalesce(claim_object_id, claim_upn, claim_app_id) IS NULL THEN 'other'
                WHEN http_code BETWEEN 200 AND 399 THEN 'succeeded'
                WHEN http_code IN (401, 403) AND result_key IS NULL THEN 'denied'
                WHEN http_code IS NOT NULL THEN 'failed'
                WHEN status_meaning = 'succeeded' THEN 'succeeded'
                WHEN status_meaning = 'failed' THEN 'failed'
                WHEN result_key = 'granted' THEN 'started'
                ELSE 'other'
            END
            WHEN status_meaning = 'succeeded' THEN 'succeeded'
            WHEN error_meaning IN ('refused', 'linked') THEN 'denied'
            WHEN error_meaning = 'authorised' THEN 'failed'
            WHEN http_code IN (401, 403) THEN 'denied'
            WHEN status_meaning IN ('failed', 'started') THEN status_meaning
            WHEN http_code = 202 THEN 'started'
            WHEN http_code BETWEEN 200 AND 299 THEN 'succeeded'
            WHEN http_code >= 300 THEN 'failed'
            ELSE 'other'
        END AS judged_outcome,
        -- A linked refusal is demand for the linked action and scope that the message names; the first, where several.
        CASE WHEN source = 'activity_log' AND error_meaning = 'linked' AND coalesce(status_meaning, '') <> 'succeeded' THEN
            regexp_extract(
                error_message, 'does not have permission to perform action[(]?s?[)]? ''([^'',]+)[^'']*'' on the linked', 1
            )
        END AS linked_action,
        CASE WHEN source = 'activity_log' AND error_meaning = 'linked' AND coalesce(status_meaning, '') <> 'succeeded' THEN
            regexp_extract(error_message, 'on the linked scope[(]?s?[)]? ''([^'',]+)', 1)
        END AS linked_scope,
        CASE WHEN source = 'storage_log' THEN coalesce(by_operation.level, by_action.level, 'container') END AS level,
        CASE
            WHEN source = 'activity_log' THEN 'control'
            ELSE coalesce(by_action.plane, CASE WHEN action_key IS NULL OR action_key = '' THEN by_operation.plane END, 'data')
        END AS plane,
        coalesce(nullif(trim(auth_action), ''), by_operation.action, nullif(trim(operation_name), ''))
            AS direct_operation,
        CASE
            WHEN source = 'activity_log' THEN coalesce(nullif(trim(auth_scope), ''), trim(resource_id))
            ELSE regexp_extract(
                resource_id, '^(/[Ss][Uu][Bb][Ss][^/]*/.*/[Ss][Tt][Oo][Rr][Aa][Gg][Ee][Aa][Cc][^/]*/[^/]+)', 1
            )
        END AS direct_scope,
        -- 2025-01-15T09:30:45.1234567Z, the same without Z or with a space, or with an offset.
        CASE
            WHEN time NOT LIKE '____-__-__%' OR translate(time, '0123456789-:.+TZ ', '') <> '' THEN NULL
            WHEN length(time) > 35 THEN NULL
            WHEN substr(time, 20) LIKE '%+%' OR substr(time, 20) LIKE '%-%' THEN
                TRY_CAST(time AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
            ELSE TRY_CAST(rtrim(substr(time, 1, 26), 'Z') AS TIMESTAMP)
        END AS event_time,
        -- Log Analytics rewrites the time of what it receives late; nothing is submitted before it happened.
        CASE WHEN submitted LIKE '____-__-__T%Z' AND length(submitted) <= 30 THEN
            TRY_CAST(rtrim(substr(submitted, 1, 26), 'Z') AS TIMESTAMP)
        END AS submitted_time
    FROM known
    LEFT JOIN log_storage_actions AS by_action ON source = 'storage_log' AND by_action.action = action_key
    LEFT JOIN log_storage_operations AS by_operation
        ON source = 'storage_log' AND by_operation.service = storage_service AND by_operation.operation = operation_key
),

placed AS (
    SELECT
        judged.*,
        CASE
            WHEN linked_action <> '' THEN linked_action
            -- A linked refusal whose message cannot be read is nobody's demand and nobody's use.
            ELSE direct_operation
        END AS operation_text,
        CASE
            WHEN linked_scope <> '' AND linked_action <> '' THEN linked_scope
            WHEN source = 'activity_log' THEN direct_scope
            WHEN direct_scope = '' THEN NULL
            WHEN level = 'account' OR container IS NULL OR container = '' THEN direct_scope
            WHEN storage_service = 'queue' THEN direct_scope || '/queueServices/default/queues/' || container
            WHEN storage_service = 'table' THEN direct_scope || '/tableServices/default/tables/' || container
            WHEN storage_service = 'file' THEN direct_scope || '/fileServices/default/fileshares/' || container
            ELSE direct_scope || '/blobServices/default/containers/' || container
        END AS scope_text,
        CASE WHEN linked_action = '' THEN 'other' ELSE judged_outcome END AS outcome,
        CASE WHEN submitted_time < event_time THEN submitted_time ELSE event_time END AS time_utc,
        -- Ids come dashed, bare, in braces, or as the last step of a resource id.
        translate(regexp_extract(role_assignment_id, '([^/]*)$', 1), 'ABCDEF-{}', 'abcdef') AS bare_assignment,
        translate(regexp_extract(role_definition_id, '([^/]*)$', 1), 'ABCDEF-{}', 'abcdef') AS bare_definition,
        translate(evidence_principal_id, 'ABCDEF-{}', 'abcdef') AS bare_evidence_principal,
        translate(claim_object_id, 'ABCDEF-{}', 'abcdef') AS bare_object,
        translate(claim_app_id, 'ABCDEF-{}', 'abcdef') AS bare_app,
        CASE WHEN caller LIKE '________-____-____-____-____________' THEN translate(caller, 'ABCDEF-', 'abcdef') END
            AS bare_caller
    FROM judged
),

dashed AS (
    SELECT
        placed.*,
        CASE WHEN length(bare_assignment) = 32 AND translate(bare_assignment, '0123456789abcdef', '') = '' THEN
            substr(bare_assignment, 1, 8) || '-' || substr(bare_assignment, 9, 4) || '-' || substr(bare_assignment, 13, 4)
            || '-' || substr(bare_assignment, 17, 4) || '-' || substr(bare_assignment, 21, 12)
        END AS assignment_guid,
        CASE WHEN length(bare_definition) = 32 AND translate(bare_definition, '0123456789abcdef', '') = '' THEN
            substr(bare_definition, 1, 8) || '-' || substr(bare_definition, 9, 4) || '-' || substr(bare_definition, 13, 4)
            || '-' || substr(bare_definition, 17, 4) || '-' || substr(bare_definition, 21, 12)
        END AS definition_guid,
        CASE WHEN length(bare_evidence_principal) = 32 AND translate(bare_evidence_principal, '0123456789abcdef', '') = '' THEN
            substr(bare_evidence_principal, 1, 8) || '-' || substr(bare_evidence_principal, 9, 4) || '-'
            || substr(bare_evidence_principal, 13, 4) || '-' || substr(bare_evidence_principal, 17, 4) || '-'
            || substr(bare_evidence_principal, 21, 12)
        END AS evidence_principal_guid,
        CASE WHEN length(bare_object) = 32 AND translate(bare_object, '0123456789abcdef', '') = '' THEN
            substr(bare_object, 1, 8) || '-' || substr(bare_object, 9, 4) || '-' || substr(bare_object, 13, 4)
            || '-' || substr(bare_object, 17, 4) || '-' || substr(bare_object, 21, 12)
        END AS object_guid,
        CASE WHEN length(bare_app) = 32 AND translate(bare_app, '0123456789abcdef', '') = '' THEN
            substr(bare_app, 1, 8) || '-' || substr(bare_app, 9, 4) || '-' || substr(bare_app, 13, 4)
            || '-' || substr(bare_app, 17, 4) || '-' || substr(bare_app, 21, 12)
        END AS app_guid,
        CASE WHEN translate(bare_caller, '0123456789abcdef', '') = '' THEN
            substr(bare_caller, 1, 8) || '-' || substr(bare_caller, 9, 4) || '-' || substr(bare_caller, 13, 4)
            || '-' || substr(bare_caller, 17, 4) || '-' || substr(bare_caller, 21, 12)
        END AS caller_guid,
        CASE WHEN scope_text LIKE '_%/' THEN regexp_replace(scope_text, '/+$', '') ELSE scope_text END AS scope,
        coalesce(
            claim_upn, claim_email, claim_unique_name, CASE WHEN bare_caller IS NULL THEN caller END, claim_display_name
        ) AS person,
        coalesce(nullif(caller_ip, ''), claim_ip) AS ip_text
    FROM placed
),

addressed AS (
    SELECT
        dashed.*,
        -- Who used a key or a signature is not known, whatever else the row says.
        CASE
            WHEN source = 'storage_log' AND authentication_key IS NOT NULL AND authentication_key NOT IN ('oauth', 'kerberos')
                THEN NULL
            ELSE coalesce(object_guid, caller_guid)
        END AS principal_id,
        CASE
            WHEN ip_text LIKE '[%' THEN regexp_extract(ip_text, '^[[]([0-9A-Fa-f:.]+)[]]', 1)
            WHEN ip_text LIKE '%.%.%.%:%' AND ip_text NOT LIKE '%:%.%' THEN regexp_extract(ip_text, '^([0-9.]+):[0-9]+$', 1)
            WHEN translate(ip_text, '0123456789abcdefABCDEF:.', '') = '' THEN ip_text
        END AS ip,
        CASE
            WHEN nullif(correlation_id, '') IS NOT NULL THEN
                translate(trim(correlation_id), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
            WHEN nullif(event_id, '') IS NOT NULL THEN
                translate(trim(event_id), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
            -- Without either, a record is a call of its own, and the same record again the same call.
            ELSE '@' || time || '|' || coalesce(object_guid, caller_guid, person, '') || '|' || coalesce(ip_text, '')
        END AS call_key
    FROM dashed
)

SELECT
    file_no,
    line,
    time_utc AS time,
    source,
    plane,
    principal_id,
    CASE
        WHEN source = 'storage_log' AND principal_id IS NULL THEN NULL
        WHEN claim_token_type IN ('user', 'User') THEN 'User'
        WHEN claim_token_type IN ('app', 'App') THEN 'ServicePrincipal'
        WHEN evidence_principal_guid = principal_id AND evidence_principal_type IN ('User', 'ServicePrincipal')
            THEN evidence_principal_type
        WHEN claim_resource IS NOT NULL THEN 'ServicePrincipal'
        WHEN person IS NOT NULL OR claim_delegated_scope IS NOT NULL THEN 'User'
        WHEN principal_id IS NOT NULL AND (app_guid IS NOT NULL OR caller_guid IS NOT NULL) THEN 'ServicePrincipal'
    END AS principal_type,
    CASE
        WHEN source = 'storage_log' AND authentication_key IS NOT NULL AND authentication_key NOT IN ('oauth', 'kerberos')
            THEN NULL
        ELSE person
    END AS principal_name,
    CASE
        WHEN source = 'storage_log' AND authentication_key IS NOT NULL AND authentication_key NOT IN ('oauth', 'kerberos')
            THEN NULL
        ELSE app_guid
    END AS app_id,
    operation_text AS operation,
    scope,
    outcome,
    assignment_guid AS role_assignment_id,
    definition_guid AS role_definition_id,
    evidence_principal_guid AS evidence_principal_id,
    translate(trim(nullif(correlation_id, '')), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS correlation_id,
    translate(trim(nullif(event_id, '')), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS event_id,
    nullif(ip, '') AS ip,
    -- Two objects of one request, and each operation of a request that has several, are calls of their own.
    CASE
        WHEN source = 'storage_log' THEN
            call_key || '|' || md5(coalesce(object_key, uri, '')) || '|' || coalesce(operation_index, '0')
        ELSE call_key
    END AS key_correlation,
    translate(operation_text, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS key_operation,
    translate(scope, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS key_scope,
    CASE WHEN source = 'activity_log' THEN 'Administrative' ELSE category END AS category,
    CASE outcome WHEN 'succeeded' THEN 4 WHEN 'failed' THEN 3 WHEN 'denied' THEN 2 WHEN 'started' THEN 1 ELSE 0 END AS rank,
    CASE
        WHEN time IS NULL OR time = '' THEN 'it has no time'
        WHEN time_utc IS NULL THEN 'its time cannot be read'
        WHEN time_utc < TIMESTAMP '2010-01-01 00:00:00' OR time_utc >= TIMESTAMP '2050-01-01 00:00:00'
            THEN 'its time is before 2010 or after 2049'
        WHEN operation_text IS NULL THEN 'it names no operation'
        WHEN source = 'activity_log' AND operation_text NOT LIKE '%_/_%' THEN 'its operation is no permission'
        WHEN scope IS NULL OR scope NOT LIKE '/%' THEN 'it names no resource or scope'
    END AS problem,
    CASE WHEN source = 'activity_log' AND outcome = 'other' AND linked_action IS NULL THEN coalesce(status, '') END
        AS unknown_status
FROM addressed
