"""Records of one request of each service, in the shapes that people export."""

from __future__ import annotations

import json
from typing import Any

SUB = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"
GROUP = f"{SUB}/resourceGroups/rg"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"
BUS = f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/bus"
HUBS = f"{GROUP}/providers/Microsoft.EventHub/namespaces/hubs"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/aks"
REGISTRY = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/acr"
COSMOS = f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/cosmos"
DATABASE = f"{GROUP}/providers/Microsoft.Sql/servers/sql/databases/db"
OID = "5ac2ff43-4a4f-4e8e-9c3c-8c2f5a1c0001"
APP = "691458b9-1327-4635-9f55-ed83a7f1b41c"
UPN = "ada@contoso.example"
CALL = "b1c2d3e4-0000-0000-0000-000000000001"
TIME = "2025-03-04T05:06:07.1234567Z"
ASSIGNMENT = "4e2521b7-13be-4363-aeda-111111111111"

_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"


def vault_diagnostic(**changes: Any) -> dict[str, Any]:
    """Return the record that diagnostic settings write of a secret that was read."""
    properties = {
        "id": "https://kv.vault.azure.net/secrets/db-password/4c39",
        "clientInfo": "azsdk",
        "requestUri": "https://kv.vault.azure.net/secrets/db-password/?api-version=7.4",
        "httpStatusCode": 200,
    }
    return {
        "time": TIME,
        "category": "AuditEvent",
        "operationName": "SecretGet",
        "resultType": "Success",
        "correlationId": CALL,
        "callerIpAddress": "203.0.113.7",
        "identity": {"claim": {_OBJECT_ID: OID, _UPN: UPN, "appid": APP}},
        "properties": properties | changes.pop("properties", {}),
        "resourceId": VAULT.upper(),
        "resultSignature": "OK",
    } | changes


def vault_row(**changes: Any) -> dict[str, Any]:
    """Return the same request as a row of AZKVAuditLogs."""
    return {
        "TimeGenerated": TIME,
        "OperationName": "SecretGet",
        "ResultType": "Success",
        "ResultSignature": "OK",
        "CorrelationId": CALL,
        "CallerIpAddress": "203.0.113.7",
        "Identity": json.dumps({"claim": {"oid": OID, "upn": UPN, "appid": APP}}),
        "HttpStatusCode": 200,
        "RequestUri": "https://kv.vault.azure.net/secrets/db-password/?api-version=7.4",
        "Id": "https://kv.vault.azure.net/secrets/db-password/4c39",
        "_ResourceId": VAULT,
        "Type": "AZKVAuditLogs",
    } | changes


def vault_diagnostics_row(**changes: Any) -> dict[str, Any]:
    """Return the same request as a row of AzureDiagnostics, with the columns of before 2024."""
    return {
        "TimeGenerated": TIME,
        "ResourceId": VAULT.upper(),
        "Category": "AuditEvent",
        "OperationName": "SecretGet",
        "ResultType": "Success",
        "ResultSignature": "OK",
        "CorrelationId": CALL,
        "CallerIPAddress": "203.0.113.7",
        "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g": OID,
        "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s": UPN,
        "identity_claim_appid_g": APP,
        "httpStatusCode_d": "200.0",
        "requestUri_s": "https://kv.vault.azure.net/secrets/db-password/?api-version=7.4",
        "id_s": "https://kv.vault.azure.net/secrets/db-password/4c39",
        "Type": "AzureDiagnostics",
    } | changes


def message_diagnostic(**changes: Any) -> dict[str, Any]:
    """Return the record of messages that an application sent within a minute."""
    return {
        "ActivityId": CALL,
        "ActivityName": "SendMessage",
        "ResourceId": f"{HUBS}/eventhubs/telemetry",
        "Time": "3/4/2025 5:06:07 AM +00:00",
        "Status": "Success",
        "Protocol": "AMQP",
        "AuthType": "Azure Active Directory",
        "AuthId": APP,
        "NetworkType": "Public",
        "ClientIp": "203.0.113.7",
        "Count": 12,
        "Category": "RuntimeAuditLogs",
    } | changes


def message_row(**changes: Any) -> dict[str, Any]:
    """Return the same as a row of AZMSRunTimeAuditLogs."""
    return {
        "TimeGenerated": "2025-03-04T05:06:07Z",
        "ActivityId": CALL,
        "ActivityName": "SendMessage",
        "AuthKey": APP,
        "AuthType": "AAD",
        "ClientIp": "203.0.113.7",
        "Count": 12,
        "NetworkType": "Public",
        "Protocol": "AMQP",
        "Provider": "EVENTHUB",
        "Status": "Success",
        "_ResourceId": f"{HUBS}/eventhubs/telemetry",
        "Type": "AZMSRunTimeAuditLogs",
    } | changes


def audit_event(**changes: Any) -> dict[str, Any]:
    """Return what the API server audits of secrets that a user listed in a namespace."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": CALL,
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/secrets?limit=500",
        "verb": "list",
        "user": {"username": UPN, "groups": ["system:authenticated"], "extra": {"oid": [OID]}},
        "sourceIPs": ["203.0.113.7"],
        "userAgent": "kubectl/v1.30",
        "objectRef": {"resource": "secrets", "namespace": "shop", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2025-03-04T05:06:07.123456Z",
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "Access allowed by Azure RBAC Role Assignment "
            f"{ASSIGNMENT.replace('-', '')} of Role 7f6c6a51bcf842ba922052d62157d7db to user {OID}",
        },
    } | changes


def cluster_diagnostic(event: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return an audit event as diagnostic settings write it: as text within the properties."""
    return {
        "time": "2025-03-04T05:06:07.123456Z",
        "category": "kube-audit",
        "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "properties": {"log": json.dumps(event or audit_event()), "pod": "kube-apiserver", "stream": "stdout"},
        "resourceId": CLUSTER.upper(),
    } | changes


def cluster_row(event: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the same as a row of AKSAudit."""
    event = event or audit_event()
    return {
        "TimeGenerated": "2025-03-04T05:06:07.123456Z",
        "AuditId": event["auditID"],
        "Verb": event["verb"],
        "User": json.dumps(event["user"]),
        "ObjectRef": json.dumps(event.get("objectRef", {})),
        "ResponseStatus": json.dumps(event["responseStatus"]),
        "RequestUri": event["requestURI"],
        "Annotations": json.dumps(event["annotations"]),
        "SourceIps": json.dumps(event["sourceIPs"]),
        "Stage": event["stage"],
        "_ResourceId": CLUSTER,
        "Type": "AKSAudit",
    } | changes


def cluster_diagnostics_row(event: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the same as a row of AzureDiagnostics."""
    return {
        "TimeGenerated": "2025-03-04T05:06:07.123456Z",
        "Category": "kube-audit",
        "OperationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "ResourceId": CLUSTER.upper(),
        "log_s": json.dumps(event or audit_event()),
        "pod_s": "kube-apiserver",
        "Type": "AzureDiagnostics",
    } | changes


def image_row(**changes: Any) -> dict[str, Any]:
    """Return a row of ContainerRegistryRepositoryEvents: an image that was pulled."""
    return {
        "TimeGenerated": TIME,
        "OperationName": "Pull",
        "Category": "ContainerRegistryRepositoryEvents",
        "CorrelationId": CALL,
        "Identity": OID,
        "CallerIpAddress": "203.0.113.7",
        "LoginServer": "acr.azurecr.io",
        "Repository": "shop/web",
        "Tag": "v1",
        "ResultType": "HttpStatusCode",
        "ResultDescription": "200",
        "_ResourceId": REGISTRY,
        "Type": "ContainerRegistryRepositoryEvents",
    } | changes


def image_diagnostic(**changes: Any) -> dict[str, Any]:
    """Return the same as diagnostic settings write it."""
    return {
        "time": TIME,
        "category": "ContainerRegistryRepositoryEvents",
        "operationName": "Pull",
        "correlationId": CALL,
        "identity": OID,
        "callerIpAddress": "203.0.113.7",
        "resultType": "HttpStatusCode",
        "resultDescription": "200",
        "resourceId": REGISTRY.upper(),
        "properties": {"repository": "shop/web", "tag": "v1", "loginServer": "acr.azurecr.io"},
    } | changes


def item_row(**changes: Any) -> dict[str, Any]:
    """Return a row of CDBDataPlaneRequests: a query for items."""
    return {
        "TimeGenerated": TIME,
        "OperationName": "Query",
        "ActivityId": CALL,
        "AadPrincipalId": OID,
        "AadAppliedRoleAssignmentId": ASSIGNMENT,
        "AuthTokenType": "AadToken",
        "AccountName": "cosmos",
        "DatabaseName": "shop",
        "CollectionName": "orders",
        "StatusCode": "200",
        "ClientIpAddress": "203.0.113.7",
        "_ResourceId": COSMOS,
        "Type": "CDBDataPlaneRequests",
    } | changes


def statement_row(**changes: Any) -> dict[str, Any]:
    """Return a row of AzureDiagnostics: a statement that a database audited."""
    return {
        "TimeGenerated": TIME,
        "Category": "SQLSecurityAuditEvents",
        "OperationName": "AuditEvent",
        "ResourceId": DATABASE.upper(),
        "action_name_s": "BATCH COMPLETED",
        "server_principal_name_s": UPN,
        "statement_s": "select 1",
        "Type": "AzureDiagnostics",
    } | changes
