"""Read JSON that somebody else may have written, and hold it against a JSON Schema or the types of a dataclass.

It is quick enough for a whole plan. The keywords of our own schemas are known, no others. Beside them every value has
to be one that a program can use anywhere: nested at most `DEEPEST` deep, texts that UTF-8 has, whole numbers of 64
bits, and finite numbers.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json

DEEPEST = 64
"""Most levels of lists and objects in a value that no schema describes."""
_LARGEST = 1 << 63
_SHOWN, _STEPS = 60, 12
_SAID_ONLY = frozenset({"$schema", "$id", "$defs", "title", "description", "default"})
Check = Callable[[Any], None]


class WrongValueError(Exception):
    """A value that a schema does not take; `path` leads to it from the outside."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.path: list[str | int] = []

    def within(self, step: str | int) -> WrongValueError:
        """Return the error with one more step before its path."""
        self.path.insert(0, step)
        return self

    def __str__(self) -> str:
        """Return the place and what is wrong there."""
        steps = [f"[{step}]" if isinstance(step, int) else f".{step[:_SHOWN]}" for step in self.path]
        place = "".join(steps[:_STEPS]) + ("…" if len(steps) > _STEPS else "")
        place = place.removeprefix(".").encode("utf-8", "backslashreplace").decode()
        return f"`{place}` {self.args[0]}" if place else f"it {self.args[0]}"


def load_object(text: bytes, what: str, *, hint: str | None = None) -> dict[str, Any]:
    """Return the object of a small JSON text whose values a program can use anywhere.

    Raises:
        InputError: The text is not JSON, is no object, has a key twice, or a value that a program cannot use.
    """
    document = load_unrepeated(text, what, hint=hint)
    if not isinstance(document, dict):
        raise InputError(f"{what} is not a JSON object", hint=hint)
    try:
        check_usable(document)
    except WrongValueError as error:
        raise InputError(f"{what} cannot be used: {error}", hint=hint) from None
    return document


def load_unrepeated(text: bytes, what: str, *, hint: str | None = None) -> object:
    """Return the value of a JSON text in which no object has a key twice: readers differ in which of them counts.

    Raises:
        InputError: It has one, or is not JSON; the message names the line.
    """
    try:
        return json.loads(text, object_pairs_hook=_unrepeated)
    except _RepeatedError:
        raise InputError(f"{what} has an object with a key twice", hint=hint) from None
    except (ValueError, RecursionError):
        try:
            return load_json(text)  # its error message names the place where the text is not JSON
        except InputError as error:
            raise InputError(f"{what} cannot be read: {error.message}", hint=hint) from None


class _RepeatedError(ValueError):
    pass


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedError
    return found


def check_usable(value: object, depth: int = 0) -> None:
    """Raise WrongValueError where a value is nested too deeply, or has a text or number that not everything takes."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (dict, list)):
        if depth >= DEEPEST:
            raise WrongValueError("is nested too deeply")
        step: Any = None
        try:
            for step, one in value.items() if isinstance(value, dict) else enumerate(value):
                # Nearly all values are plain texts, and a plan has a million of them: no call for these.
                if type(step) is str and not step.isascii():
                    _check_text(step)
                if type(one) is not str or not one.isascii():
                    check_usable(one, depth + 1)
        except WrongValueError as error:
            raise error.within(step) from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise WrongValueError("is not a finite number")
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise WrongValueError("is a number of more than 64 bits")


def _check_text(value: str) -> None:
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        raise WrongValueError("has an unpaired surrogate, which is not text") from None


class SchemaChecks:
    """The checks that a JSON Schema asks for; each part of the schema becomes one function."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._named: dict[str, Check] = {}
        self._check = self._of(schema)

    def require(self, value: object, what: str, *, hint: str | None = None) -> None:
        """Raise InputError where a value is not what the schema takes; the message names the place."""
        try:
            self._check(value)
        except WrongValueError as error:
            raise InputError(f"{what} cannot be used: {error}", hint=hint) from None

    def _of(self, schema: Mapping[str, Any]) -> Check:
        words = {name: value for name, value in schema.items() if name not in _SAID_ONLY}
        if "$ref" in words:
            return self._definition(words["$ref"].removeprefix("#/$defs/"))
        if "anyOf" in words:
            return _any_of([self._of(one) for one in words["anyOf"]])
        if "const" in words or "enum" in words:
            return _one_of(words.get("enum", [words.get("const")]))
        types = words.pop("type", None)
        if isinstance(types, list):
            return _any_of([_null if one == "null" else self._of({**words, "type": one}) for one in types])
        return check_usable if types is None else self._typed(types, words)

    def _definition(self, name: str) -> Check:
        if name not in self._named:
            self._named[name] = self._of(self._definitions[name])
        return self._named[name]

    def _typed(self, kind: str, words: dict[str, Any]) -> Check:
        if kind == "object":
            rest = words.pop("additionalProperties", True)
            properties = {name: self._of(one) for name, one in words.pop("properties", {}).items()}
            others = _refuse if rest is False else check_usable if rest is True else self._of(rest)
            check = _object_of(properties, tuple(words.pop("required", ())), others)
        elif kind == "array":
            check = _list_of(self._of(words.pop("items", {})), words.pop("minItems", 0))
        elif kind == "string":
            check = _text_of(words.pop("pattern", None), words.pop("minLength", 0))
        elif kind in ("integer", "number"):
            least, most = words.pop("minimum", -_LARGEST), words.pop("maximum", _LARGEST - 1)
            check = _number_of(least, most, is_whole=kind == "integer")
        else:
            check = {"boolean": _truth, "null": _null}[kind]
        if words:
            raise ValueError(f"a schema uses what is not checked: {', '.join(words)}")
        return check


def _refuse(_: object) -> None:
    raise WrongValueError("is a key that is not known here")


def _object_of(properties: Mapping[str, Check], required: tuple[str, ...], others: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not dict:
            raise WrongValueError("is not an object")
        for name in required:
            if name not in value:
                raise WrongValueError("is missing").within(name)
        try:
            for name, one in value.items():
                known = properties.get(name)
                if known is None:
                    check_usable(name)
                    others(one)
                # Most values are plain texts, and a plan has a hundred thousand of them: no call for these.
                elif known is not _text or type(one) is not str or not one.isascii():
                    known(one)
        except WrongValueError as error:
            raise error.within(name) from None

    return check


def _list_of(item: Check, least: int) -> Check:
    def check(value: Any) -> None:
        if type(value) is not list:
            raise WrongValueError("is not a list")
        if len(value) < least:
            raise WrongValueError("is empty" if least == 1 else f"has fewer than {least} values")
        for at, one in enumerate(value):
            try:
                item(one)
            except WrongValueError as error:
                raise error.within(at) from None

    return check


def _text(value: object) -> None:
    if type(value) is not str:
        raise WrongValueError("is not a text")
    _check_text(value)


def _text_of(pattern: str | None, least: int) -> Check:
    if pattern is None and not least:
        return _text
    wanted = None if pattern is None else re.compile(pattern.replace("$", r"\Z"), re.ASCII)

    def check(value: Any) -> None:
        _text(value)
        if len(value) < least:
            raise WrongValueError("is empty")
        if wanted is not None and not wanted.search(value):
            raise WrongValueError("is a text of another form")

    return check


def _number_of(least: float, most: float, *, is_whole: bool) -> Check:
    what = "is not a whole number" if is_whole else "is not a number"
    kinds = (int,) if is_whole else (int, float)

    def check(value: Any) -> None:
        if type(value) not in kinds:
            raise WrongValueError(what)
        if not least <= value <= most:  # also where it is no number at all (NaN)
            raise WrongValueError(f"is not from {least:,} to {most:,}")

    return check


def _truth(value: object) -> None:
    if type(value) is not bool:
        raise WrongValueError("is not true or false")


def _null(value: object) -> None:
    if value is not None:
        raise WrongValueError("is not null")


def _one_of(values: list[Any]) -> Check:
    texts = frozenset(value for value in values if type(value) is str)

    def check(value: Any) -> None:
        if type(value) is str and value in texts:
            return
        if not any(type(value) is type(one) and value == one for one in values):
            raise WrongValueError(f"is none of {', '.join(map(str, values))}")

    return check


def _any_of(checks: list[Check]) -> Check:
    def check(value: Any) -> None:
        for one in checks[:-1]:
            try:
                return one(value)
            except WrongValueError:
                continue
        return checks[-1](value)

    return check


def made_of(wanted: Any, value: Any) -> Any:
    """Return a value of a type that `json_schema_of` knows, made of JSON that its schema takes."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return None if value is None else made_of(next(one for one in arguments if one is not types.NoneType), value)
    if origin is tuple:
        return tuple(made_of(arguments[0], one) for one in value)
    if isinstance(wanted, type) and is_dataclass(wanted):
        hints = _hints(wanted)
        return wanted(**{name: made_of(hints[name], one) for name, one in value.items()})
    return value


def json_schema_of(wanted: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type; fields of dataclasses without a default are required.

    Known are texts, whole numbers, numbers (a whole one is one, too), truth values, None, unions with None, tuples of
    any length, mappings with texts as keys, dataclasses of all that, and `Any`.
    """
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return {}
    if origin in (Union, types.UnionType):
        return {"anyOf": [json_schema_of(one) for one in arguments]}
    if origin is tuple:
        return {"type": "array", "items": json_schema_of(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": json_schema_of(arguments[1])}
    if isinstance(wanted, type) and is_dataclass(wanted):
        hints = _hints(wanted)
        given = [one.name for one in fields(wanted) if one.default is MISSING and one.default_factory is MISSING]
        return {
            "type": "object",
            "properties": {one.name: json_schema_of(hints[one.name]) for one in fields(wanted)},
            "required": given,
            "additionalProperties": False,
        }
    return {"type": JSON_TYPES[wanted]}


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


JSON_TYPES: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    types.NoneType: "null",
}
