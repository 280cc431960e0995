"""Declare the Activity Log, the cloud audit events of Defender XDR, and all logs whose records are only counted.

Source: Microsoft Learn, "Azure Activity Log event schema".

Of the cloud audit events, those of Azure Resource Manager are use of the control plane. They are the only records of
its reads. Whether each plain GET is among them is not documented, so they show that a read was used, and never that it
was not. No user can declare their days as complete.
Sources: Microsoft Learn, "CloudAuditEvents" of advanced hunting and "Streaming API"; XDR internals, the columns of the
table in a workspace, which differ (`AzureResourceId`, `Account`).
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

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
