"""Turn cloud audit events of Defender XDR and records of the unified audit log into events.

An event holds the record that it was made from (`RawEventData`): an entry of the Activity Log in one of its forms. With
its correlation id it is the same call as that entry. Without it, the event is a call of its own, and counts where the
Activity Log has none like it on that day (`store.merging.days`). An event without an outcome counts as started, which
is use.
Sources: Microsoft Learn, "CloudAuditEvents" of advanced hunting, "Streaming API", "Azure Activity Log event schema".

A record is use of an API permission only if it names an application, and is of a workload that the rules know. Then its
operation is `Exchange/Send?api=GUID`, with the API where the record names it. `rules/m365_operations.csv` says which
permissions an operation may need. Other records, such as those of people in Outlook and those of the directory, become
events of outcome `other`, so that their days count as observed.
A record that failed shows no use: the log does not say whether it was refused.
Sources: Microsoft Learn, "Office 365 Management Activity API schema", common schema and AppAccessContext.
"""

from __future__ import annotations

from rightsize.ingest.logs.projections import ISO_TIME, activity_columns, session_id, token_id
from rightsize.ingest.logs.values import (
    TIME_PROBLEMS,
    Fields,
    address,
    guid,
    json_paths,
    lowered,
    paths_of,
    utc_time,
    values_as_columns,
    with_log,
)
from rightsize.model.text import GUID
from rightsize.rules.graph import audited_workloads
from rightsize.store.queries import filled_text, query_text

CATEGORY = "CloudAuditEvents"
"""The category of its events, which sorts after that of the Activity Log: a call that both have is of that log."""

_EVENT = {
    "in_time": ("Timestamp",),
    "in_source": ("DataSource",),
    "in_operation": ("OperationName",),
    "in_resource": ("AzureResourceId", "ResourceId"),
    "in_report": ("ReportId",),
    "in_account": ("Account",),
    "in_object_id": ("AccountObjectId",),
    "in_ip": ("IPAddress",),
    "in_raw": ("RawEventData",),
}
_RAW = {
    "raw_time": ("eventTimestamp", "time"),
    "raw_category": ("properties.eventCategory", "category.value", "category"),
    "raw_operation": ("operationName.value", "operationName"),
    "raw_resource": ("resourceId", "resourceUri"),
    "raw_authorization": ("authorization",),
    "raw_claims": ("claims",),
    "raw_identity": ("identity",),
    "raw_caller": ("caller",),
    "raw_ip": ("callerIpAddress",),
    "raw_request": ("httpRequest",),
    "raw_correlation": ("correlationId",),
    "raw_event_id": ("eventDataId",),
    "raw_status": ("status.value", "status", "resultType"),
    "raw_sub_status": ("subStatus.value", "subStatus", "resultSignature"),
    "raw_properties": ("properties",),
}
_ACCOUNTS = ("account_id", "in_object_id", "account_name", "in_account")
# `Azure` in the reference, `Azure ARM Logs` in the description of the column in a workspace.
_ARM = "'azure|(azure[ _-]?)?(arm|resource ?manager|activity)( logs?)?'"


def _object_id(column: str) -> str:
    return f"nullif({guid(column)}, '')"


def project_cloud_audits(fields: Fields) -> str:
    """Return the raw columns of events of Azure Resource Manager; those of other services get their name as category.

    Only records of the category Administrative are use, so the others are counted as records without use.
    """
    is_arm = f"regexp_full_match({lowered('trim(data_source)')}, {_ARM})"
    is_change = "coalesce(raw_category, '') NOT IN ('', 'Write', 'Delete', 'Action')"
    return activity_columns(f"""
SELECT * REPLACE (
    CAST(NULL AS VARCHAR) AS submitted,
    coalesce(CASE WHEN TRY_CAST(raw_time AS TIMESTAMPTZ) IS NOT NULL THEN raw_time END, in_time, time) AS time,
    CASE WHEN NOT coalesce({is_arm}, false) THEN coalesce(nullif(data_source, ''), 'unknown')
        WHEN {is_change} THEN raw_category ELSE 'Administrative' END AS category,
    coalesce(in_operation, CASE WHEN in_source IS NULL THEN operation_name END, raw_operation) AS operation_name,
    coalesce(azure_resource_id, in_resource, CASE WHEN in_source IS NULL THEN resource_id END, raw_resource)
        AS resource_id,
    CASE WHEN raw_claims IS NULL AND object_id IS NOT NULL THEN NULL ELSE coalesce(raw_caller, account) END AS caller,
    coalesce(raw_ip, caller_ip, in_ip) AS caller_ip,
    raw_correlation AS correlation_id,
    coalesce(raw_event_id, report_id, in_report) AS event_id,
    raw_authorization AS authorization_json,
    -- Where an entry of the Activity Log has an id as its caller, it is a workload; here it may be anybody.
    coalesce(raw_claims, CASE WHEN object_id IS NOT NULL THEN '{{"oid":"' || object_id || '"}}' END) AS claims,
    raw_identity AS identity,
    raw_request AS http_request, raw_properties AS properties,
    coalesce(raw_status, 'Started') AS status, raw_sub_status AS sub_status
) FROM (
    SELECT * REPLACE (coalesce(data_source, in_source) AS data_source),
        coalesce(account_name, in_account) AS account,
        coalesce({", ".join(map(_object_id, _ACCOUNTS))}) AS object_id,
        {values_as_columns(_RAW, ("raw_values", 0))}
    FROM (
        SELECT *, TRY(json_extract_string(coalesce(raw_event, in_raw), {json_paths(paths_of(_RAW))})) AS raw_values
        FROM (
            SELECT *, {values_as_columns(_EVENT, ("event_values", 0))}
            FROM (
                SELECT *, TRY(json_extract_string(properties, {json_paths(paths_of(_EVENT))})) AS event_values
                FROM ({with_log(fields.sql)})
            )
        )
    )
)""")


def cloud_audit_rows() -> str:
    """Return SQL that normalises the raw columns as those of the Activity Log, with the category of this log."""
    return f"SELECT * REPLACE ('{CATEGORY}' AS category) FROM ({query_text('reduce/normalise')})"


_CONTEXT = ("APIId", "ClientAppId", "UniqueTokenId", "AADSessionId")
_APPLICATIONS = "'5', '6', 'application', 'serviceprincipal'"
"""User types of an application that acts as itself. Source: the same page, enum User Type."""


def _guid(column: str) -> str:
    text = f"lower(trim({column}))"
    return f"CASE WHEN regexp_full_match({text}, '{GUID}') AND {text} NOT LIKE '00000000-0000-%' THEN {text} END"


def _word(column: str) -> str:
    """Return SQL for a name of Microsoft; of anything else only that it is none."""
    return f"CASE WHEN regexp_full_match({column}, '[A-Za-z][A-Za-z0-9 ._:-]{{0,79}}') THEN {column} ELSE 'unnamed' END"


def project_m365(fields: Fields) -> str:
    """Return SQL for the raw columns of the unified audit log over a relation of fields, one row a record."""
    paths = "[" + ", ".join(f"'$.{key}'" for key in _CONTEXT) + "]"
    return f"""
SELECT file_no, line, log, {ISO_TIME.format("time")} AS time, workload, operation_name, user_id,
    {lowered("trim(m365_user_type)")} AS user_type, context[1] AS api_id,
    -- The application of Exchange itself stands beside that of the caller.
    coalesce(nullif(context[2], ''), nullif(m365_client_app, ''), nullif(app_id, ''), client_app_id) AS app_id,
    context[3] AS token_id, context[4] AS session_id, m365_address AS caller_ip,
    {lowered("trim(m365_result)")} AS result, coalesce(m365_id, record_id) AS record_id, correlation_id,
    CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, TRY(json_extract_string(m365_context, {paths})) AS context FROM ({with_log(fields.sql)})
)"""


def normalised_m365() -> str:
    """Return SQL that reads `raw_m365_audits` and returns the columns of `stage_event_rows`, and `problem`."""
    return filled_text(
        "reduce/m365_audits",
        *(_guid, _word, address, session_id, token_id, utc_time),
        applications=_APPLICATIONS,
        time_problems=TIME_PROBLEMS,
        workloads=", ".join(f"'{name}'" for name in audited_workloads()),
    )
