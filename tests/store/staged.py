"""Fill stores through their staging tables by hand: the rows that a load would stage, without files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rightsize.model.tables import TABLES
from rightsize.model.text import fold
from rightsize.store.connection import Store
from rightsize.store.merging.listings import Listing
from rightsize.store.merging.loads import MergedFile, merge
from rightsize.store.merging.staging import EVENT_KEY, create_staging, stage_events
from rightsize.store.stored_analysis import digest_content

Row = dict[str, Any]
File = Mapping[str, Sequence[Row]]
"""The rows of each staging table, by the table's name without `stage_`; `rejects` among them."""

RANKS = {"succeeded": 4, "failed": 3, "denied": 2, "started": 1, "other": 0}
CONTENT = tuple(table.name for table in TABLES if table.kind in {"loaded", "derived", "view"})

_CALL = ("key_correlation", "key_operation", "key_scope")
_TYPES = {"VARCHAR": pl.String, "BIGINT": pl.Int64, "INTEGER": pl.Int64, "BOOLEAN": pl.Boolean, "DATE": pl.Date}
_MORE_TYPES = {"TIMESTAMP": pl.Datetime("us"), "VARCHAR[]": pl.List(pl.String), "DOUBLE": pl.Float64}


def guid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


SUBSCRIPTION = f"/subscriptions/{guid(1)}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def record(outcome: str = "succeeded", time: str | dt.datetime = "2026-01-05T10:00:00", **fields: Any) -> Row:
    """One log record of the call `correlation_id`, by user 100 unless the fields say otherwise."""
    row: Row = {
        "time": at(time) if isinstance(time, str) else time,
        "source": "activity_log",
        "plane": "control",
        "principal_id": guid(100),
        "operation": "Microsoft.Compute/virtualMachines/write",
        "scope": VM,
        "outcome": outcome,
        "correlation_id": "c1",
        "category": "Administrative",
        "rank": RANKS[outcome],
        **fields,
    }
    row.setdefault("key_correlation", fold(row["correlation_id"]))
    row.setdefault("key_operation", fold(row["operation"]))
    row.setdefault("key_scope", fold(row["scope"]))
    return row


def sign_in(time: str = "2026-01-05T10:00:00", **fields: Any) -> Row:
    base: Row = {"time": at(time), "principal_id": guid(100), "app_id": guid(7), "resource_id": guid(8)}
    return base | {"kind": "interactive", "succeeded": True} | fields


def reduced(day: str, **fields: Any) -> Row:
    """Use of a day between nine and half past eleven, as it was reduced elsewhere: one call of user 100's."""
    row: Row = {
        "log": "activity_log",
        "category": "Administrative",
        "plane": "control",
        "principal_id": guid(100),
        "operation": "Microsoft.Compute/virtualMachines/write",
        "scope": VM,
        "day": at(day).date(),
        "received": at(f"{day}T23:00:00"),
        "first_seen": at(f"{day}T09:00:00"),
        "last_seen": at(f"{day}T11:30:00"),
        "succeeded": 1,
    }
    return row | dict.fromkeys(("failed", "started", "denied", "other"), 0) | fields


def calls(*rows: Row) -> File:
    return {"event_rows": rows}


def load(store: Store, *files: File, listings: Sequence[Listing] = ()) -> tuple[MergedFile, ...]:
    """Stage the files, called file0 and so on, and merge them as one load."""
    create_staging(store.connection)
    for number, file in enumerate(files):
        rejected = len(file.get("rejects", ()))
        read = sum(len(rows) for rows in file.values())
        about = {"path": f"file{number}", "source": "test", "sha256": repr(sorted(file.items())), "read": read}
        _insert(store, "stage_files", [about | {"rejected": rejected}], number)
        for name, rows in file.items():
            _insert(store, f"stage_{name}", rows, number)
    return merge(store, listings=listings)


def content(
    store: Store, names: Sequence[str] = tuple(name for name in CONTENT if name not in {"loads", "rejects"})
) -> str:
    """Hash of all that the store says, calls included; not the names of files."""
    return digest_content(store, names)


def rows_of(store: Store, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a table, of the named columns, sorted."""
    return sorted(store.table(name).select(columns).rows(), key=repr)


def _insert(store: Store, table: str, rows: Sequence[Row], file_id: int) -> None:
    if not rows:
        return
    described = store.connection.execute(f"DESCRIBE {table}").fetchall()
    kinds = {name: kind for name, kind, *_ in described}
    of_call = "event_key" in kinds and kinds.pop("event_key") is not None
    types = {name: (_TYPES | _MORE_TYPES)[kind] for name, kind in kinds.items()}
    types |= dict.fromkeys(_CALL if of_call else (), pl.String)
    # What was rejected stands on other lines than what was not.
    first = 1_000_001 if table == "stage_rejects" else 1
    numbered = [{"file_id": file_id, "line": line, **row} for line, row in enumerate(rows, start=first)]
    assert not {name for row in rows for name in row} - set(types), "a field that the table has not"
    complete = [{name: row.get(name) for name in types} for row in numbered]
    store.connection.register("hand_rows", pl.DataFrame(complete, schema=types, orient="row"))
    values = f"* EXCLUDE ({', '.join(_CALL)}), {EVENT_KEY} AS event_key" if of_call else "*"
    if table == "stage_event_rows":
        stage_events(store.connection, f"SELECT {values} FROM hand_rows")
    else:
        store.connection.execute(f"INSERT INTO {table} BY NAME SELECT {values} FROM hand_rows")
    store.connection.unregister("hand_rows")
