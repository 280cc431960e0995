"""Keep the newest analysis with default options in the store, as tables that one principal is read from.

The tables are in the schema `analysed`. Each is sorted by the column that readers filter by, so that DuckDB skips most
row groups; a reader of one principal needs no frames. They are replaced in one transaction, together with the key of
the analysis in the table `meta`. The key has the version of rightsize, so tables of another version are never read,
and no migration changes them.

Hash the content of the store: its rows, not its files, paths, load times or order.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from rightsize import __version__
from rightsize.model.options import USUAL, WindowOptions
from rightsize.model.tables import TABLES, Column, ColumnType, table
from rightsize.rules.tables import rules_hash
from rightsize.store.connection import ROWS_AT_ONCE, Store
from rightsize.store.sql import CONTENT_REVISION, named, registered, rows_of, set_meta

if TYPE_CHECKING:
    import polars as pl


_FORM = 2
"""The form of the tables; it is raised when they change between two releases."""
_NAME = "stored_analysis"
_ANSWERS = "answers_of"
_STEPS = "steps_of"
_DIGESTS = "digests_of"

OF_ANALYSIS = ({one.name for one in TABLES if one.kind == "answer"} - {"proposals", "next_steps", "watch_changes"}) | {
    "layer_matrix",
    "verdict_operations",
}
"""The tables and views that an analysis of the present content fills; those of a plan and of `watch` are left out."""
NOT_STORED = "no stored analysis is of this content and these options: run `rightsize analyze` to make this quick"


@dataclass(frozen=True, slots=True)
class Days:
    """The first and the last day of a window."""

    first_day: dt.date
    last_day: dt.date

    @property
    def days(self) -> int:
        """Return the number of days."""
        return (self.last_day - self.first_day).days + 1


@dataclass(frozen=True, slots=True)
class Analysed:
    """The tables of one analysis, in a store or in memory.

    Attributes:
        connection: The database that has them.
        windows: The days of Azure RBAC, then of each plane beyond it, in the order of answers.
    """

    connection: duckdb.DuckDBPyConnection
    windows: Mapping[str, Days]

    def rows(self, sql: str, **values: object) -> list[dict[str, Any]]:
        """Return the rows of a query on `analysed` tables; values are bound to `$name`."""
        return rows_of(self.connection, sql, values)

    def part(self, name: str) -> bytes:
        """Return a frame of the whole analysis by its name; only a stored analysis has them."""
        return bytes(self.tuples("SELECT content FROM analysed.frames WHERE name = $name", name=name)[0][0])

    def tuples(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """Return the same as tuples: for many rows."""
        return self.connection.execute(sql, values).fetchall()


@dataclass(frozen=True, slots=True)
class AnalysisTable:
    """A table to store: its name, its rows, and the columns that they are sorted by."""

    name: str
    rows: pl.DataFrame
    order: tuple[str, ...]


def lay_out(connection: duckdb.DuckDBPyConnection, tables: Iterable[AnalysisTable]) -> None:
    """Replace the tables of the schema `analysed`."""
    import polars as pl  # noqa: PLC0415  readers of one principal need no frames

    connection.execute("CREATE SCHEMA IF NOT EXISTS analysed")
    for one in tables:
        order = one.rows.select(pl.arg_sort_by(one.order, nulls_last=True, maintain_order=True)).to_series()
        # To sort and write all rows at once, DuckDB would copy them twice, with a text a row.
        for first in range(0, max(1, len(order)), ROWS_AT_ONCE):
            into = f"INSERT INTO analysed.{one.name}" if first else f"CREATE OR REPLACE TABLE analysed.{one.name} AS"
            with registered(connection, {"analysed_rows": one.rows[order.slice(first, ROWS_AT_ONCE)]}):
                connection.execute(f"{into} FROM analysed_rows")
        # The next table is made without this one in memory.
        del one, order


def store_analysis(
    store: Store,
    tables: Iterable[AnalysisTable],
    parts: Iterable[tuple[str, bytes]],
    windows: Mapping[str, Days],
    forget_days: int,
) -> None:
    """Replace the stored analysis, in one transaction, by one of the present content with default options.

    Args:
        store: The store.
        tables: The tables that readers of one principal read.
        parts: The frames of the whole analysis, by name.
        windows: As `Analysed` has them.
        forget_days: The default of this option.
    """
    key = _basis(store) | {
        "windows": {name: [one.first_day.isoformat(), one.last_day.isoformat()] for name, one in windows.items()},
        "forget_days": forget_days,
    }
    with store.transaction(changes_content=False) as connection:
        lay_out(connection, _released(store, tables))
        connection.execute("CREATE OR REPLACE TABLE analysed.frames (name VARCHAR, content BLOB)")
        for name, content in parts:
            connection.execute("INSERT INTO analysed.frames VALUES (?, ?)", [name, content])
        set_meta(connection, _NAME, json.dumps(key))


def _released(store: Store, tables: Iterable[AnalysisTable]) -> Iterator[AnalysisTable]:
    """Yield the tables, and give back after each large one the memory that writing it took."""
    for one in tables:
        is_large = one.rows.height >= ROWS_AT_ONCE
        yield one
        del one
        if is_large:
            store.release()


def store_beside(store: Store, tables: Iterable[AnalysisTable]) -> None:
    """Replace some tables of the stored analysis, which were computed from it."""
    with store.transaction(changes_content=False) as connection:
        lay_out(connection, tables)


def keep_steps(store: Store, plan: str, text: str) -> None:
    """Keep the steps of a plan of the present content.

    Args:
        store: The store.
        plan: The hash of the plan and all its files.
        text: The steps.
    """
    with store.transaction(changes_content=False) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS analysed")
        connection.execute("CREATE OR REPLACE TABLE analysed.steps AS SELECT $text::VARCHAR AS text", {"text": text})
        set_meta(connection, _STEPS, json.dumps(_basis(store) | {"plan": plan, "digest": _hash_of(text)}))


def kept_steps(store: Store, plan: str) -> str | None:
    """Return the steps that were kept of a plan; None if they are damaged, or of another plan, content or version."""
    key = json.loads(store.remembered(_STEPS) or "{}")
    if key.get("plan") != plan or not _is_of_present(store, key):
        return None
    try:
        rows = store.rows("SELECT text FROM analysed.steps")
    except (duckdb.CatalogException, duckdb.BinderException):
        return None  # Somebody deleted or changed the table.
    return next((row["text"] for row in rows if _hash_of(str(row["text"])) == key.get("digest")), None)


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def in_memory(tables: Iterable[AnalysisTable], windows: Mapping[str, Days]) -> Analysed:
    """Return the tables of an analysis in a database of their own, which nothing keeps."""
    connection = duckdb.connect(config={"enable_external_access": "false"})
    lay_out(connection, tables)
    return Analysed(connection, windows)


def stored_analysis(store: Store, asked: WindowOptions) -> Analysed | None:
    """Return the stored analysis, if it is of the present content, rules and version, and answers for these options."""
    key = _key(store)
    if key is None or not _is_of_present(store, key):
        return None
    windows = _windows(key)
    every = windows.values()
    answers = (
        asked.min_days is None
        and asked.forget_days == key["forget_days"]
        and (asked.as_of is None or all(asked.as_of == one.last_day + dt.timedelta(days=1) for one in every))
        and (asked.min_window is None or all(asked.min_window == one.days for one in every))
    )
    return Analysed(store.connection, windows) if answers else None


def is_current(store: Store) -> bool | None:
    """Return whether the stored analysis is of the present content, rules and version; None where none is stored."""
    key = _key(store)
    return None if key is None else _is_of_present(store, key)


def mark_answers(store: Store, asked: WindowOptions, standby: Sequence[str] = ()) -> None:
    """Remember that the answer tables are of the present content, rules and version, and with which options."""
    store.remember(_ANSWERS, json.dumps(_basis(store) | {"options": _options(asked, standby)}))


def has_current_answers(store: Store, asked: WindowOptions | None = None, standby: Sequence[str] = ()) -> bool:
    """Return whether the answer tables are of the present content, rules and version, and of these options if given."""
    key = json.loads(store.remembered(_ANSWERS) or "{}")
    return _is_of_present(store, key) and (asked is None or key.get("options") == _options(asked, standby))


def answers_by(store: Store) -> str | None:
    """Return the options of the answer tables, as they are typed, or None where they are the usual ones."""
    made = json.loads(store.remembered(_ANSWERS) or "{}").get("options", ())
    names = ("--as-of", "--min-window", "--forget-days", "--min-days", "--standby")
    chosen = [(name, one) for name, one, usual in zip(names, made, _options(USUAL, ()), strict=False) if one != usual]
    return " ".join(f"{name} {','.join(one) if isinstance(one, list) else one}" for name, one in chosen) or None


def _options(asked: WindowOptions, standby: Sequence[str]) -> list[object]:
    return [asked.as_of and asked.as_of.isoformat(), *asked.span, sorted(standby)]


def put_in_front(store: Store, answers: Mapping[str, pl.DataFrame]) -> None:
    """Let rows stand for answer tables in the SQL of this connection, under their names; nothing is stored."""
    for name, rows in answers.items():
        with registered(store.connection, {"answer_rows": rows}):
            store.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM answer_rows")


def stored_window(store: Store) -> Days | None:
    """Return the window of the stored analysis, whether it is current or not; None where none is stored."""
    key = _key(store)
    return None if key is None else next(iter(_windows(key).values()))


def _is_of_present(store: Store, key: Mapping[str, Any]) -> bool:
    return all(key.get(name) == value for name, value in _basis(store).items())


def _basis(store: Store) -> dict[str, object]:
    """Return the part of the key that is the same for every analysis of the present content by this version."""
    return {
        "content_revision": store.remembered(CONTENT_REVISION),
        "rules": rules_hash(),
        "version": __version__,
        "form": _FORM,
    }


def _key(store: Store) -> dict[str, Any] | None:
    text = store.remembered(_NAME)
    return None if text is None else json.loads(text)


def _windows(key: Mapping[str, Any]) -> dict[str, Days]:
    return {name: Days(*map(dt.date.fromisoformat, days)) for name, days in key["windows"].items()}


DIGESTED = (
    "principals",
    "group_members",
    "listings",
    "declared_needs",
    "scopes",
    "scope_tags",
    "resources",
    "resource_references",
    "inventories",
    "provider_registrations",
    "role_definitions",
    "role_assignments",
    "deny_assignments",
    "role_management_policies",
    "policy_assignments",
    "policy_definitions",
    "role_assignment_requests",
    "operations",
    "usage_days",
    "graph_usage_days",
    "m365_usage_days",
    "api_permissions",
    "app_role_assignments",
    "permission_grants",
    "graph_permissions",
    "graph_permission_paths",
    "first_party_apps",
    "sign_ins",
    "coverage",
)
"""The tables and views that the analysis depends on."""

_READ_TIMES = {
    "declared_needs": ("declared_on",),
    "inventories": ("read_on", "finished_on"),
    "provider_registrations": ("updated_on",),
}
"""Columns left out: when a listing was read. Reading the same again later changes no content."""
_WORDS = {"listings": ("why", "command")}
"""Columns left out: what a person reads. Other words change no content."""

_FIELD, _NULL, _ITEM = "chr(31)", "chr(30)", "chr(29)"


def digest_content(store: Store, names: Iterable[str] = DIGESTED, known: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256 of the content of tables and views, as hexadecimal text.

    `known` are those of `kept_digests`, whose tables are not read again: nobody may give them who asks whether a store
    was tampered with. Each row becomes a text of its declared columns, and a table becomes the exclusive or of the MD5
    of these texts. The result does not depend on the order of rows, and keys keep rows distinct.
    """
    known = known or {}
    return _joined(known.get(name) or _digest(store, name) for name in sorted(names))


def kept_digests(store: Store) -> dict[str, str]:
    """Return the digests of tables that `renew_digest` kept; none where they are of another content or version."""
    key = json.loads(store.remembered(_DIGESTS) or "{}")
    return dict(key["tables"]) if key.get("of") == _digested(store) else {}


def renew_digest(store: Store, known: Mapping[str, str]) -> str:
    """Return what `digest_content` does without reading the tables of known digests again, and keep all digests.

    Nobody may rely on it who asks whether a store was tampered with.
    """
    found = {name: known.get(name) or _digest(store, name) for name in sorted(DIGESTED)}
    if found != known:
        store.remember(_DIGESTS, json.dumps({"of": _digested(store), "tables": found}))
    return _joined(found.values())


def _digested(store: Store) -> list[str | None]:
    return [store.remembered(CONTENT_REVISION), __version__]


def _joined(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _digest(store: Store, name: str) -> str:
    left_out = (*_READ_TIMES.get(name, ()), *_WORDS.get(name, ()))
    columns = (column for column in table(name).columns if column.name not in left_out)
    row = ", ".join(map(_text, columns))
    # Two readings of one listing are one content, and their equal hashes would cancel each other out.
    distinct = "DISTINCT" if name in _READ_TIMES else ""
    counted = store.rows(
        "SELECT count(*) AS rows, coalesce(bit_xor(hash), 0)::VARCHAR AS mixed FROM ("
        f"SELECT {distinct} md5_number(concat_ws({_FIELD}, {row})) AS hash FROM main.{name})"
    )[0]
    return f"{name} {counted['rows']} {counted['mixed']}"


def _text(column: Column) -> str:
    name = named(column.name)
    if column.type is ColumnType.TEXTS:
        return f"coalesce(array_to_string({name}, {_ITEM}), {_NULL})"
    return f"coalesce({name}::VARCHAR, {_NULL})"
