"""Privileged Identity Management: what was asked for, what its audit log says, the activations that both amount to."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, INT, REAL, TIME = (
    ColumnType.TEXT,
    ColumnType.TEXTS,
    ColumnType.BOOL,
    ColumnType.INT,
    ColumnType.REAL,
    ColumnType.TIME,
)

PIM_TABLES = (
    Table(
        "schedule_requests",
        "one row per request to Privileged Identity Management, for a role in Azure, in the directory or in a group",
        (
            key("request_id", TEXT, "GUID (name) of the request"),
            Column("plane", TEXT, "control, directory or group: what the request is about"),
            Column("asks_for", TEXT, "assignment or eligibility"),
            Column("request_type", TEXT, "folded, as selfactivate, selfdeactivate, adminassign or adminremove"),
            Column("status", TEXT, "folded, as provisioned, granted, revoked or denied"),
            Column("principal_id", TEXT, "principal that the request is for"),
            Column("requestor_id", TEXT, "who asked"),
            Column("role_definition_id", TEXT, "GUID of the role; for a group owner or member"),
            Column("scope", TEXT, "where: an Azure scope, a directory scope, or /groups/ID"),
            Column("role_assignment_id", TEXT, "the assignment that the request made, where it names it"),
            Column("eligibility_schedule_id", TEXT, "the eligibility schedule behind it, where it names it"),
            Column("requested_on", TIME, "when it was requested"),
            Column("start_on", TIME, "when it begins"),
            Column("end_on", TIME, "when it ends; null without an end, or where the export does not say"),
            Column("justified", BOOL, "a reason was given"),
            Column("ticketed", BOOL, "a ticket was named"),
            Column("approval_id", TEXT, "the approval that it waited for, null where none was needed"),
        ),
    ),
    Table(
        "group_schedule_instances",
        "one row per membership or ownership of a group that Privileged Identity Management governs, in one state",
        (
            key("instance_id", TEXT, "id of the schedule instance"),
            key("state", TEXT, "active, eligible or activated"),
            Column("principal_id", TEXT, "principal that is, or can become, a member or owner"),
            Column("group_id", TEXT, "the group"),
            Column("access", TEXT, "member or owner"),
            Column("start_on", TIME, "start"),
            Column("end_on", TIME, "end, null for permanent ones"),
            Column("member_type", TEXT, "direct or group"),
        ),
    ),
    Table(
        "pim_records",
        "one row per record of the directory audit log about an activation",
        (
            key("record_id", TEXT, "id of the record"),
            Column("time", TIME, "when it was written"),
            Column("step", TEXT, "requested, approved, denied, activated, deactivated or expired"),
            Column("plane", TEXT, "control, directory or group: by the record's category"),
            Column("principal_id", TEXT, "principal whose activation it is"),
            Column("role_definition_id", TEXT, "GUID of the role where the record names it"),
            Column("group_id", TEXT, "the group where the record names one"),
            Column("start_on", TIME, "when the activation begins"),
            Column("end_on", TIME, "when it ends"),
            Column("justified", BOOL, "a reason was given"),
            Column("ticketed", BOOL, "a ticket was named"),
            Column("succeeded", BOOL, "the step succeeded"),
            Column("correlation_id", TEXT, "correlation id"),
        ),
    ),
)

ACTIVATION_TABLES = (
    Table(
        "activations",
        "one row per activation of an eligible assignment that the last analysis could rebuild, including ended ones",
        (
            key("activation_id", TEXT, "the assignment that it made, else the request or audit record that shows it"),
            Column("plane", TEXT, "control or directory; group for an activated membership"),
            Column("principal_id", TEXT, "who activated"),
            Column("role_definition_id", TEXT, "GUID of the role; for a group owner or member"),
            Column("scope", TEXT, "where it was active"),
            Column("role_assignment_id", TEXT, "the assignment that logs name, null where nothing shows it"),
            Column("eligibility_id", TEXT, "the eligibility behind it that is listed today, null where none is"),
            Column("start_on", TIME, "when it began"),
            Column("end_on", TIME, "when it ended, null where nothing says it"),
            Column("hours", REAL, "how long it lasted"),
            Column("justified", BOOL, "a reason was given; null where nothing says whether"),
            Column("approved", BOOL, "somebody approved it; null where nothing says whether"),
            Column("seen_in", TEXTS, "what shows it: instance, request, activity_log, audit_log"),
            Column("operations", INT, "distinct operations that the logs show under it, without reads of resources"),
            Column("events", INT, "calls under it"),
            Column("done", TEXTS, "up to twenty of the operations"),
        ),
        kind="answer",
    ),
)
