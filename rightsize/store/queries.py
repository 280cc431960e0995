"""Find the SQL files of `queries/`, and parse the header of a saved query: title, parameters, columns.

A wheel has them as `rightsize/_queries`; an editable install and a checkout have them in `queries/` beside the
package.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rightsize.model.errors import InternalError, UsageError
from rightsize.model.times import read_moment

PACKAGE = Path(__file__).resolve().parents[1]
_NAME = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*")
_PARAMETER = re.compile(r"(?P<name>[a-z_]+) (?P<type>[a-z]+)(?: = (?P<default>'[^']*'|\S+))?  (?P<meaning>\S.*)")
_PART = re.compile(r"\{(\w+)(?:\[((?:[^][]|\[[^][]*\])*)\])?\}")
PARAMETER_TYPES = ("text", "integer", "day", "boolean")
_LABELS = ("title", "description", "parameter", "columns")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a saved query; `type` is one of `PARAMETER_TYPES`, and without a `default` it is required."""

    name: str
    type: str
    default: str | None
    meaning: str


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A saved query: its title, description, parameters and result columns, and its text with the header."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    columns: tuple[str, ...]
    text: str

    def parameter(self, name: str) -> Parameter:
        """Return the parameter of that name, or raise UsageError with the known parameters."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = ", ".join(f"`{parameter.name}`" for parameter in self.parameters)
        raise UsageError(
            f"`{self.name}` has no parameter `{name}`", hint=f"it takes {known}" if known else "it takes none"
        )


def queries_folder() -> Path:
    """Return the folder of the SQL files; raises InternalError if the installation has none."""
    for folder in (PACKAGE / "_queries", PACKAGE.parent / "queries"):
        if folder.is_dir():
            return folder
    raise InternalError("the SQL texts of rightsize are not installed", hint="install rightsize again")


def query_text(name: str) -> str:
    """Return the SQL text of that name, for example `reduce/normalise`; raises InternalError if there is none."""
    path = queries_folder() / f"{name}.sql"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise InternalError(f"there is no SQL text `{name}`")
    return path.read_text(encoding="utf-8")


def filled_text(name: str, *functions: Callable[[str], str], **parts: str) -> str:
    """Return the SQL text of that name with its parts.

    Args:
        name: As `query_text` takes it.
        functions: Functions that write SQL, beside some of `store.sql`; a text has them as `{folded[e.named]}`.
        parts: What stands in the text as `{part}`. Other words in braces stay.
    """
    from rightsize.store.sql import folded, network_of, outcome  # noqa: PLC0415  most texts need no engine

    written = {one.__name__.strip("_"): one for one in (folded, network_of, outcome, *functions)}

    def fill(found: re.Match[str]) -> str:
        word, expression = found.groups()
        if expression is None:
            return parts.get(word, found[0])
        return written[word](expression)

    return _PART.sub(fill, query_text(name)).rstrip()


def question_names() -> tuple[str, ...]:
    """Return the names of the saved queries, sorted."""
    return tuple(sorted(path.stem for path in queries_folder().glob("*.sql")))


def read_question(name: str) -> SavedQuery:
    """Return the saved query of that name, or raise UsageError with similar names."""
    names = question_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        meant = " or ".join(f"`{candidate}`" for candidate in close)
        hint = f"did you mean {meant}?" if meant else "`rightsize queries list` names them all"
        raise UsageError(f"there is no saved question `{name}`", hint=hint)
    return parse_question(name, query_text(name))


def bind_parameters(question: SavedQuery, given: Mapping[str, str]) -> dict[str, object]:
    """Return the values of all parameters, from the given values and the defaults.

    Raises:
        UsageError: A parameter is missing, unknown, or not of its type.
    """
    for name in given:
        question.parameter(name)
    values: dict[str, object] = {}
    for parameter in question.parameters:
        text = given.get(parameter.name, parameter.default)
        if text is None:
            raise UsageError(
                f"`{question.name}` needs `{parameter.name}`: {parameter.meaning}",
                hint=f"give -p {parameter.name}=VALUE",
            )
        values[parameter.name] = _value(parameter, text)
    return values


def _value(parameter: Parameter, text: str) -> object:
    try:
        if parameter.type == "integer":
            return int(text)
        if parameter.type == "day":
            return read_moment(text).day
        if parameter.type == "boolean":
            return {"true": True, "false": False}[text]
    except (ValueError, KeyError) as error:
        example = {"integer": "a whole number", "day": "a day such as 2026-01-31", "boolean": "true or false"}
        raise UsageError(
            f"`{text}` is not a valid value of `{parameter.name}`", hint=f"give {example[parameter.type]}"
        ) from error
    return text


def parse_question(name: str, text: str) -> SavedQuery:
    """Return the saved query that a text contains; raises InternalError if its header lacks a field."""
    return question_of(name, text, read_header(text))


def read_header(text: str, more: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the values under each label of the comment at the head of a text; `more` are additional labels."""
    fields: dict[str, list[str]] = {label: [] for label in (*_LABELS, *more)}
    field = ""
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        label, colon, value = line.removeprefix("-- ").partition(": ")
        if colon and label in fields:
            field = label
            fields[field].append(value.strip())
        elif field:
            fields[field][-1] += " " + line.removeprefix("--").strip()
    return fields


def question_of(name: str, text: str, fields: Mapping[str, Sequence[str]]) -> SavedQuery:
    """Return the saved query that a header describes; raises InternalError if a field is missing."""
    if any(len(fields[label]) != 1 for label in ("title", "description", "columns")):
        raise InternalError(f"the header of `{name}` lacks its title, description or columns")
    return SavedQuery(
        name=name,
        title=fields["title"][0],
        description=fields["description"][0],
        parameters=tuple(_parse_parameter(name, value) for value in fields["parameter"]),
        columns=tuple(column.strip() for column in fields["columns"][0].split(",")),
        text=text,
    )


def _parse_parameter(name: str, value: str) -> Parameter:
    match = _PARAMETER.fullmatch(value)
    if match is None or match["type"] not in PARAMETER_TYPES:
        raise InternalError(f"the header of `{name}` has a parameter that cannot be read: {value}")
    default = match["default"]
    return Parameter(match["name"], match["type"], default.strip("'") if default else None, match["meaning"])
