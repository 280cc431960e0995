"""The functions of ARM templates and Bicep, and of Terraform, that make actions out of literals.

A function that is not here has no value before a deployment, such as `guid` and `subscription`. Each one raises
TypeError, ValueError or another error of Python where Azure or Terraform would refuse its arguments.

Sources: learn.microsoft.com, "ARM template functions"; developer.hashicorp.com, "Built-in functions" of Terraform.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from rightsize.iac.evaluation import LONGEST, as_text, same
from rightsize.iac.expressions import Unknown

NO_VALUE = Unknown("", "")
"""The result of a call that is not computed here, such as `replace` with a regular expression: it is unknown."""


def _lists(values: Iterable[object]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for value in values:
        if not isinstance(value, list):
            raise TypeError(value)
        found.append(value)
    if sum(map(len, found)) > LONGEST:
        raise ValueError("too many items")
    return found


def _as_list(value: object) -> list[Any]:
    return _lists([value])[0]


def _concat(*values: Any) -> object:
    if isinstance(values[0], list):
        return list(chain.from_iterable(_lists(values)))
    return _short(*map(as_text, values))


def _short(*texts: str, times: int = 1) -> str:
    if sum(map(len, texts)) * times > LONGEST:
        raise ValueError("too long")
    return "".join(texts)


def _format_arm(text: str, *values: object) -> str:
    if re.search(r"\{(?!\d+\}|\{)", text.replace("{{", "").replace("}}", "")):
        raise ValueError(text)  # a format of a number or of a time
    parts = re.split(r"\{(\d+)\}", text)
    filled = [as_text(values[int(part)]) if number % 2 else part for number, part in enumerate(parts)]
    return _short(*filled).replace("{{", "{").replace("}}", "}")


def _replace(text: str, old: str, new: str) -> str:
    _short(new, times=text.count(old))
    return text.replace(old, new)


def _join(items: list[Any], separator: str) -> str:
    texts = list(map(as_text, items))
    _short(*texts)
    _short(separator, times=len(texts))
    return separator.join(texts)


def _split(text: str, separator: str | list[str]) -> list[str]:
    separators = [separator] if isinstance(separator, str) else separator
    return re.split("|".join(map(re.escape, separators)), text)


def _distinct(items: Iterable[object]) -> list[Any]:
    found: dict[str, object] = {}
    for item in items:
        found.setdefault(json.dumps(item, sort_keys=True), item)
    return list(found.values())


def _union(*values: Any) -> object:
    if all(isinstance(value, Mapping) for value in values):
        merged: dict[str, Any] = {}
        for value in values:
            for key, item in value.items():
                known = merged.get(key)
                nested = isinstance(known, Mapping) and isinstance(item, Mapping)
                merged[key] = _union(known, item) if nested else item
        return merged
    return _distinct(chain.from_iterable(_lists(values)))


def _intersection(first: Any, *others: Any) -> object:
    if isinstance(first, Mapping):
        return {key: item for key, item in first.items() if all(same(other.get(key), item) for other in others)}
    return [item for item in _distinct(first) if all(_holds(other, item) for other in _lists(others))]


def _holds(container: Any, item: object) -> bool:
    if isinstance(container, str):
        return as_text(item) in container
    if isinstance(container, Mapping):
        return as_text(item).lower() in (key.lower() for key in container)
    return any(same(one, item) for one in container)


def _flatten_once(items: list[Any]) -> list[Any]:
    return list(chain.from_iterable(_lists(items)))


def _range(first: int, count: int) -> list[int]:
    if not 0 <= count <= LONGEST:
        raise ValueError(count)
    return list(range(first, first + count))


def _create_object(*values: Any) -> dict[str, Any]:
    return dict(zip(map(as_text, values[::2]), values[1::2], strict=True))


def _coalesce(*values: object) -> object:
    return next((value for value in values if value is not None), None)


def _as_number(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    return int(value)


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[value.lower()] if isinstance(value, str) else bool(_as_number(value))


def _json(text: str) -> object:
    return json.loads(text)


def _bools(values: Iterable[object]) -> list[bool]:
    found: list[bool] = []
    for value in values:
        if not isinstance(value, bool):
            raise TypeError(value)
        found.append(value)
    return found


def _mapped(items: list[Any], make: Callable[..., object]) -> list[object]:
    return [make(item) for item in _as_list(items)]


def _filtered(items: list[Any], keeps: Callable[..., object]) -> object:
    kept = [(item, keeps(item)) for item in _as_list(items)]
    return [item for item, is_kept in kept if _bools([is_kept])[0]]


ARM_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "add": lambda one, other: _as_number(one) + _as_number(other),
    "and": lambda *values: all(_bools(values)),
    "array": lambda value: value if isinstance(value, list) else [value],
    "bool": _as_bool,
    "coalesce": _coalesce,
    "concat": _concat,
    "contains": _holds,
    "createarray": lambda *values: list(values),
    "createobject": _create_object,
    "empty": lambda value: value is None or len(value) == 0,
    "endswith": lambda text, end: text.lower().endswith(end.lower()),
    "equals": same,
    "false": lambda: False,
    "filter": _filtered,
    "first": lambda value: value[0],
    "flatten": _flatten_once,
    "format": _format_arm,
    "greater": lambda one, other: one > other,
    "greaterorequals": lambda one, other: one >= other,
    "int": _as_number,
    "intersection": _intersection,
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
    "join": _join,
    "json": _json,
    "last": lambda value: value[-1],
    "length": len,
    "less": lambda one, other: one < other,
    "lessorequals": lambda one, other: one <= other,
    "map": _mapped,
    "max": lambda *values: max(values[0] if isinstance(values[0], list) else values),
    "min": lambda *values: min(values[0] if isinstance(values[0], list) else values),
    "not": lambda value: not _bools([value])[0],
    "null": lambda: None,
    "objectkeys": sorted,
    "or": lambda *values: any(_bools(values)),
    "range": _range,
    "replace": _replace,
    "skip": lambda value, count: value[max(count, 0) :],
    "split": _split,
    "startswith": lambda text, start: text.lower().startswith(start.lower()),
    "string": as_text,
    "sub": lambda one, other: _as_number(one) - _as_number(other),
    "substring": lambda text, first, count=None: text[first:] if count is None else text[first : first + count],
    "take": lambda value, count: value[: max(count, 0)],
    "tolower": lambda text: text.lower(),
    "toupper": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "true": lambda: True,
    "union": _union,
}
ARM_STRUCTURAL = frozenset(
    [
        "array",
        "coalesce",
        "concat",
        "createarray",
        "createobject",
        "empty",
        "filter",
        "first",
        "flatten",
        "items",
        "last",
        "length",
        "map",
        "objectkeys",
        "skip",
        "take",
        "union",
    ]
)


def _merge(*values: Any) -> object:
    merged: dict[str, Any] = {}
    for value in values:
        merged.update(value or {})
    return merged


def _lookup(values: Mapping[str, object], key: str, *default: object) -> object:
    return values[key] if key in values or not default else default[0]


def _flatten(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in _as_list(items):
        found.extend(_flatten(item) if isinstance(item, list) else [item])
        if len(found) > LONGEST:
            raise ValueError("too many items")
    return found


def _set(items: Iterable[Any]) -> list[Any]:
    found = _distinct(items)
    return sorted(found) if all(isinstance(item, str) for item in found) else found


def _format_terraform(text: str, *values: object) -> str:
    used = iter(values)
    pieces = re.split(r"(%%|%[sdv])", text)
    if any("%" in piece for piece in pieces[::2]):
        raise ValueError(text)
    return _short(*("%" if piece == "%%" else as_text(next(used)) if number % 2 else piece
                    for number, piece in enumerate(pieces)))  # fmt: skip


def _replace_terraform(text: str, old: str, new: str) -> object:
    return NO_VALUE if len(old) > 1 and old[0] == old[-1] == "/" else _replace(text, old, new)


def _first_set(*values: Any) -> object:
    return next(value for value in values if value is not None and value != "")


def _encoded(value: object) -> object:
    """Return JSON: a list or an object stays as it is, so that its members may be unknown."""
    return value if isinstance(value, (list, Mapping)) else json.dumps(value)


def _decoded(value: object) -> object:
    return _json(value) if isinstance(value, str) else value


def _element(items: list[Any], place: int) -> object:
    return items[place % len(items)]


def _contains(items: Any, item: object) -> bool:
    return any(same(one, item) for one in _as_list(items))


TERRAFORM_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "alltrue": lambda items: all(_bools(items)),
    "anytrue": lambda items: any(_bools(items)),
    "basename": lambda text: text.rsplit("/", 1)[-1],
    "coalesce": _first_set,
    "coalescelist": lambda *lists: next(one for one in _lists(lists) if one),
    "compact": lambda items: [item for item in _as_list(items) if item is not None and item != ""],
    "concat": lambda *lists: list(chain.from_iterable(_lists(lists))),
    "contains": _contains,
    "distinct": lambda items: _distinct(_as_list(items)),
    "element": _element,
    "endswith": lambda text, end: text.endswith(end),
    "flatten": _flatten,
    "format": _format_terraform,
    "formatlist": lambda text, items: [_format_terraform(text, item) for item in _as_list(items)],
    "join": lambda separator, *lists: _join(list(chain.from_iterable(_lists(lists))), separator),
    "jsondecode": _decoded,
    "jsonencode": _encoded,
    "keys": sorted,
    "length": len,
    "lookup": _lookup,
    "lower": lambda text: text.lower(),
    "max": lambda *values: max(values),
    "merge": _merge,
    "min": lambda *values: min(values),
    "nonsensitive": lambda value: value,
    "one": lambda items: (_as_list(items) or [None])[0] if len(items) < 2 else NO_VALUE,
    "range": lambda *bounds: _range(0, bounds[0]) if len(bounds) == 1 else NO_VALUE,
    "replace": _replace_terraform,
    "reverse": lambda items: _as_list(items)[::-1],
    "sensitive": lambda value: value,
    "setintersection": lambda first, *others: _set(_intersection(first, *others)),  # type: ignore[arg-type]
    "setsubtract": lambda items, others: _set([item for item in _as_list(items) if not _contains(others, item)]),
    "setunion": lambda *lists: _set(chain.from_iterable(_lists(lists))),
    "slice": lambda items, first, end: _as_list(items)[first:end],
    "sort": lambda items: sorted(_as_list(items)),
    "split": lambda separator, text: text.split(separator),
    "startswith": lambda text, start: text.startswith(start),
    "strcontains": lambda text, part: part in text,
    "title": lambda text: re.sub(r"\b[a-z]", lambda found: found[0].upper(), text),
    "tobool": _as_bool,
    "tolist": _as_list,
    "tomap": dict,
    "toset": lambda items: _set(_as_list(items)),
    "tostring": as_text,
    "trimprefix": lambda text, start: text.removeprefix(start),
    "trimspace": lambda text: text.strip(),
    "trimsuffix": lambda text, end: text.removesuffix(end),
    "upper": lambda text: text.upper(),
    "values": lambda value: [value[key] for key in sorted(value)],
    "zipmap": lambda keys, values: dict(zip(keys, values, strict=True)),
}
TERRAFORM_STRUCTURAL = frozenset(
    [
        "coalesce",
        "coalescelist",
        "concat",
        "element",
        "flatten",
        "jsondecode",
        "jsonencode",
        "keys",
        "length",
        "lookup",
        "merge",
        "nonsensitive",
        "one",
        "reverse",
        "sensitive",
        "slice",
        "tolist",
        "tomap",
        "values",
        "zipmap",
    ]
)
