"""Declare the log of data plane requests to Azure Cosmos DB.

`DataPlaneRequests` is the category of several services; the resource shows which one.
Source: Microsoft Learn, tables CDBDataPlaneRequests and AzureDiagnostics of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Opened, Stage

_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.DocumentDB/*,data,,own_roles,Microsoft Learn: Azure Cosmos DB data plane roles are its own
""",
    # service,operation,action,plane,level,access,source
    "log_request_operations": """
cosmos,*,,,resource,own_roles,Microsoft Learn: Azure Cosmos DB data plane roles; Azure roles cannot grant access to items
""",
}

_AUTHENTICATION = "lower(replace(coalesce(auth_type, in_authentication), ' ', ''))"

SOURCE = LogSource(
    name="cosmos",
    source="cosmos_log",
    records="requests",
    pascal={
        "activity_id": ("ActivityId", "ActivityId_g"),
        "auth_type": ("AuthTokenType", "authTokenType_s"),
        "client_ip": ("ClientIpAddress", "clientIpAddress_s"),
        "aad_principal": ("AadPrincipalId", "aadPrincipalId_g", "aadPrincipalId_s"),
    },
    tables=("cdbdataplanerequests",),
    collected=("CDBDataPlaneRequests",),
    likely_categories=("dataplanerequests",),
    recognised=(
        (Stage.SERVICE, "category_key = 'dataplanerequests' AND resource_key LIKE '%/microsoft.documentdb/%'"),
    ),
    opened=(
        Opened(
            "properties",
            {
                "in_object_id": ("$.aadPrincipalId",),
                "in_caller_ip": ("$.clientIpAddress",),
                "in_activity_id": ("$.activityId",),
                "in_status": ("$.statusCode",),
                "in_authentication": ("$.authTokenType",),
            },
        ),
    ),
    columns={
        "category": "'DataPlaneRequests'",
        "service": "'cosmos'",
        "object_id": "coalesce(aad_principal, in_object_id)",
        "caller_ip": "coalesce(client_ip, in_caller_ip, caller_ip)",
        "correlation_id": "coalesce(activity_id, in_activity_id, correlation_id)",
        "http_status": "coalesce(status_code, http_status, in_status)",
        "known_access": f"CASE WHEN {_AUTHENTICATION} LIKE '%resource%' THEN 'sas' "
        f"WHEN {_AUTHENTICATION} LIKE '%master%' OR {_AUTHENTICATION} LIKE '%key%' THEN 'key' END",
    },
    rules=_RULES,
)
