"""Declare the log of requests to Microsoft Graph.

Source: Microsoft Learn, "Microsoft Graph activity logs".
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

SOURCE = LogSource(
    name="graph_activity",
    source="graph_activity_log",
    records="graph_activity",
    sent_by="tenant",
    covered=("MicrosoftGraphActivityLogs",),
    needed=(),
    needed_within=("uri",),
    tables=("microsoftgraphactivitylogs", "graphapiauditevents"),
    collected=("MicrosoftGraphActivityLogs",),
    categories=("microsoftgraphactivitylogs",),
    category_stage=Stage.CATEGORY,
    recognised=((Stage.CATEGORY, "is_unnamed AND request_uri IS NOT NULL AND request_method IS NOT NULL"),),
    marks=("request_uri",),
    camel={"token_roles": ("roles",), "token_scopes": ("scopes",)},
    pascal={"token_roles": ("Roles",), "token_scopes": ("Scopes",)},
    row_keys=frozenset({"timestamp", "requesturi"}),
    likely_keys=(frozenset({"requesturi", "requestmethod"}),),
)
