-- From the raw columns of the unified audit log to events, one row a record.
WITH read AS (
    SELECT *, {guid[app_id]} AS app_guid, {guid[api_id]} AS api_guid, {word[workload]} AS service,
        coalesce(user_type IN ({applications}), false) AS is_application,
        {utc_time[time]} AS event_time
    FROM raw_m365_audits
), named AS (
    SELECT *, service || '/' || {word[operation_name]} || coalesce('?api=' || api_guid, '') AS operation,
        CASE WHEN app_guid IS NOT NULL AND lower(service) IN ({workloads})
            AND coalesce(result, '') NOT IN ('failed', 'failure', 'false', 'fail') THEN 4 ELSE 0 END AS rank,
        CASE WHEN NOT is_application THEN {guid[user_id]} END AS user_guid,
        CASE WHEN NOT is_application AND user_id LIKE '%_@_%' AND length(user_id) <= 320 THEN user_id END AS upn,
        lower(coalesce(nullif(trim(record_id), ''),
            md5(concat_ws(chr(31), time, workload, operation_name, user_id, app_id)))) AS key
    FROM read
)
SELECT file_no, line, event_time AS time, 'm365_audit_log' AS source, 'graph' AS plane, user_guid AS principal_id,
    CASE WHEN is_application THEN 'ServicePrincipal' ELSE 'User' END AS principal_type, upn AS principal_name,
    app_guid AS app_id, operation, '/' AS scope, {outcome[rank]} AS outcome, CAST(NULL AS VARCHAR) AS access,
    CAST(NULL AS VARCHAR) AS role_assignment_id, CAST(NULL AS VARCHAR) AS role_definition_id,
    CAST(NULL AS VARCHAR) AS evidence_principal_id, key AS correlation_id, record_id AS event_id,
    {address[caller_ip]} AS ip,
    key AS key_correlation, lower(operation) AS key_operation, '/' AS key_scope, service AS category,
    {token_id[token_id]} AS token_id, {session_id[session_id]} AS session_id, rank,
    CASE
        {time_problems}
        WHEN coalesce(operation_name, '') = '' THEN 'it has no operation'
    END AS problem
FROM named
