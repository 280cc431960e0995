"""Define the keys that hold each field of a log record, and detect the log that a record belongs to.

There are two envelopes. `camel` has the records of Azure Monitor's diagnostic settings and Event Hubs, of the Activity
Log's REST interface and its Python SDK (snake_case), and of Microsoft Graph; `pascal` has the rows of Log Analytics
tables. Both may mix records of different logs, so the log is detected for each record.
Sources: Microsoft Learn, "Azure Activity Log event schema" and the Log Analytics table reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.rbac.text import fold

_CAMEL: dict[str, tuple[str, ...]] = {
    "time": ("time", "eventTimestamp", "event_timestamp"),
    "submitted": ("submissionTimestamp", "submission_timestamp"),
    "created": ("createdDateTime",),
    "operation_name": ("operationName", "operation_name"),
    "resource_id": ("resourceId", "resource_id", "resourceUri"),
    "category": ("category",),
    "status": ("resultType", "status"),
    "sub_status": ("resultSignature", "subStatus", "sub_status"),
    "description": ("resultDescription",),
    "caller": ("caller",),
    "caller_ip": ("callerIpAddress", "ipAddress"),
    "correlation_id": ("correlationId", "correlation_id"),
    "event_id": ("eventDataId", "event_data_id"),
    "identity": ("identity",),
    "authorization_json": ("authorization",),
    "claims": ("claims",),
    "http_request": ("httpRequest", "http_request"),
    "properties": ("properties",),
    "status_code": ("statusCode",),
    "status_text": ("statusText",),
    "uri": ("uri",),
    "record_id": ("id",),
    "user_id": ("userId",),
    "user_name": ("userPrincipalName",),
    "service_principal_id": ("servicePrincipalId",),
    "service_principal_name": ("servicePrincipalName",),
    "app_id": ("appId",),
    "resource_name": ("resourceDisplayName",),
    "event_types": ("signInEventTypes",),
    "is_interactive": ("isInteractive",),
    "logged_by": ("loggedByService",),
    "activity": ("activityDisplayName",),
    "activity_time": ("activityDateTime",),
    "initiated_by": ("initiatedBy",),
    "targets": ("targetResources",),
    "details": ("additionalDetails",),
    "result": ("result",),
    "result_reason": ("resultReason",),
    "activity_name": ("ActivityName",),
    "activity_id": ("ActivityId",),
    "auth_type": ("AuthType",),
    "auth_key": ("AuthKey", "AuthId"),
    "client_ip": ("ClientIp",),
    "request_method": ("requestMethod",),
    "request_uri": ("requestUri",),
    "request_id": ("requestId",),
    "batch_id": ("operationId",),
    "graph_status": ("responseStatusCode",),
    "token_id": ("signInActivityId", "uniqueTokenIdentifier"),
    "session_id": ("sessionId",),
    "risk_level": ("riskLevelDuringSignIn", "riskLevelAggregated"),
    "risk_state": ("riskState",),
    "risk_detail": ("riskDetail",),
    "alert_id": ("SystemAlertId",),
    "location": ("location",),
    "network_number": ("autonomousSystemNumber",),
}

_PASCAL: dict[str, tuple[str, ...]] = {
    "table_name": ("Type",),
    "time": ("TimeGenerated", "CreationTime", "Timestamp"),
    "submitted": ("EventSubmissionTimestamp",),
    "created": ("CreatedDateTime", "CreatedDateTime [UTC]"),
    "operation_name": ("OperationNameValue", "OperationName", "Operation"),
    "resource_id": ("ResourceId", "_ResourceId"),
    "category": ("CategoryValue", "Category"),
    "status": ("ActivityStatusValue", "ActivityStatus", "ResultType"),
    "sub_status": ("ActivitySubstatusValue", "ActivitySubstatus", "ResultSignature"),
    "description": ("ResultDescription",),
    "caller": ("Caller",),
    "caller_ip": ("CallerIpAddress", "IPAddress"),
    "correlation_id": ("CorrelationId",),
    "event_id": ("EventDataId",),
    "authorization_json": ("Authorization_d", "Authorization"),
    "claims": ("Claims_d", "Claims"),
    "http_request": ("HTTPRequest",),
    "properties": ("Properties_d", "Properties"),
    "status_code": ("StatusCode",),
    "status_text": ("StatusText",),
    "uri": ("Uri",),
    "object_key": ("ObjectKey",),
    "operation_index": ("OperationCount",),
    "authentication": ("AuthenticationType",),
    "authorization_details": ("AuthorizationDetails",),
    "requester_object_id": ("RequesterObjectId",),
    "requester_app_id": ("RequesterAppId",),
    "requester_upn": ("RequesterUpn",),
    "service_type": ("ServiceType",),
    "record_id": ("Id",),
    "user_id": ("UserId",),
    "user_name": ("UserPrincipalName",),
    "service_principal_id": ("ServicePrincipalId",),
    "service_principal_name": ("ServicePrincipalName",),
    "app_id": ("AppId",),
    "resource_app_id": ("ResourceIdentity",),
    "resource_name": ("ResourceDisplayName",),
    "is_interactive": ("IsInteractive",),
    "logged_by": ("LoggedByService",),
    "workload": ("Workload", "RecordType"),
    "activity": ("ActivityDisplayName",),
    "activity_time": ("ActivityDateTime",),
    "initiated_by": ("InitiatedBy",),
    "targets": ("TargetResources",),
    "details": ("AdditionalDetails",),
    "result": ("Result",),
    "result_reason": ("ResultReason",),
    "identity": ("Identity",),
    "diagnostic_object_id": (
        "identity_claim_oid_g",
        "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g",
    ),
    "diagnostic_upn": (
        "identity_claim_upn_s",
        "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s",
    ),
    "diagnostic_app_id": ("identity_claim_appid_g",),
    "http_status": ("HttpStatusCode", "httpStatusCode_d", "statusCode_s"),
    "request_uri": ("RequestUri", "requestUri_s"),
    "by_roles": ("IsRbacAuthorized", "isRbacAuthorized_b"),
    "by_policy": ("IsAccessPolicyMatch", "isAccessPolicyMatch_b"),
    "applied_assignment": (
        "AppliedAssignmentId",
        "appliedAssignmentId_g",
        "appliedAssignmentId_s",
    ),
    "audit_text": ("log_s",),
    "audit_id": ("AuditId",),
    "verb": ("Verb",),
    "audit_user": ("User",),
    "object_ref": ("ObjectRef",),
    "response_status": ("ResponseStatus",),
    "stage": ("Stage",),
    "annotations": ("Annotations",),
    "source_ips": ("SourceIps",),
    "activity_name": ("ActivityName", "ActivityName_s"),
    "activity_id": ("ActivityId", "ActivityId_g"),
    "auth_type": ("AuthType", "AuthType_s", "AuthTokenType", "authTokenType_s"),
    "auth_key": ("AuthKey", "AuthId", "AuthKey_s", "AuthId_s"),
    "client_ip": ("ClientIp", "ClientIp_s", "ClientIpAddress", "clientIpAddress_s"),
    "runtime_status": ("Status", "Status_s"),
    "aad_principal": ("AadPrincipalId", "aadPrincipalId_g", "aadPrincipalId_s"),
    "repository": ("Repository",),
    "server_principal": ("ServerPrincipalName", "server_principal_name_s"),
    "action_name": ("ActionName", "action_name_s"),
    "request_method": ("RequestMethod",),
    "request_id": ("RequestId",),
    "batch_id": ("OperationId",),
    "graph_status": ("ResponseStatusCode",),
    "token_id": ("SignInActivityId", "UniqueTokenIdentifier", "UniqueTokenId"),
    "session_id": ("SessionId",),
    "risk_level": ("RiskLevelDuringSignIn", "RiskLevelAggregated"),
    "risk_state": ("RiskState",),
    "risk_detail": ("RiskDetail",),
    "alert_id": ("SystemAlertId",),
    "location": ("LocationDetails", "Location"),
    "network_number": ("AutonomousSystemNumber",),
    "client_app_id": ("ApplicationId",),
    "account_id": ("AccountObjectId",),
    "account_type": ("EntityType",),
}

FIELDS = tuple(dict.fromkeys((*_CAMEL, *_PASCAL)))
"""All fields that a record of either envelope may have, each under one name."""

SOURCES = {
    "activity": "activity_log",
    "storage": "storage_log",
    "sign_in": "sign_in_log",
    "entra_audit": "entra_audit_log",
    "graph_activity": "graph_activity_log",
    "m365_audit": "m365_audit_log",
    "resource": "resource_log",
    "key_vault": "key_vault_log",
    "messaging": "messaging_log",
    "cosmos": "cosmos_log",
    "kubernetes": "aks_audit_log",
    "registry": "registry_log",
    "sql": "sql_audit_log",
    "signal": "signals",
}
"""The logs that are distinguished, and their word in `loads`; `signal` is a signal that an Event Hub mixes in."""

REQUEST_LOGS = ("key_vault", "messaging", "cosmos", "kubernetes", "registry", "sql")
"""Logs of requests to resources, which one query normalises (`queries/reduce/requests.sql`)."""

USED_LOGS = ("activity", "storage", "sign_in", "entra_audit", "graph_activity", *REQUEST_LOGS)
"""The logs that are used; records of other logs are only counted."""

_TIME_KEYS = {"time", "eventtimestamp", "event_timestamp"}
_EVENT_KEYS = {"operationname", "operation_name", "category", "resourceid", "resource_id"}
_SIGN_IN_KEYS = {"ipaddress", "status", "resourcedisplayname", "signineventtypes", "conditionalaccessstatus"}

SIGNAL_TABLES = {
    "securityalert": "security_alerts",
    "securityincident": "security_incidents",
    "aadriskyusers": "risky_users",
    "aaduserriskevents": "risk_detections",
    "aadriskyserviceprincipals": "risky_service_principals",
    "aadserviceprincipalriskevents": "service_principal_risk_detections",
}
"""The tables of alerts, incidents and risk, and the shape that reads their rows."""

SIGNAL_CATEGORIES = {
    "riskyusers": "risky_users",
    "userriskevents": "risk_detections",
    "riskyserviceprincipals": "risky_service_principals",
    "serviceprincipalriskevents": "service_principal_risk_detections",
}
"""The categories of diagnostic records of risk, and the shape that reads them."""

_SIGNAL_KEYS = ({"systemalertid"}, {"incidentname", "incidentnumber"}, {"riskeventtype"}, {"risklastupdateddatetime"})


def is_signal(record: Mapping[str, Any]) -> bool:
    """Return whether a record in the envelope of a log is an alert, incident or risk, which a signal shape reads."""
    named = {fold(str(key)).partition(" [")[0]: value for key, value in record.items()}
    table, category = (fold(str(named.get(key) or "")) for key in ("type", "category"))
    if table in SIGNAL_TABLES or category in SIGNAL_CATEGORIES:
        return True
    return not table and any(keys <= named.keys() for keys in _SIGNAL_KEYS)


POWERSHELL_EVENT = frozenset({"EventTimestamp", "OperationName", "CorrelationId", "Caller"})
"""Members of an event of `Get-AzActivityLog`, which a shape reads; the interface that it asks spells them otherwise."""


@dataclass(frozen=True, slots=True)
class Family:
    """Log records of one envelope: `spellings` has the keys that hold each field, the preferred one first."""

    name: str
    spellings: Mapping[str, tuple[str, ...]]

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record has this envelope, in any capitalisation of its keys."""
        if is_signal(record) or record.keys() >= POWERSHELL_EVENT:
            return False
        named = {fold(str(key)).partition(" [")[0]: value for key, value in record.items()}
        keys = named.keys()
        # An exported table may lack the time at which it received a row.
        is_row = "timegenerated" in keys or (
            "createddatetime" in keys and fold(str(named.get("type") or "")) in _SIGN_IN_TABLES.split()
        )
        if self.name == "pascal":
            return (
                (is_row and len(keys) > 2)
                or {"timestamp", "requesturi"} <= keys
                or ({"creationtime", "operation"} <= keys and bool({"recordtype", "workload"} & keys))
            )
        # Rows of the sign-in tables also have the keys of Graph's records, with other values under some of them.
        return not is_row and (
            bool(_TIME_KEYS & keys and _EVENT_KEYS & keys)
            or fold(str(named.get("category") or "")) in _TIMED_WITHIN.split()
            or ({"createddatetime", "appid"} <= keys and bool(_SIGN_IN_KEYS & keys))
            or {"activitydatetime", "loggedbyservice"} <= keys
        )


def spelt_keys(family: Family, samples: Sequence[Mapping[str, object]]) -> dict[str, tuple[str, ...]]:
    """Return the keys to look up for each field, the preferred one first, if their capitalisation may vary.

    A key is looked up in the spelling of its family, in lower case, and in the spellings of the samples.
    """
    spelt: dict[str, set[str]] = {}
    for record in samples:
        for key in record:
            spelt.setdefault(fold(str(key)), set()).add(str(key))
    return {
        field: tuple(
            dict.fromkeys(spelling for key in keys for spelling in (key, fold(key), *sorted(spelt.get(fold(key), ()))))
        )
        for field, keys in family.spellings.items()
    }


RECORD_FAMILY = Family("camel", _CAMEL)
"""The envelope of Azure Monitor's records and of the REST interfaces."""

FAMILIES = (RECORD_FAMILY, Family("pascal", _PASCAL))


def _one_of(column: str, words: str) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words.split())})"


def folded(column: str) -> str:
    """Return SQL that folds only ASCII letters; lower() does it twenty times faster than translate()."""
    return (
        f"CASE WHEN strlen({column}) = length({column}) THEN lower({column}) ELSE translate({column}, "
        "'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END"
    )


_STORAGE_TABLES = "storagebloblogs storagefilelogs storagequeuelogs storagetablelogs"
_SIGN_IN_TABLES = (
    "signinlogs aadnoninteractiveusersigninlogs aadserviceprincipalsigninlogs aadmanagedidentitysigninlogs "
    "microsoftserviceprincipalsigninlogs"
)
_SIGN_IN_CATEGORIES = (
    "signinlogs noninteractiveusersigninlogs serviceprincipalsigninlogs managedidentitysigninlogs "
    "microsoftserviceprincipalsigninlogs"
)
# Categories of directory audit records; some exports have them where others have `AuditLogs`.
# Source: Microsoft Learn, "Microsoft Entra audit log categories and activities".
_AUDIT_CATEGORIES = (
    "administrativeunit applicationmanagement attributemanagement authentication authorization authorizationpolicy b2c "
    "certificatebasedauthconfiguration contact crosstenantaccesssettings crosstenantidentitysyncsettings device "
    "deviceconfiguration directorymanagement entitlementmanagement externaluserprofile groupmanagement "
    "identityprotection kerberosdomain keymanagement label multitenantorg multitenantorgidentitysyncpolicyupdate other "
    "pendingexternaluserprofile permissiongrantpolicy policy policymanagement provisioningmanagement "
    "resourcemanagement rolemanagement taskmanagement transactionmanagement userauthentication usermanagement "
    "workflowmanagement"
)
# Logs of Microsoft Entra whose records have their time only in their properties.
_TIMED_WITHIN = "azureadgraphactivitylogs"
_ACTIVITY_CATEGORIES = (
    "administrative write delete action policy servicehealth resourcehealth alert autoscale recommendation security"
)


REQUEST_TABLES = {
    "azkvauditlogs": "key_vault",
    "azmsruntimeauditlogs": "messaging",
    "cdbdataplanerequests": "cosmos",
    "aksaudit": "kubernetes",
    "aksauditadmin": "kubernetes",
    "containerregistryrepositoryevents": "registry",
    "containerregistryloginevents": "registry",
    "sqlsecurityauditevents": "sql",
}
"""The tables of the logs of requests."""

REQUEST_CATEGORIES = {
    "runtimeauditlogs": "messaging",
    "kube-audit": "kubernetes",
    "kube-audit-admin": "kubernetes",
    "containerregistryrepositoryevents": "registry",
    "containerregistryloginevents": "registry",
    "sqlsecurityauditevents": "sql",
}
"""Their categories, which AzureDiagnostics has in one table."""


def _requests() -> str:
    """Return the SQL branches that detect the logs of requests: by table, category, or fields that only they have.

    `AuditEvent` and `DataPlaneRequests` are categories of several services; the resource shows which one.
    """
    tables = "\n".join(f"    WHEN table_key = '{name}' THEN '{log}'" for name, log in REQUEST_TABLES.items())
    categories = "\n".join(f"    WHEN category_key = '{name}' THEN '{log}'" for name, log in REQUEST_CATEGORIES.items())
    return f"""{tables}
{categories}
    WHEN category_key = 'auditevent' AND resource_key LIKE '%/microsoft.keyvault/vaults/%' THEN 'key_vault'
    WHEN category_key = 'dataplanerequests' AND resource_key LIKE '%/microsoft.documentdb/%' THEN 'cosmos'
    WHEN audit_id IS NOT NULL AND verb IS NOT NULL AND object_ref IS NOT NULL THEN 'kubernetes'
    WHEN activity_name IS NOT NULL AND auth_type IS NOT NULL AND resource_key LIKE '%/namespaces/%' THEN 'messaging'
    WHEN by_policy IS NOT NULL OR by_roles IS NOT NULL THEN 'key_vault'
    WHEN repository IS NOT NULL AND resource_key LIKE '%/microsoft.containerregistry/%' THEN 'registry'"""


# Holds for nearly all records of the Activity Log, without folding their words or checking for each other log.
_IS_PLAIN = """category IN ('Write', 'Delete', 'Action', 'Administrative')
    AND (resource_id LIKE '/S%' OR resource_id LIKE '/s%')
    AND coalesce(table_name, alert_id, workload, audit_id, activity_name, by_policy, by_roles, repository, request_uri,
        logged_by) IS NULL"""


def with_log(fields: str) -> str:
    """Return SQL that adds to a relation of fields the log of each record, null if it is of no known log."""

    def key(field: str) -> str:
        return f"CASE WHEN NOT is_plain THEN {folded(field)} END"

    return f"""
SELECT * EXCLUDE (is_plain, is_unnamed, table_key, category_key, resource_key), CASE
    WHEN is_plain THEN 'activity'
    WHEN {_one_of("table_key", " ".join(SIGNAL_TABLES))} THEN 'signal'
    WHEN table_key IS NULL AND ({_one_of("category_key", " ".join(SIGNAL_CATEGORIES))} OR alert_id IS NOT NULL)
        THEN 'signal'
    WHEN table_key = 'azureactivity' THEN 'activity'
    WHEN {_one_of("table_key", _STORAGE_TABLES)} THEN 'storage'
    WHEN {_one_of("table_key", _SIGN_IN_TABLES)} THEN 'sign_in'
    WHEN table_key = 'auditlogs' THEN 'entra_audit'
    WHEN table_key IN ('microsoftgraphactivitylogs', 'graphapiauditevents') THEN 'graph_activity'
    -- Requests to the older Azure AD Graph, whose permissions are its own, have the columns of Microsoft Graph's log.
    WHEN table_key = 'aadgraphactivitylogs' OR category_key = 'azureadgraphactivitylogs' THEN 'resource'
    WHEN workload IS NOT NULL THEN 'm365_audit'
{_requests()}
    WHEN {_one_of("category_key", "storageread storagewrite storagedelete")} THEN 'storage'
    WHEN {_one_of("category_key", _SIGN_IN_CATEGORIES)} THEN 'sign_in'
    WHEN category_key = 'microsoftgraphactivitylogs'
        OR (is_unnamed AND request_uri IS NOT NULL AND request_method IS NOT NULL) THEN 'graph_activity'
    -- Every log of Microsoft Entra comes from the same resource: what a record is, its category says.
    WHEN category_key = 'auditlogs' OR logged_by IS NOT NULL
        OR (resource_key LIKE '/tenants/%/providers/microsoft.aadiam%' AND {_one_of("category_key", _AUDIT_CATEGORIES)})
        THEN 'entra_audit'
    WHEN authorization_json IS NOT NULL OR claims IS NOT NULL OR coalesce(event_id, caller) IS NOT NULL THEN 'activity'
    WHEN {_one_of("category_key", _ACTIVITY_CATEGORIES)} OR category LIKE '{{%' THEN 'activity'
    WHEN resource_key LIKE '%/microsoft.storage/storageaccounts/%/%services%' AND operation_name NOT LIKE '%/%'
        THEN 'storage'
    WHEN coalesce(object_key, authentication) IS NOT NULL THEN 'storage'
    WHEN is_unnamed AND app_id IS NOT NULL AND coalesce(user_id, user_name, service_principal_id) IS NOT NULL
        THEN 'sign_in'
    WHEN table_name IS NULL AND category IS NULL AND operation_name LIKE '%_/_%' THEN 'activity'
    WHEN coalesce(table_name, category) IS NOT NULL AND (time IS NOT NULL OR {_one_of("category_key", _TIMED_WITHIN)})
        THEN 'resource'
END AS log
FROM (
    SELECT *, {key("table_name")} AS table_key, {key("category")} AS category_key, {key("resource_id")} AS resource_key,
        coalesce(table_name, category, '') = '' AS is_unnamed
    FROM (SELECT *, coalesce({_IS_PLAIN}, false) AS is_plain FROM ({fields}))
)"""
