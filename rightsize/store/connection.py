"""Open the store: one DuckDB file that only its owner can read, with its own schema version."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import finalize

import duckdb

from rightsize.model.errors import InputError
from rightsize.model.machine import give_back, private_files
from rightsize.model.tables import table
from rightsize.store.ddl import ALL_COMPLETE, completeness_of, place_empty_store
from rightsize.store.limits import (
    ResourceLimits,
    explain_failure,
    explain_shortage,
    in_use,
    limits_of,
    not_opened,
    remove_spilled,
)
from rightsize.store.migrations import OLDEST_VERSION, SCHEMA_VERSION, making_statements, migrate, version_of
from rightsize.store.sql import (
    CONTENT_REVISION,
    change_revision,
    meta_of,
    named,
    new_revision,
    one_transaction,
    registered,
    rows_of,
    set_meta,
)
from rightsize.store.strangers import (
    FileStamps,
    Watch,
    holds_nothing,
    is_like_store,
    refusal,
    refuse_programs,
    require_schema,
    stamps_of,
)

if TYPE_CHECKING:
    import polars as pl

_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}

_LITTLE = "64MiB"
ROWS_AT_ONCE = 100_000
"""Rows of a table that are written at a time."""
_TAKEN = frozenset({"base", "main", "temp", "system"})
"""Reserved names: DuckDB names a database after its file, and these names have another meaning."""
_WRITTEN: set[Path] = set()
"""The stores that this process has open for writing."""
_TURN = threading.Lock()
_CHECKED: set[FileStamps] = set()
"""What this process has found to be a store of the present version: the files as they were then."""


class Store:
    """An open store. Closing it, or leaving its `with` block, releases the file."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        path: Path,
        *,
        read_only: bool,
        watch: Watch | None = None,
        memory: str | None = None,
    ) -> None:
        self.connection = connection
        self._memory = memory
        self.path = path
        self.read_only = read_only
        self._watch = watch
        self._complete: tuple[str | None, bool] | None = None
        # A store that nobody closes is let go of with its object.
        self._let_go = finalize(self, _let_go, None if read_only else path.resolve(), watch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reason = None if self._watch is None else self._watch.stop()
        with explain_shortage(self.path):
            self.close()
        if isinstance(error, Exception):
            told = reason or explain_failure(error, self.path)
            if told is not None:
                raise told from error

    @contextmanager
    def reading_files(self) -> Iterator[None]:
        """Run the block on a connection of its own, with its temporary tables; then no statement can read files.

        The store has to be opened with `loads`.
        """
        whole = self.connection
        self.connection = whole.cursor()
        try:
            self.connection.execute("SET TimeZone = 'UTC'")
            yield
        finally:
            self.connection.close()
            self.connection = whole
            self.end_reading()

    def end_reading(self) -> None:
        """Let no further statement read files, and limit the time, as in a store opened without `loads`."""
        # INVARIANT: DuckDB does not allow access again while the database is open.
        self.connection.execute("SET enable_external_access = false")
        self._let_go.detach()
        self._watch = Watch(self.path, self.connection, limits_of().seconds)
        self._let_go = finalize(self, _let_go, None if self.read_only else self.path.resolve(), self._watch)

    def close(self) -> None:
        """Close the connection."""
        if self._watch is not None:
            self._watch.stop()
        if not self.read_only:
            _note_own(self.connection, self.path)
        self.connection.close()
        self._let_go()

    def release(self) -> None:
        """Give back memory that DuckDB holds of earlier reads and writes, and can read again from the file."""
        # With a lower limit DuckDB drops what it can; where something does not fit, the limit stays as it was.
        with suppress(duckdb.Error):
            self.connection.execute(f"SET memory_limit = '{_LITTLE}'")
        self.connection.execute(
            "RESET memory_limit" if self._memory is None else f"SET memory_limit = '{self._memory}'"
        )
        give_back()

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the result of a query; values are bound to `$name`, never inserted into the text."""
        import polars as pl  # noqa: PLC0415  one statement of SQL needs no frames, and they take long to import

        with self._cursor() as cursor:
            relation = cursor.sql(sql, params=dict(parameters)) if parameters else cursor.sql(sql)
            # polars reads through Arrow's C interface: `relation.pl()` would import pyarrow, slower than most queries.
            return pl.DataFrame(relation)

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor, watch = self.connection.cursor(), self._watch
        if watch is not None:
            watch.add(cursor)
        try:
            yield cursor
        finally:
            if watch is not None:
                watch.drop(cursor)
            cursor.close()

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query as `frame` does, without the import of frames: for a few rows."""
        return rows_of(self.connection, sql, parameters)

    def has_rows(self, name: str) -> bool:
        """Return whether a table or view of the model has a row."""
        return bool(self.connection.execute(f"SELECT 1 FROM main.{name} LIMIT 1").fetchall())

    def table(self, name: str, **where: str) -> pl.DataFrame:
        """Return a table or view of the model, with the columns that analyses read; the order of rows is not defined.

        With `where`, only rows whose columns have these values.
        """
        columns = named(*(column.name for column in table(name).read))
        wanted = " AND ".join(f"{named(column)} = ${column}" for column in where)
        return self.frame(f"SELECT {columns} FROM main.{name}" + (f" WHERE {wanted}" if wanted else ""), where)

    def write_answer(self, name: str, rows: pl.DataFrame | Iterable[pl.DataFrame]) -> None:
        """Replace the rows of an answer table in one transaction; an iterator of frames is written frame by frame.

        Its column `complete` says whether every listing is complete that a row which is absent may be in.
        """
        import polars as pl  # noqa: PLC0415

        # DuckDB copies a frame before it writes it; in parts, the copy stays small.
        parts = rows.iter_slices(ROWS_AT_ONCE) if isinstance(rows, pl.DataFrame) else rows
        declared = table(name)
        if declared.kind != "answer":
            raise ValueError(f"{name} is not an answer table")
        names = [column.name for column in declared.given]
        columns, values = named(*names), named(*names)
        if len(names) < len(declared.columns):
            columns, values = f"{columns}, complete", f"{values}, {completeness_of(name) or self._is_complete()}"
        with self.transaction(changes_content=False) as connection:
            connection.execute(f"DELETE FROM base.{name}")
            for part in parts:
                with registered(connection, {"answer_rows": part.select(names)}):
                    connection.execute(f"INSERT INTO base.{name} ({columns}) SELECT {values} FROM answer_rows")

    def _is_complete(self) -> bool:
        """Return whether every listing is complete; asked once for a content, as it takes longer than most writes."""
        revision = meta_of(self.connection, CONTENT_REVISION)
        if self._complete is None or self._complete[0] != revision:
            ((found,),) = self.connection.execute(f"SELECT {ALL_COMPLETE}").fetchall()
            self._complete = (revision, found)
        return self._complete[1]

    def remembered(self, name: str) -> str | None:
        """Return the value that `remember` stored under a name, or None."""
        return meta_of(self.connection, name)

    def remember(self, name: str, value: str) -> None:
        """Store a value that no analysis depends on, such as the time of the last catalogue refresh."""
        with self.transaction(changes_content=False) as connection:
            set_meta(connection, name, value)

    @contextmanager
    def transaction(self, *, changes_content: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run the block in one transaction: all of it is stored, or nothing.

        A block gives the content a new revision, unless it says that it changes nothing that an analysis reads.
        """
        # DuckDB writes its log beside a store.
        with private_files(), one_transaction(self.connection):
            yield self.connection
            if changes_content:
                change_revision(self.connection)


def require_file(file: Path) -> None:
    """Raise InputError if there is no store."""
    if not file.exists():
        raise InputError(
            f"there is no store at `{file}`", hint="`rightsize load PATH…` makes one, `rightsize demo` a sample"
        )


def open_store(
    path: Path | str,
    *,
    read_only: bool,
    existing: bool = False,
    loads: bool = False,
    limits: ResourceLimits | None = None,
) -> Store:
    """Open the store, and create it if it does not exist and may be written.

    Args:
        path: The file.
        read_only: Many may read at once, one may write.
        existing: Refuse to create a store, for commands that cannot use an empty one.
        loads: Let statements read files: only for a load, which also takes as long as its files need.
        limits: The limits of memory, spill folder and time; None takes those of the environment.

    Raises:
        InputError: There is no store to read, it is in use elsewhere, the file is something else, it holds what no
            store of this version holds, or a newer version of rightsize wrote it.
        UsageError: The environment has invalid limits.
    """
    file = Path(path)
    limits = limits_of() if limits is None else limits
    if read_only or existing:
        require_file(file)
    if file.stem.lower() in _TAKEN:
        raise InputError(
            f"a store cannot be called `{file.name}`", hint=f"choose a name other than {', '.join(sorted(_TAKEN))}"
        )
    if not file.exists():
        reserve_store(file)
    if not read_only:
        _reserve_turn(file)
    try:
        with private_files(), explain_shortage(file):
            connection = _opened(file, limits.settings(file), read_only=read_only, loads=loads)
    except BaseException:
        _let_go(None if read_only else file.resolve(), None)
        raise
    watch = None if loads else Watch(file, connection, limits.seconds)
    memory = limits.settings(file).get("memory_limit")
    return Store(connection, file, read_only=read_only, watch=watch, memory=memory)


@contextmanager
def open_if_there(path: Path | None) -> Iterator[Store | None]:
    """Open a store to read it, or yield None where there is none: for answers that a store only adds to.

    Raises:
        InputError: As `open_store`.
    """
    if path is None or not path.exists():
        yield None
    else:
        with open_store(path, read_only=True) as store:
            yield store


def _reserve_turn(file: Path) -> None:
    """Note that this process writes a store: DuckDB lets it open one twice, and then fails at the second commit."""
    with _TURN:
        if file.resolve() in _WRITTEN:
            raise in_use(file, "this process")
        _WRITTEN.add(file.resolve())


def _let_go(written: Path | None, watch: Watch | None) -> None:
    if watch is not None:
        watch.stop()
    if written is not None:
        _WRITTEN.discard(written)


def _opened(file: Path, settings: Mapping[str, str], *, read_only: bool, loads: bool) -> duckdb.DuckDBPyConnection:
    is_placed = not read_only and not file.exists() and place_empty_store(file, making_statements())
    # DuckDB applies the last setting first, and no folder for temporary files after the end of access to files.
    connection = _connect(file, read_only, {"enable_external_access": "true" if loads else "false", **settings})
    if not read_only:
        remove_spilled(Path(settings.get("temp_directory", f"{file}.tmp")))
    try:
        if is_placed:
            _fill(connection, ())
        elif (stamps := stamps_of(file)) not in _CHECKED:
            if not read_only and holds_nothing(connection):
                _fill(connection, making_statements())
            else:
                require_store(connection, file, read_only=read_only)
                _CHECKED.add(stamps)
    except BaseException:
        connection.close()
        raise
    return connection


def _note_own(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Note the files as they are after writing, so that this process does not check again what it wrote itself.

    Nobody else can write before the connection is closed, and closing changes nothing after a checkpoint. If there can
    be none, the next opening checks.
    """
    with suppress(duckdb.Error, OSError):
        connection.execute("CHECKPOINT")
        _CHECKED.add(stamps_of(file))


def reserve_store(file: Path) -> None:
    """Create the folder of a new store, and check that a file can be written there.

    Raises:
        InputError: The folder cannot be made or written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder of `{file}`: {error.strerror}") from error
    if not os.access(file.parent, os.W_OK):
        raise InputError(f"cannot write into the folder of `{file}`")


def _connect(file: Path, read_only: bool, settings: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(file), read_only=read_only, config={**_SETTINGS, **settings})
    except duckdb.IOException as error:
        text = str(error)
        if "lock" in text.lower():
            raise in_use(file, "another process") from error
        raise not_opened(error, file) from error
    except duckdb.ConnectionException as error:
        if "different configuration" in str(error):
            raise in_use(file, "this process") from error
        raise not_opened(error, file) from error
    except duckdb.Error as error:
        raise not_opened(error, file) from error
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    # stdout is data. In Jupyter without ipywidgets there is no bar, and DuckDB refuses the setting (duckdb issue 7590).
    with suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = false")
    return connection


def _fill(connection: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> None:
    """Make a store by statements, and give it a revision."""
    # One call for all statements, because separate calls take most of the time. The optimizer and threads do not help.
    around = (
        "PRAGMA disable_optimizer",
        "SET threads = 1",
        "BEGIN",
        *statements,
        f"INSERT INTO base.meta VALUES ('{CONTENT_REVISION}', '{new_revision()}')",
        "COMMIT",
        "RESET threads",
        "PRAGMA enable_optimizer",
    )
    connection.execute("\n;\n".join(around))


def require_store(connection: duckdb.DuckDBPyConnection, file: Path, *, read_only: bool = True) -> None:
    """Check that a database is a store with the present schema; one that may be written is brought up to date.

    Raises:
        InputError: It is empty, something else, older (where it may not be written), or newer, or it holds what no
            store holds.
    """
    if not is_like_store(connection):
        if holds_nothing(connection):
            raise InputError(
                f"`{file}` is an empty database", hint="load exports into it first with `rightsize load PATH…`"
            )
        raise InputError(f"`{file}` is a DuckDB database, but not a store of rightsize")
    refuse_programs(connection, file)
    version = version_of(connection)
    if version is None:
        raise InputError(f"`{file}` is a DuckDB database, but not a store of rightsize")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"`{file}` was written by a newer version of rightsize (schema {version}, this one knows {SCHEMA_VERSION})"
        )
    if version < OLDEST_VERSION:
        raise InputError(
            f"`{file}` has a schema that no release had ({version}; the oldest that can be read is {OLDEST_VERSION})",
            hint="load its exports into a new store",
        )
    if version < SCHEMA_VERSION:
        if read_only:
            raise InputError(
                f"`{file}` has an older schema ({version} instead of {SCHEMA_VERSION})",
                hint="a command that writes brings it up to date, for example `rightsize load`",
            )
        try:
            migrate(connection, version)
        except duckdb.Error as error:
            told = explain_failure(error, file)
            raise told or refusal(file, f"its schema {version} cannot be brought up to date") from error
    require_schema(connection, file)
