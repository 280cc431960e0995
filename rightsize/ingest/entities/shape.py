"""Define the shape of an exported form, which recognises and stages its records, by SQL or by a reader in Python.

Read declared fields in SQL: listings have many records, so these never become Python objects. DuckDB's JSON paths are
case-sensitive and exports use several spellings, so the spellings in a relation are looked up first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import duckdb

from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.errors import InputError
from rightsize.model.tables import ColumnType, table
from rightsize.model.text import GUID, fold, fold_key
from rightsize.store.sql import LOWER, UPPER, folded, insert_lists, quoted

FieldKind = Literal["text", "id", "scope", "time", "end", "bool", "texts", "members"]

# Excel writes texts of digits with an E among them as numbers, and dates in the form of its user's country.
IS_NUMBER = "regexp_full_match(trim({0}), '[0-9]+([.,][0-9]+)?[eE][+-][0-9]{{1,3}}')"
"""SQL that says whether an id was saved as a number, of which the last digits are lost."""

NUMBER = "'`{0}` is a number as Excel writes it (form 0.00E+00), and no id'"
"""SQL for the reason why such an id cannot be used, of the name of its column."""

IS_LOCAL_DATE = "regexp_matches({0}, '^ *[0-9]{{1,2}}[./-][0-9]{{1,2}}[./-][0-9]{{2,4}}([ ,]|$)')"
"""SQL that says whether a time was saved in the form of a country, which does not say which number is the month."""


def local_date(column: str, value: str) -> str:
    """Return SQL for the reason why a date of a country's form cannot be used, of the name of its column."""
    form = f"regexp_replace(regexp_replace({value}[:30], '[0-9]', '0', 'g'), '[^0-9./:, APMapm-]', '?', 'g')"
    return f"'`{column}` is a date in a local form (' || trim({form}) || '), not in ISO 8601'"


ROWS = "entity_rows"
"""The table that `read_fields` fills: `file_id, page, line` and a column for each field."""


@dataclass(frozen=True, slots=True)
class Field:
    """One declared value of a record.

    Attributes:
        name: The column for it.
        paths: Its paths in the record, the preferred one first; a slash separates steps.
        kind: Its type. An `id` is folded, and a GUID gets dashes; of a resource id it is the last segment. A `scope`
            keeps its spelling without a slash at its end. A `time` becomes UTC, null if it is not a time; an `end` is
            rejected if it is not a time, because a missing end means permanent. A `bool` may be the words true and
            false. `texts` is a list of strings. `members` is an object of strings, kept as JSON; tables have it as
            text.
        mandatory: Whether a record without it is unusable.
        words: The allowed words, folded; any text if empty.
    """

    name: str
    paths: tuple[str, ...]
    kind: FieldKind = "text"
    mandatory: bool = False
    words: tuple[str, ...] = ()

    @property
    def spoken(self) -> str:
        """Return the name of the field in its export."""
        return self.paths[0].rsplit("/", 1)[-1]


def field(
    name: str, *paths: str, kind: FieldKind = "text", mandatory: bool = False, words: tuple[str, ...] = ()
) -> Field:
    """Return a declared field."""
    return Field(name, paths, kind, mandatory, words)


def read_fields(con: duckdb.DuckDBPyConnection, relation: str, fields: Sequence[Field]) -> None:
    """Fill `entity_rows` with the fields of the records of `relation`, and `stage_rejects` with unusable records.

    A record is unusable if a field has the wrong type, or a mandatory field is missing or empty.
    """
    paths: list[str] = []
    columns: list[str] = []
    keys: dict[str, Mapping[str, Sequence[str]]] = {}
    for wanted in fields:
        first = len(paths) + 1
        paths.extend(_spelt(con, relation, wanted.paths, keys))
        places = range(first, len(paths) + 1)
        # An empty text is no value where another path may have one.
        texts = [f"nullif(texts[{place}], '')" if place < len(paths) else f"texts[{place}]" for place in places]
        kind = _coalesce([f"nullif(kinds[{place}], 'NULL')" for place in places])
        columns.append(f"{_coalesce(texts)} AS {quoted(wanted.name)}, {kind} AS {quoted('kind of ' + wanted.name)}")
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths) or "'$'"
    checks = " ".join(_checks(wanted) for wanted in fields)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE entity_texts AS SELECT *, CASE {checks} END AS reason FROM ("
        f"SELECT file_id, page, line, {', '.join(columns)} FROM (SELECT file_id, page, line, "
        f"json_extract_string(record, [{listed}]) AS texts, json_type(record, [{listed}]) AS kinds FROM {relation}))"
    )
    con.execute(
        "INSERT INTO stage_rejects (file_id, line, reason, raw) "
        f"SELECT file_id, line, reason, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}] "
        f"FROM entity_texts JOIN {relation} USING (file_id, line) WHERE reason IS NOT NULL"
    )
    typed = ", ".join(f"{_typed(wanted)} AS {quoted(wanted.name)}" for wanted in fields)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {ROWS} AS SELECT file_id, page, line, {typed} "
        "FROM entity_texts WHERE reason IS NULL"
    )
    con.execute("DROP TABLE entity_texts")


def identifier(text: str) -> str:
    """Return SQL for the last segment of an id, folded; a GUID of 32 digits gets its dashes."""
    name = f"regexp_extract({text}, '([^/]*?)[/ ]*$', 1)"
    # Folding is a hundred times slower than the check that nothing has to be folded.
    return (
        f"CASE WHEN regexp_full_match({name}, '{GUID}') THEN {name} "
        f"ELSE regexp_replace({folded(name)}, '{_UNDASHED}', '\\1-\\2-\\3-\\4-\\5') END"
    )


_UNDASHED = "^" + "".join(f"([0-9a-f]{{{digits}}})" for digits in (8, 4, 4, 4, 12)) + "$"


def utc_time(text: str) -> str:
    """Return SQL for a time in UTC without an offset, null if the text is not a time.

    The cast goes through an offset-aware time, because a plain cast drops the offset; the connection's zone is UTC.
    """
    return f"timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ))"


def _spelt(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    paths: Sequence[str],
    keys: dict[str, Mapping[str, Sequence[str]]],
) -> list[str]:
    """Return the JSON paths at which the records have one of `paths`, the declared spelling first.

    `keys` caches the spellings of the keys at each place, by the folded key: a record may have a million.
    """
    found: list[str] = []
    for path in paths:
        places = ["$"]
        for step in path.split("/"):
            for place in places:
                if place not in keys:
                    keys[place] = _keys(con, relation, place)
            places = [
                f'{place}."{key}"'
                for place in places
                for key in sorted(keys[place].get(step.translate(_FOLDING), ()), key=lambda key: (key != step, key))
            ]
        found.extend(places)
    return found


_FOLDING = str.maketrans(UPPER, LOWER)


def _keys(con: duckdb.DuckDBPyConnection, relation: str, place: str) -> Mapping[str, Sequence[str]]:
    """Return the spellings of the keys at a place, by the folded key."""
    rows = con.execute(
        f"SELECT DISTINCT unnest(keys) FROM (SELECT DISTINCT json_keys(record, $place) AS keys FROM {relation})",
        {"place": place},
    ).fetchall()
    found: dict[str, list[str]] = {}
    for (key,) in rows:
        if key is not None:
            found.setdefault(key.translate(_FOLDING), []).append(key)
    return found


def _coalesce(values: Sequence[str]) -> str:
    return f"coalesce({', '.join(values)})" if values else "CAST(NULL AS VARCHAR)"


def _checks(wanted: Field) -> str:
    value, kind = quoted(wanted.name), quoted("kind of " + wanted.name)
    wrong = f"THEN '`{wanted.spoken}` is not {_EXPECTED[wanted.kind]}'"
    if wanted.kind == "texts":
        elements = f"list_filter(json_type({value}, '$[*]'), lambda t: t <> 'VARCHAR')"
        checks = f"WHEN {kind} <> 'ARRAY' {wrong} WHEN {kind} = 'ARRAY' AND len({elements}) > 0 {wrong}"
    elif wanted.kind == "members":
        # A table export has the object as text.
        checks = f"WHEN {value} <> '' AND NOT coalesce({_IS_MEMBERS.format(value)}, false) {wrong}"
    elif wanted.kind == "bool":
        checks = f"WHEN {value} <> '' AND {folded(value)} NOT IN ('true', 'false') {wrong}"
    else:
        checks = f"WHEN {kind} <> 'VARCHAR' {wrong}"
    if wanted.kind == "scope":
        checks += f" WHEN {value} <> '' AND trim({value}) NOT LIKE '/%' {wrong}"
    if wanted.kind == "id":
        checks += f" WHEN {IS_NUMBER.format(value)} THEN {NUMBER.format(wanted.spoken)}"
    if wanted.kind in {"time", "end"}:
        checks += f" WHEN {IS_LOCAL_DATE.format(value)} THEN {local_date(wanted.spoken, value)}"
    if wanted.kind == "end":
        checks += f" WHEN trim({value}) <> '' AND {utc_time(value)} IS NULL {wrong}"
    if wanted.words:
        listed = ", ".join(f"'{word}'" for word in wanted.words)
        checks += f" WHEN trim({value}) <> '' AND {folded(value)} NOT IN ({listed}) "
        checks += f"THEN '`{wanted.spoken}` is not one of: {', '.join(wanted.words)}'"
    if wanted.mandatory:
        # An id of only slashes names nothing, but the root is a scope.
        empty = f"trim({value}, ' /')" if wanted.kind == "id" else f"trim({value})"
        checks += f" WHEN coalesce({empty}, '') = '' THEN 'it has no `{wanted.spoken}`'"
    return checks


_EXPECTED: dict[FieldKind, str] = {
    "text": "a string",
    "id": "a string",
    "scope": "a resource id",
    "time": "a string",
    "end": "a time",
    "bool": "true or false",
    "texts": "a list of strings",
    "members": "an object of strings",
}

_IS_MEMBERS = (
    "CASE WHEN json_valid({0}) THEN json_type({0}) = 'OBJECT' "
    "AND len(list_filter(json_type({0}, '$.*'), lambda t: t NOT IN ('VARCHAR', 'NULL'))) = 0 END"
)


def _typed(wanted: Field) -> str:
    value = quoted(wanted.name)
    if wanted.kind == "id":
        return f"nullif({identifier(value)}, '')"
    if wanted.kind == "scope":
        # The root is only a slash, so it keeps one.
        return f"nullif(coalesce(nullif(rtrim(trim({value}), '/'), ''), trim({value})[:1]), '')"
    if wanted.kind in {"time", "end"}:
        # Graph writes the year 1 for "never".
        return f"CASE WHEN {utc_time(value)} >= TIMESTAMP '1900-01-01' THEN {utc_time(value)} END"
    if wanted.kind == "bool":
        return f"CASE {folded(value)} WHEN 'true' THEN true WHEN 'false' THEN false END"
    if wanted.kind == "members":
        return f"nullif({value}, '')"
    if wanted.kind == "texts":
        return f"from_json({value}, '[\"VARCHAR\"]')"
    return value


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
