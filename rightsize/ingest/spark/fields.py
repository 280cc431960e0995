"""Fields of log records on Spark: the same keys, spellings and logs as on DuckDB, in Spark's SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rightsize.ingest.encoding import MAX_RECORD_BYTES
from rightsize.ingest.families import FIELDS, Family, spelt_keys
from rightsize.rbac.text import fold

LINES = "log_lines"
"""The view of one text column, `value`, whose rows are lines of files."""

TABLE = "log_table"
"""The view of a table of records."""


def fields_of_lines(family: Family, samples: Sequence[Mapping[str, object]]) -> str:
    """Return Spark SQL for the fields of JSON lines, with `damage`, why a line is no record, and `raw`, its text.

    `line` tells rows apart within one statement, and says nothing else. A key is found in the spelling of its family,
    in small letters, and in the spellings that the samples have.
    """
    # A key with a quote in it is no spelling of one that is looked for.
    keys = {
        field: [key for key in spellings if not set("`'\\") & set(key)]
        for field, spellings in spelt_keys(family, samples).items()
    }
    members = ", ".join(f"`{key}`: STRING" for key in dict.fromkeys(key for spelt in keys.values() for key in spelt))
    items = ", ".join(
        f"{_first_of([f'record.`{key}`' for key in keys.get(field, ())])} AS `{field}`" for field in FIELDS
    )
    table = "NOT" if family.name == "pascal" else ""
    return f"""
SELECT 0 AS file_no, monotonically_increasing_id() AS line, {items}, damage, raw
FROM (
    SELECT value AS raw, CASE WHEN damage IS NULL THEN
            from_json(value, 'STRUCT<{members}>') END AS record,
        damage
    FROM (
        SELECT value, CASE
            WHEN octet_length(value) > {MAX_RECORD_BYTES} THEN 'it is longer than 16 MiB'
            -- Spark's parser stops at the end of the first value; what stands behind it is no record either.
            WHEN coalesce(json_array_length(concat('[', value, ']')), 0) <> 1 THEN 'it is not valid JSON'
            WHEN keys IS NULL THEN 'it is no JSON object'
            WHEN size(keys) <> size(array_distinct(keys)) THEN 'it names a key twice'
            WHEN {table} exists(keys, key -> lower(key) = 'timegenerated')
                THEN 'it has another envelope than the first records of its path'
        END AS damage
        FROM (SELECT value, json_object_keys(value) AS keys FROM {LINES} WHERE trim(BOTH ' \\t\\r' FROM value) <> '')
    )
)"""


def fields_of_table(family: Family, columns: Sequence[tuple[str, str]]) -> str:
    """Return Spark SQL for the fields of a table's columns, each a name and Spark's word for its type."""
    found: dict[str, str] = {}
    for name, kind in columns:
        found.setdefault(fold(name), _as_text(name, kind))
    items = ", ".join(
        f"{_first_of([found[fold(key)] for key in family.spellings.get(field, ()) if fold(key) in found])} AS `{field}`"
        for field in FIELDS
    )
    return f"""
SELECT 0 AS file_no, monotonically_increasing_id() AS line, {items}, CAST(NULL AS STRING) AS damage,
    to_json(struct(*)) AS raw
FROM {TABLE}"""


def _first_of(values: Sequence[str]) -> str:
    texts = [f"nullif({value}, '')" for value in values]
    return f"coalesce({', '.join(texts)})" if len(texts) > 1 else texts[0] if texts else "CAST(NULL AS STRING)"


def _as_text(name: str, kind: str) -> str:
    """Return SQL for a column as the text that a JSON export would have."""
    column = "`" + name.replace("`", "``") + "`"
    if kind.startswith("timestamp"):
        return f"date_format({column}, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\")"
    if kind.startswith(("struct", "map", "array", "variant")):
        return f"to_json({column})"
    return f"CAST({column} AS STRING)"
