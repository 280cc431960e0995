"""Run one ad-hoc SQL statement on the store, read-only, in a locked connection, with limits on rows, time and memory.

DuckDB calls its settings defence in depth and not a sandbox (duckdb.org, "Securing DuckDB"). So there are three layers:
the parser must find one reading statement; the connection is read-only and can reach no file, extension or setting;
and the operator runs it on their own data. The parser alone is not enough: DuckDB 2.0 classifies
`WITH x AS (INSERT …) SELECT …` as a SELECT, and only the read-only connection refuses it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from rightsize.model.errors import InputError, InternalError, RightsizeError, UsageError
from rightsize.store.connection import open_store

_MEMORY_LIMIT = "2GB"
_AGAIN = 0.1
# INVARIANT: no statement can loosen these, since `lock_configuration` follows before it runs. Without a directory for
# temporary files, a statement that exceeds its memory limit fails and leaves nothing on the disk.
LOCKED_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": _MEMORY_LIMIT,
    "max_temp_directory_size": "0KB",
    "threads": "2",
}
_EXPLAIN = re.compile(r"(?:\s|--[^\r\n]*[\r\n]|/\*.*?\*/)*explain\b", re.IGNORECASE | re.DOTALL)
_HINT_ONE = "give one SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN statement"


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a statement; `cut` is true if there were more rows than requested."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    cut: bool


def run_statement(
    path: Path,
    sql: str,
    parameters: Mapping[str, object],
    *,
    max_rows: int = 10_000,
    timeout: float = 60.0,
) -> Answer:
    """Run one reading statement on the store at `path`, and return at most `max_rows` rows.

    It is stopped after `timeout` seconds, at the next point where DuckDB checks for an interrupt: a single slow value
    is computed to its end first. Columns with the same name get the suffix `_2`, `_3` and so on, so that a row can be
    an object.

    Raises:
        UsageError: The statement does not only read, does not run, takes too long or too much memory, or its
            parameters are not the ones given.
        InputError: There is no store at `path`, or it cannot be read.
    """
    bound = _bind(_gate(sql), parameters)
    connection = _connect(path)
    stopped, ended = threading.Event(), threading.Event()

    def stop() -> None:
        if not ended.wait(timeout):
            stopped.set()
            connection.interrupt()
        # DuckDB ignores an interrupt that comes just before the statement starts.
        while not ended.wait(_AGAIN):
            connection.interrupt()

    clock = threading.Thread(target=stop, daemon=True)
    clock.start()
    try:
        result = connection.execute(sql, bound or None)
        columns = distinct_names([column[0] for column in result.description or []])
        rows = result.fetchmany(max_rows + 1)
    except duckdb.InterruptException as error:
        if not stopped.is_set():
            raise KeyboardInterrupt from error
        raise UsageError(
            f"the statement was stopped after {timeout:g} s", hint="narrow it, or give a longer --timeout"
        ) from error
    except duckdb.Error as error:
        raise _in_the_users_terms(error) from error
    finally:
        ended.set()
        clock.join()
        connection.close()
    records = [dict(zip(columns, map(_plain_number, row), strict=True)) for row in rows[:max_rows]]
    return Answer(columns, records, cut=len(rows) > max_rows)


def _gate(sql: str) -> duckdb.Statement:
    """Return the only statement of the text; raises UsageError unless it is a reading statement."""
    try:
        sql.encode()  # A terminal hands bytes that are no UTF-8 on as lone surrogates.
        statements = duckdb.extract_statements(sql)
    except UnicodeEncodeError as error:
        raise UsageError("the statement is not UTF-8") from error
    except duckdb.Error as error:
        raise _in_the_users_terms(error) from error
    if not statements:
        raise UsageError("there is no statement", hint=_HINT_ONE)
    if len(statements) > 1:
        raise UsageError(f"there are {len(statements)} statements, but only one can be run at a time", hint=_HINT_ONE)
    statement = statements[0]
    if statement.type is duckdb.StatementType.SELECT:
        return statement
    if statement.type is duckdb.StatementType.EXPLAIN:
        _gate_explained(sql)
        return statement
    if statement.type is duckdb.StatementType.MULTI:
        # PIVOT without IN first stores the values of its column as a type, in a separate statement.
        raise UsageError("PIVOT must list its values", hint="write `FROM t PIVOT (sum(x) FOR y IN ('a', 'b'))`")
    raise UsageError(f"cannot run a {statement.type.name} statement: only statements that read are run", hint=_HINT_ONE)


def _gate_explained(sql: str) -> None:
    """Raise UsageError unless the explained statement only reads: EXPLAIN ANALYZE would run any statement."""
    explain = _EXPLAIN.match(sql)
    rest = sql[explain.end() :] if explain else ""
    try:
        statements = duckdb.extract_statements(rest)
    except duckdb.Error:
        statements = []
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise UsageError("EXPLAIN takes a statement that reads, without options", hint="write `EXPLAIN SELECT …`")


def _bind(statement: duckdb.Statement, parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters under the names in the statement; DuckDB compares them without regard to case."""
    wanted = {name.lower(): name for name in statement.named_parameters}
    given = {name.lower(): value for name, value in parameters.items()}
    missing = sorted(wanted.keys() - given.keys())
    if missing:
        raise UsageError(f"the statement needs a value for `${wanted[missing[0]]}`", hint=f"give -p {missing[0]}=VALUE")
    extra = sorted(given.keys() - wanted.keys())
    if extra:
        names = ", ".join(f"`${wanted[name]}`" for name in sorted(wanted))
        raise UsageError(f"the statement has no parameter `${extra[0]}`", hint=f"it has {names or 'none'}")
    return {wanted[name]: value for name, value in given.items()}


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    # `open_store` first checks that this is a store of a known version; then it is opened locked.
    open_store(path, read_only=True).close()
    try:
        connection = duckdb.connect(str(path), read_only=True, config=LOCKED_SETTINGS)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        raise InputError(f"`{path}` cannot be read: {_first_line(error)}", hint="try again") from error
    return connection


def _in_the_users_terms(error: duckdb.Error) -> RightsizeError:
    text = _first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return UsageError(
            f"the statement needs more memory than its limit of {_MEMORY_LIMIT}", hint="narrow it, or aggregate"
        )
    if isinstance(error, duckdb.PermissionException):
        return UsageError("the statement reaches outside the store", hint="only its tables and views can be read")
    if "read-only mode" in text:
        return UsageError("the statement would change the store, which is open for reading only", hint=_HINT_ONE)
    if isinstance(error, (duckdb.InternalException, duckdb.FatalException)):
        return InternalError(f"DuckDB failed: {text}")
    hint = None
    if isinstance(error, (duckdb.CatalogException, duckdb.BinderException)):
        hint = "`SHOW TABLES` lists the tables, `DESCRIBE table` the columns of one"
    return UsageError(f"the statement fails: {text}", hint=hint)


def _first_line(error: duckdb.Error) -> str:
    """Return the message of a DuckDB error, without its kind, its advice and the excerpt of the statement."""
    line = str(error).strip().partition("\n")[0]
    kind, colon, rest = line.partition(": ")
    text = rest if colon and kind.endswith("Error") else line
    starts_a_sentence = text[1:2].islower() or text[1:2] == " "
    return (text[:1].lower() + text[1:] if starts_a_sentence else text).rstrip("!.")


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns, each repeated one with a number behind it."""
    taken: set[str] = set()
    distinct = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken or (number > 1 and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        distinct.append(candidate)
    return tuple(distinct)


def _plain_number(value: object) -> object:
    """Return an exact decimal as a float, which JSON can hold."""
    return float(value) if isinstance(value, Decimal) else value
