"""Count the records of a load that changed the store, and those that it does not use.

Each merge keeps the least or greatest value of a column, so order and repetition do not matter. A record is new if one
of its rows still changes a column after the stored rows and the earlier records of the load.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.store.sealing import NOT_REJECTED
from rightsize.store.sql import named, quoted
from rightsize.store.staging import STAGED_TABLES

_SPLIT_LOGS = ", ".join(f"'{log.source}'" for log in LOG_SOURCES if log.splits)
OF_SPLIT_LOGS = f"file_id IN (SELECT file_id FROM stage_files WHERE source IN ({_SPLIT_LOGS}))"
"""A condition on staged rows of logs in which one record may become several rows, one for each authorisation."""

_NOT_LATE = "(file_id, line) NOT IN (SELECT (file_id, line) FROM late_lines WHERE line IS NOT NULL)"


def begin_counting(con: duckdb.DuckDBPyConnection) -> None:
    """Create an empty `new_lines (file_id, line)`, and fill `used_records (file_id, used)` from the staged rows.

    A partly rejected record counts only as rejected.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE new_lines (file_id INTEGER, line BIGINT)")
    # The row about the listing of a page does not belong to a record.
    con.execute("UPDATE stage_listings SET line = NULL")
    listed = " UNION ALL ".join(
        f"SELECT file_id, line FROM stage_{name}"
        for name in (
            *(declared.name for declared in STAGED_TABLES if declared.name != "listings"),
            "reduced_usage",
            "reduced_sign_ins",
        )
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE used_records AS
        WITH of_logs AS (
            SELECT file_id, count(*) AS used FROM stage_events WHERE NOT {OF_SPLIT_LOGS} GROUP BY file_id
            UNION ALL
            SELECT file_id, count(DISTINCT line) FROM stage_events
            WHERE {OF_SPLIT_LOGS} AND {NOT_REJECTED} GROUP BY file_id
            UNION ALL
            SELECT file_id, count(*) FROM stage_sign_in_rows GROUP BY file_id
        )
        FROM of_logs
        UNION ALL
        SELECT file_id, count(*) FROM (
            SELECT DISTINCT file_id, line FROM ({listed})
            WHERE line IS NOT NULL AND file_id NOT IN (SELECT file_id FROM of_logs) AND {NOT_REJECTED}
        ) GROUP BY file_id""")


def note_new_lines(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    keys: Sequence[str],
    least: Sequence[str] = (),
    greatest: Sequence[str] = (),
) -> bool:
    """Add to `new_lines` the rows of a relation that change something, and return whether there are any.

    Args:
        con: A connection with `new_lines`.
        relation: Rows with `file_id`, `line`, the keys and the columns; stored rows have a null `file_id`.
        keys: The columns that identify a merged row.
        least: Columns whose least value is kept.
        greatest: Columns whose greatest value is kept.
    """
    window = (
        f"(PARTITION BY {named(*keys)} ORDER BY file_id NULLS FIRST, line "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    changes = ["count(*) OVER w = 0"]
    changes += [_moves(column, "min", "<") for column in least]
    changes += [_moves(column, "max", ">") for column in greatest]
    ((count,),) = con.execute(
        "INSERT INTO new_lines SELECT file_id, line FROM ("
        f"SELECT file_id, line, {' OR '.join(changes)} AS changes FROM {relation} WINDOW w AS {window}"
        ") AS judged WHERE changes AND file_id IS NOT NULL"
    ).fetchall()
    return bool(count)


def _moves(column: str, function: str, better: str) -> str:
    name = quoted(column)
    return f"({name} IS NOT NULL AND coalesce({name} {better} {function}({name}) OVER w, true))"


def count_new_records(con: duckdb.DuckDBPyConnection) -> dict[int, int]:
    """Return the number of records in `new_lines` by file, without partly rejected ones and late ones."""
    return dict(
        con.execute(
            f"SELECT file_id, count(DISTINCT line) FROM new_lines WHERE {NOT_REJECTED} AND {_NOT_LATE} GROUP BY file_id"
        ).fetchall()
    )
