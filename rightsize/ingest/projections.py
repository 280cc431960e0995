"""One projection a log: from the fields of a record to the raw columns that `queries/reduce/normalise.sql` reads.

A projection only moves values; what they mean is said by the queries. A nested value arrives as JSON text, whether the
export had an object or a string with JSON in it, and text that is no JSON gives nulls.
"""

from __future__ import annotations

from collections.abc import Mapping

from rightsize.ingest.families import folded, with_log

_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_DELEGATED_SCOPE = "http://schemas.microsoft.com/identity/claims/scope"
_XMLSOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"

_CLAIMS = {
    "claim_object_id": (_OBJECT_ID, "oid"),
    "claim_upn": (f"{_XMLSOAP}/upn", "upn"),
    "claim_email": (f"{_XMLSOAP}/emailaddress", "email"),
    "claim_unique_name": (f"{_XMLSOAP}/name", "unique_name"),
    "claim_display_name": ("name",),
    "claim_app_id": ("appid", "azp"),
    "claim_token_type": ("idtyp",),
    "claim_delegated_scope": (_DELEGATED_SCOPE, "scp"),
    "claim_resource": ("xms_mirid",),
    "claim_ip": ("ipaddr",),
}
_AUTHORIZATION = {
    "auth_action": ("action",),
    "auth_scope": ("scope",),
    "role_assignment_id": ("evidence.roleAssignmentId",),
    "role_definition_id": ("evidence.roleDefinitionId",),
    "evidence_principal_id": ("evidence.principalId",),
    "evidence_principal_type": ("evidence.principalType",),
}

RAW_EVENT_COLUMNS = (
    "file_no", "line", "log", "source", "time", "submitted", "category", "operation_name", "resource_id",
    *_AUTHORIZATION, *_CLAIMS, "caller", "caller_ip", "correlation_id", "event_id", "status", "sub_status",
    "status_code", "error_code", "error_message", "authentication", "authorization_result", "service",
    "object_key", "operation_index", "uri", "ordinal",
)  # fmt: skip
"""The common raw columns of events, in order; all but file_no, line and ordinal are text."""

RAW_SIGN_IN_COLUMNS = (
    "file_no", "line", "log", "time", "sign_in_id", "correlation_id", "user_id", "user_name", "service_principal_id",
    "service_principal_name", "app_id", "resource_app_id", "resource_name", "kind", "result",
    "operation_name", "ordinal",
)  # fmt: skip


def _paths(*keys: str, under: str = "") -> str:
    """Return a SQL list of JSON paths; a dot parts steps, except in keys that are URIs."""
    steps = [[key] if "://" in key else key.split(".") for key in keys]
    start = f'."{under}"' if under else ""
    return ", ".join(f"'${start}" + "".join(f'."{step}"' for step in path) + "'" for path in steps)


def _keys(names: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [key for spellings in names.values() for key in spellings]


def _columns(names: Mapping[str, tuple[str, ...]], *lists: tuple[str, int]) -> str:
    """Return a select list that names the first value of each of `names`.

    Each of `lists` is a SQL list of values in the order of `_keys(names)`, and where in it they begin.
    """
    columns = []
    place = 1
    for column, spellings in names.items():
        picked = [
            f"nullif({values}[{start + place + n}], '')" for values, start in lists for n in range(len(spellings))
        ]
        columns.append(f"coalesce({', '.join(picked)}) AS {column}" if len(picked) > 1 else f"{picked[0]} AS {column}")
        place += len(spellings)
    return ",\n    ".join(columns)


def _unwrapped(column: str) -> str:
    """Return SQL for a field that is a word, or an object with a word and its translation in it."""
    return f"CASE WHEN {column} LIKE '{{%' THEN TRY(json_extract_string({column}, '$.value')) ELSE {column} END"


# The portal writes `4/28/2021, 2:31:30.021 PM`, with a narrow space before PM in newer browsers.
_ISO_TIME = """CASE WHEN {0} LIKE '%/%' THEN coalesce(strftime(try_strptime(replace({0}, chr(8239), ' '),
    ['%m/%d/%Y, %I:%M:%S.%f %p', '%m/%d/%Y, %I:%M:%S %p', '%m/%d/%Y %I:%M:%S.%f %p', '%m/%d/%Y %I:%M:%S %p']),
    '%Y-%m-%dT%H:%M:%S.%fZ'), {0}) ELSE {0} END"""

# A diagnostic record has both under `identity`; elsewhere they stand alone, and either may be text with JSON in it.
_WITHIN_IDENTITY = (
    _paths(*_keys(_AUTHORIZATION), under="authorization") + ", " + _paths(*_keys(_CLAIMS), under="claims")
)
_FIRST_CLAIM = len(_keys(_AUTHORIZATION))
_HAS_CLAIMS = f"coalesce(inner_identity[{_FIRST_CLAIM + 1}], inner_identity[{_FIRST_CLAIM + 9}])"


def project_activity(fields: str) -> str:
    """Return the raw columns of the Activity Log over a relation of fields. A record's other logs come as null rows."""
    return f"""
SELECT file_no, line, log, 'activity_log' AS source,
    {_ISO_TIME.format("time")} AS time,
    {_ISO_TIME.format("submitted")} AS submitted,
    coalesce(nullif(property[1], ''), {_unwrapped("category")}) AS category,
    {_unwrapped("operation_name")} AS operation_name,
    resource_id,
    {_columns(_AUTHORIZATION, ("authorized", 0), ("inner_identity", 0))},
    {_columns(_CLAIMS, ("claim", 0), ("inner_identity", _FIRST_CLAIM))},
    caller,
    coalesce(caller_ip, nullif(request[1], ''), nullif(request[2], ''), claim_ip) AS caller_ip,
    correlation_id, event_id,
    {_unwrapped("status")} AS status,
    {_unwrapped("sub_status")} AS sub_status,
    coalesce(nullif(property[2], ''), status_code) AS status_code,
    coalesce(nullif(error[1], ''), nullif(error[2], ''), nullif(error[3], ''), nullif(error[4], '')) AS error_code,
    coalesce(nullif(error[5], ''), nullif(error[6], ''), nullif(error[7], ''), message) AS error_message,
    CAST(NULL AS VARCHAR) AS authentication, CAST(NULL AS VARCHAR) AS authorization_result,
    CAST(NULL AS VARCHAR) AS service, CAST(NULL AS VARCHAR) AS object_key,
    CAST(NULL AS VARCHAR) AS operation_index, CAST(NULL AS VARCHAR) AS uri, CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *,
        CASE WHEN authorization_text IS NOT NULL THEN
            TRY(json_extract_string(authorization_text, [{_paths(*_keys(_AUTHORIZATION))}])) END AS authorized,
        CASE WHEN claims_text IS NOT NULL THEN
            TRY(json_extract_string(claims_text, [{_paths(*_keys(_CLAIMS))}])) END AS claim,
        CASE WHEN message LIKE '{{%' THEN TRY(json_extract_string(message,
            [{_paths("error.code", "code", "Code", "error.Code", "error.message", "message", "Message")}])) END AS error
    FROM (
        SELECT *,
            coalesce(authorization_json, CASE WHEN coalesce(inner_identity[1], inner_identity[2]) IS NULL THEN
                TRY(json_extract_string(identity, '$.authorization')) END) AS authorization_text,
            coalesce(claims, CASE WHEN {_HAS_CLAIMS} IS NULL THEN
                TRY(json_extract_string(identity, '$.claims')) END) AS claims_text,
            coalesce(nullif(property[3], ''), description) AS message
        FROM (
            SELECT *,
                TRY(json_extract_string(identity, [{_WITHIN_IDENTITY}])) AS inner_identity,
                TRY(json_extract_string(properties, [{_paths("eventCategory", "statusCode", "statusMessage")}]))
                    AS property,
                TRY(json_extract_string(http_request, [{_paths("clientIpAddress", "client_ip_address")}])) AS request
            FROM ({with_log(fields)})
        )
    )
)"""


_REQUEST_PROPERTIES = ("objectKey", "operationCount", "serviceType", "metricResponseType", "statusCode")


def project_storage(fields: str) -> str:
    """Return the raw columns of storage logs: one row an authorisation that the request needed, at least one.

    Source: Microsoft Learn, "Azure Blob Storage monitoring data reference", fields `identity` and `authorization`.
    """
    return f"""
SELECT file_no, line, log, 'storage_log' AS source,
    {_ISO_TIME.format("time")} AS time, CAST(NULL AS VARCHAR) AS submitted,
    coalesce(category, table_name) AS category, operation_name, resource_id,
    nullif(entry[1], '') AS auth_action, CAST(NULL AS VARCHAR) AS auth_scope,
    nullif(entry[2], '') AS role_assignment_id, nullif(entry[3], '') AS role_definition_id,
    nullif(entry[4], '') AS evidence_principal_id, nullif(entry[5], '') AS evidence_principal_type,
    coalesce(requester_object_id, nullif(requester[2], '')) AS claim_object_id,
    coalesce(requester_upn, nullif(requester[4], '')) AS claim_upn,
    CAST(NULL AS VARCHAR) AS claim_email, CAST(NULL AS VARCHAR) AS claim_unique_name,
    CAST(NULL AS VARCHAR) AS claim_display_name,
    coalesce(requester_app_id, nullif(requester[3], '')) AS claim_app_id,
    CAST(NULL AS VARCHAR) AS claim_token_type, CAST(NULL AS VARCHAR) AS claim_delegated_scope,
    CAST(NULL AS VARCHAR) AS claim_resource, CAST(NULL AS VARCHAR) AS claim_ip,
    CAST(NULL AS VARCHAR) AS caller, caller_ip, correlation_id, CAST(NULL AS VARCHAR) AS event_id,
    coalesce(status_text, nullif(property[4], '')) AS status, CAST(NULL AS VARCHAR) AS sub_status,
    coalesce(status_code, nullif(property[5], '')) AS status_code,
    CAST(NULL AS VARCHAR) AS error_code, CAST(NULL AS VARCHAR) AS error_message,
    coalesce(authentication, nullif(requester[1], '')) AS authentication,
    nullif(entry[6], '') AS authorization_result,
    coalesce(service_type, nullif(property[3], ''), table_name) AS service,
    coalesce(object_key, nullif(property[1], '')) AS object_key,
    coalesce(operation_index, nullif(property[2], '')) AS operation_index, uri, ordinal
FROM (
    SELECT *, TRY(json_extract_string(granted, [{_paths("action", "roleAssignmentId", "roleDefinitionId")},
        '$.principals[0].id', '$.principals[0].type', '$.result'])) AS entry
    FROM (
        SELECT *, unnest(CASE WHEN len(authorizations) > 0 THEN authorizations ELSE [NULL] END) AS granted
        FROM (
            SELECT *, TRY(from_json(coalesce(authorization_details, requester[5]), '["JSON"]')) AS authorizations
            FROM (
                SELECT *, row_number() OVER () AS ordinal,
                    TRY(json_extract_string(identity,
                        [{_paths("type", "requester.objectId", "requester.appId", "requester.upn", "authorization")}]
                    )) AS requester,
                    TRY(json_extract_string(properties, [{_paths(*_REQUEST_PROPERTIES)}])) AS property
                FROM ({with_log(fields)})
            )
        )
    )
)"""


_SIGN_IN_PROPERTIES = {
    "in_time": ("createdDateTime",),
    "in_id": ("id",),
    "in_user_id": ("userId",),
    "in_user_name": ("userPrincipalName",),
    "in_service_principal_id": ("servicePrincipalId",),
    "in_service_principal_name": ("servicePrincipalName",),
    "in_app_id": ("appId",),
    "in_resource_app_id": ("resourceId",),
    "in_resource_name": ("resourceDisplayName",),
    "in_event_types": ("signInEventTypes",),
    "in_is_interactive": ("isInteractive",),
    "in_error_code": ("status.errorCode",),
}


def project_sign_ins(fields: str) -> str:
    """Return the raw columns of sign-ins: interactive, non-interactive, of service principals, of managed identities.

    Sources: Microsoft Learn, "signIn resource type" of Microsoft Graph and the four sign-in tables of Log Analytics.
    """
    named = folded(
        "coalesce(table_name, '') || ' ' || coalesce(category, '') || ' ' || coalesce(event_types, in_event_types, '')"
    )
    return f"""
SELECT file_no, line, log,
    {_ISO_TIME.format("coalesce(created, in_time, time)")} AS time,
    coalesce(record_id, in_id) AS sign_in_id, correlation_id,
    coalesce(user_id, in_user_id) AS user_id, coalesce(user_name, in_user_name) AS user_name,
    coalesce(service_principal_id, in_service_principal_id) AS service_principal_id,
    coalesce(service_principal_name, in_service_principal_name) AS service_principal_name,
    coalesce(app_id, in_app_id) AS app_id,
    -- `resourceId` of a diagnostic record and of a table is the tenant; Graph puts the application there.
    coalesce(resource_app_id, in_resource_app_id, CASE WHEN resource_id NOT LIKE '%/%' THEN resource_id END)
        AS resource_app_id,
    coalesce(resource_name, in_resource_name) AS resource_name,
    CASE
        WHEN named LIKE '%managedidentity%' THEN 'managed_identity'
        WHEN named LIKE '%serviceprincipal%' THEN 'service_principal'
        WHEN named LIKE '%noninteractive%' THEN 'non_interactive'
        WHEN named LIKE '%interactiveuser%' THEN 'interactive'
        WHEN coalesce(user_id, in_user_id, user_name, in_user_name) IS NULL THEN 'service_principal'
        WHEN {folded("coalesce(is_interactive, in_is_interactive)")} = 'false' THEN 'non_interactive'
        ELSE 'interactive'
    END AS kind,
    coalesce(
        in_error_code,
        CASE WHEN status LIKE '{{%' THEN TRY(json_extract_string(status, '$.errorCode')) ELSE status END
    ) AS result,
    operation_name, CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, {_columns(_SIGN_IN_PROPERTIES, ("property", 0))}, {named} AS named
    FROM (
        SELECT *, TRY(json_extract_string(properties, [{_paths(*_keys(_SIGN_IN_PROPERTIES))}])) AS property
        FROM ({with_log(fields)})
    )
)"""


PROJECTIONS = {
    "activity": (project_activity, RAW_EVENT_COLUMNS),
    "storage": (project_storage, RAW_EVENT_COLUMNS),
    "sign_in": (project_sign_ins, RAW_SIGN_IN_COLUMNS),
}
