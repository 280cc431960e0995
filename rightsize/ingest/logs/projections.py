"""Build SQL for the queries of `queries/reduce/`: the raw columns of log records, and the rules that they join.

A projection only moves values; the queries interpret them. A nested value arrives as JSON text, whether the export had
an object or a string with JSON, and text that is not JSON gives nulls.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import duckdb

from rightsize.ingest.logs.values import (
    AUTHORIZATION,
    CLAIMS,
    FIRST_CLAIM,
    NESTED,
    OTHER_BODIES,
    READ_COLUMNS,
    SOURCES,
    Fields,
    json_paths,
    lowered,
    paths_of,
    value_at,
    values_as_columns,
    with_log,
    with_readings,
)
from rightsize.model.text import fold
from rightsize.rules.tables import rows_of

RAW_EVENT_COLUMNS = (
    "file_no", "line", "log", "source", "time", "submitted", "category", "operation_name", "resource_id",
    *AUTHORIZATION, *CLAIMS, "caller", "caller_ip", "correlation_id", "event_id", "status", "sub_status",
    "status_code", "error_code", "error_message", "authentication", "authorization_result", "service",
    "object_key", "operation_index", "uri", "request_body", "ordinal", *READ_COLUMNS,
)  # fmt: skip
"""The common raw columns of events, and the columns extracted from them; all but file_no, line and ordinal are text."""

RAW_SIGN_IN_COLUMNS = (
    "file_no", "line", "log", "time", "sign_in_id", "correlation_id", "user_id", "user_name", "service_principal_id",
    "service_principal_name", "app_id", "resource_app_id", "resource_name", "kind", "result", "token_id", "session_id",
    "caller_ip", "risk_level", "risk_state", "risk_detail", "country", "network_number", "agent",
    "federated_credential_id", "client_credential", "operation_name", "ordinal",
)  # fmt: skip


def _unwrapped(column: str) -> str:
    """Return SQL for a field that is a word, or an object with a word and its translation."""
    word = f"nullif(TRY(json_extract_string({column}, '$.value')), '')"
    return f"CASE WHEN {column} LIKE '{{%' THEN {word} ELSE {column} END"


# The portal writes `4/28/2021, 2:31:30.021 PM`, with a narrow space before PM in newer browsers.
ISO_TIME = """CASE WHEN {0} LIKE '%/%' THEN coalesce(strftime(try_strptime(replace({0}, chr(8239), ' '),
    ['%m/%d/%Y, %I:%M:%S.%f %p', '%m/%d/%Y, %I:%M:%S %p', '%m/%d/%Y %I:%M:%S.%f %p', '%m/%d/%Y %I:%M:%S %p']),
    '%Y-%m-%dT%H:%M:%S.%fZ'), {0}) ELSE {0} END"""


def token_id(column: str) -> str:
    """Return SQL for the id of a token, which is case-sensitive base64 in either alphabet.

    Source: Microsoft Learn, "Access token claims reference" (uti) and "tokenDetails resource type".
    """
    return f"nullif(rtrim(translate(trim({column}), '+/', '-_'), '='), '')"


def session_id(column: str) -> str:
    """Return SQL for the id of a session, a GUID. Source: the same pages (sid, sessionId)."""
    return f"nullif(lower(trim({column})), '')"


_ERROR = json_paths(paths_of({"": ("error.code", "code", "Code", "error.Code", "error.message", "message", "Message")}))
_HAS_CLAIMS = f"coalesce(identity_values[{FIRST_CLAIM + 1}], identity_values[{FIRST_CLAIM + 9}])"


def _open(rows: str, opened: bool) -> str:
    """Return the fields with the nested values of each, from text, from text within text, or as already read."""
    if opened:
        return rows

    def taken(field: str) -> str:
        paths = (*NESTED[field], *(OTHER_BODIES if field == "properties" else ()))
        return f"TRY(json_extract_string({field}, {json_paths(paths)}))"

    return f"""
SELECT *,
    TRY(json_extract_string(authorization_text, {json_paths(NESTED["authorization_json"])})) AS authorization_values,
    TRY(json_extract_string(claims_text, {json_paths(NESTED["claims"])})) AS claim_values
FROM (
    SELECT *,
        coalesce(authorization_json, CASE WHEN coalesce(identity_values[1], identity_values[2]) IS NULL THEN
            TRY(json_extract_string(identity, '$.authorization')) END) AS authorization_text,
        coalesce(claims, CASE WHEN {_HAS_CLAIMS} IS NULL THEN
            TRY(json_extract_string(identity, '$.claims')) END) AS claims_text
    FROM (
        SELECT *, {taken("identity")} AS identity_values, {taken("properties")} AS property_values,
            {taken("http_request")} AS request_values
        FROM ({rows})
    )
)"""


_CALLED = _unwrapped("operation_name")
# Another name of a person adds nothing. A delegated scope only shows that the caller is a person.
_NEEDED = dict.fromkeys(
    ("claim_display_name", "claim_delegated_scope"), "coalesce(claim_upn, claim_email, claim_unique_name) IS NULL"
)


def _request_body(opened: bool) -> tuple[str, str]:
    """Return SQL for the operation of a record with a body, and SQL for the body that `request_bodies` reads.

    These are the bodies of role assignments and federated credentials, and those that show a managed identity; others
    stay null. The second reads the first as `body_operation`: planned once, not wherever it is compared.
    """
    places = range(4, len(NESTED["properties"]) + (0 if opened else len(OTHER_BODIES)) + 1)
    each = [f"nullif({value_at('property_values', place, opened=opened)}, '')" for place in places]
    bodies = ", ".join(each)
    shown = ", ".join(f"CASE WHEN {_SHOWS_IDENTITY.format(body)} THEN {body} END" for body in each)
    actions = ", ".join(value_at(values, 1, opened=opened) for values in ("authorization_values", "identity_values"))
    action = lowered("body_operation")
    operation = f"CASE WHEN coalesce({bodies}) IS NOT NULL THEN coalesce({actions}, {_CALLED}) END"
    return (
        operation,
        f"""CASE
        WHEN {action} LIKE 'microsoft.authorization/roleassignments/%' OR {action} = '{_TRUSTS}'
            THEN coalesce({bodies})
        WHEN {action} LIKE '%/write' THEN coalesce({shown}) END""",
    )


_TRUSTS = "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write"
_SHOWS_IDENTITY = "contains({0}, '\"identity\"') AND contains({0}, '\"principalId\"')"


# The id of an event contains its resource; a query for selected fields may omit the resource itself.
# Source: Microsoft Learn, "Azure Activity Log event schema": id, /…/events/EVENT/ticks/TICKS.
_SCOPE_OF_ID = """CASE WHEN resource_id IS NULL AND record_id LIKE '/%/ticks/%'
        THEN nullif(regexp_extract(record_id, '^(/.+)/events/[^/]+/ticks/[^/]+$', 1), '') END"""


def project_activity(fields: Fields) -> str:
    """Return SQL for the raw columns of the Activity Log over a relation of fields, also for records of other logs."""
    return activity_columns(with_log(fields.sql), opened=fields.opened)


def activity_columns(rows: str, *, opened: bool = False) -> str:
    """Return SQL for the raw columns of the Activity Log over a relation of fields that has the log of each record."""
    category, code, message = (f"nullif({value_at('property_values', n, opened=opened)}, '')" for n in (1, 2, 3))
    address, other_address = (f"nullif({value_at('request_values', n, opened=opened)}, '')" for n in (1, 2))
    authorization = (("authorization_values", 0), ("identity_values", 0))
    claims = (("claim_values", 0), ("identity_values", FIRST_CLAIM))
    operation, body = _request_body(opened)
    return f"""
SELECT file_no, line, log,
    {ISO_TIME.format("time")} AS time,
    {ISO_TIME.format("submitted")} AS submitted,
    coalesce({category}, {_unwrapped("category")}) AS category,
    {values_as_columns(AUTHORIZATION, *authorization, opened=opened)},
    -- The same operation and place in capitals, the longest texts of all: they count only where the others are missing.
    CASE WHEN auth_action IS NULL THEN {_CALLED} WHEN {_CALLED} IS NOT NULL THEN '' END AS operation_name,
    CASE WHEN auth_scope IS NULL THEN coalesce(resource_id, {_SCOPE_OF_ID}) END AS resource_id,
    {values_as_columns(CLAIMS, *claims, opened=opened, needed=_NEEDED)},
    caller,
    coalesce(caller_ip, {address}, {other_address}, claim_ip) AS caller_ip,
    correlation_id, event_id,
    {_unwrapped("status")} AS status,
    {_unwrapped("sub_status")} AS sub_status,
    coalesce({code}, status_code) AS status_code,
    coalesce(nullif(error[1], ''), nullif(error[2], ''), nullif(error[3], ''), nullif(error[4], '')) AS error_code,
    coalesce(nullif(error[5], ''), nullif(error[6], ''), nullif(error[7], ''), message) AS error_message,
    {body} AS request_body, CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, {operation} AS body_operation,
        CASE WHEN message LIKE '{{%' THEN TRY(json_extract_string(message, {_ERROR})) END AS error
    FROM (SELECT *, coalesce({message}, description) AS message FROM ({_open(rows, opened)}))
)"""


_REQUEST_PROPERTIES = "['$.objectKey', '$.operationCount', '$.serviceType', '$.metricResponseType', '$.statusCode']"


def project_storage(fields: Fields) -> str:
    """Return SQL for the raw columns of storage logs: one row for each authorisation of a request, at least one.

    Source: Microsoft Learn, "Azure Blob Storage monitoring data reference", fields `identity` and `authorization`.
    """
    return f"""
SELECT file_no, line, log, {ISO_TIME.format("time")} AS time,
    coalesce(category, table_name) AS category, operation_name, resource_id,
    nullif(entry[1], '') AS auth_action,
    nullif(entry[2], '') AS role_assignment_id, nullif(entry[3], '') AS role_definition_id,
    nullif(entry[4], '') AS evidence_principal_id, nullif(entry[5], '') AS evidence_principal_type,
    coalesce(requester_object_id, nullif(requester[2], '')) AS claim_object_id,
    coalesce(requester_upn, nullif(requester[4], '')) AS claim_upn,
    coalesce(requester_app_id, nullif(requester[3], '')) AS claim_app_id,
    caller_ip, correlation_id,
    coalesce(status_text, nullif(property[4], '')) AS status,
    coalesce(status_code, nullif(property[5], '')) AS status_code,
    coalesce(authentication, nullif(requester[1], '')) AS authentication,
    nullif(entry[6], '') AS authorization_result,
    coalesce(service_type, nullif(property[3], ''), table_name) AS service,
    coalesce(object_key, nullif(property[1], '')) AS object_key,
    coalesce(operation_index, nullif(property[2], '')) AS operation_index, uri, ordinal
FROM (
    SELECT *, TRY(json_extract_string(granted, ['$.action', '$.roleAssignmentId', '$.roleDefinitionId',
        '$.principals[0].id', '$.principals[0].type', '$.result'])) AS entry
    FROM (
        SELECT *, unnest(CASE WHEN len(authorizations) > 0 THEN authorizations ELSE [NULL] END) AS granted
        FROM (
            SELECT *, TRY(from_json(coalesce(authorization_details, requester[5]), '["JSON"]')) AS authorizations
            FROM (
                SELECT *, row_number() OVER () AS ordinal,
                    TRY(json_extract_string(identity,
                        ['$.type', '$.requester.objectId', '$.requester.appId', '$.requester.upn', '$.authorization']
                    )) AS requester,
                    TRY(json_extract_string(properties, {_REQUEST_PROPERTIES})) AS property
                FROM ({with_log(fields.sql)})
            )
        )
    )
)"""


_ABSENT = {
    "activity": ("authentication", "authorization_result", "service", "object_key", "operation_index", "uri"),
    "storage": (
        "submitted", "auth_scope", "claim_email", "claim_unique_name", "claim_display_name", "claim_token_type",
        "claim_delegated_scope", "claim_resource", "claim_ip", "claim_token_id", "claim_session_id", "caller",
        "event_id", "sub_status", "error_code", "error_message", "request_body",
    ),
}  # fmt: skip


_ABSENT["cloud_audit"] = _ABSENT["activity"]


def raw_events(log: str, rows: str, table: str = "") -> str:
    """Return SQL for RAW_EVENT_COLUMNS over projected rows of `log`; columns that it never has are null.

    `table` is the DuckDB table with all of these rows, if there is one: each shared text is then read once.
    """
    absent = ", ".join(f"CAST(NULL AS VARCHAR) AS {column}" for column in _ABSENT[log])
    return f"SELECT *, '{SOURCES[log]}' AS source, {absent} FROM ({with_readings(rows, _ABSENT[log], table)})"


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
    "in_token_id": ("uniqueTokenIdentifier",),
    "in_session_id": ("sessionId",),
    "in_ip": ("ipAddress",),
    "in_risk_level": ("riskLevelDuringSignIn", "riskLevelAggregated"),
    "in_risk_state": ("riskState",),
    "in_risk_detail": ("riskDetail",),
    "in_country": ("location.countryOrRegion",),
    "in_network_number": ("autonomousSystemNumber",),
    "in_agent": ("agent",),
    "in_federated_credential_id": ("federatedCredentialId",),
    "in_client_credential": ("clientCredentialType",),
}


def project_sign_ins(fields: Fields) -> str:
    """Return SQL for the raw columns of sign-ins: interactive, non-interactive, service principal, managed identity.

    Sources: Microsoft Learn, "signIn resource type" of Microsoft Graph and the four sign-in tables of Log Analytics.
    """
    named = lowered(
        "coalesce(table_name, '') || ' ' || coalesce(category, '') || ' ' || coalesce(event_types, in_event_types, '')"
    )
    return f"""
SELECT file_no, line, log,
    {ISO_TIME.format("coalesce(created, in_time, time)")} AS time,
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
        WHEN named LIKE '%microsoftserviceprincipal%' THEN 'microsoft_service_principal'
        WHEN named LIKE '%serviceprincipal%' THEN 'service_principal'
        WHEN named LIKE '%noninteractive%' THEN 'non_interactive'
        WHEN named LIKE '%interactiveuser%' THEN 'interactive'
        WHEN coalesce(user_id, in_user_id, user_name, in_user_name) IS NULL THEN 'service_principal'
        WHEN {lowered("coalesce(is_interactive, in_is_interactive)")} = 'false' THEN 'non_interactive'
        ELSE 'interactive'
    END AS kind,
    coalesce(
        in_error_code,
        CASE WHEN status LIKE '{{%' THEN TRY(json_extract_string(status, '$.errorCode')) ELSE status END
    ) AS result,
    coalesce(token_id, in_token_id) AS token_id, coalesce(session_id, in_session_id) AS session_id,
    coalesce(caller_ip, in_ip) AS caller_ip, coalesce(risk_level, in_risk_level) AS risk_level,
    coalesce(risk_state, in_risk_state) AS risk_state, coalesce(risk_detail, in_risk_detail) AS risk_detail,
    -- An object in Graph, in tables its text beside a word, and in diagnostic records the word alone.
    coalesce(
        in_country,
        CASE WHEN location LIKE '{{%' THEN TRY(json_extract_string(location, '$.countryOrRegion')) ELSE location END
    ) AS country,
    coalesce(network_number, in_network_number) AS network_number, coalesce(agent, in_agent) AS agent,
    coalesce(federated_credential_id, in_federated_credential_id) AS federated_credential_id,
    coalesce(client_credential, in_client_credential) AS client_credential,
    operation_name, CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, {values_as_columns(_SIGN_IN_PROPERTIES, ("property", 0))}, {named} AS named
    FROM (
        SELECT *, TRY(json_extract_string(properties, {json_paths(paths_of(_SIGN_IN_PROPERTIES))})) AS property
        FROM ({with_log(fields.sql)})
    )
)"""


PROJECTIONS = {
    "activity": project_activity,
    "storage": project_storage,
    "sign_in": project_sign_ins,
}


def create_reference_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables `log_…`, one for each rule file, and `log_storage_actions`."""
    for declaration, rows in (*_reference_rows(), *_request_rows()):
        con.execute(f"CREATE OR REPLACE TEMP TABLE {declaration}")
        # One statement with a list for each column: one for each row would take longer than most loads of a day.
        columns = ", ".join("unnest(?)" for _ in rows)
        con.execute(f"INSERT INTO {declaration.split(' ', 1)[0]} SELECT {columns}", rows)


_Rows = tuple[str, list[list[str]]]
"""The declaration of a table, and its rows as a list for each column."""


def _columns(declaration: str, rows: Iterable[tuple[str, ...]]) -> _Rows:
    return declaration, [list(column) for column in zip(*sorted(rows), strict=True)]


@cache
def _reference_rows() -> tuple[_Rows, ...]:
    """Return the rule tables for the Activity Log, the logs of storage, and the directory audit log."""
    operations = [
        (row["service"], fold(row["operation"]), row["action"], row["plane"], row["level"])
        for row in rows_of("log_storage_operations")
    ]
    actions: dict[str, tuple[str, str]] = {}
    for _, _, action, plane, level in operations:
        # If some request needs an action at a container, it is needed there, although others need it at the account.
        if actions.get(fold(action), ("", "account"))[1] == "account":
            actions[fold(action)] = (plane, level)
    return (
        _columns(
            "log_statuses (field VARCHAR, spelling VARCHAR, meaning VARCHAR)",
            {(row["field"], fold(row["spelling"]), row["meaning"]) for row in rows_of("log_statuses")},
        ),
        _columns(
            "log_error_codes (code VARCHAR, meaning VARCHAR)",
            {(fold(row["code"]), row["meaning"]) for row in rows_of("log_error_codes")},
        ),
        _columns(
            "log_storage_operations (service VARCHAR, operation VARCHAR, action VARCHAR, plane VARCHAR, level VARCHAR)",
            operations,
        ),
        _columns(
            "log_storage_actions (action VARCHAR, plane VARCHAR, level VARCHAR)",
            [(action, *rest) for action, rest in actions.items()],
        ),
        _columns(
            "log_directory_audit (activity VARCHAR, service VARCHAR, property VARCHAR, action VARCHAR, reason VARCHAR)",
            [
                (fold(row["activity"]), fold(row["service"]), fold(row["property"]), row["action"], row["reason"])
                for row in rows_of("log_directory_audit")
            ],
        ),
    )


@cache
def _request_rows() -> tuple[_Rows, ...]:
    """Return the rule tables for the logs of requests; a `*` in an operation becomes the `%` of LIKE."""
    operations = [
        (
            row["service"],
            fold(row["operation"]).replace("*", "%"),
            *(row[name] for name in ("action", "plane", "level", "access")),
            str("*" in row["operation"]).lower(),
        )
        for row in rows_of("log_request_operations")
    ]
    return (
        _columns(
            "log_request_operations (service VARCHAR, operation VARCHAR, action VARCHAR, plane VARCHAR, level VARCHAR, "
            "access VARCHAR, is_pattern BOOLEAN)",
            operations,
        ),
        _columns(
            "log_kubernetes_verbs (verb VARCHAR, kind VARCHAR, subresource VARCHAR, suffix VARCHAR)",
            [(row["verb"], row["kind"], row["subresource"], row["suffix"]) for row in rows_of("log_kubernetes_verbs")],
        ),
        _columns(
            "log_kubernetes_groups (api_group VARCHAR)",
            [(row["api_group"],) for row in rows_of("log_kubernetes_groups")],
        ),
    )
