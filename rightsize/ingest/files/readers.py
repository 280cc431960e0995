"""Build SQL that reads the fields of log records from JSON, CSV and Parquet files with DuckDB's projection.

Every reader has explicit columns and hive partitioning off: a diagnostic export has folders named `resourceId=`, and
DuckDB would use the folder's name instead of the record's own field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from rightsize.ingest.files.encoding import MAX_RECORD_BYTES, Compression
from rightsize.ingest.files.sniff import Form
from rightsize.ingest.files.sources import SourceFile
from rightsize.ingest.logs.values import FIELDS, NESTED, Family, Fields, struct_type, struct_values
from rightsize.model.errors import InputError
from rightsize.model.text import fold
from rightsize.store.limits import is_full
from rightsize.store.sql import literal, quoted

_DATA_ERRORS = (
    duckdb.InvalidInputException,
    duckdb.IOException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.SerializationException,
)


JSON_FORMS: Mapping[Form, str] = {"lines": "newline_delimited", "array": "array", "documents": "unstructured"}
"""The forms whose fields DuckDB's JSON reader projects, and its names for them."""

FILE_NO = "list_extract($numbers, CAST(file_index AS BIGINT) + 1)"
"""SQL for the number of the file that a row of a reader comes from; `$numbers` are in the order of `$paths`."""


READ_ERRORS = (duckdb.Error, UnicodeDecodeError)
"""Errors of statements that read a file. DuckDB quotes the file in its messages and may cut a character in two."""


def is_damage(error: Exception) -> bool:
    """Return whether one of READ_ERRORS was caused by a file's bytes; else a query of rightsize is wrong.

    The Parquet reader raises errors of the base class. A full disk is not a damaged file.
    """
    if is_full(error):
        return False
    return isinstance(error, (*_DATA_ERRORS, UnicodeDecodeError)) or type(error) is duckdb.Error


MAX_PAGE_BYTES = 1 << 30
"""A longer page is not read: DuckDB allocates buffers of this size, and holds a page as one value."""

# Logs compress to about a fifteenth; Parquet compresses them as well as gzip.
_TIMES_PACKED = 16
# A long file is slow to read through the buffer of a short one.
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: files of one form that one statement reads.

    Attributes:
        form: Their form.
        compression: Their compression.
        files: The files, in order.
        header: Columns of CSV files; of Parquet files each column with a tab and its type.
        delimiter: The delimiter of CSV files.
        copies: Plain copies of the files, or of some of their lines, that are read instead of them, each with the
            number of its file.
        mark: The key under which a record in a copy of several files has the number of its file.
        long_pages: Whether a page may be as long as its file, and not only as long as a record: that needs memory.
    """

    form: Form
    compression: Compression
    files: tuple[SourceFile, ...]
    header: tuple[str, ...] = ()
    delimiter: str = ","
    copies: tuple[tuple[Path, int], ...] = ()
    mark: str = ""
    long_pages: bool = False

    @property
    def paths(self) -> list[str]:
        """Return the paths that DuckDB opens."""
        return [str(path) for path, _ in self.copies] or [str(file.path) for file in self.files]

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the files, in order."""
        return [file.number for file in self.files]

    @property
    def file_no(self) -> str:
        """Return SQL for the number of the file that a row of a reader comes from."""
        return quoted(self.mark) if self.mark else FILE_NO

    @property
    def parameters(self) -> dict[str, list[str] | list[int]]:
        """Return the parameters of the SQL of `select_fields`."""
        if self.mark:
            return {"paths": self.paths}
        return {"paths": self.paths, "numbers": [number for _, number in self.copies] or self.numbers}

    @property
    def longest_record(self) -> int:
        """Return the maximum bytes of a record or page: DuckDB allocates a buffer of twice that for each file."""
        most = MAX_PAGE_BYTES if self.long_pages else MAX_RECORD_BYTES
        return min(most, max(self._longest_file + 1024, _BUFFER if self.copies else 0))

    @property
    def has_longer_pages(self) -> bool:
        """Return whether a page may be longer than the limit; for compressed files this is unknown, so False."""
        plain = self.form == "documents" and self.compression == "none"
        return plain and not self.long_pages and self._longest_file > MAX_RECORD_BYTES

    @property
    def _longest_file(self) -> int:
        times = 1 if self.compression == "none" else 1032
        return max(file.size * times for file in self.files)

    def only(self, files: Sequence[SourceFile]) -> Batch:
        """Return the same batch with fewer files, without their copies."""
        return replace(self, files=tuple(files), copies=(), mark="")


def plain_size(file: SourceFile, form: Form) -> int:
    """Return an estimate of the bytes that the records of a file have as JSON lines."""
    packed = file.compression != "none" or form == "parquet"
    return file.size * (_TIMES_PACKED if packed else 1)


def parted(files: Iterable[SourceFile], form: Form, most_bytes: int, most_files: int) -> Iterator[list[SourceFile]]:
    """Yield groups of files in order, each of at most `most_bytes` by `plain_size` and `most_files`; at least one."""
    group: list[SourceFile] = []
    size = 0
    for file in files:
        more = plain_size(file, form)
        size += more
        if group and (len(group) == most_files or size > most_bytes):
            yield group
            group, size = [], more
        group.append(file)
    if group:
        yield group


def select_fields(batch: Batch, family: Family, opened: bool = False) -> Fields | None:
    """Return SQL that projects the fields of a batch, or None if DuckDB cannot project its form.

    The relation is `(file_no INTEGER, line BIGINT, <FIELDS>)`, in file order, line null. Its parameters are those of
    the batch.

    Args:
        batch: The files.
        family: Their envelope.
        opened: Whether to read the fields of NESTED as structs, which fails if one is text.
    """
    if batch.form in JSON_FORMS:
        return Fields(_select_json(batch, family, opened), opened)
    if batch.form == "csv":
        source = csv_source(batch, batch.compression)
        found = {key: f"c{position}" for key, position in _positions(batch, batch.header).items()}
    elif batch.form == "parquet":
        source = "read_parquet($paths, hive_partitioning = false)"
        typed = dict(column.split("\t") for column in batch.header)
        found = {
            key: as_text(list(typed.items())[position]) for key, position in _positions(batch, list(typed)).items()
        }
    else:
        return None
    return Fields(_select(batch, source, family, found))


def _select(batch: Batch, source: str, family: Family, found: Mapping[str, str]) -> str:
    fields = ", ".join(_pick(field, family.spellings.get(field, ()), found) for field in FIELDS)
    return f"SELECT {batch.file_no} AS file_no, CAST(NULL AS BIGINT) AS line, {fields} FROM {source}"


def _select_json(batch: Batch, family: Family, opened: bool) -> str:
    fields = {key: field for field, keys in family.spellings.items() for key in keys}
    kinds = {
        key: struct_type(NESTED[field]) if opened and field in NESTED else "VARCHAR" for key, field in fields.items()
    }
    if batch.mark:
        kinds[batch.mark] = "INTEGER"
    found = {key: quoted(key) for key in fields}
    if batch.form == "documents":
        record = f"STRUCT({', '.join(f'{quoted(key)} {kind}' for key, kind in kinds.items())})[]"
        source = _PAGES.format(pages=_json_source(batch, {"value": record, "records": record, "error": "VARCHAR"}))
        found = {key: f"record.{column}" for key, column in found.items()}
    else:
        source = _json_source(batch, kinds)
    if not opened:
        return _select(batch, source, family, found)
    items = []
    for field in FIELDS:
        keys = family.spellings.get(field, ())
        if field in NESTED:
            objects = [found[key] for key in keys]
            there = " OR ".join(f"{column} IS NOT NULL" for column in objects)
            items.append(f"CASE WHEN {there} THEN '{{}}' END AS {quoted(field)}")
            items += struct_values(objects, field)
        else:
            items.append(_pick(field, keys, found))
    return f"SELECT {batch.file_no} AS file_no, CAST(NULL AS BIGINT) AS line, {', '.join(items)} FROM {source}"


# A value that is not a page, and a page with a failed query, becomes a record of no log. Then its file is read again.
_PAGES = """(
    SELECT file_index, unnest(CASE WHEN error IS NULL THEN coalesce(value, records, [NULL]) ELSE [NULL] END) AS record
    FROM {pages}
)"""


def _json_source(batch: Batch, kinds: Mapping[str, str]) -> str:
    columns = ", ".join(f"{literal(key)}: {literal(kind)}" for key, kind in kinds.items())
    return (
        f"read_json($paths, format = '{JSON_FORMS[batch.form]}', records = true, hive_partitioning = false, "
        f"compression = '{'none' if batch.copies else batch.compression}', "
        f"maximum_object_size = {batch.longest_record}, columns = {{{columns}}})"
    )


def _pick(field: str, keys: Sequence[str], found: Mapping[str, str]) -> str:
    """Return the select item of a field, from the first of its keys that has a value."""
    columns = [found.get(key) or found.get(fold(key)) for key in keys]
    return _first_of([f"nullif({column}, '')" for column in columns if column], field)


def _first_of(values: Sequence[str], field: str) -> str:
    text = f"coalesce({', '.join(values)})" if len(values) > 1 else values[0] if values else "CAST(NULL AS VARCHAR)"
    return f"{text} AS {quoted(field)}"


def _positions(batch: Batch, header: Sequence[str]) -> dict[str, int]:
    """Return the position of each column of a table, by its folded name; of equal names the first counts.

    Raises:
        InputError: A time column is not in UTC, as the portal exports it if it is set to local time.
    """
    positions: dict[str, int] = {}
    for position, column in enumerate(header):
        name = fold(column)
        bare, bracket, zone = name.partition(" [")
        if bracket and bare in {"timegenerated", "timestamp"} and zone != "utc]":
            raise InputError(
                f"the column `{column}` of `{batch.files[0].name}` is in local time without a time zone",
                hint="set the time zone of the logs page to UTC and export again",
            )
        positions.setdefault(bare if bracket else name, position)
    return positions


def as_text(column: tuple[str, str]) -> str:
    """Return SQL for a (name, type) column of a Parquet file as text in the form of a JSON export."""
    name, kind = quoted(column[0]), column[1]
    if kind.startswith("TIMESTAMP"):
        return f"strftime(make_timestamp(epoch_us({name})), '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind.startswith(("STRUCT", "MAP")) or kind.endswith("]"):
        return f"CAST(to_json({name}) AS VARCHAR)"
    return f"CAST({name} AS VARCHAR)"


def csv_source(batch: Batch, compression: Compression, more: str = "") -> str:
    """Return SQL that reads CSV files as columns c0, c1, …; `more` options can make it less strict."""
    columns = ", ".join(f"'c{position}': 'VARCHAR'" for position in range(len(batch.header)))
    return (
        "read_csv($paths, header = true, auto_detect = false, hive_partitioning = false, "
        f"delim = {literal(batch.delimiter)}, quote = '\"', escape = '\"', compression = '{compression}', "
        f"max_line_size = {MAX_RECORD_BYTES}, columns = {{{columns}}}{more})"
    )


def describe_parquet(con: duckdb.DuckDBPyConnection, file: SourceFile) -> tuple[str, ...]:
    """Return the columns of a Parquet file, each with a tab and its type.

    Raises:
        InputError: The file is not valid Parquet, or damaged.
    """
    try:
        rows = con.execute(
            "SELECT column_name, column_type FROM "
            "(DESCRIBE SELECT * FROM read_parquet($path, hive_partitioning = false))",
            {"path": str(file.path)},
        ).fetchall()
    except READ_ERRORS as error:
        if not is_damage(error):
            raise
        raise damaged(file, error) from error
    return tuple(f"{name}\t{kind}" for name, kind in rows)


def damaged(file: SourceFile, error: Exception) -> InputError:
    """Return the error for a file that DuckDB cannot read to its end."""
    reason = str(error).split("\n")[0].replace(str(file.path), file.name)
    reason = reason.removeprefix("Invalid Input Error: ").removeprefix("IO Error: ")
    return InputError(f"`{file.name}` is damaged: {reason}", hint="export or copy it again")


def select_record_fields(keys: Mapping[str, Sequence[str]], records: str = "ingest_records") -> Fields:
    """Return SQL for the fields of whole records, as `select_fields` does, with the keys of `spelt_keys`."""
    paths: list[str] = []
    items = []
    for field in FIELDS:
        values = []
        for spelling in keys.get(field, ()):
            paths.append('$."' + spelling + '"')
            values.append(f"nullif(found[{len(paths)}], '')")
        items.append(_first_of(values, field))
    listed = ", ".join(literal(path) for path in paths)
    return Fields(
        f"SELECT file_no, line, {', '.join(items)} FROM "
        f"(SELECT file_no, line, json_extract_string(record, [{listed}]) AS found FROM {records})"
    )
