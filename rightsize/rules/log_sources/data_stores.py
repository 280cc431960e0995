"""Declare the logs of data services: storage accounts, key vaults, Cosmos DB, SQL, Service Bus and Event Hubs.

`AuditEvent` of key vaults and `DataPlaneRequests` of Cosmos DB are categories of several services; the resource shows
which one. Databases of Azure SQL have permissions of their own. Sources: Microsoft Learn, "Azure Blob Storage
monitoring data reference", "Azure Key Vault logging", "SQL Database audit log format", tables AZKVAuditLogs,
CDBDataPlaneRequests, SQLSecurityAuditEvents and AzureDiagnostics.

Of Service Bus and Event Hubs the runtime audit logs are read. Sources: Microsoft Learn, "Azure Service Bus monitoring data reference" and "Azure Event Hubs monitoring data
reference" (runtime audit logs), tables AZMSRunTimeAuditLogs and AzureDiagnostics of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import Counted, LogSource, Opened, Stage

_STORAGE_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.Storage/*/runAsSuperUser/action,data,,no_resource_log,Microsoft Learn: Access control in Azure Data Lake Storage; it is checked beside what was asked for
Microsoft.Storage/*/actAsSuperUser/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/bypassPermissions/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*BackupSemantics/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/takeOwnership/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/runAsBuiltInFileAdministrator/action,data,,no_resource_log,Microsoft Learn: Azure Files data actions; it is checked beside what was asked for
Microsoft.Storage/*/manageOwnership/action,data,,no_resource_log,Microsoft Learn: Access control in Azure Data Lake Storage; requests name permissions and owner alike
Microsoft.Storage/*/modifyPermissions/action,data,,no_resource_log,Microsoft Learn: Access control in Azure Data Lake Storage; requests name permissions and owner alike
Microsoft.Storage/*/permanentDelete/action,data,,no_resource_log,Microsoft Learn: Delete Blob; a permanent delete is logged as any other
Microsoft.Storage/*,data,storage_log,,Microsoft Learn: Azure Storage resource logs (StorageRead; StorageWrite; StorageDelete)
""",
    # pattern,plane,log,resource_type,part,categories,source
    "resource_logs": """
Microsoft.Storage/storageAccounts/blobServices/*,data,storage_log,Microsoft.Storage/storageAccounts,blobServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
Microsoft.Storage/storageAccounts/queueServices/*,data,storage_log,Microsoft.Storage/storageAccounts,queueServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
Microsoft.Storage/storageAccounts/tableServices/*,data,storage_log,Microsoft.Storage/storageAccounts,tableServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
Microsoft.Storage/storageAccounts/fileServices/*,data,storage_log,Microsoft.Storage/storageAccounts,fileServices/default,StorageRead StorageWrite StorageDelete,Microsoft Learn: Azure Storage resource logs; each service has settings of its own
""",
    # item,log,category,table,gb_per_1000_users,bytes_per_record,records_per_day,retained_days,licence,policies,source
    "log_tables": """
log:microsoft.storage/storageaccounts,storage_log,StorageRead StorageWrite StorageDelete,StorageBlobLogs,,640,10000,0,,b4fe1a3b-0715-4c6c-a5ea-ffc33cf823cb 25a70cc8-2bd4-47f1-90b6-1478e4662c96 7bd000e3-37c7-4928-9f31-86c4b77c5c45 2fb86bf3-d221-43d1-96d1-2434af34eaa0,Microsoft Learn: supported logs of Microsoft.Storage/storageAccounts/blobServices; 640 bytes is the mean of 11 records in panther-labs/panther-analysis; records a day are an assumption; the CIS Microsoft Azure Foundations Benchmark names the policies of blobs and files and queues and tables
""",
}

STORAGE = LogSource(
    name="storage",
    source="storage_log",
    records="storage",
    by_service=True,
    splits=True,
    covered=("StorageRead", "StorageWrite", "StorageDelete"),
    needed=("correlation_id", "operation_name"),
    tables=("storagebloblogs", "storagefilelogs", "storagequeuelogs", "storagetablelogs"),
    collected=("StorageBlobLogs", "StorageFileLogs", "StorageQueueLogs", "StorageTableLogs"),
    categories=("storageread", "storagewrite", "storagedelete"),
    category_stage=Stage.CATEGORY,
    recognised=(
        (
            Stage.LIKELY,
            "resource_key LIKE '%/microsoft.storage/storageaccounts/%/%services%' AND operation_name NOT LIKE '%/%'",
        ),
        (Stage.LIKELY, "coalesce(object_key, authentication) IS NOT NULL"),
    ),
    likely_keys=(frozenset({"authenticationtype"}), frozenset({"statustext"})),
    rules=_STORAGE_RULES,
    counted=Counted(
        request="CorrelationId",
        parts=("ObjectKey", "Uri", "tostring(OperationCount)", "OperationName"),
        code="StatusCode",
        who=("RequesterObjectId", "RequesterUpn", "RequesterAppId"),
        columns={
            "Category": "Category",
            "OperationName": "OperationName",
            "ResourceId": "_ResourceId",
            "ServiceType": "ServiceType",
            "AuthenticationType": "AuthenticationType",
            "AuthorizationDetails": "tostring(AuthorizationDetails)",
            "StatusCode": "StatusCode",
            "StatusText": "StatusText",
            "RequesterObjectId": "RequesterObjectId",
            "RequesterUpn": "RequesterUpn",
            "RequesterAppId": "RequesterAppId",
            # Account and container are read, and never the object.
            "ObjectKey": """extract(@'^("?/[^/"]*(?:/[^/"]+)?)', 1, ObjectKey)""",
            "Uri": 'extract(@"^([A-Za-z]+://[^/]+(?:/[^/?]+)?)", 1, Uri)',
        },
    ),
)


_COSMOS_RULES = {
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

COSMOS = LogSource(
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
    rules=_COSMOS_RULES,
)


_SQL_RULES = {
    # service,operation,action,plane,level,access,source
    "log_request_operations": """
sql,*,,,resource,own_roles,Microsoft Learn: SQL auditing; permissions of the database engine are no data actions
""",
}

SQL = LogSource(
    name="sql",
    source="sql_audit_log",
    records="requests",
    pascal={
        "server_principal": ("ServerPrincipalName", "server_principal_name_s"),
        "action_name": ("ActionName", "action_name_s"),
    },
    tables=("sqlsecurityauditevents",),
    categories=("sqlsecurityauditevents",),
    opened=(Opened("properties", {"in_named": ("$.server_principal_name",), "in_action": ("$.action_name",)}),),
    columns={
        "category": "'SQLSecurityAuditEvents'",
        "service": "'sql'",
        "operation_name": "coalesce(action_name, in_action, operation_name)",
        "named": "coalesce(server_principal, in_named)",
        "result": "status",
    },
    rules=_SQL_RULES,
)


_VAULT_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.KeyVault/managedHsms/*,data,,own_roles,Microsoft Learn: Managed HSM local RBAC
Microsoft.KeyVault/vaults/storageAccounts/*,data,,no_resource_log,Microsoft Learn: Azure Key Vault logging names no operations of managed storage accounts
Microsoft.KeyVault/vaults/certificates/release/action,data,,no_resource_log,Microsoft Learn: Azure Key Vault logging names no such operation
Microsoft.KeyVault/*,data,key_vault_log,,Microsoft Learn: Azure Key Vault logging (AuditEvent)
""",
    # pattern,plane,log,resource_type,part,categories,source
    "resource_logs": """
Microsoft.KeyVault/vaults/*,data,key_vault_log,Microsoft.KeyVault/vaults,,AuditEvent,Microsoft Learn: Azure Key Vault logging
""",
    # item,log,category,table,gb_per_1000_users,bytes_per_record,records_per_day,retained_days,licence,policies,source
    "log_tables": """
log:microsoft.keyvault/vaults,key_vault_log,AuditEvent,AZKVAuditLogs,,1000,10000,0,,6b359d8f-f88d-4052-aa7c-32015963ecc1,Microsoft Learn: Azure Key Vault logging; 1000 bytes is its sample record; records a day are an assumption; Microsoft Learn: Built-in policies for Azure Monitor names the policy
""",
}

_CLAIMS = "http://schemas.microsoft.com/identity/claims"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"

_BY_ROLES = "lower(coalesce(by_roles, in_by_roles))"
_BY_POLICY = "lower(coalesce(by_policy, in_by_policy))"

_KQL_OBJECT_ID = f'coalesce(tostring(Identity.claim["{_CLAIMS}/objectidentifier"]), tostring(Identity.claim.oid), "")'
_KQL_UPN = f'coalesce(tostring(Identity.claim["{_UPN}"]), tostring(Identity.claim.upn), "")'
_KQL_APP_ID = 'coalesce(tostring(Identity.claim.appid), tostring(Identity.claim.azp), "")'

KEY_VAULT = LogSource(
    name="key_vault",
    source="key_vault_log",
    records="requests",
    covered=("AuditEvent",),
    pascal={
        "diagnostic_object_id": (
            "identity_claim_oid_g",
            "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g",
        ),
        "diagnostic_upn": (
            "identity_claim_upn_s",
            "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s",
        ),
        "diagnostic_app_id": ("identity_claim_appid_g",),
        "by_roles": ("IsRbacAuthorized", "isRbacAuthorized_b"),
        "by_policy": ("IsAccessPolicyMatch", "isAccessPolicyMatch_b"),
        "applied_assignment": ("AppliedAssignmentId", "appliedAssignmentId_g", "appliedAssignmentId_s"),
    },
    tables=("azkvauditlogs",),
    collected=("AZKVAuditLogs",),
    likely_categories=("auditevent",),
    recognised=(
        (Stage.SERVICE, "category_key = 'auditevent' AND resource_key LIKE '%/microsoft.keyvault/vaults/%'"),
        (Stage.SERVICE_FIELDS, "by_policy IS NOT NULL OR by_roles IS NOT NULL"),
    ),
    marks=("by_policy", "by_roles"),
    opened=(
        Opened(
            "properties",
            {
                "in_http_status": ("$.httpStatusCode", "$.HttpStatusCode"),
                "in_target": ("$.requestUri",),
                "in_by_roles": ("$.isRbacAuthorized",),
                "in_by_policy": ("$.isAccessPolicyMatch",),
                "in_assignment": ("$.appliedAssignmentId",),
            },
        ),
        # The claims of a token include its id; the log has the claims that the service passes on.
        Opened(
            "identity",
            {
                "claim_object_id": (f'$.claim."{_CLAIMS}/objectidentifier"', "$.claim.oid"),
                "claim_upn": (f'$.claim."{_UPN}"', "$.claim.upn"),
                "claim_app_id": ("$.claim.appid", "$.claim.azp"),
                "claim_token_id": ("$.claim.uti",),
                "claim_session_id": ("$.claim.sid",),
            },
        ),
    ),
    columns={
        "category": "'AuditEvent'",
        "service": "'key_vault'",
        "object_id": "coalesce(diagnostic_object_id, claim_object_id)",
        "upn": "coalesce(diagnostic_upn, claim_upn)",
        "app_id": "coalesce(diagnostic_app_id, claim_app_id)",
        "http_status": "coalesce(http_status, in_http_status)",
        "result": "coalesce(sub_status, status)",
        "known_access": f"CASE WHEN coalesce({_BY_ROLES}, '') <> 'true' AND {_BY_POLICY} = 'true' "
        "THEN 'access_policy' END",
        # A client asks once without a token to learn whom to ask for one; an old token is no refusal either.
        "unauthorized": "'none'",
        "target": "coalesce(request_uri, in_target)",
        "role_assignment_id": "coalesce(applied_assignment, in_assignment)",
        "token_id": "claim_token_id",
        "session_id": "claim_session_id",
    },
    rules=_VAULT_RULES,
    counted=Counted(
        request="CorrelationId",
        parts=('extract(@"^([^?#]*)", 1, RequestUri)', "OperationName"),
        code='coalesce(tostring(HttpStatusCode), tostring(Properties.httpStatusCode), "")',
        who=("identity_claim_oid_g", "identity_claim_upn_s", "identity_claim_appid_g"),
        columns={
            "OperationName": "OperationName",
            "ResourceId": "_ResourceId",
            "identity_claim_oid_g": _KQL_OBJECT_ID,
            "identity_claim_upn_s": _KQL_UPN,
            "identity_claim_appid_g": _KQL_APP_ID,
            "IsRbacAuthorized": 'coalesce(tostring(column_ifexists("IsRbacAuthorized", "")), '
            'tostring(Properties.isRbacAuthorized), "")',
            "IsAccessPolicyMatch": 'coalesce(tostring(column_ifexists("IsAccessPolicyMatch", "")), '
            'tostring(Properties.isAccessPolicyMatch), "")',
            "AppliedAssignmentId": 'coalesce(tostring(column_ifexists("AppliedAssignmentId", "")), '
            'tostring(Properties.appliedAssignmentId), "")',
            "HttpStatusCode": 'coalesce(tostring(HttpStatusCode), tostring(Properties.httpStatusCode), "")',
            "ResultSignature": "ResultSignature",
            "ResultType": "ResultType",
            # The vault and the name of the object are read, and never its version.
            "RequestUri": 'extract(@"^([A-Za-z]+://[^/?#]*(?:/[^/?#]*){0,2})", 1, '
            'coalesce(RequestUri, tostring(Properties.requestUri), ""))',
        },
    ),
)


_MESSAGING_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.EventHub/namespaces/messages/send/action,data,messaging_log,,Microsoft Learn: Event Hubs runtime audit logs
Microsoft.EventHub/namespaces/messages/receive/action,data,messaging_log,,Microsoft Learn: Event Hubs runtime audit logs
Microsoft.EventHub/*,data,,no_resource_log,Microsoft Learn: Event Hubs runtime audit logs name sending and receiving only
Microsoft.ServiceBus/namespaces/messages/send/action,data,messaging_log,,Microsoft Learn: Service Bus runtime audit logs
Microsoft.ServiceBus/namespaces/messages/receive/action,data,messaging_log,,Microsoft Learn: Service Bus runtime audit logs
Microsoft.ServiceBus/*,data,,no_resource_log,Microsoft Learn: Service Bus runtime audit logs name sending and receiving only
""",
    # pattern,plane,log,resource_type,part,categories,source
    "resource_logs": """
Microsoft.ServiceBus/namespaces/messages/send/action,data,messaging_log,Microsoft.ServiceBus/namespaces,,RuntimeAuditLogs,"Microsoft Learn: Azure Service Bus monitoring data reference, runtime audit logs of the premium tier"
Microsoft.ServiceBus/namespaces/messages/receive/action,data,messaging_log,Microsoft.ServiceBus/namespaces,,RuntimeAuditLogs,"Microsoft Learn: Azure Service Bus monitoring data reference, runtime audit logs of the premium tier"
Microsoft.EventHub/namespaces/messages/send/action,data,messaging_log,Microsoft.EventHub/namespaces,,RuntimeAuditLogs,"Microsoft Learn: Azure Event Hubs monitoring data reference, runtime audit logs of the premium tier"
Microsoft.EventHub/namespaces/messages/receive/action,data,messaging_log,Microsoft.EventHub/namespaces,,RuntimeAuditLogs,"Microsoft Learn: Azure Event Hubs monitoring data reference, runtime audit logs of the premium tier"
""",
    # item,log,category,table,gb_per_1000_users,bytes_per_record,records_per_day,retained_days,licence,policies,source
    "log_tables": """
log:microsoft.servicebus/namespaces,messaging_log,RuntimeAuditLogs,AZMSRuntimeAuditLogs,,550,10000,0,,,Microsoft Learn: Azure Service Bus monitoring data reference; premium tier; 550 bytes is its sample record of a minute; records a day are an assumption
log:microsoft.eventhub/namespaces,messaging_log,RuntimeAuditLogs,AZMSRuntimeAuditLogs,,550,10000,0,,,Microsoft Learn: Azure Event Hubs monitoring data reference; premium tier; 550 bytes is the sample record of Service Bus; records a day are an assumption
""",
    # service,operation,action,plane,level,access,source
    "log_request_operations": """
service_bus,SendMessage,Microsoft.ServiceBus/namespaces/messages/send/action,data,resource,roles,"Microsoft Learn: Azure Service Bus monitoring data reference, runtime audit logs"
service_bus,ReceiveMessage,Microsoft.ServiceBus/namespaces/messages/receive/action,data,resource,roles,"Microsoft Learn: Azure Service Bus monitoring data reference, runtime audit logs"
service_bus,PeekLockMessage,Microsoft.ServiceBus/namespaces/messages/receive/action,data,resource,roles,"Microsoft Learn: Azure Service Bus monitoring data reference, runtime audit logs"
service_bus,ConnectionOpen,,,resource,none,"Microsoft Learn: Azure Service Bus monitoring data reference, runtime audit logs; a connection by itself sends and receives nothing"
service_bus,Authorization,,,resource,none,"Microsoft Learn: Azure Service Bus monitoring data reference, runtime audit logs; a connection by itself sends and receives nothing"
event_hubs,SendMessage,Microsoft.EventHub/namespaces/messages/send/action,data,resource,roles,"Microsoft Learn: Azure Event Hubs monitoring data reference, runtime audit logs"
event_hubs,ReceiveMessage,Microsoft.EventHub/namespaces/messages/receive/action,data,resource,roles,"Microsoft Learn: Azure Event Hubs monitoring data reference, runtime audit logs"
event_hubs,PeekLockMessage,Microsoft.EventHub/namespaces/messages/receive/action,data,resource,roles,"Microsoft Learn: Azure Event Hubs monitoring data reference, runtime audit logs"
event_hubs,ConnectionOpen,,,resource,none,"Microsoft Learn: Azure Event Hubs monitoring data reference, runtime audit logs; a connection by itself sends and receives nothing"
event_hubs,Authorization,,,resource,none,"Microsoft Learn: Azure Event Hubs monitoring data reference, runtime audit logs; a connection by itself sends and receives nothing"
""",
}

_IS_BUS = "lower(resource_id) LIKE '%/microsoft.servicebus/namespaces/%'"
_IS_HUBS = "lower(resource_id) LIKE '%/microsoft.eventhub/namespaces/%'"
_IS_KNOWN = f"CASE WHEN {_IS_BUS} OR {_IS_HUBS} THEN 'true' END"
_AUTH_OF_MESSAGES = "coalesce(auth_type, in_authentication)"

MESSAGING = LogSource(
    name="messaging",
    source="messaging_log",
    records="requests",
    covered=("RuntimeAuditLogs",),
    camel={
        "activity_name": ("ActivityName",),
        "activity_id": ("ActivityId",),
        "auth_type": ("AuthType",),
        "auth_key": ("AuthKey", "AuthId"),
        "client_ip": ("ClientIp",),
    },
    pascal={
        "activity_name": ("ActivityName", "ActivityName_s"),
        "activity_id": ("ActivityId", "ActivityId_g"),
        "auth_type": ("AuthType", "AuthType_s"),
        "auth_key": ("AuthKey", "AuthId", "AuthKey_s", "AuthId_s"),
        "client_ip": ("ClientIp", "ClientIp_s"),
        "runtime_status": ("Status", "Status_s"),
    },
    tables=("azmsruntimeauditlogs",),
    collected=("AZMSRunTimeAuditLogs",),
    categories=("runtimeauditlogs",),
    recognised=(
        (
            Stage.SERVICE_FIELDS,
            "activity_name IS NOT NULL AND auth_type IS NOT NULL AND resource_key LIKE '%/namespaces/%'",
        ),
    ),
    marks=("activity_name",),
    opened=(
        Opened(
            "properties",
            {
                "in_operation": ("$.ActivityName",),
                "in_named": ("$.AuthKey", "$.AuthId"),
                "in_caller_ip": ("$.ClientIp",),
                "in_activity_id": ("$.ActivityId",),
                "in_result": ("$.Status",),
                "in_authentication": ("$.AuthType",),
            },
        ),
    ),
    columns={
        "category": "'RuntimeAuditLogs'",
        "service": f"CASE WHEN {_IS_BUS} THEN 'service_bus' WHEN {_IS_HUBS} THEN 'event_hubs' ELSE 'messaging' END",
        "operation_name": "coalesce(activity_name, in_operation)",
        "named": "coalesce(auth_key, in_named)",
        "caller_ip": "coalesce(client_ip, in_caller_ip)",
        "correlation_id": "coalesce(activity_id, in_activity_id)",
        "result": "coalesce(runtime_status, in_result, status)",
        "known_access": f"CASE WHEN lower(replace({_AUTH_OF_MESSAGES}, ' ', '')) LIKE '%sas%' THEN 'key' END",
        # The resource id has the queue, topic or hub where the log knows it.
        "names_parts": _IS_KNOWN,
        # A failure is said to be no more than that: it may have been refused.
        "unsure_failure": _IS_KNOWN,
    },
    rules=_MESSAGING_RULES,
)
