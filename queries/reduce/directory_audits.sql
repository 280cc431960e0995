-- From the raw columns of audit records to events, one row a record and the action that it needed.
WITH described AS (
    SELECT *, {activity_key} AS activity_key, {activity[other_name]} AS other_key,
        {lowered[trim(service)]} AS service_key, {lowered[trim(result)]} AS done,
        coalesce({guid[initiator[1]]}, {guid[initiator[4]]}) AS principal_id,
        coalesce(nullif(initiator[1], ''), nullif(initiator[2], '')) IS NOT NULL AS by_user,
        -- Names of applications are no aliases; what only has one is looked up by its application id.
        coalesce(nullif(initiator[2], ''), CASE WHEN initiator[5] IS NULL THEN
            coalesce(nullif(initiator[3], ''), nullif(initiator[6], '')) END) AS principal_name,
        {guid[initiator[5]]} AS app_id,
        coalesce(nullif(initiator[7], ''), caller_ip) AS address,
        list_min(list_filter(list_transform(target_units, lambda one: {guid[one]}), lambda one: one IS NOT NULL))
            AS unit,
        {guid[target_ids[1]]} AS target_id, {lowered[target_types[1]]} AS target_type,
        list_transform(coalesce(properties_changed, []), lambda one: {lowered[one]}) AS changed,
        timezone('UTC', TRY_CAST(time AS TIMESTAMPTZ)) AS time_utc
    FROM raw_audits
), ruled AS (
    SELECT described.*, rule.action, rule.property,
        bool_or(rule.property <> '') OVER (PARTITION BY file_no, line) AS by_property
    FROM described LEFT JOIN log_directory_audit AS rule ON rule.activity IN (activity_key, other_key)
        AND rule.service IN ('', coalesce(service_key, rule.service))
        AND (rule.property = '' OR list_contains(changed, rule.property))
), placed AS (
    SELECT *, CASE
            WHEN action IS NULL THEN '{unmapped}' || coalesce(service, '') || '/' || trim(operation_name)
            WHEN action = '' THEN coalesce(service, '') || '/' || trim(operation_name)
            ELSE action END AS operation,
        CASE
            WHEN unit IS NOT NULL THEN '/administrativeUnits/' || unit
            WHEN target_type IN ('application', 'serviceprincipal') AND target_id IS NOT NULL
                THEN '/' || target_id
            ELSE '/' END AS scope,
        CASE
            WHEN coalesce(action, '') = '' OR coalesce(principal_id, principal_name, app_id) IS NULL THEN 'other'
            WHEN done IN ('success', 'succeeded', '0', 'true') THEN 'succeeded'
            WHEN done IN ('failure', 'failed', 'fail', 'false') THEN
                CASE WHEN regexp_matches({lowered[coalesce(result_reason, '')]}, '{refused}') THEN 'denied'
                    ELSE 'failed' END
            ELSE 'started' END AS outcome
    FROM ruled
    -- What names a property says more than the rule for the activity as a whole.
    WHERE NOT (coalesce(property, '') = '' AND coalesce(by_property, false))
)
SELECT file_no, line, time_utc AS time, 'entra_audit_log' AS source, 'directory' AS plane, principal_id,
    CASE WHEN by_user THEN 'User' WHEN coalesce(principal_id, app_id) IS NOT NULL THEN 'ServicePrincipal' END
        AS principal_type,
    principal_name, app_id, operation, scope, outcome, CAST(NULL AS VARCHAR) AS role_assignment_id,
    CAST(NULL AS VARCHAR) AS role_definition_id, CAST(NULL AS VARCHAR) AS evidence_principal_id, correlation_id,
    record_id AS event_id, CASE WHEN regexp_full_match(address, '[0-9a-fA-F.:]+') THEN address END AS ip,
    {lowered[correlation_id]} AS key_correlation, {lowered[operation]} AS key_operation,
    -- One request may change many objects; the two services that record one change of a role share its correlation id.
    {lowered[scope]} || CASE WHEN {lowered[operation]} = '{assigns}' THEN ''
        ELSE '|' || coalesce({lowered[target_ids[1]]}, '') END AS key_scope,
    'AuditLogs' AS category, CAST(NULL AS VARCHAR) AS access, {token_id[initiator[9]]} AS token_id,
    {session_id[initiator[10]]} AS session_id,
    CASE outcome WHEN 'succeeded' THEN 4 WHEN 'failed' THEN 3 WHEN 'denied' THEN 2 WHEN 'started' THEN 1 ELSE 0 END
        AS rank,
    CASE
        WHEN time IS NULL THEN 'it has no time'
        WHEN time_utc IS NULL THEN 'its time cannot be read'
        WHEN time_utc < TIMESTAMP '2010-01-01' OR time_utc >= TIMESTAMP '2050-01-01'
            THEN 'its time is before 2010 or after 2049'
        WHEN operation_name IS NULL THEN 'it names no activity'
        WHEN correlation_id IS NULL THEN 'it has no correlation id'
    END AS problem
FROM placed
