"""Run one statement of SQL in this process, after limiting what the process may take.

`store.sandbox` starts the process for each statement and ends it. The order of the limits matters: first those of the
operating system, then the store is opened, and only then is the statement read.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from rightsize.model.errors import InputError, InternalError, RightsizeError, UsageError
from rightsize.store.connection import Store, require_file, require_store
from rightsize.store.limits import explain_damage
from rightsize.store.sandbox import READY, decode, encode, too_much_memory
from rightsize.store.stored_analysis import OF_ANALYSIS, has_current_answers

_AT_ONCE = 256
"""Rows that are fetched and written at a time."""
_CPU_GRACE = 5
_FILES = 64
# INVARIANT: no statement can loosen these, since `lock_configuration` follows before it runs. Without a directory for
# temporary files, a statement that exceeds its memory limit fails and leaves nothing on the disk.
LOCKED_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "max_temp_directory_size": "0KB",
    "secret_directory": "none",
    "threads": "2",
}
_EXPLAIN = re.compile(r"(?:\s|--[^\r\n]*[\r\n]|/\*.*?\*/)*explain\b", re.IGNORECASE | re.DOTALL)
HINT_ONE = "give one SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN statement"
_ABOUT_THE_MACHINE = frozenset(
    {
        "duckdb_databases",
        "duckdb_extensions",
        "duckdb_external_file_cache",
        "duckdb_logs",
        "duckdb_secrets",
        "duckdb_settings",
        "pg_settings",
        "pragma_database_list",
        "which_secret",
    }
)
"""Functions and views that name files and settings of the machine."""
_DYNAMIC = frozenset(
    {
        "arrow_scan",
        "arrow_scan_dumb",
        "current_setting",
        "getvariable",
        "json_execute_serialized_sql",
        "pandas_scan",
        "query",
        "query_table",
    }
)
"""Functions that run a text as SQL, read a setting by a computed name, or an address; refused where a `(` follows."""
_SETTING = re.compile(r"current_setting\s*\(\s*'timezone'\s*\)", re.IGNORECASE)


def main() -> None:
    """Read a request from stdin, write `READY`, then the answer as JSON; exit when stdin ends, as with the parent."""
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent decides.
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _limit(request["memory"] + request["overhead"], request["seconds"])
    out = sys.stdout.buffer
    try:
        document = answer(request, out)
    except RightsizeError as error:
        document = _told(error)
    except MemoryError:
        document = _told(too_much_memory(request["memory"]))
    out.write(json.dumps(document, separators=(",", ":")).encode("ascii"))
    out.flush()
    # Threads of DuckDB and the one that waits for stdin are not worth waiting for.
    os._exit(0)


def _told(error: RightsizeError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": error.message, "hint": error.hint}


def answer(request: Mapping[str, Any], out: BinaryIO | None = None) -> dict[str, Any]:
    """Return the names of columns, the encoded rows, whether there were more, and whether they rest on an old analysis.

    Args:
        request: `store`, `sql`, `parameters` (encoded), `memory` and `bytes` (limits), `rows` (how many are wanted).
        out: Where `READY` is written before the statement runs.

    Raises:
        UsageError: The statement does not only read, does not run, or its parameters are not the ones given.
        InputError: There is no store at that place, or it cannot be read.
    """
    path = Path(request["store"])
    connection = _connect(path, request["memory"])
    if out is not None:
        out.write(READY)
        out.flush()
    sql: str = request["sql"]
    try:
        values = {name: decode(value) for name, value in request["parameters"].items()}
        bound = _bind(_gate(sql), values)
        reads_analysis = not OF_ANALYSIS.isdisjoint(_names(sql))
        old = reads_analysis and not has_current_answers(Store(connection, path, read_only=True))
        result = connection.execute(sql, bound or None)
        columns = distinct_names([column[0] for column in result.description or []])
        rows: list[Any] = []
        size = 0
        for part in _parts(result, request["rows"] + 1):
            encoded = [[encode(value) for value in row] for row in part]
            size += len(json.dumps(encoded, separators=(",", ":")))
            if size > request["bytes"]:
                raise UsageError(
                    f"the answer is larger than its limit of {request['bytes'] >> 20} MiB",
                    hint="select fewer columns, or give a lower --max-rows",
                )
            rows += encoded
    except duckdb.Error as error:
        raise _in_the_users_terms(error, request["memory"]) from error
    finally:
        connection.close()
    return {"columns": columns, "rows": rows[: request["rows"]], "cut": len(rows) > request["rows"], "old": old}


def _parts(result: duckdb.DuckDBPyConnection, wanted: int) -> Iterator[list[Any]]:
    while wanted > 0:
        part = result.fetchmany(min(_AT_ONCE, wanted))
        if not part:
            return
        wanted -= len(part)
        yield part


def _end_with_the_parent() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


def _limit(memory: int, seconds: float) -> None:
    """Limit address space, processor time and files of this process, where the system has such limits."""
    try:
        import resource  # noqa: PLC0415  Windows has none
    except ImportError:
        return
    processor = int(seconds * int(str(LOCKED_SETTINGS["threads"]))) + _CPU_GRACE
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_CPU: processor,
        resource.RLIMIT_AS: memory,
    }
    for limit, value in wanted.items():
        hard = resource.getrlimit(limit)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(limit, (least, least))
        except (OSError, ValueError):
            # macOS refuses a limit of the address space; there the parent watches the memory.
            if sys.platform == "linux":
                raise


def _gate(sql: str) -> duckdb.Statement:
    """Return the only statement of the text; raises UsageError unless it is a reading statement."""
    statements = duckdb.extract_statements(sql)
    if not statements:
        raise UsageError("there is no statement", hint=HINT_ONE)
    if len(statements) > 1:
        raise UsageError(f"there are {len(statements)} statements, but only one can be run at a time", hint=HINT_ONE)
    _gate_names(sql)
    statement = statements[0]
    kind = _kind_of(statement)
    if kind == "SELECT":
        return statement
    if kind == "EXPLAIN":
        _gate_explained(sql)
        return statement
    if kind == "MULTI":
        # PIVOT without IN first stores the values of its column as a type, in a separate statement.
        raise UsageError("PIVOT must list its values", hint="write `FROM t PIVOT (sum(x) FOR y IN ('a', 'b'))`")
    raise UsageError(f"cannot run {_article(kind)} statement: only statements that read are run", hint=HINT_ONE)


def _kind_of(statement: duckdb.Statement) -> str | None:
    """Return the kind of a statement; None for those that DuckDB itself has no word for (`UPDATE EXTENSIONS`)."""
    try:
        return statement.type.name
    except ValueError:
        return None


def _article(kind: str | None) -> str:
    return "this" if kind is None else f"a {kind}"


def _gate_names(sql: str) -> None:
    """Raise UsageError if a statement reads about the machine, or builds SQL or the name of a setting itself."""
    names = _names(_SETTING.sub(lambda found: " " * len(found[0]), sql))
    for place, name in enumerate(names):
        called = names[place + 1 : place + 2] == ["("]
        if name in _ABOUT_THE_MACHINE or (name in _DYNAMIC and called):
            raise UsageError(
                f"the statement uses `{name}`, which reaches outside the store",
                hint="only its tables and views can be read",
            )


def _names(sql: str) -> list[str]:
    """Return the words and signs of a statement, without comments and quotes, in lower case."""
    marked, text = duckdb.tokenize(sql), sql.encode()
    ends = [start for start, _ in marked[1:]] + [len(text)]
    parts = ((start, end) for (start, kind), end in zip(marked, ends, strict=True) if kind != duckdb.token_type.comment)
    words = (text[start:end].decode("utf-8", "replace").strip() for start, end in parts)
    return [word.strip('"').lower() for word in words]


def _gate_explained(sql: str) -> None:
    """Raise UsageError unless the explained statement only reads: EXPLAIN ANALYZE would run any statement."""
    explain = _EXPLAIN.match(sql)
    rest = sql[explain.end() :] if explain else ""
    try:
        statements = duckdb.extract_statements(rest)
    except duckdb.Error:
        statements = []
    if [_kind_of(statement) for statement in statements] != ["SELECT"]:
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


def _connect(path: Path, memory: int) -> duckdb.DuckDBPyConnection:
    require_file(path)
    settings = LOCKED_SETTINGS | {"memory_limit": f"{memory}B"}
    try:
        connection = duckdb.connect(str(path), read_only=True, config=settings)
    except duckdb.Error as error:
        damage = explain_damage(error)
        raise damage or InputError(f"`{path}` cannot be read: {_first_line(error)}", hint="try again") from error
    require_store(connection, path)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _in_the_users_terms(error: duckdb.Error, memory: int) -> RightsizeError:
    if damage := explain_damage(error):
        return damage
    text = _first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return too_much_memory(memory)
    if isinstance(error, duckdb.PermissionException):
        return UsageError("the statement reaches outside the store", hint="only its tables and views can be read")
    if "read-only mode" in text:
        return UsageError("the statement would change the store, which is open for reading only", hint=HINT_ONE)
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


def distinct_names(names: list[str]) -> list[str]:
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
    return distinct
