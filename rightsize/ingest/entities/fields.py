"""Read declared fields of records in SQL: find keys in any capitals, check types, and reject wrong records.

Listings have many records, so these never become Python objects. DuckDB's JSON paths are case-sensitive and exports use
several spellings, so the spellings in a relation are looked up first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.text import GUID
from rightsize.store.sql import LOWER, UPPER, folded, quoted

FieldKind = Literal["text", "id", "scope", "time", "end", "bool", "texts", "members"]

"""The pattern of a folded object id of the directory."""

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
        text = _coalesce(
            [f"nullif(texts[{place}], '')" if place < len(paths) else f"texts[{place}]" for place in places]
        )
        kind = _coalesce([f"nullif(kinds[{place}], 'NULL')" for place in places])
        columns.append(f"{text} AS {quoted(wanted.name)}, {kind} AS {quoted('kind of ' + wanted.name)}")
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
