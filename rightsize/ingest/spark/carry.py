r"""Carry the reading of logs from DuckDB to Spark: translate its SQL, and read the same fields there.

| DuckDB | Spark |
|---|---|
| a list of JSON paths, each parsing the text | the text parsed once into a struct, and an array of its members |
| `$` in a regular expression: the end of the text | `\z`; Java's `$` also matches before a last line break |
| `.` in one: all but a line feed | `[^\n]`; Java's `.` does not match a carriage return either |
| `strlen` counts bytes | `octet_length` |
| `try_strptime` with a list of formats | the first of `try_to_timestamp` that can read it |
| `strftime` with letters in its format | `date_format` with these quoted |
| `trim` without characters | `trim` of all Unicode spaces; Spark's removes only one kind |
| `chr` of any character | the character; Spark's `chr` has only 256 |
| `unnest(CASE WHEN len(x) > 0 THEN x ELSE [NULL] END)` | `explode_outer(x)` |
| `row_number() OVER ()` | `monotonically_increasing_id()`: it only distinguishes rows |
| `TRY_CAST(x AS UUID)` of 32 or 36 characters | the same text, dashed and in lower case, if it is a UUID |
| `TIMESTAMP` literals and casts | without a time zone, in a session whose zone is UTC |

Names of members are case-sensitive, as set in the session (see `session`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.ingest.files.encoding import MAX_RECORD_BYTES
from rightsize.ingest.logs.values import FIELDS, Family, spelt_keys
from rightsize.model.errors import UsageError, install_extra
from rightsize.model.text import fold

try:
    import sqlglot
    from sqlglot import exp
except ImportError:
    raise UsageError("the engine `spark` needs packages that are not installed", hint=install_extra("spark")) from None

_STEP = re.compile(r'\."([^"]*)"|\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]')
# The contents of a class `[...]` and escaped characters are left unchanged.
_LETTERS = re.compile(r"(\[[^\]]*\]|\\.)|[$.]")
_JAVA_LETTERS = {"$": r"\z", ".": r"[^\n]"}
# Unicode's separators of words (Zs).
_SPACES = " \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
_HEX = "[0-9A-Fa-f]"
_UUID = rf"^({_HEX}{{8}})-?({_HEX}{{4}})-?({_HEX}{{4}})-?({_HEX}{{4}})-?({_HEX}{{12}})\z"
_JAVA_FIELDS = {"%Y": "yyyy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss", "%f": "SSSSSS"}
_JAVA_TIMES = {
    "%m/%d/%Y, %I:%M:%S.%f %p": "M/d/yyyy, h:mm:ss.[SSSSSS][SSS] a",
    "%m/%d/%Y, %I:%M:%S %p": "M/d/yyyy, h:mm:ss a",
    "%m/%d/%Y %I:%M:%S.%f %p": "M/d/yyyy h:mm:ss.[SSSSSS][SSS] a",
    "%m/%d/%Y %I:%M:%S %p": "M/d/yyyy h:mm:ss a",
}


def to_spark(sql: str, opened: Mapping[str, Nested] | None = None) -> str:
    """Return a DuckDB statement as a Spark statement with the same meaning.

    Args:
        sql: The statement.
        opened: Columns of JSON text that were already parsed with their record. The values are in a struct with the
            column's name and `_read`, which is null if they have to be read from the text.

    Raises:
        sqlglot.errors.SqlglotError: It uses something that Spark does not support.
    """
    tree = sqlglot.parse_one(sql, read="duckdb")
    # The innermost node first, because the outer ones are built from it.
    for node in reversed(list(tree.walk())):
        mended = _mended(node, opened or {})
        if mended is not node:
            node.replace(mended)
    return tree.sql("spark", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)


@dataclass(frozen=True, slots=True)
class Nested:
    """The values that a statement reads from a column of JSON text.

    Attributes:
        paths: The steps to each value of its list.
        alone: First steps to values that it reads separately and parses again, as they may be text within the text.
    """

    paths: tuple[tuple[str | int, ...], ...]
    alone: tuple[str, ...]

    @property
    def type(self) -> str:
        """Return Spark's type of a struct with a text at each of the paths."""
        return _type_of(self.paths)


def columns_of(sql: str) -> tuple[frozenset[str], dict[str, Nested]]:
    """Return the names of all columns that a DuckDB statement reads, and by column the values read from JSON text."""
    tree = sqlglot.parse_one(sql, read="duckdb")
    listed: dict[str, tuple[tuple[str | int, ...], ...]] = {}
    alone: dict[str, list[str]] = {}
    for node in tree.find_all(exp.JSONExtractScalar):
        if isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Array):
            listed[node.this.name] = tuple(_steps(path.this) for path in node.expression.expressions)
        elif isinstance(node.this, exp.Column):
            alone.setdefault(node.this.name, []).append(node.expression.expressions[1].name)
    names = frozenset(column.name for column in tree.find_all(exp.Column))
    return names, {name: Nested(paths, tuple(alone.get(name, ()))) for name, paths in listed.items()}


def _mended(node: Any, opened: Mapping[str, Nested]) -> Any:
    if isinstance(node, exp.Try):
        # The expression inside already returns null for values that it cannot read.
        return node.this
    if isinstance(node, exp.JSONExtractScalar) and isinstance(node.expression, exp.Array):
        values = _members(node.this, [_steps(path.this) for path in node.expression.expressions])
        return _opened(node.this.name, opened, values) if isinstance(node.this, exp.Column) else values
    if isinstance(node, exp.FromJson):
        return exp.Anonymous(this="from_json", expressions=[node.this, exp.Literal.string("ARRAY<STRING>")])
    if isinstance(node, (exp.RegexpLike, exp.RegexpExtract, exp.RegexpReplace)):
        pattern = node.expression
        if isinstance(pattern, exp.Literal) and pattern.is_string:
            pattern.set("this", _LETTERS.sub(lambda found: found[1] or _JAVA_LETTERS[found[0]], pattern.this))
        return node
    if isinstance(node, exp.TryCast) and node.to.is_type("uuid"):
        return _dashed(node.this)
    if isinstance(node, exp.Window) and isinstance(node.this, exp.RowNumber) and not node.args.get("order"):
        return exp.Anonymous(this="monotonically_increasing_id", expressions=[])
    if isinstance(node, exp.TimeToStr) and isinstance(node.args["format"], exp.Literal):
        written = re.sub(r"%.|[A-Za-z]+", _java_time, node.args["format"].this)
        return exp.Anonymous(this="date_format", expressions=[node.this, exp.Literal.string(written)])
    if isinstance(node, exp.Explode) and isinstance(node.this, exp.Case):
        return exp.Anonymous(this="explode_outer", expressions=[node.this.args["ifs"][0].args["true"]])
    if isinstance(node, exp.Trim) and not node.expression:
        position = node.args.get("position") or "BOTH"
        return exp.Trim(this=node.this, expression=exp.Literal.string(_SPACES), position=position)
    if isinstance(node, exp.Chr):
        return exp.Literal.string("".join(chr(int(code.this)) for code in node.expressions))
    if isinstance(node, exp.Anonymous):
        return _mended_call(node)
    return node


def _dashed(text: Any) -> exp.Expression:
    """Return SQL for a text as a UUID in DuckDB's form, null if it is not a UUID."""
    groups = exp.RegexpReplace(
        this=text.copy(),
        expression=exp.Literal.string(_UUID),
        replacement=exp.Literal.string("$1-$2-$3-$4-$5"),
    )
    is_one = exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(_UUID))
    return exp.Case(ifs=[exp.If(this=is_one, true=exp.Lower(this=groups))])


def _java_time(found: re.Match[str]) -> str:
    return _JAVA_FIELDS[found[0]] if found[0].startswith("%") else f"'{found[0]}'"


def _mended_call(node: exp.Anonymous) -> exp.Expression:
    name = str(node.this).lower()
    if name == "strlen":
        return exp.Anonymous(this="octet_length", expressions=node.expressions)
    if name == "try_strptime":
        text, formats = node.expressions
        tries = [
            exp.Anonymous(
                this="try_to_timestamp", expressions=[text.copy(), exp.Literal.string(_JAVA_TIMES[form.this])]
            )
            for form in formats.expressions
        ]
        return exp.Coalesce(this=tries[0], expressions=tries[1:])
    return node


def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(key or word or int(index) for key, word, index in _STEP.findall(path))


def _opened(column: str, opened: Mapping[str, Nested], values: exp.Expression) -> exp.Expression:
    """Return the array of the values parsed with the record, else of the values in the text."""
    if column not in opened:
        return values
    read = exp.Column(this=exp.to_identifier(f"{column}_read"))
    found = exp.Anonymous(this="array", expressions=[_member(read.copy(), path) for path in opened[column].paths])
    return exp.Case(ifs=[exp.If(this=exp.Is(this=read, expression=exp.Null()), true=values)], default=found)


def _members(text: Any, steps: Sequence[tuple[str | int, ...]]) -> exp.Expression:
    """Return the array of the values at `steps` in JSON text, all null if it is not JSON."""
    parsed = exp.Anonymous(this="from_json", expressions=[text, exp.Literal.string(_type_of(steps))])
    found = exp.to_identifier("found")
    values = [_member(exp.Column(this=found.copy()), path) for path in steps]
    # Bound to a name, the text is parsed once, however many of its members are read.
    each = exp.Lambda(this=exp.Anonymous(this="array", expressions=values), expressions=[found])
    once = exp.Anonymous(this="array", expressions=[parsed])
    mapped = exp.Anonymous(this="transform", expressions=[once, each])
    return exp.Anonymous(this="get", expressions=[mapped, exp.Literal.number(0)])


def _member(value: exp.Expression, path: Sequence[str | int]) -> exp.Expression:
    for step in path:
        if isinstance(step, int):
            value = exp.Anonymous(this="get", expressions=[value, exp.Literal.number(step)])
        else:
            value = exp.Dot(this=value, expression=exp.to_identifier(step, quoted=True))
    return value


def _type_of(paths: Sequence[tuple[str | int, ...]]) -> str:
    """Return the Spark type with texts at `paths` and no other members."""
    if any(not path for path in paths):
        return "STRING"
    if isinstance(paths[0][0], int):
        return f"ARRAY<{_type_of([path[1:] for path in paths])}>"
    members = []
    for step in dict.fromkeys(path[0] for path in paths):
        members.append(f"`{step}`: {_type_of([path[1:] for path in paths if path[0] == step])}")
    return f"STRUCT<{', '.join(members)}>"


LINES = "log_lines"
"""The view of one text column, `value`, whose rows are lines of files."""

TABLE = "log_table"
"""The view of a table of records."""


def fields_of_lines(
    family: Family,
    samples: Sequence[Mapping[str, object]],
    wanted: Iterable[str],
    opened: Mapping[str, Nested],
    *,
    checked: bool = False,
) -> str:
    """Return Spark SQL for the fields of JSON lines, with `damage` (why a line is not a record) and `raw` (its text).

    `said` is a text with everything that may name the operation.

    `line` only distinguishes rows within one statement. A key is found in the spelling of its family, in lower case,
    and in the spellings of the samples.

    Args:
        family: The envelope of the lines.
        samples: First records.
        wanted: The fields to return; each takes time.
        opened: Those fields to read as objects, because most of them are: each is returned as a struct with the field's
            name and `_read`, and as text only if the struct would lose something.
        checked: Whether every line is known to be a record. Each is then parsed once, and nothing is damaged.
    """
    # A key with a quote in it is never a spelling of a wanted key.
    spelt = spelt_keys(family, samples)
    keys = {field: [key for key in spelt.get(field, ()) if not set("`'\\") & set(key)] for field in wanted}
    items = ", ".join(
        _opened_item(field, keys[field], opened[field])
        if field in opened
        else f"{_first_of([f'record.`{key}`' for key in keys[field]])} AS `{field}`"
        for field in FIELDS
        if field in keys
    )
    # Within brackets: Spark's parser stops at the end of a value, and a line with text after a value is no record.
    kind = f"ARRAY<{_struct(dict(_members_of_fields(keys, opened)))}>"
    records = f"from_json(concat('[', value, ']'), '{kind}')"
    found = f"""
    SELECT raw, line, CAST(NULL AS STRING) AS damage, get(records, 0) AS record
    FROM (SELECT value AS raw, monotonically_increasing_id() AS line, {records} AS records FROM {LINES})
    -- A number that counts is a fence: without it Spark would parse here and once more above.
    WHERE line >= 0"""
    rows = found if checked else _checked(family, records)
    return f"SELECT 0 AS file_no, line, {items}, damage, raw, raw AS said FROM ({rows})"


def _checked(family: Family, records: str) -> str:
    """Return Spark SQL for the record of each line and its damage; it parses a line once more, for its keys."""
    table = "NOT" if family.name == "pascal" else ""
    return f"""
    SELECT raw, line, damage, CASE WHEN damage IS NULL THEN get(records, 0) END AS record
    FROM (
        SELECT raw, line, records, CASE
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
                CASE WHEN octet_length(value) <= {MAX_RECORD_BYTES} THEN {records} END AS records
            FROM {LINES}
        )
        WHERE line >= 0 AND (keys IS NOT NULL OR trim(BOTH ' \\t\\r' FROM raw) <> '')
    )"""


def _members_of_fields(keys: Mapping[str, Sequence[str]], opened: Mapping[str, Nested]) -> Iterator[tuple[str, str]]:
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
    # A key is written as it is, or with escaped letters.
    named = " OR ".join(["contains(raw, '\\\\u')", *(f"contains(raw, '\"{key}\"')" for key in keys)])
    text = f"from_json(raw, '{_struct(dict.fromkeys(keys, 'STRING'))}')"
    texts = _first_of([f"{text}.`{key}`" for key in keys])
    return f"""CASE WHEN {whole} THEN {read} END AS `{field}_read`,
        CASE WHEN NOT ({whole}) AND ({named}) THEN {texts} END AS `{field}`"""


def fields_of_table(family: Family, columns: Sequence[tuple[str, str]]) -> str:
    """Return Spark SQL for the fields of a table, as `fields_of_lines`, from its columns: each a name and a Spark type.

    To write a row as JSON takes longer than all else, so `said` is only the columns that may name the operation.
    """
    found: dict[str, str] = {}
    for name, kind in columns:
        found.setdefault(fold(name), _as_text(name, kind))
    spelt = {
        field: [found[fold(key)] for key in family.spellings.get(field, ()) if fold(key) in found] for field in FIELDS
    }
    items = ", ".join(f"{_first_of(texts)} AS `{field}`" for field, texts in spelt.items())
    said = ", ".join(text for field in _NAME_OPERATION for text in spelt[field])
    return f"""
SELECT 0 AS file_no, monotonically_increasing_id() AS line, {items}, CAST(NULL AS STRING) AS damage,
    to_json(struct(*), map('timestampFormat', "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")) AS raw,
    concat_ws(' ', {said or "''"}) AS said
FROM {TABLE}"""


_NAME_OPERATION = ("operation_name", "identity", "authorization_json", "properties", "description")


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
