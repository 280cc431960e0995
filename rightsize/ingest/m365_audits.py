"""Turn records of the unified audit log of Microsoft 365 into events: workload and operation, and who called which API.

A record is use of an API permission only if it names an application, and is of a workload that the rules know. Then its
operation is `Exchange/Send?api=GUID`, with the API where the record names it. `rules/m365_operations.csv` says which
permissions an operation may need. Other records, such as those of people in Outlook and those of the directory, become
events of outcome `other`, so that their days count as observed.
A record that failed shows no use: the log does not say whether it was refused.
Sources: Microsoft Learn, "Office 365 Management Activity API schema", common schema and AppAccessContext.
"""

from __future__ import annotations

from rightsize.ingest.log_schemas import folded, with_log
from rightsize.ingest.nested import Fields
from rightsize.ingest.projections import ISO_TIME, session_id, token_id
from rightsize.ingest.readings import TIME_PROBLEMS, address, utc_time
from rightsize.rules.m365 import audited_workloads
from rightsize.store.sql import outcome

_CONTEXT = ("APIId", "ClientAppId", "UniqueTokenId", "AADSessionId")
_GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_APPLICATIONS = "'5', '6', 'application', 'serviceprincipal'"
"""User types of an application that acts as itself. Source: the same page, enum User Type."""


def _guid(column: str) -> str:
    text = f"lower(trim({column}))"
    return f"CASE WHEN regexp_full_match({text}, '{_GUID}') AND {text} NOT LIKE '00000000-0000-%' THEN {text} END"


def _word(column: str) -> str:
    """Return SQL for a name of Microsoft; of anything else only that it is none."""
    return f"CASE WHEN regexp_full_match({column}, '[A-Za-z][A-Za-z0-9 ._:-]{{0,79}}') THEN {column} ELSE 'unnamed' END"


def project_m365(fields: Fields) -> str:
    """Return SQL for the raw columns of the unified audit log over a relation of fields, one row a record."""
    paths = "[" + ", ".join(f"'$.{key}'" for key in _CONTEXT) + "]"
    return f"""
SELECT file_no, line, log, {ISO_TIME.format("time")} AS time, workload, operation_name, user_id,
    {folded("trim(m365_user_type)")} AS user_type, context[1] AS api_id,
    -- The application of Exchange itself stands beside that of the caller.
    coalesce(nullif(context[2], ''), nullif(m365_client_app, ''), nullif(app_id, ''), client_app_id) AS app_id,
    context[3] AS token_id, context[4] AS session_id, m365_address AS caller_ip,
    {folded("trim(m365_result)")} AS result, coalesce(m365_id, record_id) AS record_id, correlation_id,
    CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, TRY(json_extract_string(m365_context, {paths})) AS context FROM ({with_log(fields.sql)})
)"""


def normalised_m365() -> str:
    """Return SQL that reads `raw_m365_audits` and returns the columns of `stage_event_rows`, and `problem`."""
    workloads = ", ".join(f"'{name}'" for name in audited_workloads())
    return f"""
WITH read AS (
    SELECT *, {_guid("app_id")} AS app_guid, {_guid("api_id")} AS api_guid, {_word("workload")} AS service,
        coalesce(user_type IN ({_APPLICATIONS}), false) AS is_application,
        {utc_time("time")} AS event_time
    FROM raw_m365_audits
), named AS (
    SELECT *, service || '/' || {_word("operation_name")} || coalesce('?api=' || api_guid, '') AS operation,
        CASE WHEN app_guid IS NOT NULL AND lower(service) IN ({workloads})
            AND coalesce(result, '') NOT IN ('failed', 'failure', 'false', 'fail') THEN 4 ELSE 0 END AS rank,
        CASE WHEN NOT is_application THEN {_guid("user_id")} END AS user_guid,
        CASE WHEN NOT is_application AND user_id LIKE '%_@_%' AND length(user_id) <= 320 THEN user_id END AS upn,
        lower(coalesce(nullif(trim(record_id), ''),
            md5(concat_ws(chr(31), time, workload, operation_name, user_id, app_id)))) AS key
    FROM read
)
SELECT file_no, line, event_time AS time, 'm365_audit_log' AS source, 'graph' AS plane, user_guid AS principal_id,
    CASE WHEN is_application THEN 'ServicePrincipal' ELSE 'User' END AS principal_type, upn AS principal_name,
    app_guid AS app_id, operation, '/' AS scope, {outcome("rank")} AS outcome, CAST(NULL AS VARCHAR) AS access,
    CAST(NULL AS VARCHAR) AS role_assignment_id, CAST(NULL AS VARCHAR) AS role_definition_id,
    CAST(NULL AS VARCHAR) AS evidence_principal_id, key AS correlation_id, record_id AS event_id,
    {address("caller_ip")} AS ip,
    key AS key_correlation, lower(operation) AS key_operation, '/' AS key_scope, service AS category,
    {token_id("token_id")} AS token_id, {session_id("session_id")} AS session_id, rank,
    CASE
        {TIME_PROBLEMS}
        WHEN coalesce(operation_name, '') = '' THEN 'it has no operation'
    END AS problem
FROM named"""
