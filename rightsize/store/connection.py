"""Opening the store: one DuckDB file, readable by its owner only, with a version of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from rightsize.model.errors import InputError
from rightsize.model.tables import table
from rightsize.store.ddl import create_statements
from rightsize.store.limits import ResourceLimits, limits_of
from rightsize.store.migrations import SCHEMA_VERSION, migrate
from rightsize.store.sql import named

if TYPE_CHECKING:
    import polars as pl

_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}


_ROWS_AT_ONCE = 100_000
"""So many rows of an answer are written at a time."""
_TAKEN = frozenset({"base", "main", "temp", "system", "compacted"})
"""DuckDB calls a database as its file, and would take these for something else."""


class Store:
    """An open store. Closing it, or leaving its `with` block, gives the file free."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
        self.connection = connection
        self.path = path
        self.read_only = read_only

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the result of a query; values are bound to `$name`, never put into the text."""
        import polars as pl  # noqa: PLC0415  one statement of SQL needs no frames, and they take long to import

        cursor = self.connection.cursor()
        relation = cursor.sql(sql, params=dict(parameters)) if parameters else cursor.sql(sql)
        # By way of Arrow's C interface: `relation.pl()` would import pyarrow, which takes longer than most questions.
        frame = pl.DataFrame(relation)
        cursor.close()
        return frame

    def table(self, name: str, **where: str) -> pl.DataFrame:
        """Return a table or view of the model, with its declared columns; the order of rows is not defined.

        With `where`, only the rows that have these values in the columns of these names.
        """
        columns = named(*(column.name for column in table(name).columns))
        wanted = " AND ".join(f"{named(column)} = ${column}" for column in where)
        return self.frame(f"SELECT {columns} FROM main.{name}" + (f" WHERE {wanted}" if wanted else ""), where)

    def write_answer(self, name: str, rows: pl.DataFrame | Iterable[pl.DataFrame]) -> None:
        """Replace what an answer table holds, in one transaction; frames one after the other need not all be there."""
        import polars as pl  # noqa: PLC0415

        # DuckDB copies what it reads of a frame before it writes it; a part at a time, that stays small.
        parts = rows.iter_slices(_ROWS_AT_ONCE) if isinstance(rows, pl.DataFrame) else rows
        declared = table(name)
        if declared.kind != "answer":
            raise ValueError(f"{name} is not an answer table")
        names = [column.name for column in declared.columns]
        columns = named(*names)
        with self.transaction() as connection:
            connection.execute(f"DELETE FROM base.{name}")
            for part in parts:
                try:
                    connection.register("answer_rows", part.select(names))
                    connection.execute(f"INSERT INTO base.{name} ({columns}) SELECT {columns} FROM answer_rows")
                finally:
                    connection.unregister("answer_rows")

    def remembered(self, name: str) -> str | None:
        """Return what `remember` keeps under a name."""
        found = self.connection.execute("SELECT value FROM base.meta WHERE name = ?", [name]).fetchall()
        return str(found[0][0]) if found else None

    def remember(self, name: str, value: str) -> None:
        """Keep something about the store that no answer rests on, such as when the catalogue was refreshed."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM base.meta WHERE name = ?", [name])
            connection.execute("INSERT INTO base.meta VALUES (?, ?)", [name, value])

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run what is inside in one transaction: all of it is stored, or nothing."""
        with _private_files():
            self.connection.execute("BEGIN")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise


@contextmanager
def _private_files() -> Iterator[None]:
    """Only the owner may read the files that are made meanwhile: DuckDB makes its log beside a store when it writes."""
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)


def open_store(
    path: Path | str, *, read_only: bool, existing: bool = False, limits: ResourceLimits | None = None
) -> Store:
    """Open the store, and make it where it does not exist and may be written.

    Args:
        path: The file.
        read_only: Many may read at once, one may write.
        existing: Refuse to make a store, where an empty one could answer nothing.
        limits: What it may take of the machine; None is what the environment says.

    Raises:
        InputError: There is no store to read, another process holds it, the file is something else, or a newer
            version of rightsize wrote it.
        UsageError: The environment asks for limits that are none.
    """
    file = Path(path)
    settings = (limits_of() if limits is None else limits).settings(file)
    if (read_only or existing) and not file.exists():
        raise InputError(
            f"there is no store at `{file}`", hint="`rightsize load PATH…` makes one, `rightsize demo` a sample"
        )
    if file.stem.lower() in _TAKEN:
        raise InputError(f"a store cannot be called `{file.name}`", hint=f"not by any of {', '.join(sorted(_TAKEN))}")
    if not file.exists():
        _reserve(file)
    with _private_files():
        connection = _connect(file, read_only, settings)
        try:
            version = _version_of(connection)
            if version is None and _is_empty(connection):
                if read_only:
                    raise InputError(f"`{file}` is an empty database", hint="load something into it first")
                _create(connection)
            else:
                _check_version(connection, version, file, read_only)
        except BaseException:
            connection.close()
            raise
    return Store(connection, file, read_only=read_only)


def _reserve(file: Path) -> None:
    """Make the folder of a store that is new."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder of `{file}`: {error.strerror}") from error
    if not os.access(file.parent, os.W_OK):
        raise InputError(f"cannot write into the folder of `{file}`")


def _connect(file: Path, read_only: bool, settings: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(file), read_only=read_only, config={**_SETTINGS, **settings})
    except duckdb.IOException as error:
        text = str(error)
        if "lock" in text.lower():
            raise InputError(
                f"`{file}` is in use by another process",
                hint="one process may write, or several may read: try again later",
            ) from error
        raise InputError(f"cannot open `{file}` as a store: {text.splitlines()[0]}") from error
    except duckdb.Error as error:
        raise InputError(f"cannot open `{file}` as a store: {str(error).splitlines()[0]}") from error
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    # stdout is data.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _is_empty(connection: duckdb.DuckDBPyConnection) -> bool:
    # Every result is fetched to its end: one that is not blocks what comes next on the connection.
    found = "SELECT 1 FROM duckdb_tables() UNION ALL SELECT 1 FROM duckdb_views() WHERE NOT internal"
    return not connection.execute(found).fetchall()


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    # All at once: one by one, most of the time goes to asking. There is nothing to optimise, nor to share with threads.
    statements = (
        "PRAGMA disable_optimizer",
        "SET threads = 1",
        "BEGIN",
        *create_statements(),
        "CREATE TABLE base.meta (name VARCHAR, value VARCHAR)",
        f"INSERT INTO base.meta VALUES ('schema_version', '{SCHEMA_VERSION}')",
        "COMMIT",
        "RESET threads",
        "PRAGMA enable_optimizer",
    )
    connection.execute("\n;\n".join(statements))


def _version_of(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return the version of the schema, None where this is no store."""
    try:
        found = connection.execute("SELECT value FROM base.meta WHERE name = 'schema_version'").fetchall()
        return int(found[0][0])
    except (duckdb.Error, IndexError, TypeError, ValueError):
        return None


def _check_version(connection: duckdb.DuckDBPyConnection, version: int | None, file: Path, read_only: bool) -> None:
    if version is None:
        raise InputError(f"`{file}` is a DuckDB database, but not a store of rightsize")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"`{file}` was written by a newer version of rightsize (schema {version}, this one knows {SCHEMA_VERSION})"
        )
    if version < SCHEMA_VERSION:
        if read_only:
            raise InputError(
                f"`{file}` has an older schema ({version} instead of {SCHEMA_VERSION})",
                hint="a command that writes brings it up to date, for example `rightsize load`",
            )
        migrate(connection, version)
