"""Define the shape of an exported form, which recognises and stages its records, by SQL or by a reader in Python.

Provide a view of a record for recognition: its values by folded key, and its resource type.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb

from rightsize.ingest.entities.fields import Field, read_fields, utc_time
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.errors import InputError
from rightsize.model.tables import ColumnType, table
from rightsize.model.text import fold, fold_key
from rightsize.store.sql import insert_lists, quoted


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a record: the names of its file and folders, and the `@odata.context` of its page.

    `place` is the file's name after the names of the two folders around it, separated by slashes, so that
    `group-members/<group id>.json` can name its group. `odata_context` is the page's `@odata.context` or empty.
    """

    place: str
    odata_context: str = ""


class Shape(Protocol):
    """One exported form of a listing, a role or a catalogue.

    `stage` reads a relation `(file_id INTEGER, page BIGINT, line BIGINT, record JSON)` and inserts into the `stage_`
    tables; records that it cannot use go to `stage_rejects`. `stage_pages` `(file_id, page, context, has_next,
    records)` has for each page of a listing whether another one follows, `stage_names` `(file_id, place, address)` the
    names of each file, and `stage_vouched` what is said about files. Parts of a file that are not records are already
    in `stage_rejects`.
    """

    @property
    def name(self) -> str:
        """Return the unique name of the shape."""
        ...

    @property
    def source(self) -> str:
        """Return the word for it in `loads` and in the output of `load`."""
        ...

    def recognises(self, look: Look, context: Context) -> bool:
        """Return whether a record, `{}` for the first page of an empty listing, has this shape."""
        ...

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A view of a record: its members and those of its `properties`, by folded key, and its folded `type`."""

    record: Mapping[str, Any]
    outer: Mapping[str, Any]
    inner: Mapping[str, Any]
    type: str

    def has(self, *keys: str) -> bool:
        """Return whether every key is in the record or in its properties."""
        return all(key in self.outer or key in self.inner for key in keys)

    def value(self, key: str) -> Any:
        """Return the value of a key, from the properties first, then from the record."""
        found = self.inner.get(key)
        return self.outer.get(key) if found is None else found

    def text(self, key: str) -> str:
        """Return the folded text of a key of the record, empty if it is not a text."""
        found = self.outer.get(key)
        return fold(found) if isinstance(found, str) else ""


def look_at(record: Mapping[str, Any]) -> Look:
    """Return the view of a record for recognition."""
    outer = fold_keys(record)
    properties = outer.get("properties")
    inner = fold_keys(properties) if isinstance(properties, Mapping) else {}
    said = outer.get("type")
    return Look(record, outer, inner, fold(said) if isinstance(said, str) else "")


def fold_keys(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object by folded keys; of keys that differ only in capitals, the first with a value counts."""
    found: dict[str, Any] = {}
    for key, value in members.items():
        folded = fold_key(str(key))
        if found.get(folded) is None:
            found[folded] = value
    return found


Recogniser = Callable[[Look], bool]


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """A shape for many records: `insert` is SQL that reads `entity_rows`, which has the declared fields."""

    name: str
    source: str
    recogniser: Recogniser
    fields: Sequence[Field]
    insert: str

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape."""
        return self.recogniser(look)

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        read_fields(con, relation, self.fields)
        con.execute(self.insert)


@dataclass(frozen=True, slots=True)
class Unusable:
    """An unusable part of a record; None means the whole record."""

    reason: str
    part: object = None


Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Beside:
    """A row for the staging table of another table than that of the shape."""

    table: str
    row: Row


Reader = Callable[[Mapping[str, Any]], Iterator[Row | Beside | Unusable]]


def beside(table: str, rows: Iterator[Row | Beside | Unusable]) -> Iterator[Beside | Unusable]:
    """Yield rows of another table than that of the shape; a record that raises InputError is unusable for it."""
    try:
        yield from (row if isinstance(row, Beside | Unusable) else Beside(table, row) for row in rows)
    except InputError as error:
        yield Unusable(error.message)


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """A shape for few records: `reader` yields the rows of one record, for the staging table of `table`.

    The rows of a record count only if `reader` raises nothing; InputError rejects the whole record.
    """

    name: str
    source: str
    recogniser: Recogniser
    table: str
    reader: Reader

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape."""
        return self.recogniser(look)

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        records = con.execute(f"SELECT file_id, line, CAST(record AS VARCHAR) FROM {relation} ORDER BY 1, 2").fetchall()
        rows: dict[str, list[dict[str, Any]]] = {}
        rejects: list[list[object]] = []
        for file_id, line, text in records:
            try:
                found = list(self.reader(json.loads(text)))
            except InputError as error:
                found = [Unusable(error.message)]
            except RecursionError:
                found = [Unusable("it is nested too deeply")]
            for item in found:
                if isinstance(item, Unusable):
                    raw = text if item.part is None else json.dumps(item.part, ensure_ascii=False)
                    rejects.append([file_id, line, item.reason, raw])
                else:
                    into, row = (item.table, item.row) if isinstance(item, Beside) else (self.table, item)
                    rows.setdefault(into, []).append({"file_id": file_id, "line": line, **row})
        for into in sorted(rows):
            insert_rows(con, into, rows[into])
        reject_rows(con, rejects)


def reject_rows(con: duckdb.DuckDBPyConnection, rejects: Sequence[Sequence[object]]) -> None:
    """Insert `(file_id, line, reason, raw)` into `stage_rejects`."""
    if rejects:
        con.executemany(
            f"INSERT INTO stage_rejects (file_id, line, reason, raw) VALUES (?, ?, ?, ?[:{MAX_RAW_CHARACTERS}])",
            rejects,
        )


def insert_rows(con: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows into the staging table of a table of the model; a column without values in any row stays null."""
    declared = {column.name: column.type for column in table(name).columns if any(column.name in row for row in rows)}
    times = [column for column, kind in declared.items() if kind is ColumnType.TIME]
    types = {"file_id": "INTEGER", "line": "BIGINT"} | {column: kind.value for column, kind in declared.items()}
    insert_lists(
        con,
        f"stage_{name}",
        types | dict.fromkeys(times, "VARCHAR"),
        [[row.get(column) for column in types] for row in rows],
        {column: utc_time(quoted(column)) for column in times},
    )
