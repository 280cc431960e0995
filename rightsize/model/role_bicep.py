"""Read the role definitions of a Bicep file: parameters with defaults, variables, loops, and JSON files beside it.

The statements are read here and not with a package: those that exist return names and strings alike, so that nobody
can tell a variable from a text, and do not know the types that parameters have today.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.expression_functions import ARM_FUNCTIONS, ARM_STRUCTURAL
from rightsize.model.expression_tokens import Language, Node
from rightsize.model.expression_values import Evaluated, Scope, Unknown, Work, evaluate, scopes_of_loop
from rightsize.model.expressions import Parser
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json
from rightsize.model.role_templates import (
    NOTHING_BESIDE,
    ROLE_TYPE,
    Beside,
    UnknownValueError,
    items_of_loop,
    make_role,
    may_be_made,
)

_OPENING, _CLOSING = "([{", ")]}"


DEEPEST = 20
"""The most modules within one another."""


def bicep_roles(text: str, beside: Beside = NOTHING_BESIDE) -> Iterator[RoleDefinition]:
    """Yield the roles of a Bicep file and of the modules beside it.

    Raises:
        InputError: It is no Bicep, or the permissions of a role are known only at its deployment.
    """
    yield from _roles(text, beside, Work(), {}, 0)


def _roles(
    text: str, beside: Beside, work: Work, given: Mapping[bool, Mapping[str, object]], depth: int
) -> Iterator[RoleDefinition]:
    """Yield the roles of a file; `given` has the parameters that a module is called with, with and without defaults."""
    if depth > DEEPEST:
        raise InputError("modules call one another more often than any deployment")
    try:
        file = _read(text)
    except InputError as error:
        raise InputError(f"not valid Bicep: {error.message}") from None
    scopes = {uses: _Values(file, uses, beside, given.get(uses, {})).scope(work) for uses in (True, False)}
    for one in file.made:
        module = None
        if one.module is not None:
            module = _module(one.module, beside)
            if module is None:
                continue
        for number, turn in enumerate(_turns(one, scopes)):
            if one.condition is not None and not may_be_made(partial(_evaluated, one.condition, turn)):
                continue
            if module is None:
                yield _role(one.body, turn, number if one.over is not None else None)
            else:
                within = {uses: _passed(one.body, turn[uses]) for uses in (True, False)}
                folder = posixpath.dirname(posixpath.normpath(str(one.module)))
                yield from _roles(module, beside.within(folder), work, within, depth + 1)


def _module(path: str, beside: Beside) -> str | None:
    """Return the text of a module that makes roles, or None for another one.

    Raises:
        UnknownValueError: It makes roles, or may, and is not a Bicep file that is here.
    """
    is_here = ":" not in path
    content = beside.read(posixpath.normpath(path)) if is_here else None
    if content is None:
        if "role-definition" in path.lower() or (is_here and beside is not NOTHING_BESIDE):
            raise UnknownValueError("a module", path, "for a file that is not here")
        return None
    if b"roledefinitions" not in content.lower():
        return None
    if not path.endswith(".bicep"):
        raise UnknownValueError("a module", path, "for an ARM template")
    return content.decode("utf-8-sig")


def _passed(body: Node, scope: Scope) -> Mapping[str, object]:
    """Return the parameters that a module is called with."""
    call = evaluate(body, scope)
    passed = call.get("params", {}) if isinstance(call, Mapping) else {}
    return passed if isinstance(passed, Mapping) else {}


def _evaluated(node: Node, scopes: Mapping[bool, Scope], uses_defaults: bool) -> object:
    return evaluate(node, scopes[uses_defaults])


def _turns(role: _Made, scopes: Mapping[bool, Scope]) -> Iterator[Mapping[bool, Scope]]:
    """Yield the scopes of each turn of the loop of a role: those of the file where it has no loop."""
    if role.over is None:
        yield scopes
        return
    items_of_loop(partial(_evaluated, role.over, scopes), f"the loop over `{role.over.text[:40]}`")
    for inner in scopes_of_loop(role.names, evaluate(role.over, scopes[True]), scopes[True]):
        yield {True: inner, False: scopes[False].within(inner.names)}


def _role(body: Node, scopes: Mapping[bool, Scope], number: int | None) -> RoleDefinition:
    def fields(uses_defaults: bool) -> dict[str, Any]:
        resource = evaluate(body, scopes[uses_defaults])
        properties = resource.get("properties") if isinstance(resource, Mapping) else resource
        if not isinstance(properties, Mapping) or not isinstance(resource, Mapping):
            return {"permissions": properties if isinstance(properties, Unknown) else Unknown(body.text, "")}
        name = properties.get("roleName")
        if isinstance(name, Unknown) and number is not None:
            name = Unknown(name.cause, f"{name.shown} [{number}]")
        return {
            "name": name,
            "id": resource.get("name"),
            "description": properties.get("description"),
            "scopes": properties.get("assignableScopes"),
            "permissions": properties.get("permissions"),
        }

    return make_role(fields)


@dataclass(frozen=True, slots=True)
class _Made:
    """A role, or the call of a module: its body, the condition, and the list and names of the loop around it."""

    body: Node
    condition: Node | None = None
    over: Node | None = None
    names: tuple[str, ...] = ()
    module: str | None = None


@dataclass(slots=True)
class _File:
    """The declarations of a file: a parameter without a default has no expression."""

    parameters: dict[str, Node | None] = field(default_factory=dict)
    variables: dict[str, Node] = field(default_factory=dict)
    made: list[_Made] = field(default_factory=list)


@dataclass(slots=True)
class _Values:
    """The values of the names of a file."""

    file: _File
    uses_defaults: bool
    beside: Beside
    given: Mapping[str, object]
    evaluated: Evaluated = field(default_factory=Evaluated)

    def scope(self, work: Work) -> Scope:
        functions: dict[str, Callable[..., object]] = {
            **ARM_FUNCTIONS,
            "loadjsoncontent": self._json,
            "loadtextcontent": self._text,
        }
        found = Scope(Language.BICEP, lambda name: self._named(name, found), functions, ARM_STRUCTURAL, work)
        return found

    def _named(self, name: str, scope: Scope) -> object:
        if name in self.given and name in self.file.parameters:
            return self.given[name]
        node = self.file.variables.get(name)
        if node is None and self.uses_defaults:
            node = self.file.parameters.get(name)
        if node is None:
            return Unknown(name, f"${{{name}}}")
        return self.evaluated.once(name, partial(evaluate, node, scope))

    def _text(self, path: str) -> object:
        content = self.beside.read(posixpath.normpath(path))
        return Unknown(f"loadTextContent('{path}')", path) if content is None else content.decode("utf-8-sig")

    def _json(self, path: str) -> object:
        text = self._text(path)
        return Unknown(f"loadJsonContent('{path}')", path) if isinstance(text, Unknown) else load_json(str(text))


def _read(text: str) -> _File:
    """Return the declarations of a file; statements that make no role are passed over."""
    file = _File()
    parser = Parser(text, Language.BICEP)
    while True:
        parser.space()
        if parser.place >= len(text):
            return file
        if parser.take("@"):
            parser.expression()  # a decorator, before a statement
        elif parser.word("resource") or parser.word("module"):
            _resource(parser, file)
        elif parser.word("var"):
            name = parser.name()
            if name is None or not _to_value(parser):
                raise parser.error()
            file.variables[name] = parser.expression()
            _end_of_statement(parser)
        elif parser.word("param"):
            name = parser.name()
            if name is None:
                raise parser.error()
            file.parameters[name] = parser.expression() if _to_value(parser) else None
            _end_of_statement(parser)
        else:
            _pass_over(parser)


def _resource(parser: Parser, file: _File) -> None:
    """Read a resource or a module after its keyword."""
    parser.name()
    parser.space()
    kind = parser.string()
    if kind.kind != "value" or not isinstance(kind.parts[0], str):
        raise parser.error()
    stated = kind.parts[0]
    is_role = stated.lower().split("@")[0] == ROLE_TYPE
    is_module = "@" not in stated and (":" in stated or stated.endswith((".bicep", ".json")))
    if parser.word("existing") or not (is_role or is_module):
        _pass_over(parser)
        return
    parser.need("=")
    over = condition = None
    names: list[str] = []
    if parser.take("["):
        if not parser.word("for"):
            raise parser.error()
        is_pair = parser.take("(")
        names = [parser.name() or ""]
        if is_pair:
            parser.need(",")
            names.append(parser.name() or "")
            parser.need(")")
        if not all(names) or not parser.word("in"):
            raise parser.error()
        over = parser.expression()
        parser.need(":")
    if parser.word("if"):
        parser.space()
        condition = parser.expression()
    body = parser.expression()
    if over is not None:
        parser.need("]")
    file.made.append(_Made(body, condition, over, tuple(names), stated if is_module else None))
    _end_of_statement(parser)


def _to_value(parser: Parser) -> bool:
    """Pass over the type of a declaration, and return whether a value follows."""
    depth = 0
    while parser.place < len(parser.text):
        parser.space(lines=False)
        here = parser.text[parser.place : parser.place + 1]
        if here == "=" and not depth:
            parser.place += 1
            return True
        if here == "\n" and not depth:
            line = parser.place
            parser.space()
            if parser.text[parser.place : parser.place + 1] != "|":  # a union of types goes on
                parser.place = line
                return False
        depth += _pass_token(parser)
    return False


def _pass_over(parser: Parser) -> None:
    """Pass over a statement: to the end of a line that is outside of all brackets."""
    depth = 0
    while parser.place < len(parser.text):
        parser.space(lines=False)
        if parser.text.startswith("\n", parser.place) and depth <= 0:
            return
        depth += _pass_token(parser)


def _pass_token(parser: Parser) -> int:
    """Pass over a string, a comment or a character, and return by how much it changes the depth of brackets."""
    here = parser.text[parser.place : parser.place + 1]
    if here == "'":
        parser.string()
        return 0
    if parser.text.startswith("//", parser.place):
        end = parser.text.find("\n", parser.place)
        parser.place = len(parser.text) if end < 0 else end
        return 0
    parser.place += 1
    return (here != "" and here in _OPENING) - (here != "" and here in _CLOSING)


def _end_of_statement(parser: Parser) -> None:
    parser.space(lines=False)
    if parser.place < len(parser.text) and not parser.text.startswith(("\n", "//"), parser.place):
        raise parser.error()
