"""Merge use and sign-ins that were reduced where the logs are, beside whole records of the same days.

The rows for one principal, operation, scope, day and hour of receipt are a snapshot: a later answer may have more
calls, never fewer. Of several snapshots the one with more finished calls counts as a whole, because a started call
moves to another row when it ends. So any order and repetition of loads gives the same rows. Answers of an older query
lack the way of access, so of two otherwise equal answers the one that has it counts.

A row that stands for counted records has its line as `counted_line`: two equal ones are two uses, and their counts add
up. Other equal rows of one answer are the same row twice.
"""

from __future__ import annotations

import duckdb

from rightsize.store.ddl import RESOLVED
from rightsize.store.merging.staging import note_new_lines
from rightsize.store.sql import folded

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
    ((count,),) = con.execute(f"""
        CREATE OR REPLACE TEMP TABLE reduced_rows AS
        SELECT r.* EXCLUDE (operation, scope), o.operation_key, s.scope_key,
            coalesce('i' || principal_id, 'n' || {folded("coalesce(principal_name, app_id)")}, '') AS actor
        FROM stage_reduced_usage AS r
        JOIN staged_operations AS o USING (operation) JOIN staged_scopes AS s USING (scope)""").fetchall()
    if not count:
        return {}
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


def with_reduced(con: duckdb.DuckDBPyConnection, usage: str) -> str:
    """Return SQL for the usage of `touched_days`, from whole records and from reduced rows of the same days.

    Use that both show counts once. For each named assignment the greater count holds. Calls without an assignment are
    counted as the greater total of the two, less the calls with one.

    Args:
        con: The store's connection.
        usage: SQL for the usage of whole records, with the columns of `base.usage_days`.
    """
    if con.execute("SELECT 1 FROM base.reduced_usage SEMI JOIN touched_days USING (day) LIMIT 1").fetchone() is None:
        return usage
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
    ((count,),) = con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_sign_in_days AS
        SELECT file_id, line, {columns.replace("principal_name", f"{folded('principal_name')} AS principal_name")}
        FROM stage_reduced_sign_ins""").fetchall()
    if not count:
        return
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
