"""Replace the display name of an operation in downloads of the Activity Log, where the catalogue leaves no choice.

A call then has the same key as in other exports. Calls that were stored before the catalogue knew their name are merged
anew, so the order of loads does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from rightsize.rbac.text import OPERATION_FORM
from rightsize.store.merge_calls import STORED
from rightsize.store.merge_events import merge_names, with_actors
from rightsize.store.registered import registered
from rightsize.store.sql import folded
from rightsize.store.staging import DOWNLOADED, EVENT_KEY, number_texts

_IS_NAME = f"NOT regexp_matches({{}}, '{OPERATION_FORM}')"
_STAGED = f"""
    SELECT DISTINCT operation, scope FROM stage_event_rows
    WHERE category = '{DOWNLOADED}' AND {_IS_NAME.format("operation")}"""
_STORED = f"""
    SELECT DISTINCT o.spelling AS operation, s.spelling AS scope
    FROM base.events AS e JOIN base.operation_names AS o USING (operation_key)
    JOIN base.scope_names AS s USING (scope_key)
    WHERE category = '{DOWNLOADED}' AND {_IS_NAME.format("o.folded")}"""


@dataclass(frozen=True, slots=True)
class UnnamedRecords:
    """The records of a load with a display name that stands for no one operation.

    Attributes:
        ambiguous: Records whose name several operations have, or one of another resource type or provider.
        unknown: Records whose name no operation has.
        nobody: Records that name their caller only by a display name, of which there may be several.
        has_names: Whether the catalogue has any display name.
    """

    ambiguous: int
    unknown: int
    nobody: int
    has_names: bool


def unnamed_records(con: duckdb.DuckDBPyConnection, operations: str) -> UnnamedRecords:
    """Count the staged records of downloads that remain without an operation or a caller, after `name_calls`."""
    known = f"SELECT {folded('display_name')} FROM {operations} WHERE display_name IS NOT NULL"
    ((ambiguous, unnamed, nobody, has_names),) = con.execute(f"""
        SELECT count(*) FILTER (is_name AND {folded("operation")} IN ({known})), count(*) FILTER (is_name),
            count(*) FILTER (principal_id IS NULL AND principal_type IS NULL AND principal_name IS NOT NULL),
            EXISTS ({known})
        FROM (
            SELECT *, {_IS_NAME.format("operation")} AS is_name FROM stage_event_rows WHERE category = '{DOWNLOADED}'
        )""").fetchall()
    return UnnamedRecords(ambiguous, unnamed - ambiguous, nobody, has_names)


def name_calls(con: duckdb.DuckDBPyConnection, operations: str = "stage_operations") -> None:
    """Replace display names of the operations of staged calls by the operations of a catalogue.

    Args:
        con: A connection with the staging tables.
        operations: The table of the catalogue.
    """
    # The contexts are few; most loads have no downloads among them.
    if not con.execute(f"SELECT 1 FROM stage_event_contexts WHERE category = '{DOWNLOADED}' LIMIT 1").fetchall():
        return
    if not _find_meant(con, _STAGED, operations):
        return
    number_texts(con, "operation", "SELECT meant AS operation FROM meant_operations")
    con.execute(f"""
        UPDATE stage_events AS e SET operation_no = n.operation_no, event_key = n.event_key
        FROM (
            SELECT r.file_id, r.line, o.operation_no, {EVENT_KEY} AS event_key FROM (
                SELECT file_id, line, meant, {folded("correlation_id")} AS key_correlation,
                    {folded("meant")} AS key_operation, {folded("scope")} AS key_scope
                FROM stage_event_rows JOIN meant_operations USING (operation, scope) WHERE category = '{DOWNLOADED}'
            ) AS r JOIN stage_event_operations AS o ON o.operation = r.meant
        ) AS n WHERE e.file_id = n.file_id AND e.line = n.line""")


def name_stored_calls(con: duckdb.DuckDBPyConnection) -> None:
    """Merge stored calls whose display names the catalogue knows into the calls of their operations.

    Fills `named_days` with their days.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE named_days (day DATE)")
    if not _find_meant(con, _STORED, "base.operations"):
        return
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE named_events AS
        SELECT e.rowid AS stored_row, e.* EXCLUDE (event_key, operation_key), meant, {EVENT_KEY} AS event_key
        FROM (
            SELECT rowid, *, {folded("correlation_id")} AS key_correlation FROM base.events
            WHERE category = '{DOWNLOADED}'
        ) AS e JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
        JOIN (SELECT *, {folded("meant")} AS key_operation, {folded("scope")} AS key_scope FROM meant_operations) AS m
            ON m.operation = o.spelling AND m.scope = s.spelling""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE staged_names AS
        SELECT {folded("meant")} AS folded, min(strftime(time, '%Y%m%d%H%M%S%f') || meant) AS earliest,
            NULL::VARCHAR AS smallest
        FROM named_events GROUP BY ALL""")
    merge_names(con, "operation_names")
    rest = ", ".join(name for name in STORED if name not in ("event_key", "operation_key"))
    least = ", ".join(f"min({name}) AS {name}" for name in STORED if name not in ("event_key", "rank"))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE named_calls AS
        SELECT event_key, max(rank) AS rank, {least} FROM (
            SELECT event_key, n.operation_key, {rest}
            FROM named_events JOIN base.operation_names AS n ON n.folded = {folded("meant")}
            UNION ALL
            SELECT event_key, operation_key, {rest} FROM base.events
            WHERE event_key IN (SELECT event_key FROM named_events)
        ) GROUP BY event_key""")
    con.execute("""
        INSERT INTO named_days
        SELECT time::DATE FROM named_events UNION SELECT time::DATE FROM named_calls""")
    con.execute("""
        DELETE FROM base.events WHERE rowid IN (SELECT stored_row FROM named_events)
            OR event_key IN (SELECT event_key FROM named_events)""")
    con.execute(f"INSERT INTO base.events BY NAME {with_actors(con, 'named_calls')}")
    con.execute("DROP TABLE named_events; DROP TABLE named_calls; DROP TABLE event_names")


def _find_meant(con: duckdb.DuckDBPyConnection, acts: str, operations: str) -> bool:
    """Fill `meant_operations (operation, scope, meant)` for calls with display names; return whether there are any."""
    if not con.execute(f"SELECT 1 FROM ({acts}) LIMIT 1").fetchall():
        return False
    import polars as pl  # noqa: PLC0415  most loads name every operation

    from rightsize.analyze.display_names import operations_meant  # noqa: PLC0415

    catalogue = pl.DataFrame(con.sql(f"SELECT operation, display_name, is_data_action FROM {operations}"))
    with registered(con, {"meant_frame": operations_meant(pl.DataFrame(con.sql(acts)), catalogue)}):
        con.execute("CREATE OR REPLACE TEMP TABLE meant_operations AS FROM meant_frame")
    return bool(con.execute("SELECT 1 FROM meant_operations LIMIT 1").fetchall())
