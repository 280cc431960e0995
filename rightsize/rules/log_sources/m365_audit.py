"""Declare the unified audit log of Microsoft 365, whose records are only counted."""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

SOURCE = LogSource(
    name="m365_audit",
    source="m365_audit_log",
    sent_by="tenant",
    needed=(),
    pascal={"workload": ("Workload", "RecordType")},
    recognised=((Stage.MARK, "workload IS NOT NULL"),),
    marks=("workload",),
    not_used="the directory audit log has its changes of the directory, and the other Microsoft 365 services have "
    "roles of their own",
)
