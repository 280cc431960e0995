"""Declare the runtime audit logs of Service Bus and Event Hubs.

Sources: Microsoft Learn, "Azure Service Bus monitoring data reference" and "Azure Event Hubs monitoring data
reference" (runtime audit logs), tables AZMSRunTimeAuditLogs and AzureDiagnostics of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Opened, Stage

_RULES = {
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
_AUTHENTICATION = "coalesce(auth_type, in_authentication)"

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
        "known_access": f"CASE WHEN lower(replace({_AUTHENTICATION}, ' ', '')) LIKE '%sas%' THEN 'key' END",
        # The resource id has the queue, topic or hub where the log knows it.
        "names_parts": _IS_KNOWN,
        # A failure is said to be no more than that: it may have been refused.
        "unsure_failure": _IS_KNOWN,
    },
    rules=_RULES,
)
