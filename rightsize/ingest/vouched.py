"""Hold the statements about files of a load: who read each, of which subscriptions, and whether it is whole.

They come from a manifest beside the files, from a collection, or from the user. The staging table `stage_vouched` has
them; a statement belongs to a file by the file's address.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import duckdb

from rightsize.store.sql import named, quoted

_TYPES = {
    "file_id": "INTEGER",
    "address": "VARCHAR",
    "path": "VARCHAR",
    "kind": "VARCHAR",
    "query": "VARCHAR",
    "subscriptions": "VARCHAR[]",
    "complete": "BOOLEAN",
    "rows": "BIGINT",
    "size": "BIGINT",
    "error": "VARCHAR",
    "reader_id": "VARCHAR",
    "read_on": "TIMESTAMP",
    "finished_on": "TIMESTAMP",
    "vouched_by": "VARCHAR",
    "listing": "VARCHAR",
    "said_in": "INTEGER",
    "tenant_id": "VARCHAR",
}
CREATE_VOUCHED = (
    "CREATE OR REPLACE TEMP TABLE stage_vouched "
    f"({', '.join(f'{quoted(name)} {kind}' for name, kind in _TYPES.items())})"
)
"""SQL that creates `stage_vouched`; `file_id` is null until the file is found."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """A statement about one file.

    Attributes:
        address: The file's address, see `SourceFile.address`; empty if there is no such file.
        path: Its path for a person.
        kind: The source that it holds, as `load` prints it.
        query: The command or query that was asked; None if nobody says it.
        subscriptions: Folded ids of the subscriptions that were read; None for all that the reader sees.
        complete: Whether the reading reached its end.
        rows: The number of records that were written; None if nobody says it.
        size: The number of bytes that were written; None if nobody says it.
        error: Why the reading is not whole.
        reader_id: Object id of the principal that read it, folded.
        read_on: When the reading began, UTC; `finished_on` is when it ended, None if it did not.
        vouched_by: manifest, collection or user.
        listing: Files with the same text are parts of one listing.
        said_in: Number in `stage_files` of the manifest that says it; None for others.
        tenant_id: The tenant that a manifest names.
    """

    address: str
    path: str
    kind: str
    query: str | None
    subscriptions: tuple[str, ...] | None
    complete: bool
    rows: int | None
    size: int | None
    error: str | None
    reader_id: str
    read_on: dt.datetime
    finished_on: dt.datetime | None
    vouched_by: str
    listing: str
    said_in: int | None = None
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredReading:
    """A user's statement about listings without a manifest: who read them, by any name, and when (UTC)."""

    reader: str
    read_on: dt.datetime


_COLUMNS = tuple(one.name for one in fields(Vouched))


def add_vouched(con: duckdb.DuckDBPyConnection, statements: Iterable[Vouched], file_id: int | None = None) -> None:
    """Add statements to `stage_vouched`, about the file with this number if it is known."""
    insert_rows(
        con,
        "stage_vouched",
        _TYPES,
        [[file_id, *(getattr(one, name) for name in list(_TYPES)[1:])] for one in statements],
    )


def insert_rows(
    con: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], rows: Sequence[Sequence[object]]
) -> None:
    """Insert rows by one statement; `types` are the columns of their values."""
    if rows:
        cells = ", ".join(f"unnest(${name}::{kind}[])" for name, kind in types.items())
        columns = {name: [row[place] for row in rows] for place, name in enumerate(types)}
        con.execute(f"INSERT INTO {table} ({named(*types)}) SELECT {cells}", columns)


def has_vouched(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether anybody says anything about a file."""
    return con.execute("SELECT 1 FROM stage_vouched LIMIT 1").fetchone() is not None


def read_vouched(con: duckdb.DuckDBPyConnection) -> list[tuple[Vouched, int | None]]:
    """Return every statement with the number of its file, None if the load has no such file; ordered by path."""
    rows = con.execute(
        f"SELECT file_id, {named(*_COLUMNS)} FROM stage_vouched ORDER BY said_in NULLS LAST, path, listing, file_id"
    ).fetchall()
    names = dict.fromkeys(_COLUMNS)
    found = []
    for file_id, *values in rows:
        texts = dict(zip(names, values, strict=True))
        subscriptions = texts.pop("subscriptions")
        found.append((Vouched(**texts, subscriptions=None if subscriptions is None else tuple(subscriptions)), file_id))
    return found
