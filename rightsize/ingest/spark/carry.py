r"""Translate DuckDB's SQL to Spark's with sqlglot, and fix the expressions that would have another meaning there.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.model.errors import UsageError, install_extra

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
