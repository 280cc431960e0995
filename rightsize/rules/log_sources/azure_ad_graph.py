"""Declare the log of requests to Azure AD Graph, which Microsoft Graph replaced and whose permissions are its own.

Its records have the columns of Microsoft Graph's log, and their time among their properties. They are no use of a
permission of Microsoft Graph, and cover no day of its log; who still sends requests is a finding.
Source: Microsoft Learn, table AADGraphActivityLogs of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

SOURCE = LogSource(
    name="azure_ad_graph",
    source="azure_ad_graph_log",
    records="azure_ad_graph",
    sent_by="tenant",
    is_evidence=False,
    needed=(),
    needed_within=("uri",),
    tables=("aadgraphactivitylogs",),
    categories=("azureadgraphactivitylogs",),
    category_stage=Stage.MARK,
    timed_within=True,
)
