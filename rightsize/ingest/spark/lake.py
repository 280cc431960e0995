"""Find the JSON lines, Parquet files and Delta tables under a path that Spark reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from rightsize.model.errors import InputError, ServiceError, UsageError, install_extra

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_JSON = re.compile(r"\.(json|jsonl|ndjson|log|txt)(\.gz|\.bz2|\.zst(d)?|\.snappy)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part: files of one form under a path that the user named.

    Attributes:
        path: The path as the user named it.
        form: The format that Spark reads.
        files: Their addresses, sorted.
        base: The folder of a Delta table, whose file paths contain the values of its partitions.
    """

    path: str
    form: str
    files: tuple[str, ...]
    base: str = ""


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
    parts = [Part(path, "delta", _delta_files(table), table) for table in tables]
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


def _delta_files(address: str) -> tuple[str, ...]:
    """Return the data files of the newest version of a Delta table.

    Raises:
        InputError: Its log cannot be read, or deletion vectors delete some of its rows, which the files do not show.
        UsageError: The package that reads it is not installed.
    """
    try:
        import deltalake  # noqa: PLC0415
    except ImportError:
        raise UsageError("a Delta table needs packages that are not installed", hint=install_extra("spark")) from None
    local = unquote(address.removeprefix("file://").removeprefix("file:"))
    try:
        table = deltalake.DeltaTable(local)
        features = set(table.protocol().reader_features or ())
        files = tuple(sorted(table.file_uris()))
    except Exception as error:
        raise InputError(f"cannot read `{address}` as a Delta table: {str(error).splitlines()[0][:200]}") from error
    if "deletionVectors" in features:
        raise InputError(
            f"`{address}` uses deletion vectors: its files may still have deleted rows",
            hint="run `REORG TABLE … APPLY (PURGE)`, or name a table without deletion vectors",
        )
    return tuple(f"file://{file}" if file.startswith("/") else file for file in files)


def open_part(session: SparkSession, part: Part) -> DataFrame:
    """Return the rows of a part: one column `value` with lines, or the columns of a table."""
    files: Sequence[str] = part.files
    if part.form == "text":
        return session.read.text(list(files))
    reader = session.read.option("mergeSchema", "true")
    if part.base:
        reader = reader.option("basePath", part.base)
    return reader.parquet(*files)
