"""Read what a Bicep file deploys: resources with their children, loops, conditions, and the modules beside it.

No compiler is needed. What its expressions refer to is found in them, by symbolic names too. A module of a registry is
not here, and is said.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.iac.bicep_syntax import read_bicep
from rightsize.iac.deployed.deployments import (
    CREATE,
    PLACES,
    USUAL_PLACE,
    Call,
    Change,
    Deployment,
    Reference,
    as_segment,
    calls_in,
    child_id,
    id_functions,
    ids_of,
    is_id,
    placeholder,
    references_in,
    resource_id,
    spelt_type,
    type_of,
)
from rightsize.iac.deployed.templates import DEPLOYMENT, MOST_STEPS, read_template
from rightsize.iac.evaluation import evaluate, scopes_of_loop
from rightsize.iac.expressions import Evaluated, Language, Node, Scope, Unknown, Work
from rightsize.iac.functions import ARM_FUNCTIONS, ARM_STRUCTURAL
from rightsize.iac.syntax_trees import Statement
from rightsize.iac.templates import NOTHING_BESIDE, Beside
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_relaxed_json

DEEPEST = 20
"""The most modules within one another."""
_TARGET = re.compile(r"^\s*targetScope\s*=\s*'(\w+)'", re.MULTILINE)
_NOT_BODY = frozenset(["name", "parent", "scope", "dependsOn"])


def read_bicep_file(
    text: str, beside: Beside = NOTHING_BESIDE, at: str = "", given: Mapping[str, object] | None = None
) -> Deployment:
    """Return what a Bicep file deploys.

    Args:
        text: The file.
        beside: The files beside it.
        at: The scope of the deployment; empty takes the kind of its `targetScope`, with placeholders.
        given: The values of its parameters.

    Raises:
        InputError: It is no Bicep.
    """
    target = _TARGET.search(text)
    place = PLACES.get(target[1].lower() if target else "", USUAL_PLACE)
    found = Deployment("bicep", at or place)
    found.add(Change("the deployment", DEPLOYMENT, child_id(found.at, DEPLOYMENT, "{deployment}"), frozenset([CREATE])))
    _File(text, beside, found, found.at, Work(MOST_STEPS), given or {}).read()
    return found


@dataclass(slots=True)
class _File:
    """A Bicep file, deployed at a scope.

    Attributes:
        text: The file.
        beside: The files beside it.
        found: What is found so far.
        at: The scope of the deployment.
        work: The work left.
        given: The values of parameters.
        depth: The modules around it.
    """

    text: str
    beside: Beside
    found: Deployment
    at: str
    work: Work
    given: Mapping[str, object]
    depth: int = 0
    values: dict[str, Node | None] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    made: list[Statement] = field(default_factory=list)
    symbols: dict[str, tuple[Statement, str]] = field(default_factory=dict)
    scope: Scope = field(init=False)
    decided: Scope = field(init=False)

    def __post_init__(self) -> None:
        try:
            statements = read_bicep(self.text)
        except InputError as error:
            raise InputError(f"not valid Bicep: {error.message}") from None
        self.values = {one.name: one.value for one in statements if one.keyword in ("param", "var")}
        self.texts = frozenset(re.findall(r"^\s*param\s+(\w+)\s+string\b", self.text, re.MULTILINE))
        self.made = [one for one in statements if one.keyword in ("resource", "module")]
        for one in self.made:
            self._name(one, "")
        self.decided = self._scope(has_placeholders=False, certain=None)
        self.scope = self._scope(has_placeholders=True, certain=self.decided)

    def _name(self, statement: Statement, above: str) -> None:
        """Note a resource by its symbolic name; that of a child has those around it, as `vnet::subnet`."""
        name = f"{above}::{statement.name}" if above else statement.name
        self.symbols[name] = (statement, above)
        for child in statement.children:
            self._name(child, name)

    def _scope(self, *, has_placeholders: bool, certain: Scope | None) -> Scope:
        evaluated = Evaluated()
        functions: dict[str, Callable[..., object]] = {**ARM_FUNCTIONS, **id_functions(self.at)}
        if not has_placeholders:
            functions = {name: one for name, one in functions.items() if name in ARM_FUNCTIONS}

        def look_up(name: str) -> object:
            if name in self.given:
                return self.given[name]
            node = self.values.get(name)
            if node is not None:
                return evaluated.once(name, self.work, partial(evaluate, node, scope))
            if has_placeholders and name in self.texts:
                return placeholder(name)
            if has_placeholders and name in self.symbols:
                return evaluated.once(f"{name}::", self.work, lambda: {"id": self.id_of(name)})
            return Unknown(name, f"${{{name}}}")

        scope = Scope(Language.BICEP, look_up, functions, ARM_STRUCTURAL, self.work, certain=certain)
        return scope

    def read(self) -> None:
        """Add all that the file deploys."""
        for name in list(self.symbols):
            statement, above = self.symbols[name]
            if above and not self._is_made(self.symbols[above][0]):
                continue
            if statement.keyword == "module":
                self._add_module(statement)
            elif not statement.is_existing and self._is_made(statement):
                for scope in self._turns(statement):
                    self._add(name, statement, scope)
        for node in self.values.values():
            self._add_calls(node, self.scope)

    def _is_made(self, statement: Statement) -> bool:
        """Return whether the condition of a resource holds, or is not decided by the file."""
        return statement.condition is None or evaluate(statement.condition, self.decided) is not False

    def _turns(self, statement: Statement) -> Iterator[Scope]:
        if statement.loop is None:
            yield self.scope
            return
        over = evaluate(statement.loop.over, self.scope)
        if isinstance(over, (list, Mapping)):
            yield from scopes_of_loop(statement.loop.names, over, self.scope)
        else:
            yield self.scope.within(dict.fromkeys(statement.loop.names, Unknown(statement.loop.names[0], "")))

    def _add(self, name: str, statement: Statement, scope: Scope) -> None:
        kind = self._kind_of(name)
        if not kind:
            self.found.unknown.append(f"the type of the resource `{name}` is known only to the deployment")
            return
        made = self._made_id(name, scope)
        body = evaluate(statement.value, scope) if statement.value is not None else {}
        body = {key: one for key, one in body.items() if key not in _NOT_BODY} if isinstance(body, Mapping) else {}
        references = dict.fromkeys([*references_in(body, made), *self._references(statement.value, scope, made)])
        self.found.add(Change(name, kind, made, frozenset([CREATE]), body, tuple(references)))
        self._add_calls(statement.value, scope)

    def id_of(self, name: str) -> str:
        """Return the id of a resource, by its symbolic name."""
        statement, _ = self.symbols[name]
        if statement.keyword == "module":
            return ""
        return self._made_id(name, next(iter(self._turns(statement)), self.scope))

    def _kind_of(self, name: str) -> str:
        statement, above = self.symbols[name]
        stated = statement.kind.parts[0] if statement.kind is not None and statement.kind.kind == "value" else ""
        kind = str(stated).split("@")[0]
        return spelt_type(f"{self._kind_of(above)}/{kind}" if above and "." not in kind.split("/")[0] else kind)

    def _made_id(self, name: str, scope: Scope) -> str:
        statement, above = self.symbols[name]
        kind = self._kind_of(name)
        own = as_segment(self._member(statement, "name", scope))
        if above:
            return child_id(self.id_of(above), kind, own)
        parent = self._symbol(self._node_of(statement, "parent"))
        if parent:
            return child_id(self.id_of(parent), kind, own)
        extended = self._symbol(self._node_of(statement, "scope"))
        if extended and self.symbols[extended][0].keyword == "resource":
            return child_id(self.id_of(extended), kind, own)
        return resource_id(self._place(statement, scope), kind, own.split("/"))

    def _place(self, statement: Statement, scope: Scope) -> str:
        """Return the scope that a resource or a module is deployed at."""
        value = self._member(statement, "scope", scope)
        said = value.get("id") if isinstance(value, Mapping) else None
        return said if isinstance(said, str) and said else self.at

    def _node_of(self, statement: Statement, name: str) -> Node | None:
        body = statement.value
        if body is None or body.kind != "object":
            return None
        return next((value for key, value in body.parts[0] if key is not None and key.parts[:1] == (name,)), None)

    def _member(self, statement: Statement, name: str, scope: Scope) -> object:
        node = self._node_of(statement, name)
        return None if node is None else evaluate(node, scope)

    def _symbol(self, node: Node | None) -> str:
        """Return the symbolic name that an expression is; empty where it is none."""
        while node is not None and node.kind in ("index", "same"):
            node = node.parts[0]
        text = "" if node is None or node.kind not in ("name", "unread") else re.sub(r"\s", "", node.text)
        return text if text in self.symbols else ""

    def _references(self, node: object, scope: Scope, own: str, path: str = "", depth: int = 0) -> Iterator[Reference]:
        """Yield what an expression refers to, with the path of the properties that lead to it."""
        if isinstance(node, (list, tuple)):
            for item in node:
                yield from self._references(item, scope, own, path, depth)
        if not isinstance(node, Node) or depth > 100:
            return
        if node.kind == "object":
            for key, value in node.parts[0]:
                name = "" if key is None else str(key.parts[0]) if key.kind == "value" else ""
                if path or name not in _NOT_BODY:
                    yield from self._references(key, scope, own, path, depth + 1)
                    yield from self._references(value, scope, own, f"{path}.{name}".strip("."), depth + 1)
            return
        for found in self._ids(node, scope):
            if found and not found.lower().startswith(own.lower()):
                yield Reference(found, path)
        yield from self._references(node.parts, scope, own, path, depth + 1)

    def _ids(self, node: Node, scope: Scope) -> Iterator[str]:
        """Yield the ids that a part of an expression is by itself."""
        if node.kind == "member" and node.parts[1] == "id":
            symbol = self._symbol(node.parts[0])
            if symbol:
                yield self.id_of(symbol)
        elif node.kind == "call" and "resourceid" in str(node.parts[0]).lower():
            yield from ids_of(Node("same", (node,), node.text), scope, self.at)
        elif node.kind == "name" and node.text in self.values and node.text not in self.given:
            value = evaluate(node, scope)
            if is_id(value):
                yield str(value)
            elif isinstance(value, Unknown) and self.values[node.text] is not None:
                yield from (one.id for one in self._references(self.values[node.text], scope, "\0", "var"))
        elif node.kind in ("template", "name"):
            value = evaluate(node, scope)
            if is_id(value):
                yield str(value)

    def _add_calls(self, node: object, scope: Scope) -> None:
        """Add what expressions call by themselves, as `listKeys(storage.id, …)` or `storage.listKeys()`."""
        for call in calls_in(node):
            base, _, name = str(call.parts[0]).rpartition(".")
            if not name.lower().startswith("list") or name.lower() in ARM_FUNCTIONS:
                continue
            if base:
                target = self.id_of(base) if base in self.symbols else ""
            else:
                target = next((one.id for one in self._references(call.parts[1][:1], scope, "\0")), "")
            if type_of(target):
                self.found.calls.append(Call(f"{type_of(target)}/{name}/action", target, f"the file calls `{name}`"))

    def _add_module(self, statement: Statement) -> None:
        """Add what a module deploys, once where it stands in a loop that the file does not decide."""
        stated = statement.kind.parts[0] if statement.kind is not None and statement.kind.kind == "value" else ""
        path = posixpath.normpath(str(stated)) if stated and ":" not in str(stated) else ""
        content = self.beside.read(path) if path else None
        if not self._is_made(statement):
            return
        if self.depth >= DEEPEST:
            raise InputError("modules call one another more often than any deployment")
        if content is None:
            self.found.unknown.append(f"the module `{stated or statement.name}` is not here: compile the file")
        for scope in self._turns(statement):
            at = self._place(statement, scope)
            name = as_segment(self._member(statement, "name", scope) or statement.name)
            self.found.add(Change(statement.name, DEPLOYMENT, child_id(at, DEPLOYMENT, name), frozenset([CREATE])))
            self._add_calls(statement.value, scope)
            if content is not None:
                self._read_module(content, path, at, self._passed(statement, scope))

    def _read_module(self, content: bytes, path: str, at: str, given: Mapping[str, object]) -> None:
        if path.endswith(".json"):
            known = {name: one for name, one in given.items() if not isinstance(one, Unknown)}
            document = load_relaxed_json(content)
            if not isinstance(document, Mapping):
                raise InputError(f"the module `{path}` is no template")
            inner = read_template(document, at, known)
            self.found.changes += inner.changes[1:]
            self.found.calls += inner.calls
            self.found.unknown += inner.unknown
            return
        within = self.beside.within(posixpath.dirname(path))
        _File(content.decode("utf-8-sig", "replace"), within, self.found, at, self.work, given, self.depth + 1).read()

    def _passed(self, statement: Statement, scope: Scope) -> dict[str, object]:
        """Return the parameters of the call of a module: the id of a resource where that alone is known."""
        node = self._node_of(statement, "params")
        passed: dict[str, Any] = {}
        for key, value in node.parts[0] if node is not None and node.kind == "object" else ():
            if key is not None and key.kind == "value":
                known = evaluate(value, scope)
                if isinstance(known, Unknown):
                    ids = [one.id for one in self._references(value, scope, "\0", "param")]
                    known = ids[0] if ids else known
                passed[str(key.parts[0])] = known
        return passed
