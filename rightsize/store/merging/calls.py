"""Compute the events of calls from staged rows, and find the rows that add something new.

For most calls, the row of the highest rank has all values of the others, and that row is the event. One pass over all
rows finds the plain calls: calls of one row, and of two rows that match. For other calls, integers decide this, plus
one comparison of the texts of two rows. The rest are calls that are already stored, or whose rows complete each other;
they are merged column by column.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from rightsize.store.ddl import MARKED_COLUMNS
from rightsize.store.merging.staging import CONTEXT_COLUMNS, OF_SPLIT_LOGS, note_new_lines

LEAST = ("time", "category", "correlation_id", *MARKED_COLUMNS)
"""Columns of which the least value counts; a row that changes one of them is new."""

STORED = (
    "event_key",
    "time",
    "source",
    "plane",
    "category",
    "rank",
    "correlation_id",
    "operation_key",
    "scope_key",
    *MARKED_COLUMNS,
)
"""The stored columns of an event, without the derived ones."""

OF_CONTEXT = tuple(name for name in MARKED_COLUMNS if name in CONTEXT_COLUMNS)
"""The marked columns that a staged row has through the number of its context."""


def mark(rank: str = "rank") -> str:
    """Return SQL for the prefix of a marked column; the least value is then one of the highest rank."""
    return f"(4 - {rank})::VARCHAR"


_COLUMNS = ", ".join(STORED)
_MARKED = ", ".join(f"mark || r.{name} AS {name}" for name in MARKED_COLUMNS)
_OF_ROW = tuple(name for name in MARKED_COLUMNS if name not in OF_CONTEXT)
# Staged rows with the columns of their contexts, and the mark of their rank.
_ROWS = f"""(SELECT e.rowid AS place, *, {mark()} AS mark
    FROM stage_events AS e JOIN stage_event_contexts USING (context_no))"""
# One number has a rank and a place: the greatest is a row of the highest rank.
_PLACES = 40
_PLACE = f"& {(1 << _PLACES) - 1}"
# One number has a rank, a bit for each marked column with a value, and a place.
_RANKS = _PLACES + len(MARKED_COLUMNS)
_BITS = {name: bit for bit, name in enumerate(MARKED_COLUMNS, _PLACES)}


def _filled(names: Sequence[str]) -> str:
    return " | ".join(f"(({name} IS NOT NULL)::BIGINT << {_BITS[name]})" for name in names)


# Two rows are plain if the better one has a higher rank, is later, and lacks no value of the other. Then both are new,
# whichever came first.
_IS_PLAIN = f"""row_count = 1 OR (
    row_count = 2 AND best >> {_RANKS} > other >> {_RANKS} AND first_time < time_of_best AND unlike = 0
    AND (other & ~best) & {(1 << _RANKS) - (1 << _PLACES)} = 0)"""


def judge_rows(con: duckdb.DuckDBPyConnection) -> tuple[dict[int, int], bool]:
    """Fill `merge_best` with rows to store as whole events, and `merge_mixed_changed` with events merged from several.

    Reads the integers of operations and scopes from `staged_operations` and `staged_scopes`. Fills `merge_stored` with
    the stored rows of these calls.
    Returns the new records of each file that are not in `new_lines`: those of logs with one row a record; and whether
    any call is merged from several rows: without one, there is no `merge_mixed_changed` and no `merge_mixed_rows`.
    """
    _tell_calls(con)
    is_mixed = _compare_rows(con)
    if is_mixed:
        _merge_by_column(con)
    # The rows of `merge_rows` that change nothing, and those that were compared with stored rows.
    con.execute("""
        CREATE OR REPLACE TEMP TABLE merge_aside AS
        SELECT place, file_id FROM merge_rows
        WHERE event_key IN (SELECT event_key FROM merge_mixed) OR place IN (
            SELECT place FROM merge_pairs WHERE decides_new
            EXCEPT SELECT place FROM merge_additions WHERE decides_new AND is_new)""")
    con.execute(f"""
        INSERT INTO new_lines SELECT file_id, line FROM stage_events
        WHERE {OF_SPLIT_LOGS} AND rowid NOT IN (SELECT place FROM merge_aside)""")
    counted = con.execute(f"""
        SELECT file_id, sum(rows)::BIGINT FROM (
            SELECT file_id, count(*) AS rows FROM stage_events GROUP BY file_id
            UNION ALL
            SELECT file_id, -count(*) FROM merge_aside GROUP BY file_id
        ) WHERE NOT {OF_SPLIT_LOGS} GROUP BY file_id""").fetchall()
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_best AS
        SELECT best {_PLACE} AS place, event_key, first_time AS time, NULL::INTEGER AS operation_key,
            NULL::INTEGER AS scope_key
        FROM merge_calls WHERE is_plain AND event_key NOT IN (SELECT event_key FROM merge_stored)
        UNION ALL
        SELECT place, event_key, first_time, operation_key, scope_key FROM merge_order
        WHERE best {_PLACE} = place AND event_key NOT IN (SELECT event_key FROM merge_mixed)""")
    return dict(counted), is_mixed


def _tell_calls(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `merge_calls` and `merge_stored`, and `merge_rows` with the rows of calls that are not plain and new.

    `merge_rows` has for each row its `rowid` in `stage_events` as `place`, its file and line, the key of its call, and
    integers for its operation and scope.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_contexts AS
        SELECT context_no, {_filled(OF_CONTEXT)} AS filled, hash(source, plane, category) AS kind
        FROM stage_event_contexts""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_calls AS
        SELECT event_key, best, first_time, {_IS_PLAIN} AS is_plain FROM (
            SELECT event_key, count(*) AS row_count, max(standing) AS best, min(standing) AS other,
                min(time) AS first_time, arg_max(time, standing) AS time_of_best, bit_xor(likeness) AS unlike
            FROM (
                SELECT event_key, time, (rank::BIGINT << {_RANKS}) | filled | {_filled(_OF_ROW)} | r.rowid AS standing,
                    hash(kind, correlation_id, operation_no, scope_no) AS likeness
                FROM stage_events AS r JOIN merge_contexts USING (context_no))
            GROUP BY event_key)""")
    # Stored rows of the same calls are found by their keys alone: a scan of one column.
    con.execute("""
        CREATE OR REPLACE TEMP TABLE merge_stored AS
        SELECT rowid AS stored_row, event_key FROM base.events
        WHERE event_key IN (SELECT event_key FROM merge_calls)""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE merge_rows AS
        SELECT r.rowid AS place, file_id, line, event_key, time, rank, o.operation_key, s.scope_key
        FROM stage_events AS r
        JOIN staged_operations AS o USING (operation_no) JOIN staged_scopes AS s USING (scope_no)
        WHERE event_key IN (
            SELECT event_key FROM merge_calls WHERE NOT is_plain UNION ALL SELECT event_key FROM merge_stored)""")


def _order_rows(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `merge_order` with each row of calls that are not stored, the row before it, and the best of its call.

    Most calls have two rows; ordering them by groups takes an eighth of the time of window functions.
    """
    standing = f"SELECT *, (rank::BIGINT << {_PLACES}) | place AS standing FROM merge_rows"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_several AS
        SELECT event_key, count(*) AS row_count, max(standing) AS best, min(time) AS first_time,
            min(operation_key) AS operation_key, min(scope_key) AS scope_key,
            arg_min(standing, (file_id, line, place)) AS first_standing,
            arg_min(time, (file_id, line, place)) AS time_of_first
        FROM ({standing}) WHERE event_key NOT IN (SELECT event_key FROM merge_stored)
        GROUP BY event_key""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_order AS
        SELECT place, event_key, rank, is_second::BIGINT AS rows_before, CASE WHEN is_second THEN first_standing END
            AS lead, coalesce(is_second AND time < time_of_first, false) AS is_earlier, best, first_time,
            operation_key, scope_key
        FROM (
            SELECT r.place, r.rank, r.time, s.*, r.place <> first_standing {_PLACE} AS is_second
            FROM merge_rows AS r JOIN merge_several AS s USING (event_key) WHERE s.row_count = 2
        )
        UNION ALL
        SELECT place, event_key, rank, count(*) OVER earlier, max(standing) OVER earlier,
            coalesce(time < min(time) OVER earlier, false), max(standing) OVER of_call, min(time) OVER of_call,
            min(operation_key) OVER of_call, min(scope_key) OVER of_call
        FROM ({standing}) WHERE event_key IN (SELECT event_key FROM merge_several WHERE row_count > 2)
        WINDOW of_call AS (PARTITION BY event_key), earlier AS (
            PARTITION BY event_key ORDER BY file_id, line, place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)""")


def _compare_rows(con: duckdb.DuckDBPyConnection) -> bool:
    """Find the calls of `merge_mixed`: those already stored, or with a row that adds values to a better one.

    Returns whether there are any.

    A row that has no higher rank than all before it, and is not earlier, is new if it adds to the best of these. If
    there is more than one of these, `_merge_by_column` decides, and so it does for a row that adds to the best of all.
    """
    _order_rows(con)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_pairs AS
        WITH ordered AS (
            SELECT *, rows_before > 0 AND rank <= lead >> {_PLACES} AND NOT is_earlier AS is_behind FROM merge_order
        )
        SELECT place, event_key, rows_before, lead {_PLACE} AS other, true AS decides_new, lead = best AS decides_event
        FROM ordered WHERE is_behind
        UNION ALL
        SELECT place, event_key, rows_before, best {_PLACE}, false, true FROM ordered
        WHERE best {_PLACE} <> place AND NOT (is_behind AND lead = best)""")
    is_new = " OR ".join(
        (*(_tells(name) for name in ("category", "correlation_id")), *map(_tells_better, MARKED_COLUMNS))
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_additions AS
        SELECT * FROM (
            SELECT p.*, {is_new} AS is_new, {_tells("source")} OR {_tells("plane")} AS is_elsewhere
            FROM merge_pairs AS p JOIN {_ROWS} AS r USING (place) JOIN {_ROWS} AS o ON o.place = p.other)
        WHERE is_new OR is_elsewhere""")
    ((count,),) = con.execute("""
        CREATE OR REPLACE TEMP TABLE merge_mixed AS
        SELECT event_key FROM merge_additions WHERE decides_event OR rows_before > 1
        UNION SELECT event_key FROM merge_stored""").fetchall()
    return bool(count)


def _tells(name: str) -> str:
    return f"(r.{name} IS NOT NULL AND (o.{name} IS NULL OR r.{name} < o.{name}))"


def _tells_better(name: str) -> str:
    return f"(r.{name} IS NOT NULL AND (o.{name} IS NULL OR (r.rank = o.rank AND r.{name} < o.{name})))"


def _merge_by_column(con: duckdb.DuckDBPyConnection) -> None:
    """Merge the calls of `merge_mixed` column by column into `merge_mixed_changed`, and add their new lines."""
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_mixed_rows AS
        SELECT m.file_id, m.line, NULL::BIGINT AS stored_row, m.event_key, r.time, source, plane, category,
            r.rank::TINYINT AS rank, correlation_id, operation_key, scope_key, {_MARKED}
        FROM merge_rows AS m JOIN {_ROWS} AS r USING (place)
        WHERE m.event_key IN (SELECT event_key FROM merge_mixed)""")
    con.execute(f"""
        INSERT INTO merge_mixed_rows BY NAME
        SELECT NULL AS file_id, NULL AS line, rowid AS stored_row, {_COLUMNS} FROM base.events
        WHERE rowid IN (SELECT stored_row FROM merge_stored)""")
    note_new_lines(con, "merge_mixed_rows", ("event_key",), LEAST, ("rank",))
    least = ", ".join(f"min({name}) AS {name}" for name in MARKED_COLUMNS)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_mixed_changed AS
        SELECT event_key, min(time) AS time, min(source) AS source, min(plane) AS plane, min(category) AS category,
            max(rank) AS rank, min(correlation_id) AS correlation_id, min(operation_key) AS operation_key,
            min(scope_key) AS scope_key, {least}
        FROM merge_mixed_rows GROUP BY event_key
        EXCEPT SELECT {_COLUMNS} FROM merge_mixed_rows WHERE file_id IS NULL""")
