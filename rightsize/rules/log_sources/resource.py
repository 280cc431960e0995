"""Declare all other logs of resources and of Microsoft Entra, whose records are only counted."""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

SOURCE = LogSource(
    name="resource",
    source="resource_log",
    sent_by="subscription",
    recognised=(
        (Stage.MARK, "is_other_table"),
        (Stage.LAST, "coalesce(table_name, category) IS NOT NULL AND time IS NOT NULL"),
    ),
)
