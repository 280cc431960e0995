"""Merge staged log rows into the stored events, requests and sign-ins, and collect the days that they touch.

Every column of a stored event is a least or greatest value over the rows of its call, so any order and repetition of
loads gives the same row. `queries/reduce/collapse.sql` is the same merge for rows that are all loaded at once; here the
stored row takes part.

Replace the display name of an operation in downloads of the Activity Log, where the catalogue leaves no choice.

A call then has the same key as in other exports. Calls that were stored before the catalogue knew their name are merged
anew, so the order of loads does not matter.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import duckdb

from rightsize.model.text import OPERATION_FORM
from rightsize.store.ddl import MARKED_COLUMNS
from rightsize.store.merging.calls import OF_CONTEXT, STORED, judge_rows, mark
from rightsize.store.merging.staging import DOWNLOADED, EVENT_KEY, merge_reduced_usage, note_new_lines, number_texts
from rightsize.store.sql import folded, registered, tidy_scope

_COLUMNS = ", ".join(STORED)


def _acting() -> str:
    """Return SQL for the actor of an event (`acts_as`, `acting`) and the assignment that allowed it (`allowed_by`)."""
    principal, name, app, assignment = (
        f"substr({name}, 2)" for name in ("principal_id", "principal_name", "app_id", "role_assignment_id")
    )
    return f"""CASE WHEN principal_id IS NOT NULL THEN 'i' WHEN coalesce(principal_name, app_id) IS NOT NULL THEN 'n'
        ELSE '' END AS acts_as, coalesce({principal}, {name}, {app}, '') AS acting, {assignment} AS allowed_by"""


_ACTING = _acting()


def merge_events(con: duckdb.DuckDBPyConnection, staged: Collection[str]) -> dict[int, int]:
    """Merge `stage_events` and `stage_reduced_usage`, and fill `touched_days` with the days that they touch.

    `staged` has the names of `filled_tables`. Returns the new records of each file that are not in `new_lines`.
    """
    if not {"events", "reduced_usage"}.intersection(staged):
        con.execute("CREATE OR REPLACE TEMP TABLE touched_days (day DATE)")
        return {}
    _name_operations_and_scopes(con)
    new, is_mixed = judge_rows(con)
    con.execute("CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT time::DATE AS day FROM merge_best")
    if is_mixed:
        con.execute("""
            CREATE OR REPLACE TEMP TABLE merge_replaced AS
            SELECT stored_row, time::DATE AS day FROM merge_mixed_rows SEMI JOIN merge_mixed_changed USING (event_key)
            WHERE stored_row IS NOT NULL""")
        con.execute("""
            INSERT INTO touched_days
            (SELECT time::DATE FROM merge_mixed_changed UNION SELECT day FROM merge_replaced)
            EXCEPT SELECT day FROM touched_days""")
        con.execute("DELETE FROM base.events WHERE rowid IN (SELECT stored_row FROM merge_replaced)")
    _store_changed(con, is_mixed=is_mixed)
    if "reduced_usage" in staged:
        for file_id, count in merge_reduced_usage(con).items():
            new[file_id] = new.get(file_id, 0) + count
    return new


def _store_changed(con: duckdb.DuckDBPyConnection, *, is_mixed: bool) -> None:
    """Store the events of `merge_best`, and of `merge_mixed_changed` if it is there; each context is keyed once."""
    marked = ", ".join(f"mark || {name} AS {name}" for name in OF_CONTEXT)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_said AS
        SELECT *, {_ACTING} FROM (
            SELECT context_no, rank, source, plane, category, {marked} FROM (
                SELECT DISTINCT context_no, rank, {mark()} AS mark FROM stage_events
                WHERE rowid IN (SELECT place FROM merge_best)
            ) JOIN stage_event_contexts USING (context_no))""")
    mixed = f"(SELECT *, {_ACTING} FROM merge_mixed_changed)"
    _name_actors_and_assignments(con, f"(FROM merge_said UNION ALL BY NAME FROM {mixed})" if is_mixed else "merge_said")
    values = {
        **dict.fromkeys(("event_key", "time"), "b.{}"),
        "operation_key": "coalesce(b.operation_key, o.operation_key)",
        "scope_key": "coalesce(b.scope_key, s.scope_key)",
        **dict.fromkeys(("source", "plane", "category", *OF_CONTEXT), "c.{}"),
        **{name: f"{mark('r.rank')} || r.{name}" for name in MARKED_COLUMNS if name not in OF_CONTEXT},
    }
    columns = ", ".join(values.get(name, "r.{}").format(name) for name in STORED)
    con.execute(f"""
        INSERT INTO base.events ({_COLUMNS}, actor_key, assignment_key)
        SELECT {columns}, c.actor_key, c.assignment_key
        FROM stage_events AS r JOIN merge_best AS b ON r.rowid = b.place
        JOIN ({_with_keys("merge_said", "*")}) AS c ON c.context_no = r.context_no AND c.rank = r.rank
        LEFT JOIN staged_operations AS o ON o.operation_no = r.operation_no
        LEFT JOIN staged_scopes AS s ON s.scope_no = r.scope_no
        {f"UNION ALL {_with_keys(mixed)}" if is_mixed else ""}""")
    con.execute("DROP TABLE event_names")


def _name_actors_and_assignments(con: duckdb.DuckDBPyConnection, events: str) -> None:
    """Number the new actors and assignments of a relation of events.

    An actor is named by object id, else by the name in the row; without either it is the empty text. Leaves
    `event_names` for `_with_keys`.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE event_names AS
        SELECT *, CASE acts_as WHEN 'n' THEN 'n' || {folded("acting")} ELSE acts_as || acting END AS actor
        FROM (SELECT DISTINCT acts_as, acting, allowed_by FROM {events})""")
    con.execute("""
        INSERT INTO base.actors (actor_key, actor, principal_id, principal_name)
        SELECT coalesce((SELECT max(actor_key) FROM base.actors), 0) + row_number() OVER (ORDER BY actor), actor,
            CASE WHEN actor LIKE 'i%' THEN substr(actor, 2) END, CASE WHEN actor LIKE 'n%' THEN substr(actor, 2) END
        FROM (SELECT DISTINCT actor FROM event_names) WHERE actor NOT IN (SELECT actor FROM base.actors)""")
    con.execute("""
        INSERT INTO base.assignment_names (assignment_key, role_assignment_id)
        SELECT coalesce((SELECT max(assignment_key) FROM base.assignment_names), 0)
            + row_number() OVER (ORDER BY allowed_by), allowed_by
        FROM (SELECT DISTINCT allowed_by FROM event_names WHERE allowed_by IS NOT NULL)
        WHERE allowed_by NOT IN (SELECT role_assignment_id FROM base.assignment_names)""")


def _with_keys(events: str, columns: str = _COLUMNS) -> str:
    """Return SQL for a relation of events with the integers of the actor and of the assignment that allowed it."""
    return f"""
        SELECT {columns}, k.actor_key, k.assignment_key FROM {events} AS m
        JOIN (
            SELECT acts_as, acting, allowed_by, actor_key, assignment_key FROM event_names
            JOIN base.actors AS a USING (actor)
            LEFT JOIN base.assignment_names AS n ON n.role_assignment_id = allowed_by
        ) AS k ON k.acts_as = m.acts_as AND k.acting = m.acting AND k.allowed_by IS NOT DISTINCT FROM m.allowed_by"""


def _name_operations_and_scopes(con: duckdb.DuckDBPyConnection) -> None:
    """Number new operations and scopes, store the earliest spelling of each, and map the staged texts to numbers.

    Folding is expensive, so each distinct text is folded once.
    """
    for column in ("operation", "scope"):
        tidy = tidy_scope("scope") if column == "scope" else f"trim({column})"
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE staged_texts AS
            SELECT {column} AS text, {tidy} AS tidy, {folded("tidy")} AS folded, time
            FROM (
                SELECT {column}, min(time) AS time FROM (
                    SELECT {column}, time FROM (
                        SELECT {column}_no, min(time) AS time FROM stage_events GROUP BY {column}_no
                    ) JOIN stage_event_{column}s USING ({column}_no)
                    UNION ALL SELECT {column}, first_seen FROM stage_reduced_usage
                ) GROUP BY {column})""")
        con.execute("""
            CREATE OR REPLACE TEMP TABLE staged_names AS
            SELECT folded, min(strftime(time, '%Y%m%d%H%M%S%f') || tidy) AS earliest, NULL::VARCHAR AS smallest
            FROM staged_texts GROUP BY folded""")
        merge_names(con, f"{column}_names")
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE staged_{column}s AS
            SELECT t.text AS {column}, e.{column}_no, n.{column}_key FROM staged_texts AS t
            JOIN base.{column}_names AS n USING (folded)
            LEFT JOIN stage_event_{column}s AS e ON e.{column} = t.text""")


def merge_names(con: duckdb.DuckDBPyConnection, table: str, order: str = "folded") -> None:
    """Merge `staged_names` (folded, earliest, smallest) into the names of operations or scopes.

    New names are numbered in `order`. A name whose spelling may change is marked stale.
    """
    key = table.removesuffix("_names") + "_key"
    con.execute(f"""
        INSERT INTO base.{table} ({key}, folded, earliest, smallest, stale)
        SELECT coalesce((SELECT max({key}) FROM base.{table}), 0) + row_number() OVER (ORDER BY {order}), folded,
            earliest, smallest, true
        FROM staged_names WHERE folded NOT IN (SELECT folded FROM base.{table})""")
    # Names that were just added do not change here.
    con.execute(f"""
        UPDATE base.{table} AS n SET earliest = least(n.earliest, s.earliest), smallest = least(n.smallest, s.smallest),
            stale = true
        FROM staged_names AS s
        WHERE n.folded = s.folded AND (
            coalesce(s.earliest < n.earliest, s.earliest IS NOT NULL AND n.earliest IS NULL)
            OR coalesce(s.smallest < n.smallest, s.smallest IS NOT NULL AND n.smallest IS NULL))""")


def merge_requests(con: duckdb.DuckDBPyConnection) -> None:
    """Merge `stage_request_rows` into the stored bodies of requests that create or delete role assignments.

    A value replaces a missing one, and the greater of two values stays, as in all merges.
    """
    values = ("assigned_role_id", "assigned_type", "asked_type", "assigned_principal_id")
    greatest = ", ".join(f"max({name}) AS {name}" for name in values)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_requests AS
        SELECT event_key, {", ".join(values)} FROM stage_request_rows""")
    con.execute("""
        INSERT INTO merge_requests BY NAME
        SELECT * FROM base.request_bodies WHERE event_key IN (SELECT event_key FROM merge_requests)""")
    con.execute("DELETE FROM base.request_bodies WHERE event_key IN (SELECT event_key FROM merge_requests)")
    con.execute(f"""
        INSERT INTO base.request_bodies BY NAME
        SELECT event_key, {greatest} FROM merge_requests GROUP BY event_key""")


def merge_sign_ins(con: duckdb.DuckDBPyConnection) -> None:
    """Merge `stage_sign_in_rows`; its id identifies a sign-in, else its content.

    Adds the days that it touches to `touched_days`, and adds its new lines.
    """
    greatest = (
        "principal_id", "principal_name", "app_id", "resource_id", "resource_name", "kind", "succeeded", "sign_in_id",
        "correlation_id", "token_id", "session_id", "ip", "country", "network_number", "federated_credential_id",
    )  # fmt: skip
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_sign_ins AS
        SELECT file_id, line,
            md5_number(coalesce('i' || {folded("sign_in_id")}, 'c' || to_json(struct_pack(time, principal_id,
                principal_name := {folded("principal_name")}, app_id, resource_id, kind, succeeded
            ))::VARCHAR)) AS sign_in_key,
            time, principal_id, {folded("principal_name")} AS principal_name, app_id, resource_id, resource_name, kind,
            succeeded, {folded("sign_in_id")} AS sign_in_id, {folded("correlation_id")} AS correlation_id, token_id,
            session_id, ip, country, network_number, federated_credential_id
        FROM stage_sign_in_rows""")
    con.execute(f"""
        INSERT INTO merge_sign_ins BY NAME
        SELECT NULL AS file_id, NULL AS line, sign_in_key, time, {", ".join(greatest)} FROM base.sign_in_rows
        WHERE sign_in_key IN (SELECT sign_in_key FROM merge_sign_ins)""")
    note_new_lines(con, "merge_sign_ins", ("sign_in_key",), ("time",), greatest)
    con.execute("""
        INSERT INTO touched_days
        SELECT DISTINCT time::DATE FROM merge_sign_ins WHERE time::DATE NOT IN (SELECT day FROM touched_days)""")
    con.execute("DELETE FROM base.sign_in_rows WHERE sign_in_key IN (SELECT sign_in_key FROM merge_sign_ins)")
    con.execute(f"""
        INSERT INTO base.sign_in_rows BY NAME
        SELECT sign_in_key, min(time) AS time, {", ".join(f"max({name}) AS {name}" for name in greatest)}
        FROM merge_sign_ins GROUP BY sign_in_key""")


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
    stored = f"(SELECT *, {_ACTING} FROM named_calls)"
    _name_actors_and_assignments(con, stored)
    con.execute(f"INSERT INTO base.events BY NAME {_with_keys(stored)}")
    con.execute("DROP TABLE named_events; DROP TABLE named_calls; DROP TABLE event_names")


def _find_meant(con: duckdb.DuckDBPyConnection, acts: str, operations: str) -> bool:
    """Fill `meant_operations (operation, scope, meant)` for calls with display names; return whether there are any."""
    if not con.execute(f"SELECT 1 FROM ({acts}) LIMIT 1").fetchall():
        return False
    import polars as pl  # noqa: PLC0415  most loads name every operation

    from rightsize.analyze.inputs import operations_meant  # noqa: PLC0415

    catalogue = pl.DataFrame(con.sql(f"SELECT operation, display_name, is_data_action FROM {operations}"))
    with registered(con, {"meant_frame": operations_meant(pl.DataFrame(con.sql(acts)), catalogue)}):
        con.execute("CREATE OR REPLACE TEMP TABLE meant_operations AS FROM meant_frame")
    return bool(con.execute("SELECT 1 FROM meant_operations LIMIT 1").fetchall())
