"""Declare all other logs of resources and of Microsoft Entra, whose records are only counted.

Requests to the older Azure AD Graph, whose permissions are its own, have the columns of Microsoft Graph's log.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

_OLDER_GRAPH = "azureadgraphactivitylogs"

SOURCE = LogSource(
    name="resource",
    source="resource_log",
    sent_by="subscription",
    tables=("aadgraphactivitylogs",),
    categories=(_OLDER_GRAPH,),
    category_stage=Stage.MARK,
    recognised=(
        (Stage.MARK, "is_other_table"),
        (
            Stage.LAST,
            f"coalesce(table_name, category) IS NOT NULL AND (time IS NOT NULL OR category_key = '{_OLDER_GRAPH}')",
        ),
    ),
    timed_within=True,
)
