"""Open a Spark session, find the files that it reads, and copy rows from it to this machine."""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import duckdb
import polars as pl
import pyarrow as pa

from rightsize.model.errors import InputError, ServiceError, UsageError, install_extra

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_CONNECT_PORT = 15002

# Settings that the translated statements need: UTC times, case-sensitive names of members, null for failed casts.
_MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.skewJoin.enabled": "true",
    "spark.sql.icu.caseMappings.enabled": "false",
    # Java only interprets a method of over 8,000 bytes unless it is told otherwise, and then compiles it for seconds. A
    # step of the reduction is one of 20,000: Spark runs its parts apart instead, each in short methods.
    "spark.sql.codegen.hugeMethodLimit": "8000",
}
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
# Rows live briefly: the collector for throughput takes the least processor time.
_COLLECTOR = {f"spark.{side}.defaultJavaOptions": "-XX:+UseParallelGC" for side in ("driver", "executor")}
_JAVA_OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


def local_settings(url: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Return all settings of an application at a master: on this machine those of a single user, then what is asked.

    Java does not start with two collectors: one that is asked for, or may be by the files of a Spark set up here, is
    the only one.
    """
    if not url.startswith("local"):
        return dict(settings)
    told = " ".join([*settings.values(), *(os.environ.get(name, "") for name in _JAVA_OPTIONS)])
    chosen = re.search(r"-XX:[+-]Use\w+GC\b", told) or {"SPARK_HOME", "SPARK_CONF_DIR"} & set(os.environ)
    return {**_LOCAL, **({} if chosen else _COLLECTOR), **settings}


@contextmanager
def _own_words_only() -> Iterator[None]:
    """Remove the environment variables that a Spark Connect client sets: they would make later sessions clients too."""
    words = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - words:
            if name.startswith("SPARK_"):
                del os.environ[name]


@contextmanager
def spark_session(url: str, settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """Open a session, and stop it at the end. One that was already active, as in a notebook, stays as it was.

    Args:
        url: A master (`local[*]`, `spark://…`, `yarn`, `k8s://…`), or `sc://HOST:PORT` for Spark Connect.
        settings: Settings of the session, as Spark names them; on a master also of the application.

    Raises:
        UsageError: The packages of the extra `spark` are not installed.
        ServiceError: No Spark answers at the URL, or Java is missing.
    """
    with _own_words_only(), _opened(url, settings or {}) as session:
        yield session


@contextmanager
def _opened(url: str, settings: Mapping[str, str]) -> Iterator[SparkSession]:
    # Rows come as Arrow tables; nothing here uses pandas.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    try:
        from pyspark.errors import PySparkException  # noqa: PLC0415
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "the engine `spark` needs packages that are not installed", hint=install_extra("spark")
        ) from None
    connect = url.startswith("sc://")
    own = connect or SparkSession.getActiveSession() is None
    try:
        if connect:
            # It would print each error of the server with its stack.
            logging.getLogger("SQLQueryContextLogger").disabled = True
            _knock(url)
            session = SparkSession.builder.remote(url).create()
        else:
            builder = SparkSession.builder.appName("rightsize").master(url)
            for name, value in local_settings(url, settings).items():
                builder = builder.config(name, value)
            session = builder.getOrCreate()
            if own:
                session.sparkContext.setLogLevel("ERROR")
        before = _set(session, {**_MEANING, **(settings if connect else {})})
    except (PySparkException, OSError, RuntimeError) as error:
        raise ServiceError(
            f"cannot reach Spark at `{url}`: {str(error).splitlines()[0][:200]}",
            hint="a Spark master needs Java 17 or newer on this machine; Spark Connect needs a server at that address",
        ) from error
    try:
        yield session
    finally:
        if own:
            session.stop()
        else:
            _set(session, before)


def is_connect(session: SparkSession) -> bool:
    """Return whether a session is a client of Spark Connect."""
    return type(session).__module__.startswith("pyspark.sql.connect")


def runs_here(session: SparkSession) -> bool:
    """Return whether all of Spark runs on this machine, and so writes into a folder here."""
    return not is_connect(session) and str(session.sparkContext.master).startswith("local")


def _set(session: SparkSession, settings: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set settings of a session, and return what they were; None stands for one that is not set."""
    before = {name: session.conf.get(name, None) for name in settings}
    for name, value in settings.items():
        if value is None:
            session.conf.unset(name)
        else:
            session.conf.set(name, value)
    return before


def _knock(url: str) -> None:
    """Raise OSError if nothing listens at the address: the client would retry for ten minutes before it fails."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "localhost", address.port or _CONNECT_PORT), timeout=10):
        pass


_JSON = re.compile(r"\.(json|jsonl|ndjson|log|txt)(\.gz|\.bz2|\.zst(d)?|\.snappy)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part: files of one form under a path that the user named.

    Attributes:
        path: The path or table as the user named it.
        form: The format that Spark reads; `table` for a table of Spark's catalog.
        files: Their addresses, sorted. Of a table of the catalog only Spark knows them.
        base: The folder of a Delta table, whose file paths contain the values of its partitions.
        deleted: Rows of these files that its deletion vectors delete, as (file, row); None if there are none.
        where: Spark SQL for the rows of a table to read; empty for all.
    """

    path: str
    form: str
    files: tuple[str, ...] = ()
    base: str = ""
    deleted: pl.DataFrame | None = None
    where: str = ""


def find_parts(session: SparkSession, path: str) -> tuple[list[Part], int]:
    """Return the files under a path by form, and the number of files in other forms.

    Raises:
        InputError: There is nothing that Spark can read.
    """
    files = _files_below(session, path)
    if files is None:
        raise InputError(f"there is nothing at `{path}`")
    tables = _tables_above(session, path, [file for file in files if file.lower().endswith(".parquet")])
    rest = [file for file in files if not any(file.startswith(f"{table}/") for table in tables)]
    parquet = tuple(file for file in rest if file.lower().endswith(".parquet"))
    lines = tuple(file for file in rest if _JSON.search(file))
    parts = [Part(path, "delta", *delta_files(table)) for table in tables]
    parts += [Part(path, "parquet", parquet)] if parquet else []
    parts += [Part(path, "text", lines)] if lines else []
    if not any(part.files for part in parts):
        raise InputError(f"`{path}` holds no JSON lines, Parquet files or Delta table")
    return [part for part in parts if part.files], len(rest) - len(parquet) - len(lines)


def _files_below(session: SparkSession, path: str) -> list[str] | None:
    """Return the addresses of all files below a path that are not hidden, or None if the path does not exist.

    Raises:
        ServiceError: Spark may not list it.
    """
    try:
        listed = session.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
        # The query reads only addresses, so no file is opened.
        return sorted(row[0] for row in listed.select("path").collect())
    except Exception as error:
        if "PATH_NOT_FOUND" in str(error):
            return None
        raise ServiceError(f"Spark cannot list `{path}`: {str(error).splitlines()[0][:200]}") from error


def _tables_above(session: SparkSession, path: str, files: Sequence[str]) -> list[str]:
    """Return the folders at and below a path that are Delta tables; listings hide the log that would show it."""
    folders: set[str] = set()
    top = path.rstrip("/").rsplit(":", 1)[-1].lstrip("/")
    for file in files:
        folder = file.rsplit("/", 1)[0]
        # Goes up to the path, and above folders of partitions: a path can be a pattern or a file within a table.
        while folder not in folders:
            folders.add(folder)
            parent, _, name = folder.rpartition("/")
            if "=" not in name and not unquote(parent).rsplit(":", 1)[-1].lstrip("/").startswith(top):
                break
            folder = parent
    tables: list[str] = []
    for folder in sorted(folders):
        inside = any(folder.startswith(f"{table}/") for table in tables)
        if "=" not in folder.rsplit("/", 1)[-1] and not inside and _files_below(session, f"{folder}/_delta_log"):
            tables.append(folder)
    return tables


def delta_files(address: str) -> tuple[tuple[str, ...], str, pl.DataFrame | None]:
    """Return the data files of a Delta table's newest version, its address, and the rows that it deletes in them.

    Raises:
        InputError: Its log cannot be read, or the files name columns otherwise than the table.
        UsageError: The package that reads it is not installed.
    """
    try:
        import deltalake  # noqa: PLC0415
    except ImportError:
        raise UsageError("a Delta table needs packages that are not installed", hint=install_extra("spark")) from None
    local = unquote(address.removeprefix("file://").removeprefix("file:"))
    try:
        table = deltalake.DeltaTable(local)
        vectors = [pl.DataFrame(pa.record_batch(batch)) for batch in table.deletion_vectors()]
        files = tuple(sorted(table.file_uris()))
        is_mapped = any(field.metadata.get(_PHYSICAL, field.name) != field.name for field in table.schema().fields)
    except Exception as error:
        raise InputError(f"cannot read `{address}` as a Delta table: {str(error).splitlines()[0][:200]}") from error
    if is_mapped:
        raise InputError(
            f"the files of `{address}` name columns otherwise than the table",
            hint="name it by `--table`, so that Spark reads it",
        )
    deleted = pl.concat([pl.DataFrame(schema={"filepath": pl.String, _KEPT: pl.List(pl.Boolean)}), *vectors])
    deleted = deleted.with_columns(row=pl.int_ranges(pl.col(_KEPT).list.len())).explode(_KEPT, "row")
    deleted = deleted.filter(~pl.col(_KEPT)).select(file="filepath", row="row")
    named = tuple(f"file://{unquote(file)}" if file.startswith("/") else file for file in files)
    return named, address, deleted if deleted.height else None


_KEPT = "selection_vector"
_PHYSICAL = "delta.columnMapping.physicalName"


def open_part(session: SparkSession, part: Part) -> DataFrame:
    """Return the rows of a part: one column `value` with lines, or the columns of a table.

    Raises:
        InputError: Spark's catalog has no such table, or it cannot apply the condition.
    """
    if part.form == "table":
        return _open_table(session, part)
    files: Sequence[str] = part.files
    if part.form == "text":
        return session.read.text(list(files))
    reader = session.read.option("mergeSchema", "true")
    if part.base:
        reader = reader.option("basePath", part.base)
    rows = reader.parquet(*files)
    return rows if part.deleted is None else _without(session, rows, part.deleted)


def _without(session: SparkSession, rows: DataFrame, deleted: pl.DataFrame) -> DataFrame:
    """Return the rows of Parquet files but those that are deleted, which is said by their place in a file.

    Raises:
        InputError: Spark does not read one of the files under the name that the table has for it.
    """
    from pyspark.sql import functions  # noqa: PLC0415  there is a session, so there is Spark

    # A file is named `file:/a%20b` in a row, `file:///a%20b` in a list, and by the table as it likes.
    spelt = {unquote(file): file for file in (_SCHEME.sub("", file) for file in rows.inputFiles())}
    files = {file: spelt.get(unquote(_SCHEME.sub("", file))) for file in deleted["file"].unique()}
    if None in files.values():
        raise InputError(
            f"Spark does not know `{next(file for file in files if files[file] is None)}`, of which rows were deleted",
            hint="name the table by `--table`, or run `REORG TABLE … APPLY (PURGE)`",
        )
    gone = session.createDataFrame(deleted.with_columns(pl.col("file").replace(files)).to_arrow())
    placed = rows.select("*", "_metadata")
    file = functions.regexp_replace(placed["_metadata.file_path"], _SCHEME.pattern, "")
    here = (file == gone["file"]) & (placed["_metadata.row_index"] == gone["row"])
    return placed.join(functions.broadcast(gone), here, "left_anti").drop("_metadata")


_SCHEME = re.compile("^[A-Za-z0-9]+:/+")


def _open_table(session: SparkSession, part: Part) -> DataFrame:
    from pyspark.errors import PySparkException  # noqa: PLC0415  there is a session, so there is Spark

    try:
        try:
            rows = session.table(part.path)
            # Spark resolves the name when it is asked for the columns.
            columns = rows.columns
        except PySparkException:
            # Catalogs keep names in lower case, and the session compares them with their case.
            rows = session.table(part.path.lower())
            columns = rows.columns
        if part.where:
            rows = rows.where(part.where)
            # Spark Connect takes any condition, and resolves it when it is asked about the plan.
            rows.isLocal()
    except PySparkException as error:
        raise InputError(f"Spark cannot read the table `{part.path}`: {str(error).splitlines()[0][:300]}") from error
    if not columns:
        raise InputError(f"the table `{part.path}` has no columns")
    return rows


# Of Spark's own files and of Delta, and of a table that is read by a connector, such as Iceberg.
_PRUNED = re.compile(r"PartitionFilters: \[(?!\])|\bfilters=(?! *[,)])")


def pruning_of(session: SparkSession, part: Part) -> str:
    """Return the lines of Spark's plan that say which partitions and files of a table it leaves out; empty if none."""
    open_part(session, part).createOrReplaceTempView(TABLE_ASKED)
    plan = session.sql(f"EXPLAIN FORMATTED SELECT * FROM {TABLE_ASKED}").collect()[0][0]
    return " ".join(line.strip() for line in plan.splitlines() if _PRUNED.search(line))[:300]


TABLE_ASKED = "asked_table"
"""The view of a table whose plan is asked for."""


class Landing:
    """The folder for rows from Spark; each call writes a new file or folder.

    Args:
        folder: A folder of this machine. Rows are transferred through the session, as one Arrow table in memory.
        shared: A folder that Spark can also access, and writes rows into instead.
    """

    def __init__(self, folder: str, shared: str | None) -> None:
        """Start without any landed rows."""
        self._folder = folder
        self._shared = shared
        self._landed = 0

    @property
    def is_shared(self) -> bool:
        """Return whether Spark writes the rows itself."""
        return bool(self._shared)

    def rows(self, rows: DataFrame, name: str) -> Path:
        """Write rows from Spark as Parquet, and return its file or folder."""
        target = self._target(self._shared or self._folder, f"{name}.parquet")
        if self._shared:
            rows.write.mode("overwrite").parquet(target.as_uri())
        else:
            import pyarrow.parquet as pq  # noqa: PLC0415  0.2 s, and only this way needs it

            pq.write_table(rows.toArrow(), target)
        return target

    def lines(self, landed: Path, column: str, name: str) -> Path | None:
        """Return a file with the texts of a column of the landed rows, or None if there are none."""
        with duckdb.connect() as con:
            texts = con.execute(f"SELECT {column} FROM {parquet(landed)} WHERE {column} IS NOT NULL")
            first = texts.fetchmany(_AT_ONCE)
            if not first:
                return None
            target = self._target(self._folder, f"{name}.jsonl")
            with target.open("w", encoding="utf-8") as file:
                while first:
                    file.writelines(f"{text}\n" for (text,) in first)
                    first = texts.fetchmany(_AT_ONCE)
        return target

    def _target(self, folder: str, name: str) -> Path:
        self._landed += 1
        return Path(folder, f"{self._landed:04}-{name}").absolute()


_AT_ONCE = 1000


def parquet(landed: Path) -> str:
    """Return DuckDB's SQL that reads the landed rows."""
    files = landed / "*.parquet" if landed.is_dir() else landed
    return "read_parquet('" + str(files).replace("'", "''") + "')"
