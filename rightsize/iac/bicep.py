"""Read the role definitions of a Bicep file: parameters with defaults, variables, loops, modules and JSON beside it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.iac import templates
from rightsize.iac.bicep_syntax import read_bicep
from rightsize.iac.evaluation import decide, evaluate, scopes_of_loop
from rightsize.iac.expressions import Evaluated, Language, Node, Scope, Unknown, Work
from rightsize.iac.functions import ARM_FUNCTIONS, ARM_STRUCTURAL
from rightsize.iac.syntax_trees import Statement
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json

DEEPEST = 20
"""The most modules within one another."""


def bicep_roles(text: str, beside: templates.Beside = templates.NOTHING_BESIDE) -> Iterator[RoleDefinition]:
    """Yield the roles of a Bicep file and of the modules beside it.

    Raises:
        InputError: It is no Bicep, or the permissions of a role are known only at its deployment.
    """
    file = BicepFile(text, beside, Work())
    for statement in file.made:
        yield from templates.roles_of_all_sides(file.work, partial(_of_statement, statement, file, 0))


def _unknown_name(name: str) -> object:
    return Unknown(name, f"${{{name}}}")


@dataclass(slots=True)
class BicepFile:
    """The declarations of a file, and their values with the defaults of parameters.

    Attributes:
        text: The file.
        beside: The files beside it.
        work: The work left.
        given: The parameters that a module is called with, with and without the defaults of its caller; None for the
            outermost file.
        deployed: Functions that have a value for one target of a deployment alone, by their names in lower case.
        symbols: Returns the value of a resource or another name without a value in the file.
        parameters: The parameters with their defaults.
        variables: The variables.
        made: The resources and modules.
        scope: Where the expressions of the file stand.
    """

    text: str
    beside: templates.Beside
    work: Work
    given: Mapping[bool, Mapping[str, object]] | None = None
    deployed: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    symbols: Callable[[str], object] = _unknown_name
    parameters: dict[str, Node | None] = field(init=False)
    variables: dict[str, Node | None] = field(init=False)
    made: list[Statement] = field(init=False)
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        try:
            statements = read_bicep(self.text)
        except InputError as error:
            raise InputError(f"not valid Bicep: {error.message}") from None
        self.parameters = {one.name: one.value for one in statements if one.keyword == "param"}
        self.variables = {one.name: one.value for one in statements if one.keyword == "var"}
        self.made = [one for one in statements if one.keyword in ("resource", "module")]
        self.scope = self._scope(uses_defaults=True, certain=self._scope(uses_defaults=False))

    def _scope(self, *, uses_defaults: bool, certain: Scope | None = None) -> Scope:
        functions: dict[str, Callable[..., object]] = {
            **ARM_FUNCTIONS,
            "loadjsoncontent": self._json,
            "loadtextcontent": self._text,
            **self.deployed,
        }
        evaluated = Evaluated()

        def look_up(name: str) -> object:
            return self._named(name, scope, uses_defaults, evaluated)

        scope = Scope(Language.BICEP, look_up, functions, ARM_STRUCTURAL, self.work, certain=certain)
        return scope

    def _named(self, name: str, scope: Scope, uses_defaults: bool, evaluated: Evaluated) -> object:
        if self.given is not None and name in self.given[uses_defaults] and name in self.parameters:
            return self.given[uses_defaults][name]
        node = self.variables.get(name)
        # The call of a module decides its parameters: those that it leaves out have their defaults.
        if node is None and (uses_defaults or self.given is not None):
            node = self.parameters.get(name)
        if node is None:
            return self.symbols(name)
        return evaluated.once(name, self.work, partial(evaluate, node, scope))

    def _text(self, path: str) -> object:
        content = self.beside.read(posixpath.normpath(path))
        return Unknown(f"loadTextContent('{path}')", path) if content is None else content.decode("utf-8-sig")

    def _json(self, path: str) -> object:
        text = self._text(path)
        return Unknown(f"loadJsonContent('{path}')", path) if isinstance(text, Unknown) else load_json(str(text))


def _of_statement(statement: Statement, file: BicepFile, depth: int) -> Iterator[RoleDefinition]:
    """Yield the roles of a resource or a module."""
    if statement.keyword == "module":
        path = _path(statement)
        text = _module_text(path, file.beside)
        if text is None:
            return
        file.beside.calls(posixpath.normpath(path))
    elif statement.is_existing or not _is_role(statement):
        return
    if statement.refusal is not None:
        raise InputError(f"not valid Bicep: {statement.refusal.message}")
    for number, scope in enumerate(_turns(statement, file.scope)):
        if statement.condition is not None and not decide(statement.condition, scope):
            continue
        if statement.keyword == "resource":
            yield _role(_body(statement), scope, number if statement.loop else None)
        else:
            if depth >= DEEPEST:
                raise InputError("modules call one another more often than any deployment")
            given = {True: _passed(_body(statement), scope), False: _passed(_body(statement), scope.certain or scope)}
            within = file.beside.within(posixpath.dirname(posixpath.normpath(path)))
            inner = BicepFile(text or "", within, file.work, given)
            for one in inner.made:
                yield from _of_statement(one, inner, depth + 1)


def _body(statement: Statement) -> Node:
    if statement.value is None:
        raise InputError(f"not valid Bicep: `{statement.name}` has no value")
    return statement.value


def _stated(statement: Statement) -> str:
    """Return the type of a resource, or the file of a module, as it is written."""
    kind = statement.kind
    return str(kind.parts[0]) if kind is not None and kind.kind == "value" else kind.text if kind is not None else ""


def _is_role(statement: Statement) -> bool:
    return _stated(statement).lower().split("@")[0] == templates.ROLE_TYPE


def _path(statement: Statement) -> str:
    if statement.kind is None or statement.kind.kind != "value":
        raise templates.UnknownValueError("a module", _stated(statement), "as its file")
    return _stated(statement)


def _module_text(path: str, beside: templates.Beside) -> str | None:
    """Return the text of a module that makes roles, or may call one that does; None for another one.

    Raises:
        UnknownValueError: It makes roles, or may, and is not a Bicep file that is here.
    """
    is_here = ":" not in path
    content = beside.read(posixpath.normpath(path)) if is_here else None
    if content is None:
        if "role-definition" in path.lower() or (is_here and beside is not templates.NOTHING_BESIDE):
            raise templates.UnknownValueError("a module", path, "for a file that is not here")
        return None
    makes_roles = b"roledefinitions" in content.lower()
    if not path.endswith(".bicep"):
        if makes_roles:
            raise templates.UnknownValueError("a module", path, "for an ARM template")
        return None
    return content.decode("utf-8-sig") if makes_roles or b"module" in content else None


def _passed(body: Node, scope: Scope) -> Mapping[str, object]:
    """Return the parameters that a module is called with."""
    passed = evaluate(Node("member", (body, "params", False), body.text), scope)
    return passed if isinstance(passed, Mapping) else {}


def _turns(statement: Statement, scope: Scope) -> Iterator[Scope]:
    """Yield the scope of each turn of the loop of a role: that of the file where it has no loop."""
    loop = statement.loop
    if loop is None:
        yield scope
        return

    def over(uses_defaults: bool) -> object:
        return evaluate(loop.over, scope if uses_defaults or scope.certain is None else scope.certain)

    templates.items_of_loop(over, f"the loop over `{loop.over.text[:40]}`")
    yield from scopes_of_loop(loop.names, over(True), scope)


def _role(body: Node, scope: Scope, number: int | None) -> RoleDefinition:
    properties = Node("member", (body, "properties", False), body.text)
    permissions = Node("member", (properties, "permissions", False), body.text)

    def fields(uses_defaults: bool) -> dict[str, Any]:
        here = scope if uses_defaults or scope.certain is None else scope.certain
        granted = evaluate(permissions, here)
        with scope.work.by_default():
            resource = evaluate(body, here)
        stated = resource.get("properties") if isinstance(resource, Mapping) else resource
        if not isinstance(stated, Mapping) or not isinstance(resource, Mapping):
            return {"permissions": stated if isinstance(stated, Unknown) else Unknown(body.text, "")}
        name = stated.get("roleName")
        if isinstance(name, Unknown) and number is not None:
            name = Unknown(name.cause, f"{name.shown} [{number}]")
        return {
            "name": name,
            "id": resource.get("name"),
            "description": stated.get("description"),
            "scopes": stated.get("assignableScopes"),
            "permissions": granted if "permissions" in stated or not isinstance(granted, Unknown) else None,
        }

    return templates.make_role(fields)
