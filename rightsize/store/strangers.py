"""Compare what a database holds with the schema: a store may come from a stranger, and a view or a macro is a program.

Nothing of the database runs while it is compared: each statement names functions of DuckDB by their full name, since a
macro of the database may have the name of one, and reads the catalogue alone.

Interrupt what reads a store too long, or until the process has too much memory: a stranger may have made the store.

A store of a few megabytes can say that it has billions of equal rows. DuckDB counts the memory of its own tables and
queries, and not that of the rows that it hands on, so that a thread looks at the memory of the whole process.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import duckdb

from rightsize.model.errors import InputError
from rightsize.model.tables import TABLES
from rightsize.store.ddl import base_names, base_table, view_text
from rightsize.store.limits import TIME

FileStamps = tuple[tuple[int, ...], ...]
"""The files of a store: device, inode, size, and time of the last change in nanoseconds."""
_SCHEMAS = ("base", "main", "analysed")
"""The schemas of a store: its tables, the views for SQL users, and the stored analysis."""
# INVARIANT: macros come first. Until none is known to be there, no statement may call a function by its short name.
_PROGRAMS = (
    ("function", "SELECT function_name FROM system.main.duckdb_functions() WHERE NOT internal"),
    ("trigger", "SELECT trigger_name FROM system.main.duckdb_triggers()"),
    ("type", "SELECT type_name FROM system.main.duckdb_types() WHERE NOT internal"),
    ("sequence", "SELECT sequence_name FROM system.main.duckdb_sequences()"),
    ("index", "SELECT index_name FROM system.main.duckdb_indexes()"),
    ("constraint", "SELECT constraint_name FROM system.main.duckdb_constraints()"),
    ("schema", f"SELECT schema_name FROM system.main.duckdb_schemas() WHERE NOT internal "
     f"AND schema_name NOT IN {_SCHEMAS}"),
    ("table", "SELECT table_name FROM system.main.duckdb_tables() WHERE schema_name = 'main'"),
    ("view", "SELECT view_name FROM system.main.duckdb_views() WHERE NOT internal AND schema_name <> 'main'"),
    ("computed column", "SELECT table_name || '.' || column_name FROM system.main.duckdb_columns() "
     "WHERE NOT internal AND schema_name <> 'main' AND column_default IS NOT NULL"),
)  # fmt: skip
"""The kinds of things that no store has, and the statement that names those of a database.

One after the other they take two thirds of the time of one statement for all."""
_COLUMNS = """
    SELECT table_name, column_name, data_type FROM system.main.duckdb_columns()
    WHERE NOT internal AND schema_name = 'base'"""
_TEXTS = "SELECT view_name, sql FROM system.main.duckdb_views() WHERE NOT internal AND schema_name = 'main'"
_COLLATED = """
    SELECT table_name FROM system.main.duckdb_tables()
    WHERE schema_name = 'base' AND position(' COLLATE ' IN sql) > 0"""
_WRITTEN = """
    SELECT name, system.main.json_deserialize_sql(system.main.json_serialize_sql(text))
    FROM (SELECT unnest($names) AS name, unnest($texts) AS text)"""
KNOWN = Path(__file__).with_name("known_views.txt")
"""What `known_schema` returns of a right store, since parsing all declared views takes a tenth of a second.
With a version of DuckDB that writes them in another way they have to be parsed."""
_VIEWS: dict[str, str] = {}
"""The selections of all views as DuckDB writes them, once a process has asked for them."""
_META = {("name", "VARCHAR"), ("value", "VARCHAR")}
_LONGEST = 60
"""Characters of a name in a message: a stranger may have chosen it."""
_UNORDERED = re.compile(r"\b(?:EXCLUDE|REPLACE) \(")
_MARK = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[(),]""")


def holds_nothing(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a database has neither tables nor views."""
    # Every result is fetched to its end: an open result blocks the next statement on the connection.
    found = (
        "SELECT 1 FROM system.main.duckdb_tables() UNION ALL "
        "SELECT 1 FROM system.main.duckdb_views() WHERE NOT internal"
    )
    return not connection.execute(found).fetchall()


def is_like_store(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a database has the table in which a store says its version."""
    found = "SELECT 1 FROM system.main.duckdb_tables() WHERE schema_name = 'base' AND table_name = 'meta'"
    return bool(connection.execute(found).fetchall())


def refuse_programs(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Check that a store of any version holds plain tables and the views for SQL users, and nothing that computes.

    Raises:
        InputError: It has a function, a trigger, a column with a default or something else that no store has.
    """
    for kind, statement in _PROGRAMS:
        names = [str(name) for (name,) in connection.execute(statement).fetchall()]
        if names:
            raise refusal(file, f"it has the {kind} `{min(names)[:_LONGEST]}`")


def require_schema(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Check that the tables and views of a store of the present version are those that the schema declares.

    Call `refuse_programs` before.

    Raises:
        InputError: A table or view is missing, not known, or has other columns or another text.
    """
    difference = next(_differences(connection), None)
    if difference is not None:
        raise refusal(file, difference)


def refusal(file: Path, what: str) -> InputError:
    """Return the error to tell if a store holds what no store holds."""
    return InputError(
        f"`{file}` is not a store that rightsize wrote: {what}",
        hint="load the exports into a new store, and ask who made this one",
    )


def _differences(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    columns, collated, texts = columns_of(connection), connection.execute(_COLLATED).fetchall(), views_of(connection)
    if not collated and known_schema(columns, texts) in KNOWN.read_text(encoding="ascii").split("\n"):
        return
    yield from _unlike("table", columns, _declared_columns(), "other columns")
    yield from (f"the table `{name}` has other columns" for (name,) in collated)
    yield from _unlike("view", texts, declared_views(connection), "another text")


def _unlike(kind: str, found: Mapping[str, object], declared: Mapping[str, object], what: str) -> Iterator[str]:
    for name in sorted(found.keys() | declared.keys()):
        if name not in declared:
            yield f"it has the {kind} `{name[:_LONGEST]}`"
        elif name not in found:
            yield f"it lacks the {kind} `{name}`"
        elif found[name] != declared[name]:
            yield f"the {kind} `{name}` has {what}"


@cache
def _declared_columns() -> dict[str, set[tuple[str, str]]]:
    declared = {"meta": _META}
    for name in base_names():
        pairs = (column.rsplit(" ", 1) for column in base_table(name).split(", "))
        declared[name] = {(column.strip('"'), kind) for column, kind in pairs}
    return declared


def declared_views(connection: duckdb.DuckDBPyConnection) -> Mapping[str, str]:
    """Return the selection of each view as DuckDB writes it, which parses them all once and binds nothing."""
    if not _VIEWS:
        texts = {one.name: view_text(one) for one in TABLES}
        found = connection.execute(_WRITTEN, {"names": [*texts], "texts": [*texts.values()]}).fetchall()
        _VIEWS.update({name: _in_order(text) for name, text in found})
    return _VIEWS


def views_of(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the selection of each view of a store as DuckDB writes it."""
    return {name: _selection(text) for name, text in connection.execute(_TEXTS).fetchall()}


def columns_of(connection: duckdb.DuckDBPyConnection) -> dict[str, set[tuple[str, str]]]:
    """Return the columns of each physical table of a store, with their types."""
    columns: dict[str, set[tuple[str, str]]] = {}
    for name, column, kind in connection.execute(_COLUMNS).fetchall():
        columns.setdefault(name, set()).add((column, kind))
    return columns


def known_schema(columns: Mapping[str, set[tuple[str, str]]], texts: Mapping[str, str]) -> str:
    """Return the hash of the columns of tables, and of the selections of views as DuckDB writes them."""
    found = sorted((name, sorted(of)) for name, of in columns.items()), sorted(texts.items())
    return sha256(repr(found).encode()).hexdigest()


def _selection(text: str) -> str:
    """Return the selection of a statement that creates a view."""
    return _in_order(text.partition(" AS ")[2].removesuffix(";"))


def _in_order(text: str) -> str:
    """Return a selection with the lists of EXCLUDE and REPLACE sorted: DuckDB keeps them in no order of its own."""
    for found in reversed([*_UNORDERED.finditer(text)]):
        depth, parts, start, end = 1, [], found.end(), found.end()
        for mark in _MARK.finditer(text, start):
            depth += {"(": 1, ")": -1}.get(mark[0], 0)
            if depth == 0 or (depth == 1 and mark[0] == ","):
                parts.append(text[start : mark.start()].strip())
                start, end = mark.end(), mark.start()
            if depth == 0:
                break
        text = text[: found.end()] + ", ".join(sorted(parts)) + text[end:]
    return text


_LOOK = 0.2
"""Seconds between two looks."""
_SHARE = 0.9
"""The share of the machine's memory that a process that reads a store may have."""
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


class Watch:
    """A thread that looks at a store for as long as it is open."""

    def __init__(self, file: Path, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._file = file
        self._connections = [connection]
        self._seconds = seconds
        self._memory = int(_SHARE * machine_memory())
        self._closed = threading.Event()
        self._turn = threading.Lock()
        self._reason: InputError | None = None
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def add(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Watch another connection to the store, too."""
        with self._turn:
            self._connections.append(connection)

    def drop(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Leave a connection, before it is closed."""
        with self._turn:
            self._connections.remove(connection)

    def stop(self) -> InputError | None:
        """End the thread, before the store is closed; return why it interrupted what read, or None."""
        self._closed.set()
        self._thread.join()
        return self._reason

    def _look(self) -> None:
        end = time.monotonic() + self._seconds
        while not self._closed.wait(_LOOK):
            if self._reason is None:
                self._reason = self._limit_reached(time.monotonic() > end)
            if self._reason is not None:
                # What is interrupted may go on with another statement; the next look interrupts that, too.
                with self._turn:
                    for connection in self._connections:
                        with suppress(duckdb.Error):
                            connection.interrupt()

    def _limit_reached(self, is_late: bool) -> InputError | None:
        if is_late:
            return InputError(
                f"reading `{self._file}` took longer than {self._seconds:g} s",
                hint=f"if you know who made this store, give it longer: {TIME}=SECONDS",
            )
        if process_memory() > self._memory:
            return InputError(
                f"reading `{self._file}` took more than {self._memory >> 20:,} MiB of memory, "
                f"{_SHARE:.0%} of what the machine has",
                hint="if you know who made this store, use a machine with more memory",
            )
        return None


def stamps_of(file: Path) -> FileStamps:
    """Return which files an open store consists of, and when each was written: the store, and its log if it has one."""
    parts = (one for one in (file.resolve(), file.with_name(f"{file.name}.wal")) if one.exists())
    return tuple((at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns) for at in map(Path.stat, parts))


def machine_memory() -> int:
    """Return the bytes of memory of the machine, or of the container where that is less."""
    if sys.platform != "linux":
        import psutil  # noqa: PLC0415  only where it is needed

        return int(psutil.virtual_memory().total)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # A container without a limit says `max`.
        return min(total, int(_CONTAINER.read_text(encoding="ascii")))
    return total


def process_memory() -> int:
    """Return the bytes of memory that this process has."""
    if sys.platform != "linux":
        import psutil  # noqa: PLC0415  only where it is needed

        return int(psutil.Process().memory_info().rss)
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
