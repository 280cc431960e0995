"""Tests go through the public door: nothing under `tests/` takes or replaces a private name of another module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
# A path of a private name as text, which `monkeypatch.setattr` takes.
PATH_OF_PRIVATE = re.compile(r"rightsize(\.\w+)*\._[a-zA-Z]\w*")
# Whatever takes a private name looks like this, and so do other things: to parse takes long, and only these are parsed.
MAY_TAKE = re.compile(
    r"""(?mx) (?<!\bself)(?<!\bcls)\.\s*_[a-zA-Z] | ["']_[a-zA-Z] | ^\s*(?:from|import)\b.*\b_[a-zA-Z]
    | ^\s+_[a-zA-Z]\w*(?:\ as\ \w+)?,?\s*(?:\#.*)?$"""
)
ALLOWED: dict[tuple[str, str], str] = {
    ("ingest/test_sources_opening.py", "_exit"): "ends a forked process, by that name in the standard library",
    ("azure/test_guard.py", "_client"): "Azure's management client has no public way to send a request as given",
}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _is_own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def _defined(node: ast.AST) -> str | None:
    """Return the name of a function, class or attribute of `self` that a node defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Attribute(value=value, attr=name, ctx=ast.Store()) if _is_own(value):
            return name
    return None


def _taken(node: ast.AST) -> list[str]:
    """Return the names that a node takes from elsewhere or replaces there."""
    match node:
        case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] in ("rightsize", "tests"):
            return [*module.split("."), *(alias.name for alias in names)]
        case ast.Attribute(value=value, attr=name) if not _is_own(value):
            return [name]
        case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called), args=[_, ast.Constant(str(name)), *_]):
            return [name] if called in ("setattr", "getattr", "delattr") else []
        case ast.Constant(value=str(name)) if PATH_OF_PRIVATE.fullmatch(name):
            return [name.rsplit(".", 1)[1]]
    return []


def foreign_private_names(text: str) -> Iterator[tuple[int, str]]:
    """Give line and name of each private name that a text takes or replaces and does not define."""
    if not MAY_TAKE.search(text):
        return
    nodes = list(ast.walk(ast.parse(text)))
    defined = {_defined(node) for node in nodes}
    for node in nodes:
        yield from ((node.lineno, name) for name in _taken(node) if _is_private(name) and name not in defined)


@pytest.mark.slow
def test_no_private_name_of_another_module_is_used() -> None:
    """A test that needs a private name needs a public one; the few exceptions have a reason beside them."""
    used = {
        (str(path.relative_to(TESTS)), name): line
        for path in sorted(TESTS.rglob("*.py"))
        for line, name in foreign_private_names(path.read_text(encoding="utf-8"))
    }
    assert {place: line for place, line in used.items() if place not in ALLOWED} == {}
    assert set(ALLOWED) <= set(used)


@pytest.mark.parametrize(
    "text",
    [
        "from rightsize.store.connection import _connect",
        "from rightsize.store.connection import (\n    Store,\n    _connect,\n)",
        "from rightsize.store import connection\nconnection._connect()",
        "import rightsize\nrightsize.store._connect = None",
        "monkeypatch.setattr(connection, '_connect', None)",
        "monkeypatch.setattr('rightsize.store.connection._connect', None)",
        "with_store()._connection.close()",
    ],
)
def test_each_way_to_a_private_name_is_seen(text: str) -> None:
    assert len(list(foreign_private_names(text))) == 1


def test_own_private_names_are_free() -> None:
    assert list(foreign_private_names("class A:\n    def _b(self): self._c = 1\nA()._b(), A()._c, A().__doc__")) == []
