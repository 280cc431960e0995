"""Fill the tables of a Log Analytics workspace, with their columns, from the tenant's logs.

Sources: Microsoft Learn, table reference of Azure Monitor. Columns that nothing here fills are null, as in a workspace.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from rightsize.demo.activity_files import PATH as DAMAGED
from rightsize.demo.activity_files import write_damaged, write_sign_ins
from rightsize.demo.inventory_files import write_storage
from rightsize.demo.writing import Folder

if TYPE_CHECKING:
    from tests.loopback.content import Content

_SLICE = 50_000
_STORAGE = (
    "TimeGenerated datetime, TenantId string, AccountName string, AuthenticationHash string, "
    "AuthenticationType string, "
    "AuthorizationDetails dynamic, CallerIpAddress string, Category string, ClientRequestId string, "
    "CorrelationId string, DurationMs real, Etag string, LastModifiedTime datetime, Location string, "
    "MetricResponseType string, ObjectKey string, OperationCount int, OperationName string, OperationVersion string, "
    "Protocol string, ReferrerHeader string, RequestBodySize long, RequesterAppId string, RequesterAudience string, "
    "RequesterObjectId string, RequesterTenantId string, RequesterTokenIssuer string, RequesterUpn string, "
    "RequestHeaderSize long, ResponseBodySize long, ResponseHeaderSize long, SchemaVersion string, "
    "ServerLatencyMs real, ServiceType string, SourceUri string, StatusCode string, StatusText string, "
    "TlsVersion string, Uri string, UserAgentHeader string, SourceSystem string, Type string, _ResourceId string"
)
_SIGN_IN = (
    "TimeGenerated datetime, TenantId string, AADTenantId string, OperationName string, OperationVersion string, "
    "Category string, ResultType string, ResultSignature string, ResultDescription string, DurationMs long, "
    "CorrelationId string, Identity string, Level string, Location string, AppDisplayName string, AppId string, "
    "CreatedDateTime datetime, Id string, IPAddress string, IsInteractive bool, ResourceDisplayName string, "
    "ResourceIdentity string, Status dynamic, UniqueTokenIdentifier string, UserDisplayName string, UserId string, "
    "UserPrincipalName string, UserType string, ServicePrincipalId string, ServicePrincipalName string, "
    "ServicePrincipalCredentialKeyId string, RiskLevelDuringSignIn string, SourceSystem string, Type string"
)
_CREDENTIAL = ", FederatedCredentialId string, ClientCredentialType string"

_RISK = (
    "TimeGenerated datetime, TenantId string, Activity string, ActivityDateTime datetime, AdditionalInfo dynamic, "
    "CorrelationId string, DetectedDateTime datetime, DetectionTimingType string, Id string, IpAddress string, "
    "LastUpdatedDateTime datetime, Location dynamic, OperationName string, RequestId string, RiskDetail string, "
    "RiskEventType string, RiskLevel string, RiskState string, Source string, TokenIssuerType string, "
)
_RISKY = (
    "TimeGenerated datetime, TenantId string, Id string, IsProcessing bool, OperationName string, RiskDetail string, "
    "RiskLastUpdatedDateTime datetime, RiskLevel string, RiskState string, "
)
_END = ", SourceSystem string, Type string"
_KUBERNETES = (
    "TimeGenerated datetime, TenantId string, Annotations dynamic, AuditId string, Level string, ObjectRef dynamic, "
    "PodName string, RequestObject dynamic, RequestReceivedTime datetime, RequestUri string, ResponseObject dynamic, "
    "ResponseStatus dynamic, SourceIps dynamic, Stage string, StageReceivedTime datetime, User dynamic, "
    "UserAgent string, Verb string, SourceSystem string, Type string, _ResourceId string"
)
_REGISTRY = (
    "TimeGenerated datetime, TenantId string, CallerIpAddress string, CorrelationId string, DurationMs string, "
    "Identity string, LoginServer string, OperationName string, ResultDescription string, ResultType string, "
    "UserAgent string, SourceSystem string, Type string, _ResourceId string"
)
COLUMNS = {
    # Of its hundreds of columns those of the logs that are read; a workspace has only those that a record had.
    "AzureDiagnostics": (
        "TimeGenerated datetime, TenantId string, AdditionalFields dynamic, ActivityId_g string, "
        "ActivityName_s string, AuthId_s string, AuthKey_s string, AuthType_s string, CallerIPAddress string, "
        "Category string, CorrelationId string, OperationName string, ResourceId string, ResultSignature string, "
        "ResultType string, Status_s string, aadPrincipalId_g string, action_name_s string, "
        "appliedAssignmentId_g string, authTokenType_s string, httpStatusCode_d real, "
        "identity_claim_appid_g string, identity_claim_oid_g string, identity_claim_upn_s string, "
        "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g string, "
        "isAccessPolicyMatch_b bool, isRbacAuthorized_b bool, log_s string, requestUri_s string, "
        "server_principal_name_s string, statusCode_s string, SourceSystem string, Type string, _ResourceId string"
    ),
    "AzureActivity": (
        "TimeGenerated datetime, TenantId string, ActivityStatus string, ActivityStatusValue string, "
        "ActivitySubstatus string, ActivitySubstatusValue string, Authorization string, Authorization_d dynamic, "
        "Caller string, CallerIpAddress string, Category string, CategoryValue string, Claims string, "
        "Claims_d dynamic, CorrelationId string, EventDataId string, EventSubmissionTimestamp datetime, "
        "Hierarchy string, HTTPRequest string, Level string, OperationId string, OperationName string, "
        "OperationNameValue string, Properties string, Properties_d dynamic, ResourceGroup string, ResourceId string, "
        "ResourceProviderValue string, SubscriptionId string, SourceSystem string, Type string, _ResourceId string, "
        "_SubscriptionId string"
    ),
    "StorageBlobLogs": _STORAGE,
    "StorageFileLogs": _STORAGE,
    "StorageQueueLogs": _STORAGE,
    "StorageTableLogs": _STORAGE,
    "SigninLogs": _SIGN_IN,
    "AADNonInteractiveUserSignInLogs": _SIGN_IN,
    "AADServicePrincipalSignInLogs": _SIGN_IN + _CREDENTIAL,
    "AADManagedIdentitySignInLogs": _SIGN_IN + _CREDENTIAL,
    "AuditLogs": (
        "TimeGenerated datetime, TenantId string, AADOperationType string, AADTenantId string, "
        "ActivityDateTime datetime, ActivityDisplayName string, AdditionalDetails dynamic, Category string, "
        "CorrelationId string, Id string, Identity string, InitiatedBy dynamic, LoggedByService string, "
        "OperationName string, Result string, ResultReason string, TargetResources dynamic, SourceSystem string, "
        "Type string"
    ),
    "MicrosoftGraphActivityLogs": (
        "TimeGenerated datetime, TenantId string, AadTenantId string, ApiVersion string, AppId string, "
        "ClientAuthMethod int, ClientRequestId string, DeviceId string, DurationMs int, IdentityProvider string, "
        "IPAddress string, Location string, OperationId string, RequestId string, RequestMethod string, "
        "RequestUri string, ResponseSizeBytes int, ResponseStatusCode int, Roles string, Scopes string, "
        "ServicePrincipalId string, SessionId string, SignInActivityId string, TokenIssuedAt datetime, "
        "UniqueTokenId string, UserAgent string, UserId string, Wids string, SourceSystem string, Type string"
    ),
    "AZKVAuditLogs": (
        "TimeGenerated datetime, TenantId string, CallerIpAddress string, Category string, CorrelationId string, "
        "DurationMs int, HttpStatusCode int, Identity dynamic, IsAccessPolicyMatch bool, OperationName string, "
        "Properties dynamic, RequestUri string, ResultDescription string, ResultSignature string, ResultType string, "
        "SourceSystem string, Type string, _ResourceId string"
    ),
    "AZMSRunTimeAuditLogs": (
        "TimeGenerated datetime, TenantId string, ActivityId string, ActivityName string, AuthKey string, "
        "AuthType string, ClientIp string, Count int, NamespaceName string, NetworkType string, Protocol string, "
        "Provider string, Status string, SourceSystem string, Type string, _ResourceId string"
    ),
    "AKSAudit": _KUBERNETES,
    "AKSAuditAdmin": _KUBERNETES,
    "ContainerRegistryRepositoryEvents": _REGISTRY
    + ", ArtifactType string, Digest string, Repository string, Tag string",
    "ContainerRegistryLoginEvents": _REGISTRY + ", JwtId string",
    "CDBDataPlaneRequests": (
        "TimeGenerated datetime, TenantId string, AadPrincipalId string, AccountName string, ActivityId string, "
        "AuthTokenType string, Category string, ClientIpAddress string, CollectionName string, DatabaseName string, "
        "OperationName string, StatusCode string, UserAgent string, SourceSystem string, Type string, "
        "_ResourceId string"
    ),
    "SecurityAlert": (
        "TimeGenerated datetime, TenantId string, AlertName string, AlertSeverity string, AlertType string, "
        "CompromisedEntity string, ConfidenceScore real, Description string, DisplayName string, EndTime datetime, "
        "Entities string, ExtendedProperties string, IsIncident bool, ProductName string, ProviderName string, "
        "ResourceId string, StartTime datetime, Status string, SystemAlertId string, Tactics string, "
        "VendorName string, SourceSystem string, Type string"
    ),
    "SecurityIncident": (
        "TimeGenerated datetime, TenantId string, IncidentName string, Title string, Severity string, Status string, "
        "Classification string, ProviderName string, FirstActivityTime datetime, LastActivityTime datetime, "
        "LastModifiedTime datetime, CreatedTime datetime, IncidentNumber int, AlertIds dynamic, SourceSystem string, "
        "Type string"
    ),
    "AADUserRiskEvents": _RISK + "UserDisplayName string, UserId string, UserPrincipalName string" + _END,
    "AADServicePrincipalRiskEvents": (
        _RISK + "AppId string, ServicePrincipalDisplayName string, ServicePrincipalId string" + _END
    ),
    "AADRiskyUsers": _RISKY + "UserDisplayName string, UserPrincipalName string" + _END,
    "AADRiskyServicePrincipals": _RISKY + "AppId string, DisplayName string, ServicePrincipalType string" + _END,
    "CloudAuditEvents": (
        "TimeGenerated datetime, TenantId string, Timestamp datetime, ReportId string, DataSource string, "
        "ActionType string, OperationName string, AzureResourceId string, Account string, IPAddress string, "
        "IsAnonymousProxy bool, CountryCode string, City string, Isp string, UserAgent string, RawEventData dynamic, "
        "AdditionalFields dynamic, SourceSystem string, Type string"
    ),
}
"""Each table's columns with their types in KQL, in the order of a workspace's answer."""

_TYPES = {
    "string": "VARCHAR",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
    "long": "BIGINT",
    "int": "INTEGER",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
}
_SIGN_IN_FILES = {
    "noninteractiveusersigninlogs.jsonl": "AADNonInteractiveUserSignInLogs",
    "serviceprincipalsigninlogs.jsonl": "AADServicePrincipalSignInLogs",
    "managedidentitysigninlogs.jsonl.gz": "AADManagedIdentitySignInLogs",
}


def columns_of(table: str) -> dict[str, str]:
    """Return the columns of a table with their types in KQL."""
    return dict(column.split(" ") for column in COLUMNS[table].split(", "))  # type: ignore[misc]


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the schema `logs` with every table, empty."""
    con.execute("CREATE SCHEMA logs")
    for table in COLUMNS:
        columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in columns_of(table).items())
        con.execute(f"CREATE TABLE logs.{table} ({columns})")


def ensure_tables(content: Content) -> None:
    """Make the tables of the logs, once."""
    with content.filling:
        if not content.filled:
            _fill_tables(content)
            content.filled = True


def _fill_tables(content: Content) -> None:
    """Fill the tables from the tenant's logs."""
    con = content.cursor()
    create_tables(con)
    folder = Folder(content.folder / "logs")
    _fill_activity(content, folder)
    write_storage(content.tenant, folder)
    con.execute(_STORAGE_SQL, {"files": str(folder.root / "storage/*.jsonl.gz"), "workspace": content.workspace_id})
    write_sign_ins(content.tenant, folder, content.sign_ins)
    _fill_sign_ins(content, folder.root / "sign-ins")
    con.execute("CHECKPOINT")


def _fill_activity(content: Content, folder: Folder) -> None:
    con, activity = content.cursor(), content.activity.get()
    for part in activity.rows.iter_slices(_SLICE):
        common = activity.common(part)
        con.register("activity_part", common.rename({"authorization": "granted"}).to_arrow())
        con.execute(_ACTIVITY_SQL, {"workspace": content.workspace_id})
        con.unregister("activity_part")
    write_damaged(content.tenant, folder)
    lines = (folder.root / DAMAGED).read_text(encoding="utf-8").splitlines()
    records = [record for record in map(_parsed, lines) if isinstance(record, dict)]
    good = [record for record in records if str(record.get("time", "")).endswith("Z")]
    con.execute(_DIAGNOSTIC_SQL, {"records": [json.dumps(record) for record in good]})


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


_ACTIVITY_SQL = """
INSERT INTO logs.AzureActivity BY NAME
SELECT row_time AS TimeGenerated, $workspace AS TenantId, '' AS ActivityStatus,
    log_analytics ->> '$' AS ActivityStatusValue,
    http ->> '$' AS ActivitySubstatusValue, granted AS Authorization_d, granted AS "Authorization",
    caller_raw AS Caller, address ->> '$' AS CallerIpAddress, category_name ->> '$' AS CategoryValue,
    claims_shown AS Claims, claims_shown AS Claims_d, correlation AS CorrelationId, event AS EventDataId,
    submitted AS EventSubmissionTimestamp, hierarchy ->> '$' AS Hierarchy, level ->> '$' AS Level,
    operation_id AS OperationId, '' AS OperationName, operation_upper ->> '$' AS OperationNameValue,
    properties AS Properties, properties AS Properties_d, group_raw AS ResourceGroup, scope_raw AS ResourceId,
    provider_upper ->> '$' AS ResourceProviderValue, subscription ->> '$' AS SubscriptionId, 'Azure' AS SourceSystem,
    'AzureActivity' AS Type, scope_raw AS _ResourceId, subscription ->> '$' AS _SubscriptionId
FROM (SELECT * REPLACE (
    nullif(granted, 'null')::VARCHAR AS granted, claims_shown::VARCHAR AS claims_shown,
    log_analytics::JSON AS log_analytics, http::JSON AS http, address::JSON AS address,
    category_name::JSON AS category_name, hierarchy::JSON AS hierarchy, level::JSON AS level,
    operation_upper::JSON AS operation_upper, provider_upper::JSON AS provider_upper,
    subscription::JSON AS subscription)
    FROM activity_part)"""

_DIAGNOSTIC_SQL = """
INSERT INTO logs.AzureActivity BY NAME
SELECT rtrim((r ->> '$.time')[:26], 'Z')::TIMESTAMP AS TimeGenerated, r ->> '$.resultType' AS ActivityStatusValue,
    r ->> '$.identity.authorization' AS "Authorization", r -> '$.identity.authorization' AS Authorization_d,
    r ->> '$.callerIpAddress' AS CallerIpAddress, 'Administrative' AS CategoryValue,
    r ->> '$.identity.claims' AS Claims, r -> '$.identity.claims' AS Claims_d, r ->> '$.correlationId' AS CorrelationId,
    r ->> '$.operationName' AS OperationNameValue, r ->> '$.properties' AS Properties,
    r -> '$.properties' AS Properties_d, r ->> '$.resourceId' AS _ResourceId, 'AzureActivity' AS Type
FROM (SELECT unnest($records::VARCHAR[])::JSON AS r)"""

_STORAGE_SQL = """
INSERT INTO logs.StorageBlobLogs BY NAME
SELECT rtrim((r ->> '$.time')[:26], 'Z')::TIMESTAMP AS TimeGenerated, $workspace AS TenantId,
    r ->> '$.properties.accountName' AS AccountName, r ->> '$.identity.tokenHash' AS AuthenticationHash,
    r ->> '$.identity.type' AS AuthenticationType, r -> '$.identity.authorization' AS AuthorizationDetails,
    r ->> '$.callerIpAddress' AS CallerIpAddress, r ->> '$.category' AS Category,
    r ->> '$.properties.clientRequestId' AS ClientRequestId, r ->> '$.correlationId' AS CorrelationId,
    (r ->> '$.durationMs')::DOUBLE AS DurationMs, r ->> '$.location' AS Location,
    r ->> '$.properties.metricResponseType' AS MetricResponseType, r ->> '$.properties.objectKey' AS ObjectKey,
    0 AS OperationCount, r ->> '$.operationName' AS OperationName, r ->> '$.operationVersion' AS OperationVersion,
    r ->> '$.protocol' AS Protocol, r ->> '$.identity.requester.appId' AS RequesterAppId,
    r ->> '$.identity.requester.audience' AS RequesterAudience,
    r ->> '$.identity.requester.objectId' AS RequesterObjectId,
    r ->> '$.identity.requester.tenantId' AS RequesterTenantId, r ->> '$.identity.requester.upn' AS RequesterUpn,
    r ->> '$.schemaVersion' AS SchemaVersion, r ->> '$.properties.serviceType' AS ServiceType,
    r ->> '$.statusCode' AS StatusCode, r ->> '$.statusText' AS StatusText, r ->> '$.uri' AS Uri,
    r ->> '$.properties.userAgentHeader' AS UserAgentHeader, 'Azure' AS SourceSystem, 'StorageBlobLogs' AS Type,
    translate(r ->> '$.resourceId', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
        .replace('/blobservices/default', '') AS _ResourceId
FROM (SELECT json AS r FROM read_ndjson_objects($files))"""

# Log Analytics shows an absent text as an empty one.
_SIGN_IN_SQL = """
INSERT INTO logs.{table} BY NAME
SELECT rtrim((r ->> '$.createdDateTime')[:26], 'Z')::TIMESTAMP AS TimeGenerated, $workspace AS TenantId,
    $tenant AS AADTenantId, 'Sign-in activity' AS OperationName, '1.0' AS OperationVersion, '{table}' AS Category,
    r ->> '$.status.errorCode' AS ResultType, r ->> '$.correlationId' AS CorrelationId, '4' AS Level,
    coalesce(r ->> '$.appDisplayName', '') AS AppDisplayName, coalesce(r ->> '$.appId', '') AS AppId,
    rtrim((r ->> '$.createdDateTime')[:26], 'Z')::TIMESTAMP AS CreatedDateTime, r ->> '$.id' AS Id,
    r ->> '$.ipAddress' AS IPAddress, (r ->> '$.isInteractive')::BOOLEAN AS IsInteractive,
    coalesce(r ->> '$.resourceDisplayName', '') AS ResourceDisplayName, r ->> '$.resourceId' AS ResourceIdentity,
    r -> '$.status' AS Status, r ->> '$.uniqueTokenIdentifier' AS UniqueTokenIdentifier,
    coalesce(r ->> '$.userDisplayName', '') AS UserDisplayName, coalesce(r ->> '$.userId', '') AS UserId,
    coalesce(r ->> '$.userPrincipalName', '') AS UserPrincipalName, r ->> '$.userType' AS UserType,
    coalesce(r ->> '$.servicePrincipalId', '') AS ServicePrincipalId,
    coalesce(r ->> '$.servicePrincipalName', '') AS ServicePrincipalName,
    r ->> '$.riskLevelDuringSignIn' AS RiskLevelDuringSignIn, 'Azure AD' AS SourceSystem, '{table}' AS Type{more}
FROM sign_in_records WHERE kind = '{table}'"""

_OF_CREDENTIAL = """,
    coalesce(r ->> '$.federatedCredentialId', '') AS FederatedCredentialId,
    coalesce(r ->> '$.clientCredentialType', '') AS ClientCredentialType"""


def _fill_sign_ins(content: Content, root: Path) -> None:
    """Fill the four tables, and `sign_in_records` with the records as Microsoft Graph shows them, newest first."""
    con = content.cursor()
    parts = ["SELECT 'SigninLogs' AS kind, unnest(json -> '$.value[*]') AS r FROM read_json_objects($pages)"]
    parameters = {"pages": str(root / "signIns-page-*.json")}
    for number, (name, table) in enumerate(_SIGN_IN_FILES.items()):
        parameters[f"file{number}"] = str(root / f"insights-logs-{name}")
        parts.append(f"SELECT '{table}', json -> '$.properties' FROM read_ndjson_objects($file{number})")
    con.execute(
        f"""
        CREATE TABLE sign_in_records AS
        SELECT row_number() OVER (ORDER BY r ->> '$.createdDateTime' DESC, r ->> '$.id') AS place, kind,
            r ->> '$.createdDateTime' AS created, r
        FROM ({" UNION ALL ".join(parts)}) ORDER BY place""",
        parameters,
    )
    for table in ("SigninLogs", *_SIGN_IN_FILES.values()):
        con.execute(
            _SIGN_IN_SQL.format(table=table, more=_OF_CREDENTIAL if COLUMNS[table].endswith(_CREDENTIAL) else ""),
            {"workspace": content.workspace_id, "tenant": content.tenant.tenant_id},
        )
