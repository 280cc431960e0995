-- From raw columns to events for the logs of requests: Key Vault, Service Bus and Event Hubs, Cosmos DB, AKS, Container
-- Registry and SQL. One row a log record, before the rows of one call are merged (collapse.sql).
--
-- Reads
--   raw_requests              the raw columns of these logs, all text but file_no and line
--   log_statuses              field ('status' or 'http'), spelling (folded), meaning
--   log_request_operations    service, operation (folded, or a pattern with %), action, plane, level, access
--   log_kubernetes_verbs      verb, kind, subresource, suffix: an empty kind or subresource and the verb * stand for any
--   log_kubernetes_groups     api_group: the groups of Kubernetes itself
-- Gives the columns of `stage_event_rows`, and `problem`: why the row cannot be used, null where it can.
--
-- `access` says what let a call through: roles, key, sas, access_policy, own_roles; none where nothing was asked for that
-- needs a permission; unmapped where no rule knows the operation, which then stands as the log writes it.
-- Runs on DuckDB and, carried over by sqlglot, on Spark: only ASCII letters are folded.
WITH spelt AS (
    SELECT
        raw_requests.*,
        CASE WHEN bit_length(operation_name) = 8 * length(operation_name) THEN lower(trim(operation_name))
            ELSE translate(trim(operation_name), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END
            AS operation_key,
        CASE WHEN bit_length(resource_id) = 8 * length(resource_id) THEN lower(resource_id)
            ELSE translate(resource_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS resource_key,
        CASE WHEN bit_length(correlation_id) = 8 * length(correlation_id) THEN lower(correlation_id)
            ELSE translate(correlation_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END
            AS correlation_key,
        lower(replace(trim(result), ' ', '')) AS result_key,
        lower(trim(verb)) AS verb_key,
        lower(trim(coalesce(kind, ''))) AS kind_key,
        lower(trim(coalesce(subresource, ''))) AS subresource_key,
        lower(trim(coalesce(api_group, ''))) AS group_key,
        regexp_extract(target, '^([^?#]*)', 1) AS path
    FROM raw_requests
),

served AS (
    SELECT
        spelt.*,
        -- '403', '403.0' and 'Forbidden' are one code.
        CASE WHEN regexp_matches(http_status, '^[1-5][0-9][0-9]([.]0*)?$') THEN CAST(substr(http_status, 1, 3) AS INTEGER)
            WHEN regexp_matches(result_key, '^[1-5][0-9][0-9]$') THEN CAST(result_key AS INTEGER)
        END AS own_code
    FROM spelt
),

ruled AS (
    SELECT
        served.*,
        coalesce(exact.action, alike.action) AS ruled_action,
        coalesce(exact.plane, alike.plane) AS ruled_plane,
        coalesce(exact.level, alike.level, 'resource') AS level,
        coalesce(exact.access, alike.access) AS ruled_access,
        statuses.meaning AS status_meaning,
        coalesce(own_code, CAST(names.meaning AS INTEGER)) AS http_code,
        verbs.suffix AS verb_suffix,
        whole.suffix AS exec_suffix,
        own_groups.api_group IS NOT NULL OR group_key = '' AS is_own_group
    FROM served
    LEFT JOIN log_request_operations AS exact
        ON exact.service = served.service AND exact.operation = served.operation_key AND NOT exact.is_pattern
    LEFT JOIN log_request_operations AS alike
        ON alike.service = served.service AND alike.is_pattern AND served.operation_key LIKE alike.operation
        AND exact.operation IS NULL
    LEFT JOIN log_statuses AS statuses ON statuses.field = 'status' AND statuses.spelling = result_key
    LEFT JOIN log_statuses AS names ON names.field = 'http' AND names.spelling = result_key
    LEFT JOIN log_kubernetes_verbs AS verbs
        ON served.service = 'kubernetes' AND verbs.verb = verb_key AND verbs.kind = ''
    LEFT JOIN log_kubernetes_verbs AS whole
        ON served.service = 'kubernetes' AND whole.verb = '*' AND whole.kind = kind_key
        AND whole.subresource = subresource_key
    LEFT JOIN log_kubernetes_groups AS own_groups ON own_groups.api_group = group_key
),

mapped AS (
    SELECT
        ruled.*,
        CASE
            WHEN service <> 'kubernetes' THEN nullif(ruled_action, '')
            -- Who acts as somebody else needs to impersonate; what follows is the other's.
            WHEN replace(trim(impersonated), ' ', '') <> '' THEN 'Microsoft.ContainerService/managedClusters/users/impersonate/action'
            WHEN coalesce(exec_suffix, verb_suffix) IS NULL THEN NULL
            WHEN kind_key <> '' AND NOT (regexp_matches(kind_key, '^[a-z0-9.-]+$')
                AND regexp_matches(group_key, '^[a-z0-9.-]*$')) THEN NULL
            WHEN kind_key <> '' AND exec_suffix IS NOT NULL AND group_key = ''
                THEN 'Microsoft.ContainerService/managedClusters/' || kind_key || '/' || subresource_key || '/' || exec_suffix
            -- Of what others add to the API, roles can name only all together.
            WHEN kind_key <> '' AND NOT is_own_group AND verb_suffix IN ('read', 'write', 'delete')
                THEN 'Microsoft.ContainerService/managedClusters/customresources/' || verb_suffix
            WHEN kind_key <> '' THEN 'Microsoft.ContainerService/managedClusters/'
                || CASE WHEN group_key = '' THEN '' ELSE group_key || '/' END || kind_key || '/' || verb_suffix
            WHEN length(path) <= 200 AND regexp_matches(path, '^(/[A-Za-z0-9._-]+)+/?$')
                THEN 'Microsoft.ContainerService/managedClusters' || regexp_replace(path, '/+$', '') || '/' || verb_suffix
        END AS action,
        CASE
            WHEN http_code = 401 AND unauthorized IS NOT NULL THEN unauthorized
            -- Nobody has to sign in where nothing is asked for that needs a permission.
            WHEN known_access = 'anonymous' AND coalesce(ruled_access, '') <> 'roles' THEN ruled_access
            ELSE coalesce(known_access, ruled_access)
        END AS let_through,
        CASE WHEN level = 'object' THEN
            regexp_extract(path, '^[A-Za-z]+://[^/]+/([Dd][Ee][Ll][Ee][Tt][Ee][Dd])?(secrets|keys|certificates)/([0-9A-Za-z-]{1,127})(/|$)', 2)
        END AS object_kind,
        CASE WHEN level = 'object' THEN
            regexp_extract(path, '^[A-Za-z]+://[^/]+/([Dd][Ee][Ll][Ee][Tt][Ee][Dd])?(secrets|keys|certificates)/([0-9A-Za-z-]{1,127})(/|$)', 3)
        END AS object_name,
        regexp_extract(
            resource_id, '^(/[^/]+/[^/]+/[^/]+/[^/]+/[Pp][Rr][Oo][Vv][Ii][Dd][Ee][Rr][Ss]/[^/]+/[^/]+/[^/]+)', 1
        ) AS resource,
        CASE
            WHEN regexp_matches(time, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]*)?Z?$') THEN
                TRY_CAST(rtrim(substr(time, 1, 26), 'Z') AS TIMESTAMP)
            WHEN regexp_matches(time, '^[0-9-]{10}[T ][0-9:.]{8,20} ?[+-][0-9]{2}:?[0-9]{2}$') THEN
                TRY_CAST(time AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        END AS time_utc,
        CASE WHEN regexp_matches(object_id, '^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$') THEN lower(object_id) END AS object_guid,
        CASE WHEN regexp_matches(app_id, '^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$') THEN lower(app_id) END AS app_guid,
        CASE
            WHEN role_assignment_id LIKE '%-%' THEN lower(regexp_extract(role_assignment_id, '(^|[/{])([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})}?$', 2))
            WHEN service = 'kubernetes' AND reason LIKE '%Role Assignment%' THEN
                lower(regexp_extract(reason, 'Role Assignment ([0-9A-Fa-f-]{32,36}) ', 1))
            WHEN regexp_matches(role_assignment_id, '^[0-9A-Fa-f]{32}$') THEN lower(role_assignment_id)
        END AS assignment_text
    FROM ruled
),

judged AS (
    SELECT
        mapped.*,
        CASE
            WHEN coalesce(let_through, 'roles') <> 'roles' THEN let_through
            WHEN let_through IS NULL OR action IS NULL THEN 'unmapped'
            ELSE 'roles'
        END AS access,
        coalesce(action, nullif(trim(operation_name), '')) AS operation,
        CASE
            WHEN resource = '' THEN
                CASE WHEN resource_id LIKE '/_%' THEN regexp_replace(trim(resource_id), '/+$', '') END
            WHEN service = 'kubernetes' AND regexp_matches(namespace, '^[a-z0-9.-]{1,253}$') THEN resource || '/namespaces/' || namespace
            WHEN object_kind <> '' AND object_name <> '' THEN resource || '/' || object_kind || '/' || object_name
            WHEN names_parts IS NOT NULL THEN regexp_replace(trim(resource_id), '/+$', '')
            ELSE resource
        END AS scope,
        CASE
            WHEN length(assignment_text) = 32 AND assignment_text NOT LIKE '%-%' THEN
                substr(assignment_text, 1, 8) || '-' || substr(assignment_text, 9, 4) || '-' || substr(assignment_text, 13, 4)
                    || '-' || substr(assignment_text, 17, 4) || '-' || substr(assignment_text, 21, 12)
            ELSE nullif(assignment_text, '')
        END AS assignment_guid
    FROM mapped
),

ended AS (
    SELECT
        judged.*,
        CASE
            -- What no role of Azure let through is no use of one, and no demand for one.
            WHEN access NOT IN ('roles', 'unmapped') THEN 'other'
            WHEN service = 'kubernetes' AND lower(coalesce(result, '')) = 'forbid' THEN 'denied'
            WHEN http_code IN (401, 403) THEN 'denied'
            WHEN http_code BETWEEN 100 AND 399 THEN 'succeeded'
            -- Who asks too often is turned away before anything else is looked at.
            WHEN http_code = 429 THEN 'other'
            WHEN http_code >= 400 THEN 'failed'
            WHEN service = 'kubernetes' AND lower(coalesce(result, '')) = 'allow' THEN 'started'
            WHEN service = 'kubernetes' THEN 'other'
            WHEN status_meaning IN ('succeeded', 'failed', 'started') THEN status_meaning
            WHEN status_meaning = 'refused' THEN 'denied'
            ELSE 'other'
        END AS judged_outcome,
        access IN ('roles', 'unmapped', 'access_policy', 'own_roles', 'none') AS names_somebody
    FROM judged
)

SELECT
    file_no,
    line,
    time_utc AS time,
    source,
    CASE WHEN action IS NULL THEN 'data' ELSE coalesce(nullif(ruled_plane, ''), 'data') END AS plane,
    CASE WHEN names_somebody THEN object_guid END AS principal_id,
    CASE
        WHEN NOT names_somebody THEN NULL
        WHEN upn LIKE '%_@_%' OR (object_guid IS NOT NULL AND named LIKE '%_@_%') THEN 'User'
        WHEN object_guid IS NOT NULL AND app_guid IS NOT NULL THEN 'ServicePrincipal'
    END AS principal_type,
    CASE
        WHEN NOT names_somebody THEN NULL
        WHEN upn IS NOT NULL THEN upn
        -- A name beside an id of its own is that of a user; the names of accounts inside a cluster mean nothing outside.
        WHEN service = 'kubernetes' THEN CASE WHEN named LIKE '%_@_%' THEN named END
        ELSE named
    END AS principal_name,
    CASE WHEN names_somebody THEN app_guid END AS app_id,
    operation,
    scope,
    CASE
        WHEN unsure_failure IS NOT NULL AND judged_outcome = 'failed' THEN 'other'
        ELSE judged_outcome
    END AS outcome,
    CASE WHEN access = 'roles' THEN assignment_guid END AS role_assignment_id,
    CAST(NULL AS VARCHAR) AS role_definition_id,
    CAST(NULL AS VARCHAR) AS evidence_principal_id,
    correlation_key AS correlation_id,
    CAST(NULL AS VARCHAR) AS event_id,
    CASE
        WHEN regexp_matches(caller_ip, '^[0-9.]+$') THEN caller_ip
        WHEN caller_ip LIKE '[%' THEN nullif(regexp_extract(caller_ip, '^.([0-9A-Fa-f:.]+)[]]', 1), '')
        WHEN regexp_matches(caller_ip, '^[0-9.]+:[0-9]+$') THEN regexp_extract(caller_ip, '^([0-9.]+)', 1)
        WHEN regexp_matches(caller_ip, '^[0-9A-Fa-f:.]+$') THEN caller_ip
    END AS ip,
    -- A client may use one id for many requests; what is asked for tells them apart. The question without a token and
    -- the answer with one are one call.
    coalesce(
        correlation_key,
        '@' || strftime(time_utc, '%Y%m%d%H%M%S%f') || '|' || coalesce(object_guid, named, '') || '|' || coalesce(caller_ip, '')
    ) || '|' || md5(coalesce(path, '')) AS key_correlation,
    CASE WHEN bit_length(operation) = 8 * length(operation) THEN lower(operation)
        ELSE translate(operation, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS key_operation,
    CASE WHEN bit_length(scope) = 8 * length(scope) THEN lower(scope)
        ELSE translate(scope, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END AS key_scope,
    category,
    access,
    CASE WHEN names_somebody THEN nullif(rtrim(translate(trim(token_id), '+/', '-_'), '='), '') END AS token_id,
    CASE WHEN names_somebody THEN nullif(lower(trim(session_id)), '') END AS session_id,
    CASE judged_outcome WHEN 'succeeded' THEN 4 WHEN 'failed' THEN
        CASE WHEN unsure_failure IS NOT NULL THEN 0 ELSE 3 END
        WHEN 'denied' THEN 2 WHEN 'started' THEN 1 ELSE 0 END AS rank,
    CASE
        WHEN time IS NULL THEN 'it has no time'
        WHEN time_utc IS NULL THEN 'its time cannot be read'
        WHEN time_utc < TIMESTAMP '2010-01-01 00:00:00' OR time_utc >= TIMESTAMP '2050-01-01 00:00:00'
            THEN 'its time is before 2010 or after 2049'
        WHEN operation IS NULL THEN 'it names no operation'
        WHEN length(operation) > 500 THEN 'its operation is longer than the name of any'
        WHEN length(scope) > 2000 THEN 'its resource id is longer than any'
        WHEN scope IS NULL OR scope NOT LIKE '/%' THEN 'it names no resource or scope'
    END AS problem
FROM ended
