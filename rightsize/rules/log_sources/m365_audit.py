"""Declare the unified audit log of Microsoft 365: what applications do in Exchange, SharePoint and Teams.

Sources: Microsoft Learn, "Office 365 Management Activity API schema" (common schema, AppAccessContext) and the table
OfficeActivity of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

SOURCE = LogSource(
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
