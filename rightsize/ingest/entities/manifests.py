"""Read the manifest of a folder of exports, and hold what it says of each file: reader, subscriptions, wholeness.

    {"format": "rightsize-exports/1", "tenant_id", "reader": {"id", "name"}, "started", "finished",
     "files": [{"path", "kind", "query", "subscriptions": [ids] | "tenant", "complete", "rows", "error", "size"}]}

A path is relative to the manifest, with slashes, and never leads out of its folder. `size` in bytes may be missing.
A manifest counts as one record; each entry that cannot be used is a reject of its own.

They come from a manifest beside the files, from a collection, or from the user. The staging table `stage_vouched` has
them; a statement belongs to a file by the file's address.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import duckdb

from rightsize.ingest.entities.shape import Context, Look, fold_keys
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.errors import InputError
from rightsize.model.text import GUID_FORM, fold
from rightsize.model.times import read_moment
from rightsize.store.sql import insert_lists, named, quoted

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
    insert_lists(
        con,
        "stage_vouched",
        _TYPES,
        [[file_id, *(getattr(one, name) for name in list(_TYPES)[1:])] for one in statements],
    )


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


MANIFEST = "manifest"
"""The source of a manifest, as `load` prints it."""

_FAMILY = "rightsize-exports/"
_FORMAT = f"{_FAMILY}1"
_MOST_BYTES = 64 << 20
_MOST_PATH = 1_000
_MOST_ROWS = 1 << 53


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a manifest says of all its files."""

    tenant_id: str
    reader_id: str
    read_on: dt.datetime
    finished_on: dt.datetime | None


@dataclass(frozen=True, slots=True)
class ManifestShape:
    """The manifest of a folder of exports; `kinds` are the sources that its files may hold."""

    kinds: frozenset[str]
    name: str = MANIFEST
    source: str = MANIFEST

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record is a manifest, of any version of its format."""
        return look.text("format").startswith(_FAMILY)

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Add what each manifest says of its files to `stage_vouched`."""
        records = con.execute(
            f"SELECT file_id, line, address, CAST(record AS VARCHAR) FROM {relation} JOIN stage_names USING (file_id) "
            "ORDER BY file_id, line"
        ).fetchall()
        for file_id, line, address, text in records:
            said: list[Vouched] = []
            rejects: list[tuple[str, str]] = []
            try:
                for found in _read(text, address, file_id, self.kinds):
                    if isinstance(found, Vouched):
                        said.append(found)
                    else:
                        rejects.append(found)
            except InputError as error:
                said, rejects = [], [(error.message, text)]
            add_vouched(con, said)
            columns = {"file_id": "INTEGER", "line": "BIGINT", "reason": "VARCHAR", "raw": "VARCHAR"}
            insert_lists(
                con,
                "stage_rejects",
                columns,
                [[file_id, line, reason, raw[:MAX_RAW_CHARACTERS]] for reason, raw in rejects],
            )


def _read(text: str, address: str, said_in: int, kinds: frozenset[str]) -> Iterator[Vouched | tuple[str, str]]:
    """Yield what a manifest says of each file, or why an entry cannot be used with its text.

    Raises:
        InputError: The manifest as a whole cannot be used.
    """
    if len(text) > _MOST_BYTES:
        raise InputError("it is longer than 64 MiB")
    try:
        document = fold_keys(json.loads(text))
    except RecursionError:
        raise InputError("it is nested too deeply") from None
    except ValueError:
        # Python refuses numbers of thousands of digits.
        raise InputError("it has a number that is too long") from None
    if document["format"] != _FORMAT:
        raise InputError(f"its `format` is not {_FORMAT}")
    reading = _read_reading(document)
    entries = document.get("files")
    if not isinstance(entries, list):
        raise InputError("`files` is not a list")
    seen: set[str] = set()
    for entry in entries:
        try:
            found = _read_entry(entry, reading, address, said_in, kinds)
            if found.path in seen:
                raise InputError("one of its files is named twice")
        except InputError as error:
            yield f"an entry of `files`: {error.message}", json.dumps(entry)
        else:
            seen.add(found.path)
            yield found


def _read_reading(document: Mapping[str, Any]) -> _Reading:
    tenant, reader = document.get("tenant_id"), document.get("reader")
    if not isinstance(tenant, str) or not GUID_FORM.fullmatch(fold(tenant)):
        raise InputError("`tenant_id` is not the id of a tenant")
    reader_id = fold_keys(reader).get("id") if isinstance(reader, Mapping) else None
    if not isinstance(reader_id, str) or not GUID_FORM.fullmatch(fold(reader_id)):
        raise InputError("the `id` of its `reader` is not an object id")
    started = _time(document, "started")
    finished = None if document.get("finished") is None else _time(document, "finished")
    if finished is not None and finished < started:
        raise InputError("it was finished before it was started")
    return _Reading(fold(tenant), fold(reader_id), started, finished)


def _time(document: Mapping[str, Any], name: str) -> dt.datetime:
    text = document.get(name)
    try:
        return read_moment(text if isinstance(text, str) else "").start
    except ValueError:
        raise InputError(f"`{name}` is not a time") from None


def _read_entry(entry: object, reading: _Reading, address: str, said_in: int, kinds: frozenset[str]) -> Vouched:
    if not isinstance(entry, Mapping):
        raise InputError("it is not an object")
    fields = fold_keys(entry)
    path, kind = _path_of(fields.get("path")), fields.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError("its `kind` is not a source that `load` knows")
    query, error, complete = fields.get("query"), fields.get("error"), fields.get("complete")
    if not isinstance(query, str | None) or not isinstance(error, str | None):
        raise InputError("`query` or `error` is not text")
    if not isinstance(complete, bool):
        raise InputError("`complete` is not true or false")
    return Vouched(
        f"{_folder_of(address)}{path}",
        path,
        kind,
        query,
        _subscriptions(fields.get("subscriptions")),
        complete,
        _count(fields, "rows"),
        _count(fields, "size"),
        error,
        reading.reader_id,
        reading.read_on,
        reading.finished_on,
        "manifest",
        query or "",
        said_in,
        reading.tenant_id,
    )


def _folder_of(address: str) -> str:
    """Return the address of the folder around a file or a member of an archive, with its last separator."""
    return address[: max(address.rfind("/"), address.rfind(":")) + 1]


def _path_of(path: object) -> str:
    """Return a path with slashes.

    Raises:
        InputError: It is no path, or may lead out of the folder.
    """
    if not isinstance(path, str) or not 0 < len(path) <= _MOST_PATH or not path.isprintable():
        raise InputError("its `path` is not a path")
    parts = path.replace("\\", "/").removeprefix("./").split("/")
    if ":" in path or any(part.strip() in {"", ".", ".."} for part in parts):
        raise InputError("its `path` leads out of the folder of the manifest")
    return "/".join(parts)


def _subscriptions(named: object) -> tuple[str, ...] | None:
    if named == "tenant":
        return None
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise InputError("`subscriptions` is not a list of ids, and not `tenant`")
    ids = [fold(one).removeprefix("/subscriptions/") for one in named]
    if not all(GUID_FORM.fullmatch(one) for one in ids):
        raise InputError("one of its `subscriptions` is not the id of a subscription")
    return tuple(sorted(set(ids)))


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    number = fields.get(name)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _MOST_ROWS:
        raise InputError(f"`{name}` is not a number of {'records' if name == 'rows' else 'bytes'}")
    return number
