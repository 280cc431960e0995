"""Turn records of the directory audit log into events, grants and activations, and stage the objects they changed.

The log names activities, roles name resource actions. `rules/log_directory_audit.csv` maps each activity to the action
that it needs, sometimes by the changed property. A record whose activity needs no action, or is in no rule, becomes an
event of outcome `other` with its own name. So it is counted, and its day counts as observed.
Sources: Microsoft Learn, "directoryAudit resource type" of Microsoft Graph; "AuditLogs" table of Log Analytics; "View
audit history for Microsoft Entra roles in Privileged Identity Management".

An event has no more than its operation and scope. What has to be taken back after an attack is known only by the
objects: the member and the group, the application and the id of its new key. Rows are staged without a line: a record
of a log counts by its event alone.
Sources: Microsoft Graph directoryAudit (targetResources, modifiedProperties); MicrosoftGraphActivityLogs (RequestUri).
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from rightsize.ingest.logs.projections import ISO_TIME, session_id, token_id
from rightsize.ingest.logs.values import Fields, lowered, with_log
from rightsize.model.text import GUID
from rightsize.rules.directory import directory_calls
from rightsize.store.merging.staging import EVENT_KEY
from rightsize.store.queries import filled_text
from rightsize.store.sql import UNMAPPED, folded

_WITHIN = (
    "activityDisplayName", "activityDateTime", "loggedByService", "category", "result", "resultReason", "id",
    "initiatedBy", "targetResources", "additionalDetails",
)  # fmt: skip
_INITIATOR = (
    "user.id", "user.userPrincipalName", "user.displayName", "app.servicePrincipalId", "app.appId", "app.displayName",
    "user.ipAddress", "app.servicePrincipalName", "linkableIdentifiers.tokenDetails.uniqueTokenIdentifier",
    "linkableIdentifiers.sessionId",
)  # fmt: skip

# The first two objects of a change, as `changed_objects` has them.
_TARGETS = "[" + ", ".join(
    f"'$[{place}].{name}'" for place in (0, 1) for name in ("id", "type", "displayName", "userPrincipalName")
) + "]"  # fmt: skip


def _texts(column: str, path: str) -> str:
    return f"TRY(list_filter(json_extract_string({column}, '{path}'), lambda one: one IS NOT NULL))"


def project_audits(fields: Fields) -> str:
    """Return SQL for the raw columns of the directory audit log over a relation of fields, one row a record."""
    within = "[" + ", ".join(f"'$.{key}'" for key in _WITHIN) + "]"
    initiator = "[" + ", ".join(f"'$.{key}'" for key in _INITIATOR) + "]"
    return f"""
SELECT file_no, line, log,
    {ISO_TIME.format("coalesce(activity_time, nullif(found[2], ''), time)")} AS time,
    coalesce(activity, nullif(found[1], ''), operation_name) AS operation_name,
    coalesce(logged_by, nullif(found[3], '')) AS service,
    coalesce(nullif(found[4], ''), category) AS category,
    coalesce(nullif(found[5], ''), result, status) AS result,
    coalesce(nullif(found[6], ''), result_reason, description) AS result_reason,
    coalesce(correlation_id, nullif(found[7], ''), record_id) AS correlation_id,
    coalesce(nullif(found[7], ''), record_id) AS record_id,
    operation_name AS other_name,
    TRY(json_extract_string(coalesce(initiated_by, found[8]), {initiator})) AS initiator,
    {_texts("target_text", "$[*].id")} AS target_ids,
    {_texts("target_text", "$[*].type")} AS target_types,
    coalesce({_texts("target_text", "$[*].administrativeUnits[*].id")}, []) AS target_units,
    {_texts("target_text", "$[*].modifiedProperties[*].displayName")} AS properties_changed,
    -- Of a property without a value there is a null, so that the two lists go together.
    TRY(json_extract_string(target_text, '$[*].modifiedProperties[*].newValue')) AS values_set,
    TRY(json_extract_string(target_text, '$[*].modifiedProperties[*].oldValue')) AS values_before,
    TRY(json_extract_string(target_text, {_TARGETS})) AS target_values,
    {_texts("detail_text", "$[*].key")} AS detail_keys,
    TRY(json_extract_string(detail_text, '$[*].value')) AS detail_values,
    caller_ip, CAST(NULL AS BIGINT) AS ordinal
FROM (
    SELECT *, coalesce(targets, found[9]) AS target_text, coalesce(details, found[10]) AS detail_text
    FROM (
        SELECT *, TRY(json_extract_string(properties, {within})) AS found
        FROM ({with_log(fields.sql)})
    )
)"""


# In some exports, activities end in a full stop or have a long dash.
def _activity(column: str) -> str:
    return lowered(f"trim(replace(rtrim(trim({column}), '.'), chr(8211), '-'))")


ACTIVITY = _activity("operation_name")
"""SQL for the folded name of the activity of a record of `raw_audits`."""
_REFUSED = "insufficient privilege|authorization_requestdenied|not authorized|unauthorized|access denied|forbidden"
_ASSIGNS = "microsoft.directory/roleassignments/allproperties/alltasks"
_CONSENTS = (
    "microsoft.directory/oauth2permissiongrants/create",
    "microsoft.directory/oauth2permissiongrants/basic/update",
)


def _guid(text: str) -> str:
    low = lowered(text)
    return f"CASE WHEN regexp_full_match({low}, '{GUID}') THEN {low} END"


def audit_rows() -> str:
    """Return SQL that reads `raw_audits` and returns the columns of `stage_event_rows`, and `problem`."""
    return filled_text(
        "reduce/directory_audits",
        *(_activity, _guid, lowered, session_id, token_id),
        activity_key=ACTIVITY,
        assigns=_ASSIGNS,
        refused=_REFUSED,
        unmapped=UNMAPPED,
    )


# The activities that start or end an activation.
_PIM_STEPS = {
    "add member to role completed (pim activation)": "activated",
    "add member to role requested (pim activation)": "requested",
    "add member to role request approved (pim activation)": "approved",
    "add member to role request denied (pim activation)": "denied",
    "remove member from role (pim activation expired)": "expired",
    "remove member from role completed (pim deactivate)": "deactivated",
}
_PIM_PLANES = {"rolemanagement": "directory", "resourcemanagement": "control", "groupmanagement": "group"}


def _cases(column: str, words: dict[str, str]) -> str:
    return f"CASE {column} " + " ".join(f"WHEN '{key}' THEN '{word}'" for key, word in words.items()) + " END"


def _beside(values: str, names: str, name: str) -> str:
    """Return SQL for the element of `values` whose name in the parallel list `names`, folded, is `name`."""
    return f"{values}[list_position(list_transform({names}, lambda one: {lowered('one')}), '{name}')]"


def _detail(key: str) -> str:
    return f"nullif(trim({_beside('detail_values', 'detail_keys', key)}), '')"


def _target(kind: str) -> str:
    return _beside("target_ids", "target_types", kind)


def _set(name: str) -> str:
    return f"trim({_beside('values_set', 'properties_changed', name)}, ' \"')"


def stage_from_audits(con: duckdb.DuckDBPyConnection, file_ids: str, without: set[int]) -> None:
    """Stage the directory roles, consents and activations that audit records show.

    Args:
        con: A connection with `raw_audits`, the events of them in `ingest_rows`, and the staging tables.
        file_ids: SQL for the id of the part of the file.
        without: Numbers of files that will be read again.
    """
    _stage_directory_grants(con, file_ids, without)
    _stage_consents(con, file_ids, without)
    _stage_activations(con, file_ids, without)


def _stage_directory_grants(con: duckdb.DuckDBPyConnection, file_ids: str, without: set[int]) -> None:
    """Stage the directory roles that calls assigned, with the principal of each.

    Source: Microsoft Graph directoryAudit of "Add member to role", whose modified properties name the role's template;
    Privileged Identity Management has the template in the details.
    """
    ids = _detail("roledefinitionoriginid"), _detail("templateid"), _set("role.templateid")
    holders = (_target(kind) for kind in ("user", "serviceprincipal", "group"))
    role, holder = (f"coalesce({', '.join(map(_guid, found))})" for found in (ids, holders))
    _stage_given(con, file_ids, without, (_ASSIGNS,), role, holder, f"{ACTIVITY} LIKE 'add %'")


def _stage_consents(con: duckdb.DuckDBPyConnection, file_ids: str, without: set[int]) -> None:
    """Stage permissions that calls consented to for an application, as `grant_deduplication.consent` has them.

    Source: Microsoft Graph directoryAudit of "Add delegated permission grant", whose modified properties name the
    application and all permissions of the grant after the change.
    """
    scopes = f"string_split({lowered(_set('delegatedpermissiongrant.scope'))}, ' ')"
    granted = f"""{lowered(_set("delegatedpermissiongrant.consenttype"))} || ' '
        || array_to_string(list_sort(list_distinct(list_filter({scopes}, lambda one: one != ''))), ' ')"""
    _stage_given(con, file_ids, without, _CONSENTS, granted, _guid(_set("serviceprincipal.objectid")), "true")


def _stage_given(
    con: duckdb.DuckDBPyConnection,
    file_ids: str,
    without: set[int],
    operations: tuple[str, ...],
    role: str,
    holder: str,
    wanted: str,
) -> None:
    """Stage the role and holder of successful calls of some operations; `role`, `holder`, `wanted` are SQL."""
    con.execute(
        f"""
        INSERT INTO stage_request_rows (file_id, line, event_key, assigned_role_id, assigned_principal_id)
        SELECT {file_ids}, line, event_key, {role}, {holder}
        FROM (
            SELECT file_no, line, {EVENT_KEY} AS event_key FROM ingest_rows
            WHERE list_contains($operations, key_operation) AND outcome = 'succeeded' AND problem IS NULL
                AND NOT list_contains($without, file_no)
        ) JOIN raw_audits USING (file_no, line) WHERE {wanted}""",
        {"operations": list(operations), "without": sorted(without)},
    )


def _stage_activations(con: duckdb.DuckDBPyConnection, file_ids: str, without: set[int]) -> None:
    con.execute(
        f"""
        INSERT INTO stage_pim_records (file_id, line, record_id, time, step, plane, principal_id, role_definition_id,
            group_id, start_on, end_on, justified, ticketed, succeeded, correlation_id)
        SELECT {file_ids}, line, {lowered("record_id")}, timezone('UTC', TRY_CAST(time AS TIMESTAMPTZ)), step,
            {_cases(lowered("category"), _PIM_PLANES)},
            coalesce({_guid(_target("user"))}, {_guid("initiator[1]")}),
            coalesce({_guid(_detail("roledefinitionoriginid"))}, {_guid(_detail("templateid"))},
                {_guid(_target("role"))}),
            {_guid(_target("group"))},
            timezone('UTC', TRY_CAST({_detail("starttime")} AS TIMESTAMPTZ)),
            timezone('UTC', TRY_CAST({_detail("expirationtime")} AS TIMESTAMPTZ)),
            coalesce({_detail("justification")}, result_reason) IS NOT NULL,
            {_detail("ticketnumber")} IS NOT NULL,
            coalesce({lowered("result")} IN ('success', 'succeeded', '0', 'true'), true), {lowered("correlation_id")}
        FROM (SELECT *, {_cases(ACTIVITY, _PIM_STEPS)} AS step FROM raw_audits)
        WHERE step IS NOT NULL AND record_id IS NOT NULL AND NOT list_contains($without, file_no)
            AND TRY_CAST(time AS TIMESTAMPTZ) IS NOT NULL
        """,
        {"without": sorted(without)},
    )


_MOST, _LONGEST, _LONGEST_NAME = 30, 16_000, 300
_FAILED = "('failure', 'failed', 'fail', 'false')"


def stage_objects_of_audits(con: duckdb.DuckDBPyConnection, file_id: str, without: Collection[int]) -> None:
    """Stage the objects of records of the directory audit log, but for those of some files.

    Args:
        con: A connection with `raw_audits`, the events of them in `ingest_rows`, and the staging tables.
        file_id: SQL for the id of a row's file.
        without: Numbers of files that will be read again.
    """
    target = {
        f"{word}_{name}": f"left(nullif(trim(target_values[{4 * number + place}]), ''), {_LONGEST_NAME})"
        for number, word in enumerate(("object", "other"))
        for place, name in ((1, "id"), (2, "type"))
    }
    named = {
        f"{word}_name": f"left(coalesce(nullif(target_values[{place}], ''), target_values[{place + 1}]), "
        f"{_LONGEST_NAME})"
        for word, place in (("object", 3), ("other", 7))
    }
    columns = target | named
    con.execute(
        f"""
        INSERT INTO stage_changed_objects (file_id, event_key, activity, {", ".join(columns)}, properties)
        SELECT {file_id}, lower(hex(event_key)), {ACTIVITY},
            {", ".join(folded(text) if name.endswith("_id") else text for name, text in columns.items())},
            left(to_json(list_transform(list_zip(properties_changed, values_before, values_set)[:{_MOST}],
                lambda one: struct_pack(name := left(one[1], {_LONGEST_NAME}), old := left(one[2], {_LONGEST}),
                    new := left(one[3], {_LONGEST}))))::VARCHAR, {4 * _LONGEST})
        FROM (
            SELECT DISTINCT file_no, line, {EVENT_KEY} AS event_key FROM ingest_rows
            WHERE problem IS NULL AND NOT list_contains($without, file_no)
        ) JOIN raw_audits USING (file_no, line)
        WHERE list_contains($activities, {ACTIVITY}) AND coalesce({folded("result")}, '') NOT IN {_FAILED}""",
        {"without": sorted(without), "activities": sorted(directory_calls("directory"))},
    )


def stage_objects_of_requests(con: duckdb.DuckDBPyConnection, file_id: str, without: Collection[int]) -> None:
    """Stage the objects of requests to Microsoft Graph, but for those of some files.

    Args:
        con: A connection with `raw_graph_requests`, the events of them in `ingest_rows`, and the staging tables.
        file_id: SQL for the id of a row's file.
        without: Numbers of files that will be read again.
    """
    con.execute(
        f"""
        INSERT INTO stage_changed_objects (file_id, event_key, activity, object_id, object_type, other_id)
        SELECT {file_id}, lower(hex(event_key)), activity, ids[1], split_part(split_part(activity, '/', 2), '(', 1),
            ids[2]
        FROM (
            SELECT file_no, line, {EVENT_KEY} AS event_key,
                regexp_replace(key_operation, '[(][^()/]*=[{{]value[}}][)]', '/{{id}}', 'g') AS activity
            FROM ingest_rows
            WHERE problem IS NULL AND outcome IN ('succeeded', 'started') AND NOT list_contains($without, file_no)
        ) JOIN (
            SELECT file_no, line, regexp_extract_all(lower(split_part(uri, '?', 1)), '{GUID}') AS ids
            FROM raw_graph_requests
        ) USING (file_no, line)
        WHERE list_contains($activities, activity)""",
        {"without": sorted(without), "activities": sorted(directory_calls("graph"))},
    )
