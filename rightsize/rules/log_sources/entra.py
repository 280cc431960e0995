"""Declare the logs of Microsoft Entra, Graph and Microsoft 365: sign-ins, audit, requests; and alerts and risk.

Some exports of the audit log have the categories of its activities where others have `AuditLogs`. Requests to Azure AD
Graph, which Microsoft Graph replaced, have the columns of Microsoft Graph's log, and their time among their properties.
They are no use of a permission of Microsoft Graph, and cover no day of its log; who still sends requests is a finding.
An Event Hub mixes alerts, incidents and risk among the records of logs: the shapes of signals read them; as records of
a log they are only found.

Sources: Microsoft Learn, "signIn resource type" of Microsoft Graph and the sign-in tables of Log Analytics, "Microsoft
Entra audit log categories and activities", "Microsoft Graph activity logs", "Office 365 Management Activity API schema"
(common schema, AppAccessContext), and the tables AADGraphActivityLogs and OfficeActivity of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import Counted, LogSource, Stage

_SIGN_IN_CATEGORIES = (
    "signinlogs", "noninteractiveusersigninlogs", "serviceprincipalsigninlogs", "managedidentitysigninlogs",
    "microsoftserviceprincipalsigninlogs",
)  # fmt: skip

SIGN_IN = LogSource(
    name="sign_in",
    source="sign_in_log",
    records="sign_in",
    sent_by="tenant",
    covered=("interactive", "non_interactive", "service_principal", "managed_identity"),
    needed=("correlation_id",),
    tables=(
        "signinlogs", "aadnoninteractiveusersigninlogs", "aadserviceprincipalsigninlogs",
        "aadmanagedidentitysigninlogs", "microsoftserviceprincipalsigninlogs",
    ),
    collected=("SigninLogs", "AADNonInteractiveUserSignInLogs", "AADServicePrincipalSignInLogs", "AADManagedIdentitySignInLogs"),
    categories=_SIGN_IN_CATEGORIES,
    category_stage=Stage.CATEGORY,
    recognised=(
        (
            Stage.LIKELY,
            "is_unnamed AND app_id IS NOT NULL AND coalesce(user_id, user_name, service_principal_id) IS NOT NULL",
        ),
    ),
    likely_keys=(frozenset({"appid", "createddatetime"}),),
    row_time="createddatetime",
    camel={"agent": ("agent",)},
    pascal={"agent": ("Agent",)},
)  # fmt: skip


_ACTIVITIES = (
    "administrativeunit applicationmanagement attributemanagement authentication authorization authorizationpolicy b2c "
    "certificatebasedauthconfiguration contact crosstenantaccesssettings crosstenantidentitysyncsettings device "
    "deviceconfiguration directorymanagement entitlementmanagement externaluserprofile groupmanagement "
    "identityprotection kerberosdomain keymanagement label multitenantorg multitenantorgidentitysyncpolicyupdate other "
    "pendingexternaluserprofile permissiongrantpolicy policy policymanagement provisioningmanagement "
    "resourcemanagement rolemanagement taskmanagement transactionmanagement userauthentication usermanagement "
    "workflowmanagement"
)

ENTRA_AUDIT = LogSource(
    name="entra_audit",
    source="entra_audit_log",
    records="entra_audit",
    sent_by="tenant",
    splits=True,
    covered=("AuditLogs",),
    needed=("correlation_id", "operation_name"),
    tables=("auditlogs",),
    collected=("AuditLogs",),
    categories=("auditlogs",),
    category_stage=Stage.CATEGORY,
    recognised=(
        # Before an unknown table: flattened records have the type of an object where rows have their table.
        (Stage.MARK, "logged_by IS NOT NULL"),
        # Every log of Microsoft Entra comes from the same resource: what a record is, its category says.
        (
            Stage.CATEGORY,
            "resource_key LIKE '/tenants/%/providers/microsoft.aadiam%' AND category_key IN "
            f"({', '.join(repr(word) for word in _ACTIVITIES.split())})",
        ),
    ),
    marks=("logged_by",),
    likely_keys=(frozenset({"loggedbyservice"}),),
)


_KQL_URI = 'replace_regex(RequestUri, @"(?i)[$]?skiptoken=[^&#]*", "")'

GRAPH_ACTIVITY = LogSource(
    name="graph_activity",
    source="graph_activity_log",
    records="graph_activity",
    sent_by="tenant",
    covered=("MicrosoftGraphActivityLogs",),
    needed=(),
    needed_within=("uri",),
    tables=("microsoftgraphactivitylogs", "graphapiauditevents"),
    collected=("MicrosoftGraphActivityLogs",),
    categories=("microsoftgraphactivitylogs",),
    category_stage=Stage.CATEGORY,
    recognised=((Stage.CATEGORY, "is_unnamed AND request_uri IS NOT NULL AND request_method IS NOT NULL"),),
    marks=("request_uri",),
    camel={"token_roles": ("roles",), "token_scopes": ("scopes",)},
    pascal={"token_roles": ("Roles",), "token_scopes": ("Scopes",)},
    row_keys=frozenset({"timestamp", "requesturi"}),
    likely_keys=(frozenset({"requesturi", "requestmethod"}),),
    counted=Counted(
        request="RequestId",
        parts=("RequestUri", "RequestMethod"),
        code="tostring(ResponseStatusCode)",
        who=("UserId", "ServicePrincipalId", "AppId"),
        columns={
            "AppId": "AppId",
            "UserId": "UserId",
            "ServicePrincipalId": "ServicePrincipalId",
            "RequestMethod": "RequestMethod",
            # Ids are read as `{id}` anyway, but for a user's own, which is `me`.
            "RequestUri": f"iff(isnotempty(UserId) and RequestUri contains UserId, RequestUri, "
            f'replace_regex({_KQL_URI}, @"[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}", "{{id}}"))',
            "ResponseStatusCode": "tostring(ResponseStatusCode)",
            "Roles": "Roles",
            "Scopes": "Scopes",
        },
    ),
)


AZURE_AD_GRAPH = LogSource(
    name="azure_ad_graph",
    source="azure_ad_graph_log",
    records="azure_ad_graph",
    sent_by="tenant",
    is_evidence=False,
    needed=(),
    needed_within=("uri",),
    tables=("aadgraphactivitylogs",),
    categories=("azureadgraphactivitylogs",),
    category_stage=Stage.MARK,
    timed_within=True,
)


M365_AUDIT = LogSource(
    name="m365_audit",
    source="m365_audit_log",
    records="m365_audit",
    sent_by="tenant",
    covered=("Exchange", "SharePoint", "OneDrive", "MicrosoftTeams"),
    tables=("officeactivity",),
    needed=("operation_name",),
    pascal={
        "workload": ("Workload", "OfficeWorkload", "RecordType"),
        "m365_user_type": ("UserType",),
        "m365_context": ("AppAccessContext",),
        "m365_client_app": ("ClientAppId",),
        "m365_address": ("Client_IPAddress",),
        "m365_result": ("ResultStatus",),
        "m365_id": ("Id", "OfficeId"),
    },
    recognised=((Stage.MARK, "workload IS NOT NULL"),),
    marks=("workload",),
)


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

_RISK_CATEGORIES = ", ".join(f"'{name}'" for name in SIGNAL_CATEGORIES)

SIGNAL = LogSource(
    name="signal",
    source="signals",
    records="signals",
    sent_by="tenant",
    needed=(),
    tables=tuple(SIGNAL_TABLES),
    collected=(
        "SecurityAlert",
        "SecurityIncident",
        "AADUserRiskEvents",
        "AADRiskyUsers",
        "AADServicePrincipalRiskEvents",
        "AADRiskyServicePrincipals",
    ),
    recognised=(
        (Stage.TABLE, f"table_key IS NULL AND (category_key IN ({_RISK_CATEGORIES}) OR alert_id IS NOT NULL)"),
    ),
    marks=("alert_id",),
)
