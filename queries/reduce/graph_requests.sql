-- From the raw columns of requests to Microsoft Graph to events, one row a request.
WITH parted AS (
    SELECT *,
        regexp_extract(uri, '^(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([^?#]*)', 1) AS raw_path,
        nullif(regexp_extract(uri, '^[^?#]*[?]([^#]*)', 1), '') AS raw_query,
        upper(trim(method)) AS verb, {guid[user_id]} AS named_user, {guid[object_id]} AS named_object,
        {guid[service_principal_id]} AS named_service, {guid[app_id]} AS app_guid,
        try_cast(trim(status) AS INTEGER) AS code,
        {utc_time[time]} AS event_time
    FROM raw_graph_requests
), acted AS (
    SELECT *, CASE
            WHEN token_type = 'app' OR named_user = named_service THEN NULL
            WHEN named_user IS NOT NULL THEN named_user
            WHEN named_object = named_service THEN NULL
            WHEN token_type = 'user' OR (coalesce(token_type, '') = '' AND scopes IS NOT NULL) THEN named_object
        END AS user_guid,
        coalesce(named_service, named_object, named_user) AS service_guid
    FROM parted
), cleaned AS (
    SELECT *, regexp_replace(regexp_replace({decoded[raw_path]}, '''[^'']*''', '''''', 'g'),
            '([(,] *[A-Za-z@][A-Za-z0-9_]*) *= *[^,()]*', '\1={value}', 'g') AS bare_path,
        lower(TRY(url_decode(replace(raw_query, '+', ' ')))) AS query
    FROM acted
), steps AS (
    SELECT *, list_filter(string_split(
            regexp_replace(
                regexp_replace(
                    regexp_replace('/' || regexp_replace(bare_path, '/+', '/', 'g'),
                        '^/+((?i)v[0-9]+([.][0-9]+)?|[a-z]*beta)(/|$)', '/'),
                    ':/[^:]*(:|$)', ':/{id}:', 'g'),
                '^/+(?i)sites/[^/]+:/[{]id[}]:', '/sites/{id}'), '/'), lambda s: s <> '') AS found,
        nullif(regexp_extract(query, '(^|&)[$]?expand=([^&]*)', 2), '') AS expand
    FROM cleaned
), pathed AS (
    SELECT *, CASE
            WHEN length(uri) > {max_uri} OR len(found) > {max_steps} THEN '{unreadable}'
            ELSE '/' || array_to_string(list_transform(CASE
                WHEN lower(found[1]) = 'users' AND lower(found[2]) = user_guid THEN list_concat(['me'], found[3:])
                ELSE found END, lambda s: {step}), '/')
        END AS path,
        -- Options within the parentheses of an expanded relation may expand further; they are dropped from within.
        list_sort(list_distinct(list_filter(list_transform(string_split(
            regexp_replace(regexp_replace(regexp_replace(
                expand, '[(][^()]*[)]', '', 'g'), '[(][^()]*[)]', '', 'g'), '[(][^()]*[)]', '', 'g'), ','),
            lambda n: trim(split_part(n, '/', 1))), lambda n: regexp_full_match(n, '[a-z]{1,40}'))))[:8] AS expanded,
        list_filter({properties}, lambda n: CASE
            WHEN contains(query, n) THEN regexp_matches(query, '(^|[^a-z])' || n || '($|[^a-z])') END) AS named
    FROM steps
), formed AS (
    SELECT *, verb || ' ' || path || coalesce('?' || nullif(concat_ws('&',
            CASE WHEN len(expanded) > 0 THEN '$expand=' || array_to_string(expanded, ',')
                WHEN expand IS NOT NULL THEN '$expand' END,
            CASE WHEN len(named) > 0 THEN '$select=' || array_to_string(named, ',') END), ''), '') AS operation,
        CASE
            WHEN code BETWEEN 200 AND 399 THEN 4
            WHEN code IN (401, 403) THEN 2
            WHEN code = 429 THEN 0
            WHEN code BETWEEN 400 AND 599 THEN 3
            WHEN code IS NULL AND coalesce(status, '') = '' THEN 1
            ELSE 0
        END AS rank,
        lower(coalesce(nullif(trim(request_id), ''),
            md5(concat_ws(chr(31), time, app_id, coalesce(user_id, object_id), service_principal_id, operation_group,
                uri)))) AS request_key
    FROM pathed
)
SELECT file_no, line, event_time AS time, 'graph_activity_log' AS source, 'graph' AS plane,
    coalesce(user_guid, service_guid) AS principal_id,
    CASE WHEN user_guid IS NOT NULL THEN 'User' ELSE 'ServicePrincipal' END AS principal_type,
    CAST(NULL AS VARCHAR) AS principal_name, app_guid AS app_id, operation, '/' AS scope,
    {outcome[rank]} AS outcome,
    CAST(NULL AS VARCHAR) AS access, CAST(NULL AS VARCHAR) AS role_assignment_id,
    CAST(NULL AS VARCHAR) AS role_definition_id,
    CAST(NULL AS VARCHAR) AS evidence_principal_id, request_key AS correlation_id, token_id AS event_id,
    {address[caller_ip]} AS ip,
    request_key AS key_correlation, lower(operation) AS key_operation, '/' AS key_scope,
    'MicrosoftGraphActivityLogs' AS category, {token_id[token_id]} AS token_id,
    {session_id[session_id]} AS session_id, rank,
    CASE
        {time_problems}
        WHEN coalesce(uri, '') = '' THEN 'it has no request URI'
        WHEN NOT coalesce(regexp_full_match(verb, '[A-Z]{1,12}'), false) THEN 'it has no request method'
        WHEN coalesce(user_guid, service_guid, app_guid) IS NULL THEN 'it names neither an application nor a user'
    END AS problem
FROM formed
