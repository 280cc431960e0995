"""Build SQL that reads logged requests: those of resources, and those to Microsoft Graph by method and path.

Each service has one log in three envelopes: records of diagnostic settings, with the special fields in `properties`;
the service's own table of Log Analytics; and AzureDiagnostics, whose columns are those properties with an underscore
and their type. A projection only moves values; the query interprets them.

A path keeps the words of Graph's schema and loses names of objects: ids, keys, addresses, values of parameters. The
form of a step alone decides that, never a map of permissions, so that a log always gives the same events. Of a query,
only parts that change the permission are kept: expanded relations, and properties that need a separate permission
(`rules/graph_properties.csv`).
Sources: Microsoft Learn, "Microsoft Graph activity logs", "Use query parameters", "Path-based addressing", OData 4.01.
"""

from __future__ import annotations

from collections.abc import Callable

from rightsize.ingest.logs.projections import ISO_TIME, session_id, token_id
from rightsize.ingest.logs.values import (
    TIME_PROBLEMS,
    Fields,
    address,
    json_paths,
    lowered,
    paths_of,
    utc_time,
    values_as_columns,
    with_log,
)
from rightsize.model.text import GUID
from rightsize.rules.log_source import LogSource, Opened
from rightsize.rules.tables import rows_of
from rightsize.store.queries import filled_text

_RAW = (
    "time", "service", "category", "operation_name", "resource_id", "object_id", "upn", "app_id", "named", "caller_ip",
    "correlation_id", "event_id", "http_status", "result", "known_access", "unauthorized", "names_parts",
    "unsure_failure", "target", "verb", "api_group", "kind", "subresource", "namespace", "impersonated", "reason",
    "role_assignment_id", "token_id", "session_id",
)  # fmt: skip
"""The raw columns of requests beside file_no, line, log, source and ordinal; all are text.

`service` is the word of `log_request_operations`. `named` is the caller by a name or an id of unknown kind.
`known_access` is what allowed the request, if the record has it, and `unauthorized` the same of an answer 401.
`names_parts` is not null where the resource id may name a part of a resource, `unsure_failure` where a failure may have
been a refusal. `target` is the requested URI or path. `verb`, `api_group`, `kind`, `subresource` and `namespace`
describe a request to Kubernetes, `reason` is its text for the decision, and `impersonated` is as whom the caller acts.
"""

_SAME = ("category", "operation_name", "resource_id", "caller_ip", "correlation_id", "event_id")

# Times as the portal, .NET and the API write them: 4/28/2021, 2:31:30.021 PM, and 1/1/2021 8:40:06 PM +00:00.
_TIME = """CASE WHEN time LIKE '%/%' THEN coalesce(strftime(try_strptime(
    replace(regexp_replace(time, ' [+]00:00$', ''), chr(8239), ' '),
    ['%m/%d/%Y, %I:%M:%S.%f %p', '%m/%d/%Y, %I:%M:%S %p', '%m/%d/%Y %I:%M:%S.%f %p', '%m/%d/%Y %I:%M:%S %p']),
    '%Y-%m-%dT%H:%M:%S.%fZ'), time) ELSE time END"""


def project_requests(log: LogSource) -> Callable[[Fields], str]:
    """Return the projection of a log of requests over a relation of fields."""
    columns = []
    for name in _RAW:
        value = _TIME if name == "time" else log.columns.get(name, name if name in _SAME else "CAST(NULL AS VARCHAR)")
        columns.append(f"{value} AS {name}")

    def project(fields: Fields) -> str:
        rows = with_log(fields.sql)
        for place, opened in enumerate(log.opened):
            rows = _opened(opened, f"opened_{place}", rows)
        return f"""
SELECT file_no, line, log, '{log.source}' AS source, {", ".join(columns)}, CAST(NULL AS BIGINT) AS ordinal
FROM ({rows})"""

    return project


def _opened(opened: Opened, values: str, rows: str) -> str:
    """Return SQL that adds the columns of a JSON text to a relation; text that is not JSON gives nulls."""
    paths = ", ".join(f"'{path}'" for spellings in opened.columns.values() for path in spellings)
    return f"""
SELECT *, {values_as_columns(opened.columns, (values, 0))} FROM (
    SELECT *, TRY(json_extract_string({opened.text}, [{paths}])) AS {values} FROM ({rows})
)"""


MAX_URI = 16_384
MAX_STEPS = 40
UNREADABLE = "/{unreadable}"
"""The path of a request whose URI is longer than Graph accepts; it may stand for any path."""

_ENCODED = {
    "27": "''",
    "28": "(",
    "29": ")",
    "3D": "=",
    "2C": ",",
    "24": "$",
    "3A": ":",
    "40": "@",
    "7B": "{",
    "7D": "}",
}
_PARAMETER = "[A-Za-z@][A-Za-z0-9_]*={value}"
_KEPT_OPTIONS = "'$value', '$count', '$ref', '$batch', '$metadata', '$entity', '$links'"


def _decoded(column: str) -> str:
    """Return SQL that decodes characters with a meaning in a path, and leaves encoded slashes and names unchanged."""
    text = column
    for code, letter in _ENCODED.items():
        text = f"regexp_replace({text}, '(?i)%{code}', '{letter}', 'g')"
    return f"CASE WHEN contains({column}, '%') THEN {text} ELSE {column} END"


def _listed(words: list[str]) -> str:
    return "[" + ", ".join(f"'{word}'" for word in sorted(set(words))) + "]"


def _guid(column: str) -> str:
    lowered = f"lower(trim({column}, '{{}} '))"
    return (
        f"CASE WHEN regexp_full_match({lowered}, '{GUID}') AND {lowered} NOT LIKE '00000000-0000-0000-0000-0000%' "
        f"THEN {lowered} END"
    )


def _step(words: list[str]) -> str:
    """Return SQL for one step of a path: the step itself if it is a word of the schema, else `{id}`."""
    return f"""CASE
        WHEN regexp_full_match(s, '[A-Za-z]{{1,64}}') OR s IN ('{{id}}', '{{id}}:') THEN s
        WHEN s LIKE '$%' THEN CASE WHEN lower(s) IN ({_KEPT_OPTIONS}) THEN lower(s) ELSE '{{id}}' END
        WHEN lower(s) = 'root:' THEN 'root:'
        WHEN s LIKE '%:' THEN '{{id}}:'
        WHEN regexp_full_match(s, '[A-Za-z][A-Za-z.]*[(] *[)]') THEN regexp_replace(s, '[(] *[)]', '')
        WHEN regexp_full_match(s, '[A-Za-z][A-Za-z0-9.]*[(] *{_PARAMETER}( *, *{_PARAMETER})* *[)]')
            THEN replace(s, ' ', '')
        WHEN regexp_full_match(s, '[A-Za-z]{{1,64}}[(][^=,()]+[)]') THEN regexp_replace(s, '[(].*', '/{{id}}')
        WHEN regexp_full_match(s, '(?i)(microsoft[.])?graph([.][A-Za-z0-9]+)+') THEN s
        WHEN list_contains({_listed(words)}, lower(s)) THEN s
        ELSE '{{id}}' END"""


_REQUEST = {
    "in_request_id": ("requestId", "RequestId"),
    "in_batch_id": ("operationId", "OperationId"),
    "in_method": ("requestMethod", "RequestMethod"),
    "in_uri": ("requestUri", "RequestUri"),
    "in_status": ("responseStatusCode", "ResponseStatusCode"),
    "in_user_id": ("userId", "UserId"),
    "in_object_id": ("UserPrincipalObjectID", "userPrincipalObjectID", "userPrincipalObjectId"),
    "in_token_type": ("C_Idtyp", "C_IdTyp", "c_Idtyp", "c_idtyp", "idtyp"),
    "in_scopes": ("scopes", "Scopes"),
    "in_roles": ("roles", "Roles"),
    "in_service_principal_id": ("servicePrincipalId", "ServicePrincipalId"),
    "in_app_id": ("appId", "AppId"),
    "in_token_id": ("signInActivityId", "SignInActivityId", "uniqueTokenId", "UniqueTokenId", "uniqueTokenIdentifier"),
    "in_session_id": ("sessionId", "SessionId"),
    "in_ip": ("ipAddress", "IPAddress"),
    "in_time": ("timeGenerated", "TimeGenerated"),
}


def project_graph(fields: Fields) -> str:
    """Return the raw columns of requests to Microsoft Graph.

    Sources: Microsoft Learn, MicrosoftGraphActivityLogs of Log Analytics and GraphAPIAuditEvents of advanced hunting.
    In the latter the account is the user, unless its type is an application.
    """
    is_application = f"coalesce({lowered('account_type')}, '') NOT IN ('', 'user')"
    return f"""
SELECT file_no, line, log, {ISO_TIME.format("coalesce(in_time, time)")} AS time,
    coalesce(request_id, in_request_id) AS request_id, coalesce(batch_id, in_batch_id) AS operation_group,
    coalesce(request_method, in_method) AS method, coalesce(request_uri, in_uri) AS uri,
    coalesce(graph_status, in_status, CASE WHEN category IS NOT NULL THEN sub_status END) AS status,
    coalesce(user_id, in_user_id, CASE WHEN NOT {is_application} THEN account_id END) AS user_id,
    in_object_id AS object_id, lower(trim(in_token_type)) AS token_type, nullif(trim(in_scopes), '') AS scopes,
    coalesce(service_principal_id, in_service_principal_id, CASE WHEN {is_application} THEN account_id END)
        AS service_principal_id,
    coalesce(app_id, in_app_id, client_app_id) AS app_id, coalesce(token_id, in_token_id) AS token_id,
    coalesce(session_id, in_session_id) AS session_id,
    nullif(trim(coalesce(in_roles, token_roles)), '') AS token_roles,
    nullif(trim(coalesce(in_scopes, token_scopes)), '') AS token_scopes,
    coalesce(caller_ip, in_ip) AS caller_ip, correlation_id, operation_name, CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, {values_as_columns(_REQUEST, ("property", 0))}
    FROM (
        SELECT *, TRY(json_extract_string(properties, {json_paths(paths_of(_REQUEST))})) AS property
        FROM ({with_log(fields.sql)})
    )
)"""


def normalised_requests() -> str:
    """Return SQL that reads `raw_graph_requests` and returns the columns of `stage_event_rows`, and `problem`.

    Status 2xx and 3xx is use, and so is a failure after authorisation; 401 and 403 is demand. 429 shows nothing,
    because Graph throttles before it authorises. A request without a status counts as started.
    A request is a user's if it names a user that is not the service principal, and the token is not an application's.
    A diagnostic record always has an object id (`UserPrincipalObjectID`); in an application's own request it is that of
    the service principal. It is a user's only if the type of the token or its scopes say so.
    """
    words = [row["word"].lower() for row in rows_of("graph_words")]
    properties = [row["property"] for row in rows_of("graph_properties")]
    return filled_text(
        "reduce/graph_requests",
        *(_decoded, _guid, address, session_id, token_id, utc_time),
        max_steps=str(MAX_STEPS),
        max_uri=str(MAX_URI),
        properties=_listed(properties),
        step=_step(words),
        time_problems=TIME_PROBLEMS,
        unreadable=UNREADABLE,
    )


def project_azure_ad_graph(fields: Fields) -> str:
    """Return the raw columns of requests to Azure AD Graph, without the tenant that begins their paths.

    Source: Microsoft Learn, "Azure AD Graph API: operations overview" (tenant by id, domain, `myorganization` or `me`).
    """
    named = "'^([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?/+[^/?#]+(/[^?#])'"
    return f"SELECT * REPLACE (regexp_replace(uri, {named}, '\\1\\2') AS uri) FROM ({project_graph(fields)})"


def requests_to_azure_ad_graph() -> str:
    """Return SQL that reads `raw_graph_requests` as `normalised_requests` does, for the log of Azure AD Graph.

    No rule maps its requests to permissions that are judged here, so they are of outcome `other`: no use.
    """
    return f"""
SELECT * REPLACE ('azure_ad_graph_log' AS source, 'directory' AS plane, 'other' AS outcome, 0 AS rank,
    'AzureADGraphActivityLogs' AS category)
FROM ({normalised_requests()})"""
