"""Records of alerts, incidents and risk in every form; one alert has the same ids in each."""

from __future__ import annotations

import json
from typing import Any

from tests.ingest.entity_records import SUB, guid

VM = f"{SUB}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm"
ORIGINAL = "2517538088322968242_0f7a2d4c"
_ENTITIES = [
    {"$id": "2", "Name": "ada", "UPNSuffix": "contoso.com", "AadUserId": guid(10), "Type": "account"},
    {"$id": "3", "Address": "203.0.113.7", "Location": {"CountryCode": "XX"}, "Type": "ip"},
    {"$id": "4", "SessionId": "0A-Session", "Account": {"$ref": "2"}, "Type": "cloud-logon-session"},
    {"$id": "5", "ResourceId": VM, "Type": "azure-resource"},
]
SECURITY_ALERT: dict[str, Any] = {
    "TimeGenerated": "2026-01-05T10:30:00Z",
    "AlertName": "ARM_SuspiciousCredentialAccess",
    "AlertSeverity": "High",
    "ConfidenceScore": 0.8,
    "DisplayName": "Suspicious invocation of a high-risk operation",
    "EndTime": "2026-01-05T10:20:00Z",
    "Entities": json.dumps(_ENTITIES),
    "ExtendedProperties": '{"effectiveSeverity":"High"}',
    "IsIncident": False,
    "ProcessingEndTime": "2026-01-05T10:29:00Z",
    "ProductName": "Azure Security Center",
    "ProviderName": "Azure Security Center",
    "ResourceId": VM,
    "StartTime": "2026-01-05T10:00:00Z",
    "Status": "New",
    "SystemAlertId": "5C6F0E9A-1111-4111-8111-111111111111",
    "Tactics": "CredentialAccess",
    "VendorOriginalId": ORIGINAL,
    "Type": "SecurityAlert",
}
ARM_ALERT: dict[str, Any] = {
    "id": f"{SUB}/providers/Microsoft.Security/locations/westeurope/alerts/{ORIGINAL}",
    "name": ORIGINAL,
    "type": "Microsoft.Security/Locations/alerts",
    "properties": {
        "alertDisplayName": "Suspicious invocation of a high-risk operation",
        "alertType": "ARM_SuspiciousCredentialAccess",
        "compromisedEntity": "vm",
        "endTimeUtc": "2026-01-05T10:20:00Z",
        "entities": [{key[0].lower() + key[1:]: value for key, value in one.items()} for one in _ENTITIES],
        "intent": "CredentialAccess",
        "processingEndTimeUtc": "2026-01-05T10:29:00Z",
        "productName": "Microsoft Defender for Cloud",
        "resourceIdentifiers": [{"type": "AzureResource", "azureResourceId": VM}],
        "severity": "High",
        "startTimeUtc": "2026-01-05T10:00:00Z",
        "status": "Active",
        "systemAlertId": ORIGINAL,
        "timeGeneratedUtc": "2026-01-05T10:29:00Z",
    },
}
GRAPH_ALERT: dict[str, Any] = {
    "id": "dc637551227677560813_-961444813",
    "providerAlertId": ORIGINAL,
    "incidentId": "28282",
    "status": "new",
    "severity": "high",
    "classification": None,
    "determination": None,
    "serviceSource": "microsoftDefenderForCloud",
    "detectionSource": "microsoftDefenderForServers",
    "productName": "Microsoft Defender for Servers",
    "title": "Suspicious invocation of a high-risk operation",
    "category": "CredentialAccess",
    "createdDateTime": "2026-01-05T10:29:00Z",
    "lastUpdateDateTime": "2026-01-05T10:31:00Z",
    "firstActivityDateTime": "2026-01-05T10:00:00Z",
    "lastActivityDateTime": "2026-01-05T10:20:00Z",
    "evidence": [
        {
            "@odata.type": "#microsoft.graph.security.userEvidence",
            "roles": ["compromised"],
            "userAccount": {
                "accountName": "ada",
                "azureAdUserId": guid(10),
                "userPrincipalName": "ada@contoso.com",
            },
        },
        {"@odata.type": "#microsoft.graph.security.ipEvidence", "roles": ["attacker"], "ipAddress": "203.0.113.7"},
        {
            "@odata.type": "#microsoft.graph.security.cloudLogonSessionEvidence",
            "roles": [],
            "sessionId": "0A-Session",
            "account": {"userAccount": {"azureAdUserId": guid(10)}},
        },
        {"@odata.type": "#microsoft.graph.security.azureResourceEvidence", "roles": ["attacked"], "resourceId": VM},
        {
            "@odata.type": "#microsoft.graph.security.ipEvidence",
            "roles": ["contextual"],
            "ipAddress": "198.51.100.9",
        },
    ],
}
SECURITY_INCIDENT: dict[str, Any] = {
    "TimeGenerated": "2026-01-05T12:00:00Z",
    "IncidentName": "7D1E0E9A-2222-4222-8222-222222222222",
    "IncidentNumber": 7,
    "Title": "Credential access",
    "Severity": "High",
    "Status": "Closed",
    "Classification": "FalsePositive",
    "ProviderName": "Azure Sentinel",
    "FirstActivityTime": "2026-01-05T10:00:00Z",
    "LastActivityTime": "2026-01-05T10:20:00Z",
    "LastModifiedTime": "2026-01-05T11:59:00Z",
    "CreatedTime": "2026-01-05T10:32:00Z",
    "AlertIds": '["5c6f0e9a-1111-4111-8111-111111111111"]',
    "Type": "SecurityIncident",
}
GRAPH_INCIDENT: dict[str, Any] = {
    "id": "28282",
    "incidentWebUrl": "https://security.microsoft.com/incidents/28282",
    "displayName": "Credential access",
    "createdDateTime": "2026-01-05T10:32:00Z",
    "lastUpdateDateTime": "2026-01-05T11:59:00Z",
    "classification": "falsePositive",
    "determination": "notEnoughDataToValidate",
    "status": "resolved",
    "severity": "high",
}
RISK_DETECTION: dict[str, Any] = {
    "id": "6a5874ca-abcd-4abc-8abc-2222aaaa3333",
    "requestId": "B2C1E7F0-3333-4333-8333-333333333333",
    "correlationId": guid(71),
    "riskEventType": "anomalousToken",
    "riskState": "atRisk",
    "riskLevel": "high",
    "riskDetail": "none",
    "source": "IdentityProtection",
    "detectionTimingType": "offline",
    "activity": "signin",
    "ipAddress": "203.0.113.7",
    "activityDateTime": "2026-01-05T10:00:00Z",
    "detectedDateTime": "2026-01-05T10:40:00Z",
    "lastUpdatedDateTime": "2026-01-05T10:45:00Z",
    "userId": guid(10),
    "userPrincipalName": "Ada@Contoso.com",
}
WORKLOAD_DETECTION: dict[str, Any] = {
    **{key: value for key, value in RISK_DETECTION.items() if not key.startswith("user")},
    "id": "7b5874ca-abcd-4abc-8abc-2222aaaa3333",
    "requestId": None,
    "riskEventType": "suspiciousSignins",
    "servicePrincipalId": guid(12),
    "servicePrincipalDisplayName": "robot",
    "appId": guid(13),
    "keyIds": [],
}
RISKY_USER: dict[str, Any] = {
    "id": guid(10),
    "isDeleted": False,
    "isProcessing": False,
    "riskDetail": "adminConfirmedUserCompromised",
    "riskLastUpdatedDateTime": "2026-01-05T11:00:00Z",
    "riskLevel": "high",
    "riskState": "confirmedCompromised",
    "userDisplayName": "Ada",
    "userPrincipalName": "ada@contoso.com",
}
RISKY_WORKLOAD: dict[str, Any] = {
    "id": guid(12),
    "appId": guid(13),
    "displayName": "robot",
    "isEnabled": True,
    "isProcessing": False,
    "riskDetail": "none",
    "riskLastUpdatedDateTime": "2026-01-05T11:00:00Z",
    "riskLevel": "medium",
    "riskState": "atRisk",
    "servicePrincipalType": "Application",
}


def in_workspace(record: dict[str, Any], table: str) -> dict[str, Any]:
    """The record as a row of a workspace: PascalCase, with the time when it came and the name of the table."""
    row = {key[0].upper() + key[1:]: value for key, value in record.items()}
    return {"TimeGenerated": "2026-01-05T11:05:00Z", **row, "Type": table}


def in_event_hub(record: dict[str, Any], category: str) -> dict[str, Any]:
    return {"time": "2026-01-05T11:05:00Z", "category": category, "operationName": category, "properties": record}


def tables(*rows: dict[str, Any]) -> dict[str, Any]:
    """The answer of a query."""
    columns = [{"name": name, "type": "string"} for name in rows[0]]
    return {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [list(row.values()) for row in rows]}]}


GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"


def listing(path: str, *records: dict[str, Any]) -> dict[str, Any]:
    return {"@odata.context": GRAPH + path, "value": list(records)}


SIGNALS: dict[str, tuple[str, Any]] = {
    "rows of alerts": ("security_alerts", [SECURITY_ALERT]),
    "alerts of a query": ("security_alerts", tables(SECURITY_ALERT)),
    "alerts of ARM": ("defender_alerts", {"value": [ARM_ALERT]}),
    "alerts of Graph": ("graph_alerts", listing("security/alerts_v2", GRAPH_ALERT)),
    "incidents of a query": ("security_incidents", tables(SECURITY_INCIDENT)),
    "incidents of Graph": ("graph_incidents", listing("security/incidents", GRAPH_INCIDENT)),
    "detections": ("risk_detections", listing("identityProtection/riskDetections", RISK_DETECTION)),
    "detections of a query": ("risk_detections", tables(in_workspace(RISK_DETECTION, "AADUserRiskEvents"))),
    "detections of an event hub": ("risk_detections", [in_event_hub(RISK_DETECTION, "UserRiskEvents")]),
    "detections of workloads": (
        "service_principal_risk_detections",
        listing("identityProtection/servicePrincipalRiskDetections", WORKLOAD_DETECTION),
    ),
    "risky users": ("risky_users", listing("identityProtection/riskyUsers", RISKY_USER)),
    "risky users of a query": ("risky_users", tables(in_workspace(RISKY_USER, "AADRiskyUsers"))),
    "risky workloads": (
        "risky_service_principals",
        listing("identityProtection/riskyServicePrincipals", RISKY_WORKLOAD),
    ),
}
"""A document of each form with the word for its source."""
