"""Define and fill the temporary tables of a load, and count the records that changed the store.

A staged row has its file and line, so that a load can count the new records of each file. A row without a line does not
count.

Each merge keeps the least or greatest value of a column, so order and repetition do not matter. A record is new if one
of its rows still changes a column after the stored rows and the earlier records of the load.

Merge use and sign-ins that were reduced where the logs are, beside whole records of the same days.

The rows for one principal, operation, scope, day and hour of receipt are a snapshot: a later answer may have more
calls, never fewer. Of several snapshots the one with more finished calls counts as a whole, because a started call
moves to another row when it ends. So any order and repetition of loads gives the same rows. Answers of an older query
lack the way of access, so of two otherwise equal answers the one that has it counts.

A row that stands for counted records has its line as `counted_line`: two equal ones are two uses, and their counts add
up. Other equal rows of one answer are the same row twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import duckdb

from rightsize.model.tables import EVENT_COLUMNS, TABLES, Table
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.store.ddl import MARKED_COLUMNS, RESOLVED
from rightsize.store.sql import NOT_REJECTED, folded, named, nonempty, outcome, quoted

_BOOKKEEPING = (
    "loads",
    "rejects",
    "declared_windows",
    "declared_needs",
    "grant_listings",
    "grant_sightings",
    "signal_decisions",
)

STAGED_TABLES: tuple[Table, ...] = tuple(
    table for table in TABLES if table.kind == "loaded" and table.name not in _BOOKKEEPING
)
"""The tables that entity shapes fill."""

EVENT_KEY = (
    "CASE WHEN key_correlation IS NOT NULL AND key_operation IS NOT NULL AND key_scope IS NOT NULL "
    "THEN md5_number(concat(key_correlation, chr(31), key_operation, chr(31), key_scope)) END"
)
"""SQL for the key of a call, as it is staged and stored, from the folded texts of normalised rows.

concat() writes the text once and `||` four times, but concat() skips nulls.
"""

CALL_ROWS = f"""
SELECT *, event_key AS key_correlation, {folded("operation")} AS key_operation, {folded("scope")} AS key_scope
FROM stage_event_rows"""
"""SQL for the staged rows as input of `queries/reduce/collapse.sql`, which treats keys as opaque."""

DOWNLOADED = "Download"
"""The category of events from an export that tells neither its filter nor its end; it covers no day.

It comes after `Administrative`, so a call that another export has too keeps the category of that one.
"""

_OF_A_CALL = ("event_id", "token_id", "session_id")
CONTEXT_COLUMNS = ("source", "plane", "category", *(name for name in MARKED_COLUMNS if name not in _OF_A_CALL))
"""Columns that many rows share: the caller, its access, address and log. A row has one number for all of them."""

EVENT_TEXTS = (
    *(name for name in EVENT_COLUMNS if name != "outcome"),
    "category",
    "access",
    "token_id",
    "session_id",
    "rank",
)
"""The columns of a row of an event before its texts are numbered, beside its file, line and key."""

EVENT_ROW = (
    "file_id", "line", "event_key", "time", "rank", "context_no", "operation_no", "scope_no", "correlation_id",
    *_OF_A_CALL,
)  # fmt: skip
"""The columns of `stage_events`."""

NEXT_CONTEXT = "(coalesce((SELECT max(context_no) FROM stage_event_contexts), 0) + row_number() OVER ())::INTEGER"
"""SQL that numbers the rows of a relation as contexts that are not staged yet."""

_CONTEXT_TEXTS = ", ".join(CONTEXT_COLUMNS)

_LOG_TABLES = {
    "stage_files": "file_id INTEGER, path VARCHAR, source VARCHAR, sha256 VARCHAR, read BIGINT, rejected BIGINT",
    "stage_rejects": "file_id INTEGER, line BIGINT, reason VARCHAR, raw VARCHAR",
    "stage_events": (
        "file_id INTEGER, line BIGINT, event_key UHUGEINT, time TIMESTAMP, rank TINYINT, context_no INTEGER NOT NULL, "
        "operation_no INTEGER NOT NULL, scope_no INTEGER NOT NULL, correlation_id VARCHAR, event_id VARCHAR, "
        "token_id VARCHAR, session_id VARCHAR"
    ),
    "stage_event_contexts": f"context_no INTEGER, {', '.join(f'{name} VARCHAR' for name in CONTEXT_COLUMNS)}",
    "stage_event_operations": "operation_no INTEGER, operation VARCHAR",
    "stage_event_scopes": "scope_no INTEGER, scope VARCHAR",
    "stage_request_rows": (
        "file_id INTEGER, line BIGINT, event_key UHUGEINT, "
        "assigned_role_id VARCHAR, assigned_type VARCHAR, asked_type VARCHAR, assigned_principal_id VARCHAR"
    ),
    "stage_reduced_usage": (
        "file_id INTEGER, line BIGINT, log VARCHAR, category VARCHAR, plane VARCHAR, principal_id VARCHAR, "
        "principal_name VARCHAR, principal_type VARCHAR, app_id VARCHAR, operation VARCHAR, scope VARCHAR, "
        "role_assignment_id VARCHAR, access VARCHAR, day DATE, received TIMESTAMP, first_seen TIMESTAMP, "
        "last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT, started BIGINT, denied BIGINT, other BIGINT, "
        "counted_line BIGINT"
    ),
    "stage_reduced_sign_ins": (
        "file_id INTEGER, line BIGINT, sign_in_kind VARCHAR, principal_id VARCHAR, principal_name VARCHAR, "
        "app_id VARCHAR, resource_id VARCHAR, resource_name VARCHAR, day DATE, received TIMESTAMP, "
        "first_seen TIMESTAMP, last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT"
    ),
    "stage_sign_in_rows": (
        "file_id INTEGER, line BIGINT, time TIMESTAMP, sign_in_id VARCHAR, principal_id VARCHAR, "
        "principal_name VARCHAR, app_id VARCHAR, resource_id VARCHAR, resource_name VARCHAR, kind VARCHAR, "
        "succeeded BOOLEAN, correlation_id VARCHAR, token_id VARCHAR, session_id VARCHAR, ip VARCHAR, "
        "country VARCHAR, network_number VARCHAR, federated_credential_id VARCHAR"
    ),
}


# The staged rows of events with their texts.
_EVENT_ROWS = f"""
CREATE OR REPLACE TEMP VIEW stage_event_rows AS
SELECT file_id, line, time, {_CONTEXT_TEXTS}, operation, scope,
    {outcome("rank")} AS outcome,
    correlation_id, event_id, event_key, token_id, session_id,
    rank::INTEGER AS rank
FROM stage_events JOIN stage_event_contexts USING (context_no)
JOIN stage_event_operations USING (operation_no) JOIN stage_event_scopes USING (scope_no)"""


def create_staging(con: duckdb.DuckDBPyConnection) -> None:
    """Create the staging tables, empty, and replace those of an earlier load."""
    tables = dict(_LOG_TABLES)
    for table in STAGED_TABLES:
        columns = ", ".join(f'"{column.name}" {column.type.value}' for column in table.given)
        tables[f"stage_{table.name}"] = f"file_id INTEGER, line BIGINT, {columns}"
    con.execute(";\n".join(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})" for name, columns in tables.items()))
    con.execute(_EVENT_ROWS)


def filled_tables(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of the staging tables that have rows, without `stage_`: most loads have only logs."""
    names = (*(name.removeprefix("stage_") for name in _LOG_TABLES), *(declared.name for declared in STAGED_TABLES))
    return nonempty(con, {name: f"stage_{name}" for name in names})


def stage_events(con: duckdb.DuckDBPyConnection, rows: str, values: Mapping[str, object] | None = None) -> None:
    """Stage rows of events: each distinct text once in a table of texts, and the rows with the numbers of their texts.

    Args:
        con: A connection with the staging tables.
        rows: SQL for a relation with `file_id`, `line`, `event_key` and EVENT_TEXTS, which is read several times.
        values: The parameters of `rows`.
    """
    for name in ("operation", "scope"):
        number_texts(con, name, rows, values)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE staged_contexts AS
        SELECT {NEXT_CONTEXT} AS context_no, {_CONTEXT_TEXTS}
        FROM (SELECT DISTINCT {_CONTEXT_TEXTS} FROM ({rows}))""",
        values,
    )
    same = " AND ".join(f"r.{name} IS NOT DISTINCT FROM c.{name}" for name in CONTEXT_COLUMNS)
    con.execute(
        f"""
        INSERT INTO stage_events BY NAME
        SELECT {", ".join(EVENT_ROW)} FROM ({rows}) AS r LEFT JOIN staged_contexts AS c ON {same}
        LEFT JOIN stage_event_operations USING (operation) LEFT JOIN stage_event_scopes USING (scope)""",
        values,
    )
    con.execute("INSERT INTO stage_event_contexts BY NAME FROM staged_contexts; DROP TABLE staged_contexts")


def keyed(file_id: str, rows: str) -> str:
    """Return SQL for the input of `stage_events` from normalised rows; `file_id` is SQL for the file of each row."""
    return f"SELECT {file_id} AS file_id, line, {EVENT_KEY} AS event_key, {', '.join(EVENT_TEXTS)} FROM {rows}"


def number_texts(
    con: duckdb.DuckDBPyConnection, name: str, rows: str, values: Mapping[str, object] | None = None
) -> None:
    """Number the new texts in the column `name` (operation or scope) of a relation."""
    table = f"stage_event_{name}s"
    con.execute(
        f"""
        INSERT INTO {table}
        SELECT (coalesce((SELECT max({name}_no) FROM {table}), 0) + row_number() OVER ())::INTEGER, {name}
        FROM (SELECT DISTINCT {name} FROM ({rows}))
        WHERE {name} IS NOT NULL AND {name} NOT IN (SELECT {name} FROM {table})""",
        values,
    )


_SPLIT_LOGS = ", ".join(f"'{log.source}'" for log in LOG_SOURCES if log.splits)
OF_SPLIT_LOGS = f"file_id IN (SELECT file_id FROM stage_files WHERE source IN ({_SPLIT_LOGS}))"
"""A condition on staged rows of logs in which one record may become several rows, one for each authorisation."""

_NOT_LATE = "(file_id, line) NOT IN (SELECT (file_id, line) FROM late_lines WHERE line IS NOT NULL)"


def begin_counting(con: duckdb.DuckDBPyConnection, staged: Collection[str]) -> None:
    """Create an empty `new_lines (file_id, line)`, and fill `used_records (file_id, used)` from the staged rows.

    A partly rejected record counts only as rejected. `staged` has the names of `filled_tables`.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE new_lines (file_id INTEGER, line BIGINT)")
    # The row about the listing of a page does not belong to a record.
    if "listings" in staged:
        con.execute("UPDATE stage_listings SET line = NULL")
    of_records = {*(declared.name for declared in STAGED_TABLES), "reduced_usage", "reduced_sign_ins"}
    listed = " UNION ALL ".join(
        f"SELECT file_id, line FROM stage_{name}" for name in sorted({"listings", *of_records.intersection(staged)})
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


_GROUP = "log, plane, actor_key, operation_key, scope_key, day, received"
_COUNTS = ("succeeded", "failed", "started", "denied")
_VALUES = (
    "category", "access", "first_seen", "last_seen", *_COUNTS, "other", "principal_name", "principal_type", "app_id"
)  # fmt: skip
REDUCED_CALLS = " + ".join((*_COUNTS, "other"))
"""SQL for the number of calls in a row of `base.reduced_usage`, with any outcome."""
_STORED = f"{_GROUP}, assignment_key, {', '.join(_VALUES)}, merit"
_SUMMED = {"first_seen": "min", "last_seen": "max", **dict.fromkeys((*_COUNTS, "other"), "sum")}
_KEPT = ", ".join(name for name in _STORED.split(", ") if name not in _SUMMED)
# Rows of use have other times than rows of no use.
_APART = f"CASE WHEN counted_line IS NULL THEN hash({_STORED}) WHEN other > 0 THEN 1 ELSE 0 END"
_USE = "actor_key, operation_key, scope_key, plane, day"
_MERIT = " || ".join(
    f"lpad(sum({count})::VARCHAR, 19, '0')"
    for count in ("succeeded + failed + denied", "started", "other", "(access IS NOT NULL)::INTEGER")
)
# Reduced rows have no times of single calls, so a row that overlaps a window of its principal is suspect as a whole.
IN_WINDOW = f"""EXISTS (
    SELECT 1 FROM base.quarantine_windows AS w JOIN base.actors AS a ON a.actor_key = r.actor_key
    LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = a.principal_name
    WHERE w.principal_id = coalesce(a.principal_id, alias.principal_id) AND w.basis <> 'address'
        AND r.last_seen >= w.start_on AND r.first_seen <= w.end_on)"""
"""A condition on a row `r` of `base.reduced_usage`: a window of quarantine may have one of its calls."""


def merge_reduced_usage(con: duckdb.DuckDBPyConnection) -> dict[int, int]:
    """Merge `stage_reduced_usage`, add the days it changes to `touched_days`, and return the new rows of each file."""
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE reduced_rows AS
        SELECT r.* EXCLUDE (operation, scope), o.operation_key, s.scope_key,
            coalesce('i' || principal_id, 'n' || {folded("coalesce(principal_name, app_id)")}, '') AS actor
        FROM stage_reduced_usage AS r
        JOIN staged_operations AS o USING (operation) JOIN staged_scopes AS s USING (scope)""")
    _name_actors_and_assignments(con)
    row = ", ".join(f"coalesce({name}::VARCHAR, '')" for name in ("role_assignment_id", *_VALUES))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_reduced AS
        SELECT file_id, line, counted_line, {_GROUP}, n.assignment_key, {", ".join(_VALUES)}, content
        FROM (SELECT *, concat_ws(chr(31), {row}) AS content FROM reduced_rows)
        JOIN (SELECT actor, actor_key FROM base.actors) USING (actor)
        LEFT JOIN base.assignment_names AS n USING (role_assignment_id)""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_snapshots AS
        SELECT file_id, {_GROUP}, {_MERIT} || md5(string_agg(content, chr(30) ORDER BY content)) AS merit
        FROM (SELECT DISTINCT * EXCLUDE (line) FROM merge_reduced) GROUP BY ALL""")
    known = f"SELECT DISTINCT {_GROUP}, merit AS known FROM base.reduced_usage"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_better AS
        SELECT {_GROUP}, max(merit) AS merit, arg_max(file_id, (merit, -file_id)) AS file_id
        FROM merge_snapshots GROUP BY {_GROUP}""")
    con.execute(f"""
        DELETE FROM merge_better USING ({known}) AS k
        WHERE {" AND ".join(f"merge_better.{name} = k.{name}" for name in _GROUP.split(", "))} AND k.known >= merit""")
    con.execute(f"DELETE FROM base.reduced_usage WHERE ({_GROUP}) IN (SELECT ({_GROUP}) FROM merge_better)")
    con.execute(f"""
        INSERT INTO base.reduced_usage ({_STORED})
        SELECT {", ".join(f"{_SUMMED[name]}({name})" if name in _SUMMED else name for name in _STORED.split(", "))}
        FROM (SELECT DISTINCT {_STORED}, counted_line FROM merge_reduced JOIN merge_better USING (file_id, {_GROUP}))
        GROUP BY {_KEPT}, {_APART}""")
    con.execute("INSERT INTO touched_days SELECT DISTINCT day FROM merge_better EXCEPT SELECT day FROM touched_days")
    new = con.execute(f"""
        SELECT file_id, count(DISTINCT counted_line)
            + count(DISTINCT ({_GROUP}, content)) FILTER (counted_line IS NULL)
        FROM merge_reduced JOIN merge_better USING (file_id, {_GROUP}) GROUP BY file_id""").fetchall()
    for name in ("reduced_rows", "merge_reduced", "merge_snapshots", "merge_better"):
        con.execute(f"DROP TABLE {name}")
    return dict(new)


def _name_actors_and_assignments(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"""
        INSERT INTO base.actors (actor_key, actor, principal_id, principal_name)
        SELECT coalesce((SELECT max(actor_key) FROM base.actors), 0) + row_number() OVER (ORDER BY actor), *
        FROM (
            SELECT actor, min(principal_id), min(CASE WHEN principal_id IS NULL THEN
                {folded("coalesce(principal_name, app_id)")} END)
            FROM reduced_rows GROUP BY actor)
        WHERE actor NOT IN (SELECT actor FROM base.actors)""")
    con.execute("""
        INSERT INTO base.assignment_names (assignment_key, role_assignment_id)
        SELECT coalesce((SELECT max(assignment_key) FROM base.assignment_names), 0)
            + row_number() OVER (ORDER BY role_assignment_id), role_assignment_id
        FROM (SELECT DISTINCT role_assignment_id FROM reduced_rows WHERE role_assignment_id IS NOT NULL)
        WHERE role_assignment_id NOT IN (SELECT role_assignment_id FROM base.assignment_names)""")


def with_reduced(usage: str) -> str:
    """Return SQL for the usage of `touched_days`, from whole records and from reduced rows of the same days.

    Use that both show counts once. For each named assignment the greater count holds. Calls without an assignment are
    counted as the greater total of the two, less the calls with one.

    Args:
        usage: SQL for the usage of whole records, with the columns of `base.usage_days`.
    """
    sums = ", ".join(f"sum({name}) AS {name}" for name in _COUNTS)
    best = ", ".join(f"max({name}) AS {name}" for name in _COUNTS)
    left = ", ".join(f"greatest(0, t.{name} - coalesce(n.{name}, 0))::BIGINT AS {name}" for name in _COUNTS)
    return f"""
        WITH sides AS (
            SELECT {_USE}, assignment_key, first_seen, last_seen, {", ".join(_COUNTS)}, suspect, 'whole' AS side
            FROM ({usage})
            UNION ALL
            SELECT {_USE}, assignment_key, min(first_seen), max(last_seen), {sums},
                sum(CASE WHEN {IN_WINDOW} THEN succeeded + failed + started ELSE 0 END)::BIGINT, 'reduced'
            FROM base.reduced_usage AS r SEMI JOIN touched_days USING (day)
            WHERE {" + ".join(_COUNTS)} > 0 GROUP BY ALL
        ), named AS (
            SELECT {_USE}, assignment_key, min(first_seen) AS first_seen, max(last_seen) AS last_seen, {best},
                max(suspect) AS suspect
            FROM sides WHERE assignment_key IS NOT NULL GROUP BY {_USE}, assignment_key
        ), totals AS (
            SELECT {_USE}, {best} FROM (SELECT {_USE}, side, {sums} FROM sides GROUP BY {_USE}, side) GROUP BY {_USE}
        ), unnamed AS (
            SELECT {_USE}, min(first_seen) AS first_seen, max(last_seen) AS last_seen, max(suspect) AS suspect
            FROM sides WHERE assignment_key IS NULL GROUP BY {_USE}
        )
        SELECT {_USE}, assignment_key, first_seen, last_seen,
            {", ".join(f"{name}::BIGINT AS {name}" for name in _COUNTS)},
            suspect
        FROM named
        UNION ALL
        SELECT * FROM (
            SELECT {_USE}, NULL AS assignment_key, u.first_seen, u.last_seen,
                {left}, u.suspect
            FROM unnamed AS u JOIN totals AS t USING ({_USE})
            LEFT JOIN (SELECT {_USE}, {sums} FROM named GROUP BY {_USE}) AS n USING ({_USE})
        ) WHERE {" + ".join(_COUNTS)} > 0"""


def merge_reduced_sign_ins(con: duckdb.DuckDBPyConnection) -> None:
    """Merge `stage_reduced_sign_ins`: sign-ins do not change, so the greater count is the better one.

    Adds the days that it touches to `touched_days`, and adds its new lines.
    """
    keys = ("sign_in_kind", "principal_id", "principal_name", "app_id", "resource_id", "day", "received")
    greatest = ("last_seen", "resource_name", "succeeded", "failed")
    columns = ", ".join((*keys, "first_seen", *greatest))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_sign_in_days AS
        SELECT file_id, line, {columns.replace("principal_name", f"{folded('principal_name')} AS principal_name")}
        FROM stage_reduced_sign_ins""")
    con.execute(f"INSERT INTO merge_sign_in_days BY NAME SELECT NULL AS file_id, NULL AS line, {columns} "
                "FROM base.reduced_sign_ins SEMI JOIN merge_sign_in_days USING (day)")  # fmt: skip
    note_new_lines(con, "merge_sign_in_days", keys, ("first_seen",), greatest)
    con.execute(
        "INSERT INTO touched_days SELECT DISTINCT day FROM merge_sign_in_days EXCEPT SELECT day FROM touched_days"
    )
    con.execute("DELETE FROM base.reduced_sign_ins WHERE day IN (SELECT day FROM merge_sign_in_days)")
    con.execute(f"""
        INSERT INTO base.reduced_sign_ins BY NAME
        SELECT {", ".join(keys)}, min(first_seen) AS first_seen,
            {", ".join(f"max({name}) AS {name}" for name in greatest)}
        FROM merge_sign_in_days GROUP BY {", ".join(keys)}""")
    con.execute("DROP TABLE merge_sign_in_days")
