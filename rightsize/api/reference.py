"""Write the reference page of the Python interface from its signatures and docstrings.

The page is also the list of what is public.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from types import FunctionType
from typing import Any

import rightsize
from rightsize.api import results, roles, store_reads
from rightsize.model import nouns

_HEAD = """\
# Python API

Written from the docstrings; do not edit.
What `import rightsize` offers, and nothing else is public ([what is promised](python.md#what-is-public)).

```python
import rightsize

with rightsize.open("rightsize.duckdb", read_only=True) as store:
    print(store.can("mei@example.com", "Microsoft.Compute/virtualMachines/write", "Production").allowed)
```

The examples run in a folder with the exports, the store `tenant.duckdb` and the plan of a tiny tenant. In signatures
`pl` is polars, `dt` is datetime, and these names stand for:
"""
_ALIASES = {
    "AskedPlane": store_reads.AskedPlane,
    "AssignmentState": nouns.AssignmentState,
    "Day": results.Day,
    "Place": results.Place,
    "Places": results.Places,
    "RoleLike": roles.RoleLike,
    "Texts": results.Texts,
}
_WIDTH = 100
_SECTION = re.compile(r"^(Args|Attributes|Raises|Warns|Examples):$", re.MULTILINE)
_ITEM = re.compile(r"^ {4}(\*{0,2}\w+): ", re.MULTILINE)


def write_reference() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD, "| name | is |", "| --- | --- |"]
    for name, alias in _ALIASES.items():
        meant = re.sub(r"rightsize\.model\.nouns\.|collections\.abc\.|typing\.", "", str(alias))
        lines.append(f"| `{name}` | `{meant.replace('|', chr(92) + '|')}` |")
    for name in sorted(rightsize.__all__, key=_place):
        lines += ["", *_entry(name, getattr(rightsize, name))]
    return "\n".join(lines) + "\n"


def _place(name: str) -> tuple[int, str]:
    """Return the place of a name on the page: functions, stores and plans, answers, nouns, errors."""
    found = getattr(rightsize, name)
    if not inspect.isclass(found):
        return (0 if callable(found) else 5), name
    if issubclass(found, Exception):
        return 4, "" if found is rightsize.RightsizeError else name
    return (3 if found.__module__.startswith("rightsize.model") else 2 if is_dataclass(found) else 1), name


def _entry(name: str, found: Any) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    if not callable(found):
        yield "The version of rightsize, as text."
        return
    if not inspect.isclass(found):
        yield from _code(f"rightsize.{name}{_signature(found)}")
        yield from _described(found.__doc__)
        return
    # Users make blocks; all else is only read.
    made = _signature(found).removesuffix(" -> None") if found is rightsize.PermissionBlock else ""
    bases = [base.__name__ for base in found.__bases__ if base.__name__ in rightsize.__all__]
    yield from _code(f"class rightsize.{name}{made}{f'({bases[0]})' if bases else ''}", *_attributes(found))
    yield from _described(found.__doc__)
    for member, one in _members(found):
        yield ""
        yield f"### {name}.{member}"
        yield ""
        if isinstance(one, FunctionType):
            yield from _code(f"{member}{_signature(one)}")
        else:
            function: Any = one.fget if isinstance(one, property) else one.func
            yield from _code(f"{member}: {inspect.signature(function).return_annotation}")
        yield from _described(one.__doc__)


def _attributes(found: type[Any]) -> Iterator[str]:
    if found is rightsize.RightsizeError:
        yield from ("    message: str", "    hint: str | None")
    elif is_dataclass(found):
        yield from (f"    {one.name}: {one.type}" for one in fields(found))


def _members(found: type[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and attributes of a class of the interface, its bases included, by name."""
    if not found.__module__.startswith("rightsize.api"):
        return
    bases = [base for base in reversed(found.__mro__) if base.__module__.startswith("rightsize.api")]
    members: dict[str, Any] = {name: one for base in bases for name, one in vars(base).items()}
    for name, one in sorted(members.items()):
        if isinstance(one, FunctionType | property | cached_property) and (name[0] != "_" or name == "__bool__"):
            yield name, one


def _signature(found: Any) -> str:
    """Return parameters and result, with one parameter a line where they are many."""
    signature = inspect.signature(found)
    texts: list[str] = []
    for one in signature.parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and "*" not in texts:
            texts.append("*")
        default = "" if one.default is one.empty else f" = {one.default!r}"
        texts.append(f"{'**' if one.kind is one.VAR_KEYWORD else ''}{one.name}: {one.annotation}{default}")
        if one.kind is one.POSITIONAL_ONLY:
            texts.append("/")
    short = f"({', '.join(texts)})"
    shown = short if len(short) < _WIDTH else "(\n" + "".join(f"    {text},\n" for text in texts) + ")"
    return f"{shown} -> {signature.return_annotation}"


def _code(*lines: str) -> Iterator[str]:
    yield from ("```python", *lines, "```")


def _described(doc: str | None) -> Iterator[str]:
    """Yield a docstring as Markdown: its sections are lists, its examples are code."""
    text, *sections = _SECTION.split(inspect.cleandoc(doc or ""))
    yield from ("", text.strip())
    for title, content in zip(sections[::2], sections[1::2], strict=True):
        if title == "Examples":
            yield ""
            yield from _code(inspect.cleandoc(content))
            continue
        _, *items = _ITEM.split(content.rstrip())
        yield from ("", f"{title}:", "")
        for name, said in zip(items[::2], items[1::2], strict=True):
            yield f"- `{name}`: {' '.join(said.split())}"
