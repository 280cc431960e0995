"""Declare the Activity Log, the cloud audit events of Defender XDR, and resource logs whose records are only counted.

Source: Microsoft Learn, "Azure Activity Log event schema".

Of the cloud audit events, those of Azure Resource Manager are use of the control plane. They are the only records of
its reads. Whether each plain GET is among them is not documented, so they show that a read was used, and never that it
was not. No user can declare their days as complete.
Sources: Microsoft Learn, "CloudAuditEvents" of advanced hunting and "Streaming API"; XDR internals, the columns of the
table in a workspace, which differ (`AzureResourceId`, `Account`).

The table AzureDiagnostics holds the logs of many services, and equal rows of six are counted in KQL. A workspace
has the column of a property once a record had it, with the property's type in its name. Of properties for which there
was no more room, and of no others, `AdditionalFields` has the plain name.
Source: Microsoft Learn, "AzureDiagnostics".
"""

from __future__ import annotations

from rightsize.rules.log_source import Counted, LogSource, Stage

_CATEGORIES = (
    "administrative", "write", "delete", "action", "policy", "servicehealth", "resourcehealth", "alert", "autoscale",
    "recommendation", "security",
)  # fmt: skip

ACTIVITY = LogSource(
    name="activity",
    source="activity_log",
    records="activity",
    sent_by="subscription",
    covered=("Administrative",),
    needed=("correlation_id", "operation_name"),
    plain="category IN ('Write', 'Delete', 'Action', 'Administrative')"
    " AND (resource_id LIKE '/S%' OR resource_id LIKE '/s%')",
    tables=("azureactivity",),
    collected=("AzureActivity",),
    categories=_CATEGORIES,
    category_stage=Stage.CALLER,
    recognised=(
        # Other logs have callers and claims, too; the category says that they are others.
        (
            Stage.CALLER,
            f"(coalesce(category_key, '') IN ('', {', '.join(map(repr, _CATEGORIES))}) OR category LIKE '{{%')"
            " AND (authorization_json IS NOT NULL OR claims IS NOT NULL OR coalesce(event_id, caller) IS NOT NULL"
            " OR category LIKE '{%')",
        ),
        (Stage.LAST, "table_name IS NULL AND category IS NULL AND operation_name LIKE '%_/_%'"),
    ),
)


CLOUD_AUDIT = LogSource(
    name="cloud_audit",
    source="cloud_audit_log",
    records="cloud_audit",
    sent_by="subscription",
    pascal={
        "data_source": ("DataSource",),
        "azure_resource_id": ("AzureResourceId",),
        "report_id": ("ReportId",),
        "account_name": ("Account",),
        "raw_event": ("RawEventData",),
    },
    tables=("cloudauditevents",),
    collected=("CloudAuditEvents",),
    categories=("advancedhunting-cloudauditevents",),
    category_stage=Stage.CATEGORY,
    recognised=((Stage.CATEGORY, "is_unnamed AND data_source IS NOT NULL AND report_id IS NOT NULL"),),
    row_keys=frozenset({"timestamp", "datasource", "reportid"}),
    marks=("data_source",),
    likely_keys=(frozenset({"datasource", "reportid"}),),
)


RESOURCE = LogSource(
    name="resource",
    source="resource_log",
    sent_by="subscription",
    recognised=(
        (Stage.MARK, "is_other_table"),
        (Stage.LAST, "coalesce(table_name, category) IS NOT NULL AND time IS NOT NULL"),
    ),
)


DIAGNOSTICS_TABLE = "AzureDiagnostics"


def _cell(name: str, kinds: str, *more: str) -> str:
    """Return KQL for a property as text, by its types in names of columns; empty if there is none."""
    columns = [f"{name}_{kind}" for kind in kinds.split()] + list(more)
    cells = [f'tostring(column_ifexists("{column}", ""))' for column in columns]
    return f'coalesce({", ".join(cells)}, tostring(more.{name}), "")'


_CLAIM = "identity_claim_http_schemas"
_OBJECT_ID = f"{_CLAIM}_microsoft_com_identity_claims_objectidentifier_g"
_UPN = f"{_CLAIM}_xmlsoap_org_ws_2005_05_identity_claims_upn_s"

DIAGNOSTICS = Counted(
    steps=(
        '| extend more = parse_json(tostring(column_ifexists("AdditionalFields", ""))), '
        'place = coalesce(tostring(column_ifexists("ResourceId", "")), _ResourceId)',
        '| where Category in~ ("kube-audit", "kube-audit-admin", "RuntimeAuditLogs", "SQLSecurityAuditEvents")\n'
        '    or (Category =~ "AuditEvent" and place contains "/microsoft.keyvault/")\n'
        '    or (Category =~ "DataPlaneRequests" and place contains "/microsoft.documentdb/")',
        f"| extend event = parse_json({_cell('log', 's')}), uri = {_cell('requestUri', 's')}",
        # What is read of an event of Kubernetes, in its form; the path of a request for a resource says no more than the
        # reference to it does.
        '| extend oids = bag_pack("oid", event.user.extra.oid),\n'
        '    answer = bag_pack("code", event.responseStatus.code),\n'
        '    other = bag_pack("username", event.impersonatedUser.username),\n'
        '    object = bag_pack("apiGroup", event.objectRef.apiGroup, "resource", event.objectRef.resource,\n'
        '        "subresource", event.objectRef.subresource, "namespace", event.objectRef.namespace),\n'
        '    said = bag_pack("authorization.k8s.io/decision", event.annotations["authorization.k8s.io/decision"],\n'
        '        "authorization.k8s.io/reason", event.annotations["authorization.k8s.io/reason"]),\n'
        '    path = extract(@"^([^?#]*)", 1, tostring(event.requestURI))',
        '| extend who = bag_pack("username", event.user.username, "extra", oids),\n'
        '    asked = iff(isempty(tostring(event.objectRef.resource)), path, "")',
        '| extend event_read = tostring(bag_pack("verb", event.verb, "user", who, "objectRef", object,\n'
        '        "responseStatus", answer, "annotations", said, "impersonatedUser", other, "requestURI", asked))',
    ),
    request="coalesce(tostring(event.auditID), "
    f"{_cell('ActivityId', 'g s', 'activityId_g', 'activityId_s')}, tostring(more.activityId), CorrelationId)",
    parts=('extract(@"^([^?#]*)", 1, uri)', "path", "OperationName", "tostring(event.verb)"),
    code=f'coalesce(tostring(event.responseStatus.code), extract(@"^([0-9]+)", 1, {_cell("httpStatusCode", "d s")}), '
    f"{_cell('statusCode', 's d')})",
    who=(
        "identity_claim_oid_g",
        "identity_claim_upn_s",
        "identity_claim_appid_g",
        "AadPrincipalId",
        "AuthKey",
        "ServerPrincipalName",
        "ClusterUser",
    ),
    columns={
        "Category": "Category",
        "OperationName": "OperationName",
        "ResourceId": "place",
        "ResultType": "ResultType",
        "ResultSignature": "ResultSignature",
        "HttpStatusCode": f"coalesce({_cell('httpStatusCode', 'd s')}, {_cell('statusCode', 's d')})",
        # Of key vaults; the vault and the name of the object are read, and never its version.
        "identity_claim_oid_g": _cell("identity_claim_oid", "g", _OBJECT_ID),
        "identity_claim_upn_s": _cell("identity_claim_upn", "s", _UPN),
        "identity_claim_appid_g": _cell("identity_claim_appid", "g"),
        "IsRbacAuthorized": _cell("isRbacAuthorized", "b"),
        "IsAccessPolicyMatch": _cell("isAccessPolicyMatch", "b"),
        "AppliedAssignmentId": _cell("appliedAssignmentId", "g s"),
        "RequestUri": 'extract(@"^([A-Za-z]+://[^/?#]*(?:/[^/?#]*){0,2})", 1, uri)',
        # Of Service Bus, Event Hubs, Cosmos DB and SQL.
        "ActivityName": _cell("ActivityName", "s"),
        "AuthType": _cell("AuthType", "s"),
        "AuthKey": f"coalesce({_cell('AuthKey', 's')}, {_cell('AuthId', 's')})",
        "Status": _cell("Status", "s"),
        "AuthTokenType": _cell("authTokenType", "s"),
        "AadPrincipalId": _cell("aadPrincipalId", "g s"),
        "ActionName": _cell("action_name", "s"),
        "ServerPrincipalName": _cell("server_principal_name", "s"),
        "ClusterUser": "strcat(tostring(event.user.username), tostring(oids))",
        "log_s": 'iff(isempty(tostring(event.verb)), "", event_read)',
    },
)
