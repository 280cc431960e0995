"""Stage the objects that calls to the directory changed, of calls that may leave access behind or take it away.

An event has no more than its operation and scope. What has to be taken back after an attack is known only by the
objects: the member and the group, the application and the id of its new key. Rows are staged without a line: a record
of a log counts by its event alone.
Sources: Microsoft Graph directoryAudit (targetResources, modifiedProperties); MicrosoftGraphActivityLogs (RequestUri).
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from rightsize.ingest.audits import ACTIVITY
from rightsize.rules.left_behind import directory_calls
from rightsize.store.sql import folded
from rightsize.store.staging import EVENT_KEY

_GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
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
            SELECT file_no, line, regexp_extract_all(lower(split_part(uri, '?', 1)), '{_GUID}') AS ids
            FROM raw_graph_requests
        ) USING (file_no, line)
        WHERE list_contains($activities, activity)""",
        {"without": sorted(without), "activities": sorted(directory_calls("graph"))},
    )
