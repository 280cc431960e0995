"""Build Spark SQL that reads the fields of log records, with the same keys, spellings and logs as on DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rightsize.ingest.encoding import MAX_RECORD_BYTES
from rightsize.ingest.log_schemas import FIELDS, Family, spelt_keys
from rightsize.ingest.spark.carry import Nested
from rightsize.rbac.text import fold

LINES = "log_lines"
"""The view of one text column, `value`, whose rows are lines of files."""

TABLE = "log_table"
"""The view of a table of records."""


def fields_of_lines(
    family: Family, samples: Sequence[Mapping[str, object]], wanted: Iterable[str], opened: Mapping[str, Nested]
) -> str:
    """Return Spark SQL for the fields of JSON lines, with `damage` (why a line is not a record) and `raw` (its text).

    `line` only distinguishes rows within one statement. A key is found in the spelling of its family, in lower case,
    and in the spellings of the samples.
    A line is parsed twice: for its keys, which also checks that all of it is JSON, and, within brackets, for the wanted
    fields: Spark's parser stops at the end of a value, and a line with text after a value is not a record either.

    Args:
        family: The envelope of the lines.
        samples: First records.
        wanted: The fields to return; each takes time.
        opened: Those fields to read as objects, because most of them are: each is returned as a struct with the field's
            name and `_read`, and as text only if the struct would lose something.
    """
    # A key with a quote in it is never a spelling of a wanted key.
    spelt = spelt_keys(family, samples)
    keys = {field: [key for key in spelt.get(field, ()) if not set("`'\\") & set(key)] for field in wanted}
    members = dict(_members(keys, opened))
    items = ", ".join(
        _opened_item(field, keys[field], opened[field])
        if field in opened
        else f"{_first_of([f'record.`{key}`' for key in keys[field]])} AS `{field}`"
        for field in FIELDS
        if field in keys
    )
    table = "NOT" if family.name == "pascal" else ""
    return f"""
SELECT 0 AS file_no, line, {items}, damage, raw
FROM (
    SELECT raw, line, keys, damage, CASE WHEN damage IS NULL THEN get(records, 0) END AS record
    FROM (
        SELECT raw, line, keys, records, CASE
            WHEN octet_length(raw) > {MAX_RECORD_BYTES} THEN 'it is longer than 16 MiB'
            WHEN (keys IS NULL OR size(records) <> 1)
                AND coalesce(json_array_length(concat('[', raw, ']')), 0) <> 1 THEN 'it is not valid JSON'
            WHEN keys IS NULL THEN 'it is not a JSON object'
            WHEN size(keys) <> size(array_distinct(keys)) THEN 'it names a key twice'
            WHEN {table} contains(concat('\\n', lower(array_join(keys, '\\n')), '\\n'), '\\ntimegenerated\\n')
                THEN 'it has another envelope than the first records of its path'
        END AS damage
        FROM (
            SELECT value AS raw, monotonically_increasing_id() AS line, json_object_keys(value) AS keys,
                CASE WHEN octet_length(value) <= {MAX_RECORD_BYTES} THEN
                    from_json(concat('[', value, ']'), 'ARRAY<{_struct(members)}>') END AS records
            FROM {LINES}
        )
        -- A number that counts is a fence: without it Spark would parse here and once more above.
        WHERE line >= 0 AND (keys IS NOT NULL OR trim(BOTH ' \\t\\r' FROM raw) <> '')
    )
)"""


def _members(keys: Mapping[str, Sequence[str]], opened: Mapping[str, Nested]) -> Iterator[tuple[str, str]]:
    """Yield each key with the type to read it as; text, if any field reads it as text."""
    for field, spellings in keys.items():
        if field in opened:
            yield from ((key, opened[field].type) for key in spellings)
    for field, spellings in keys.items():
        if field not in opened:
            yield from ((key, "STRING") for key in spellings)


def _struct(members: Mapping[str, str]) -> str:
    return f"STRUCT<{', '.join(f'`{key}`: {kind}' for key, kind in members.items())}>"


def _opened_item(field: str, keys: Sequence[str], nested: Nested) -> str:
    """Return the select items of a field that is read as an object.

    If it is not an object, or text within it may have more values, it is returned as text: the line is parsed again.
    """
    read = f"coalesce({', '.join(f'record.`{key}`' for key in keys)})"
    whole = " AND ".join([f"{read} IS NOT NULL", *(f"{read}.`{step}` IS NOT NULL" for step in nested.alone)])
    named = ", ".join(f"'{key}'" for key in keys)
    text = f"from_json(raw, '{_struct(dict.fromkeys(keys, 'STRING'))}')"
    texts = _first_of([f"{text}.`{key}`" for key in keys])
    return f"""CASE WHEN {whole} THEN {read} END AS `{field}_read`,
        CASE WHEN NOT ({whole}) AND arrays_overlap(keys, array({named})) THEN {texts} END AS `{field}`"""


def fields_of_table(family: Family, columns: Sequence[tuple[str, str]]) -> str:
    """Return Spark SQL for the fields of a table, from its columns: each a name and a Spark type."""
    found: dict[str, str] = {}
    for name, kind in columns:
        found.setdefault(fold(name), _as_text(name, kind))
    items = ", ".join(
        f"{_first_of([found[fold(key)] for key in family.spellings.get(field, ()) if fold(key) in found])} AS `{field}`"
        for field in FIELDS
    )
    return f"""
SELECT 0 AS file_no, monotonically_increasing_id() AS line, {items}, CAST(NULL AS STRING) AS damage,
    to_json(struct(*), map('timestampFormat', "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")) AS raw
FROM {TABLE}"""


def _first_of(values: Sequence[str]) -> str:
    texts = [f"nullif({value}, '')" for value in values]
    return f"coalesce({', '.join(texts)})" if len(texts) > 1 else texts[0] if texts else "CAST(NULL AS STRING)"


def _as_text(name: str, kind: str) -> str:
    """Return SQL for a column as text in the form of a JSON export."""
    column = "`" + name.replace("`", "``") + "`"
    if kind.startswith("timestamp"):
        return f"date_format({column}, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\")"
    if kind.startswith(("struct", "map", "array", "variant")):
        return f"to_json({column})"
    return f"CAST({column} AS STRING)"
