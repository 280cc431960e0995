"""Declare the audit events of Azure SQL, whose databases have permissions of their own.

Source: Microsoft Learn, "SQL Database audit log format", tables SQLSecurityAuditEvents and AzureDiagnostics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Opened

_RULES = {
    # service,operation,action,plane,level,access,source
    "log_request_operations": """
sql,*,,,resource,own_roles,Microsoft Learn: SQL auditing; permissions of the database engine are no data actions
""",
}

SOURCE = LogSource(
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
    rules=_RULES,
)
