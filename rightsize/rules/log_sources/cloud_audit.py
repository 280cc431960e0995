"""Declare the cloud audit events of Defender XDR, of which those of Azure Resource Manager are use of the control plane.

They are the only records of reads of Azure Resource Manager. Whether each plain GET is among them is not documented, so
they show that a read was used, and never that it was not. No user can declare their days as complete.
Sources: Microsoft Learn, "CloudAuditEvents" of advanced hunting and "Streaming API"; XDR internals, the columns of the
table in a workspace, which differ (`AzureResourceId`, `Account`).
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

SOURCE = LogSource(
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
