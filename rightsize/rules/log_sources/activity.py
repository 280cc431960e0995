"""Declare the Activity Log.

Source: Microsoft Learn, "Azure Activity Log event schema".
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

_CATEGORIES = (
    "administrative", "write", "delete", "action", "policy", "servicehealth", "resourcehealth", "alert", "autoscale",
    "recommendation", "security",
)  # fmt: skip

SOURCE = LogSource(
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
