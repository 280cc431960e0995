"""Build SQL that projects the resource logs of requests to the raw columns of `queries/reduce/requests.sql`.

Each service has one log in three envelopes: records of diagnostic settings, with the special fields in `properties`;
the service's own table of Log Analytics; and AzureDiagnostics, whose columns are those properties with an underscore
and their type. A projection only moves values; the query interprets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rightsize.ingest.log_schemas import with_log
from rightsize.ingest.nested import CLAIMS, Fields, json_paths, paths_of

# Each value as SQL over the fields, `property[n]` and, for some logs, other lists below.
Values = Mapping[str, str]

_RAW = (
    "time", "category", "operation_name", "resource_id", "object_id", "upn", "app_id", "named", "caller_ip",
    "correlation_id", "event_id", "http_status", "result", "authentication", "decision", "reason", "target",
    "namespace", "verb", "api_group", "kind", "subresource", "role_assignment_id", "token_id", "session_id",
)  # fmt: skip
"""The raw columns of requests beside file_no, line, log, source and ordinal; all are text.

`named` is the caller by a name or an id of unknown kind. `decision` is what allowed the request, if the record has it:
roles, policy or local; `reason` is Kubernetes' text for it. `target` is the requested URI or path. `verb`, `api_group`,
`kind`, `subresource` and `namespace` describe a request to Kubernetes.
"""

_PROPERTIES = (
    "httpStatusCode", "requestUri", "isRbacAuthorized", "isAccessPolicyMatch", "appliedAssignmentId", "log",
    "aadPrincipalId", "authTokenType", "statusCode", "activityId", "clientIpAddress", "identity", "repository",
    "server_principal_name", "action_name",
    "HttpStatusCode", "ActivityName", "AuthType", "AuthKey", "AuthId", "ClientIp", "ActivityId", "Status",
)  # fmt: skip
_PLACES = {name: place for place, name in enumerate(_PROPERTIES, start=1)}


def _property(name: str) -> str:
    return f"nullif(property[{_PLACES[name]}], '')"


def _key_vault() -> Values:
    places = _claim_places()

    def claim(column: str) -> str:
        found = [f"nullif(claim[{place}], '')" for place in places[column]]
        return f"coalesce({', '.join(found)})" if len(found) > 1 else found[0]

    by_roles = f"lower(coalesce(by_roles, {_property('isRbacAuthorized')}))"
    by_policy = f"lower(coalesce(by_policy, {_property('isAccessPolicyMatch')}))"
    return {
        "category": "'AuditEvent'",
        "object_id": f"coalesce(diagnostic_object_id, {claim('claim_object_id')})",
        "upn": f"coalesce(diagnostic_upn, {claim('claim_upn')})",
        "app_id": f"coalesce(diagnostic_app_id, {claim('claim_app_id')})",
        "http_status": f"coalesce(http_status, {_property('httpStatusCode')}, {_property('HttpStatusCode')})",
        "result": "coalesce(sub_status, status)",
        "decision": f"CASE WHEN {by_roles} = 'true' THEN 'roles' WHEN {by_policy} = 'true' THEN 'policy' END",
        "target": f"coalesce(request_uri, {_property('requestUri')})",
        "role_assignment_id": f"coalesce(applied_assignment, {_property('appliedAssignmentId')})",
        # The claims of a token include its id; the log has the claims that the service passes on.
        "token_id": claim("claim_token_id"),
        "session_id": claim("claim_session_id"),
    }


def _claim_places() -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    start = 1
    for column, spellings in CLAIMS.items():
        places[column] = list(range(start, start + len(spellings)))
        start += len(spellings)
    return places


def _messaging() -> Values:
    return {
        "category": "'RuntimeAuditLogs'",
        "operation_name": f"coalesce(activity_name, {_property('ActivityName')})",
        "named": f"coalesce(auth_key, {_property('AuthKey')}, {_property('AuthId')})",
        "caller_ip": f"coalesce(client_ip, {_property('ClientIp')})",
        "correlation_id": f"coalesce(activity_id, {_property('ActivityId')})",
        "result": f"coalesce(runtime_status, {_property('Status')}, status)",
        "authentication": f"coalesce(auth_type, {_property('AuthType')})",
    }


def _cosmos() -> Values:
    return {
        "category": "'DataPlaneRequests'",
        "object_id": f"coalesce(aad_principal, {_property('aadPrincipalId')})",
        "caller_ip": f"coalesce(client_ip, {_property('clientIpAddress')}, caller_ip)",
        "correlation_id": f"coalesce(activity_id, {_property('activityId')}, correlation_id)",
        "http_status": f"coalesce(status_code, http_status, {_property('statusCode')})",
        "authentication": f"coalesce(auth_type, {_property('authTokenType')})",
    }


_AUDIT_PATHS = (
    "verb", "user.username", "user.extra.oid[0]", "objectRef.apiGroup", "objectRef.resource", "objectRef.subresource",
    "objectRef.namespace", "requestURI", "responseStatus.code", "auditID", "sourceIPs[0]", "stage",
    "annotations.\"authorization.k8s.io/decision\"", "annotations.\"authorization.k8s.io/reason\"",
    "impersonatedUser.username", "user.extra.uti[0]", "user.extra.sid[0]",
)  # fmt: skip


def _kubernetes() -> Values:
    """Return the values of an audit event of the Kubernetes API server, from one JSON text or from separate columns."""

    def of(place: int, column: str = "") -> str:
        own = f"nullif(audit[{place}], '')"
        return f"coalesce({column}, {own})" if column else own

    def inside(column: str, path: str) -> str:
        return f"nullif(TRY(json_extract_string({column}, '$.{path}')), '')"

    decision, reason = '"authorization.k8s.io/decision"', '"authorization.k8s.io/reason"'
    return {
        "category": "CASE WHEN lower(coalesce(category, table_name)) IN ('kube-audit-admin', 'aksauditadmin') "
        "THEN 'kube-audit-admin' ELSE 'kube-audit' END",
        "operation_name": of(1, "verb"),
        "object_id": of(3, inside("audit_user", "extra.oid[0]")),
        "named": of(2, inside("audit_user", "username")),
        "caller_ip": of(11, inside("source_ips", "[0]").replace("$.[", "$[")),
        "correlation_id": of(10, "audit_id"),
        "http_status": of(9, inside("response_status", "code")),
        "result": of(13, inside("annotations", decision)),
        "authentication": of(15),
        "decision": of(12, "stage"),
        "reason": of(14, inside("annotations", reason)),
        "target": of(8, "request_uri"),
        "namespace": of(7, inside("object_ref", "namespace")),
        "verb": of(1, "verb"),
        "api_group": of(4, inside("object_ref", "apiGroup")),
        "kind": of(5, inside("object_ref", "resource")),
        "subresource": of(6, inside("object_ref", "subresource")),
        "token_id": of(16, inside("audit_user", "extra.uti[0]")),
        "session_id": of(17, inside("audit_user", "extra.sid[0]")),
    }


def _registry() -> Values:
    return {
        "category": "CASE WHEN lower(coalesce(category, table_name)) = 'containerregistryloginevents' "
        "THEN 'ContainerRegistryLoginEvents' ELSE 'ContainerRegistryRepositoryEvents' END",
        "named": f"coalesce(CASE WHEN identity NOT LIKE '{{%' THEN identity END, {_property('identity')})",
        # The result type is the word HttpStatusCode, and the description has the code.
        "http_status": f"coalesce(status_code, {_property('statusCode')}, description)",
        "result": "status",
        "target": f"coalesce(repository, {_property('repository')})",
    }


def _sql() -> Values:
    return {
        "category": "'SQLSecurityAuditEvents'",
        "operation_name": f"coalesce(action_name, {_property('action_name')}, operation_name)",
        "named": f"coalesce(server_principal, {_property('server_principal_name')})",
        "result": "status",
    }


_VALUES: Mapping[str, Callable[[], Values]] = {
    "key_vault": _key_vault,
    "messaging": _messaging,
    "cosmos": _cosmos,
    "kubernetes": _kubernetes,
    "registry": _registry,
    "sql": _sql,
}
_SAME = ("category", "operation_name", "resource_id", "caller_ip", "correlation_id", "event_id")

# Times as the portal, .NET and the API write them: 4/28/2021, 2:31:30.021 PM, and 1/1/2021 8:40:06 PM +00:00.
_TIME = """CASE WHEN time LIKE '%/%' THEN coalesce(strftime(try_strptime(
    replace(regexp_replace(time, ' [+]00:00$', ''), chr(8239), ' '),
    ['%m/%d/%Y, %I:%M:%S.%f %p', '%m/%d/%Y, %I:%M:%S %p', '%m/%d/%Y %I:%M:%S.%f %p', '%m/%d/%Y %I:%M:%S %p']),
    '%Y-%m-%dT%H:%M:%S.%fZ'), time) ELSE time END"""


def project_requests(log: str, source: str) -> Callable[[Fields], str]:
    """Return the projection of one of `REQUEST_LOGS` over a relation of fields.

    Sources: Microsoft Learn, "Azure Key Vault logging", "Azure Service Bus / Event Hubs monitoring data reference"
    (runtime audit logs), the tables AZKVAuditLogs, AZMSRunTimeAuditLogs, CDBDataPlaneRequests, AKSAudit,
    ContainerRegistryRepositoryEvents and AzureDiagnostics of Log Analytics; Kubernetes documentation, "Auditing".
    """
    values = _VALUES[log]()
    columns = []
    for name in _RAW:
        value = _TIME if name == "time" else values.get(name, name if name in _SAME else "CAST(NULL AS VARCHAR)")
        columns.append(f"{value} AS {name}")
    claims = f"TRY(json_extract_string(identity, {json_paths(_below('claim', paths_of(CLAIMS)))}))"
    audit = "[" + ", ".join(f"'$.{path}'" for path in _AUDIT_PATHS) + "]"
    wanted = "[" + ", ".join(f"'$.{name}'" for name in _PROPERTIES) + "]"
    opened = {
        "key_vault": f"{claims} AS claim",
        "kubernetes": f"TRY(json_extract_string(coalesce(audit_text, {_property('log')}), {audit})) AS audit",
    }.get(log, "NULL AS nothing")
    return lambda fields: (
        f"""
SELECT file_no, line, log, '{source}' AS source, {", ".join(columns)}, CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, {opened} FROM (
        SELECT *, TRY(json_extract_string(properties, {wanted})) AS property FROM ({with_log(fields.sql)})
    )
)"""
    )


def _below(step: str, paths: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((step, *path) for path in paths)
