"""Normalise each distinct caller, outcome, operation and scope of Activity Log records once, and stage rows by number.

Millions of records share some thousands of callers, words and places. So these texts are read packed, as one column
each. `queries/reduce/normalise.sql` runs once for each distinct text, with no other values in the row, and rows have
the numbers of the results. Each column of the query depends on only one of these groups.

Three kinds of rows are normalised as a whole instead: refusals that name a linked scope, because their columns depend
on two groups; batches of few records, because planning the query several times costs more than it saves; and files with
the separator within a text, which are read again unpacked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from rightsize.ingest.logs.projections import raw_events
from rightsize.ingest.logs.values import AUTHORIZATION, CLAIMS
from rightsize.store.merging.staging import (
    CONTEXT_COLUMNS,
    EVENT_KEY,
    EVENT_ROW,
    NEXT_CONTEXT,
    keyed,
    number_texts,
    stage_events,
)
from rightsize.store.queries import query_text

_OF_TOKEN = ("claim_token_id", "claim_session_id")
_PLACED = ("auth_action", "auth_scope")
_WHO = tuple(name for name in (*AUTHORIZATION, *CLAIMS, "caller", "caller_ip") if name not in (*_OF_TOKEN, *_PLACED))
_HOW = ("category", "status", "sub_status", "status_code", "error_code", "error_message")
PACKED: Mapping[str, tuple[str, ...]] = {"who": _WHO, "how": _HOW}
"""The columns that are read as one text. Raw columns are never empty, so an empty part means null."""

_CALLED = ("auth_action", "operation_name")
_WHERE = ("auth_scope", "resource_id")
_KINDS: Mapping[str, tuple[str, ...]] = {"who": ("who",), "how": ("how",), "operation": _CALLED, "scope": _WHERE}
"""The groups of texts that are normalised separately, with the columns that hold each."""

_OF_ROW = ("time", "submitted", "correlation_id", "event_id", *_OF_TOKEN)
_RAW = (*_OF_ROW, *_CALLED, *_WHERE, *_WHO, *_HOW)
LEAST_RECORDS = 5_000
"""Least records of a batch to normalise texts separately, which costs as much as normalising some thousand records."""

_BETWEEN = "chr(31)"
# Valid values in place of columns that are not asked. An outcome has only a linked operation.
_TIME, _ACTION, _SCOPE = "'2020-01-01T00:00:00Z'", "'a/b'", "'/'"


def packed(projected: str) -> str:
    """Return SQL that packs the shared texts of a relation of raw columns of the Activity Log."""
    kept = ", ".join(("file_no", "line", "log", *_OF_ROW, *_CALLED, *_WHERE, "request_body", "ordinal"))
    texts = ", ".join(f"concat({f', {_BETWEEN}, '.join(columns)}) AS {name}" for name, columns in PACKED.items())
    return f"SELECT {kept}, {texts} FROM ({projected})"


def packed_words() -> str:
    """Return SQL for the number of packed records by file, status and category."""
    status, category = (_part("how", column, f"string_split(how, {_BETWEEN})") for column in ("status", "category"))
    return f"""
        SELECT file_no, {status} AS status, {category} AS category, records
        FROM (SELECT file_no, how, count(*) AS records FROM ingest_raw WHERE log = 'activity' GROUP BY ALL)"""


def stage_alike(con: duckdb.DuckDBPyConnection, file_id: str) -> set[int]:
    """Stage the packed records of the Activity Log in `ingest_raw`, which `ingest_numbered` numbers.

    Args:
        con: A connection with the staging and the reference tables.
        file_id: SQL for the id of the part of a file that a record belongs to.

    A record that cannot be used is staged without a time, or not at all. Returns the files whose records have to be
    read unpacked; those with a record staged without a time are to be found in `stage_events`.
    """
    ((records,),) = con.execute("SELECT count(*) FROM ingest_raw WHERE log = 'activity'").fetchall()
    if records < LEAST_RECORDS:
        return _stage_whole(con, file_id, "true")
    odd = _split_texts(con)
    _normalise_texts(con)
    _stage_contexts(con)
    _number_texts(con, "operation")
    _number_texts(con, "scope")
    _stage_rows(con, file_id)
    if con.execute("SELECT 1 FROM alike_outcomes WHERE is_linked LIMIT 1").fetchall():
        odd |= _stage_whole(con, file_id, "how IN (SELECT how FROM alike_outcomes WHERE is_linked)")
    return odd


def forget_alike(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables of the last batch, to free their memory."""
    for name in ("texts", "results", "contexts", "outcomes", "operations", "scopes", "whole", "rows"):
        con.execute(f"DROP TABLE IF EXISTS temp.alike_{name}")


def _part(name: str, column: str, parts: str) -> str:
    return f"nullif({parts}[{PACKED[name].index(column) + 1}], '')"


def _split_texts(con: duckdb.DuckDBPyConnection) -> set[int]:
    """Fill `alike_texts` with the distinct texts of each group; return files with a text that has the separator."""
    columns = [column for listed in _KINDS.values() for column in listed]
    found = " UNION ALL BY NAME ".join(
        f"SELECT DISTINCT '{kind}' AS kind, {', '.join(listed)} FROM ingest_raw WHERE log = 'activity'"
        for kind, listed in _KINDS.items()
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE alike_texts AS
        SELECT kind, {", ".join(columns)}, string_split(coalesce(who, how), {_BETWEEN}) AS parts FROM ({found})""")
    odd: set[int] = set()
    for name, packed_columns in PACKED.items():
        split = f"SELECT {name} FROM alike_texts WHERE kind = '{name}' AND len(parts) <> {len(packed_columns)}"
        files = con.execute(f"SELECT DISTINCT file_no FROM ingest_raw WHERE {name} IN ({split})").fetchall()
        odd.update(number for (number,) in files)
    return odd


def _normalised(values: Mapping[str, str], number: str, rows: str, line: str = "0") -> str:
    """Return SQL for the result of `normalise.sql` on rows that have only some raw columns.

    Args:
        values: SQL for each raw column that is present.
        number: SQL for `file_no` in the result.
        rows: The relation.
        line: SQL for `line` in the result.
    """
    columns = ", ".join(f"{values.get(name, 'CAST(NULL AS VARCHAR)')} AS {name}" for name in _RAW)
    raw = f"SELECT {number} AS file_no, {line} AS line, 'activity' AS log, {columns} FROM {rows}"
    return f"(WITH raw_events AS ({raw_events('activity', raw)}) FROM ({query_text('reduce/normalise')}))"


def _of_packed(name: str, parts: str) -> dict[str, str]:
    return {column: _part(name, column, parts) for column in PACKED[name]}


def _normalise_texts(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `alike_results` with the normalised columns of each text in `alike_texts`."""
    values = {
        column: f"CASE WHEN kind = '{name}' THEN {value} END"
        for name in PACKED
        for column, value in _of_packed(name, "parts").items()
    }
    values |= {
        "time": _TIME,
        "auth_action": f"CASE kind WHEN 'operation' THEN auth_action WHEN 'scope' THEN {_ACTION} END",
        "operation_name": "operation_name",
        "auth_scope": f"CASE kind WHEN 'scope' THEN auth_scope WHEN 'operation' THEN {_SCOPE} END",
        "resource_id": "resource_id",
    }
    carried = ("kind", *(column for listed in _KINDS.values() for column in listed))
    line = f"struct_pack({', '.join(f'{name} := {name}' for name in carried)})"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE alike_results AS
        SELECT {", ".join(f"line.{name} AS {name}" for name in carried)}, {", ".join(CONTEXT_COLUMNS)}, rank, operation,
            scope, key_operation, key_scope, problem IS NULL AS is_sound
        FROM {_normalised(values, "0", "alike_texts", line)}""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE alike_outcomes AS
        SELECT how, rank::TINYINT AS rank, operation IS NOT NULL AS is_linked FROM alike_results WHERE kind = 'how'""")


def _stage_contexts(con: duckdb.DuckDBPyConnection) -> None:
    """Stage a context for each distinct caller text, and fill `alike_contexts` with its number."""
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE alike_contexts AS
        SELECT who, {NEXT_CONTEXT} AS context_no, {", ".join(CONTEXT_COLUMNS)} FROM alike_results WHERE kind = 'who'""")
    con.execute("INSERT INTO stage_event_contexts BY NAME SELECT * EXCLUDE (who) FROM alike_contexts")


def _number_texts(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Fill `alike_operations` or `alike_scopes` with the number and folded text of each distinct raw text."""
    normalised = (
        f"SELECT {', '.join(_KINDS[name])}, {name}, key_{name}, is_sound FROM alike_results WHERE kind = '{name}'"
    )
    number_texts(con, name, normalised)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE alike_{name}s AS
        SELECT t.*, coalesce(s.{name}_no, 0) AS {name}_no
        FROM ({normalised}) AS t LEFT JOIN stage_event_{name}s AS s USING ({name})""")


def _same(columns: Sequence[str], alias: str) -> str:
    return " AND ".join(f"{alias}.{column} IS NOT DISTINCT FROM r.{column}" for column in columns)


_JOINED = f"""ingest_numbered AS r JOIN alike_contexts AS c USING (who) JOIN alike_outcomes AS h USING (how)
    JOIN alike_operations AS o ON {_same(_CALLED, "o")} JOIN alike_scopes AS s ON {_same(_WHERE, "s")}"""
_CARRIED = {
    "line": "r.line",
    "rank": "h.rank",
    "context_no": "context_no",
    "operation_no": "operation_no",
    "scope_no": "scope_no",
    "key_operation": "key_operation",
    "key_scope": "key_scope",
    "is_sound": "o.is_sound AND s.is_sound",
}


def _stage_rows(con: duckdb.DuckDBPyConnection, file_id: str) -> None:
    """Stage each row with its remaining columns; its numbers pass through the query in the column `line`."""
    values = {"auth_action": _ACTION, "auth_scope": _SCOPE, **{column: f"r.{column}" for column in _OF_ROW}}
    carried = ", ".join(f"{name} := {value}" for name, value in _CARRIED.items())
    normalised = _normalised(values, "r.file_no", f"{_JOINED} WHERE NOT h.is_linked", f"struct_pack({carried})")
    unpacked = ", ".join(f"line.{name} AS {name}" for name in _CARRIED)
    con.execute(f"""
        INSERT INTO stage_events BY NAME
        SELECT {", ".join(EVENT_ROW)} FROM (
            SELECT *, {EVENT_KEY} AS event_key FROM (
                SELECT {file_id} AS file_id, {unpacked}, key_correlation, correlation_id, event_id, token_id,
                    session_id, CASE WHEN problem IS NULL AND line.is_sound THEN time END AS time
                FROM {normalised}))""")


def _stage_whole(con: duckdb.DuckDBPyConnection, file_id: str, chosen: str) -> set[int]:
    """Stage rows that are normalised as a whole; return the files in which one cannot be split or used.

    Args:
        con: A connection with `ingest_numbered`.
        file_id: SQL for the id of the part of a file that a record belongs to.
        chosen: A condition on the packed rows.
    """
    values = {column: column for column in (*_OF_ROW, *_CALLED, *_WHERE)}
    values |= {**_of_packed("who", "who_parts"), **_of_packed("how", "how_parts")}
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE alike_whole AS
        SELECT *, string_split(who, {_BETWEEN}) AS who_parts, string_split(how, {_BETWEEN}) AS how_parts
        FROM ingest_numbered WHERE {chosen}""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE alike_rows AS FROM {_normalised(values, "file_no", "alike_whole", "line")}""")
    stage_events(con, keyed(file_id, "alike_rows WHERE problem IS NULL"))
    is_split = " AND ".join(f"len({name}_parts) = {len(columns)}" for name, columns in PACKED.items())
    found = con.execute(f"""
        SELECT file_no FROM alike_rows WHERE problem IS NOT NULL
        UNION SELECT file_no FROM alike_whole WHERE NOT ({is_split})""").fetchall()
    return {number for (number,) in found}
