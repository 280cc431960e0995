"""Read the role definitions of an ARM template: loops over literals, variables, defaults and nested templates.

A linked template lies elsewhere and is refused. Expressions are calls of functions, their members, and texts as
`'it''s'`. Source: learn.microsoft.com, "Understand the structure and syntax of ARM templates", "Syntax and expressions
in ARM templates", "Resource iteration", "Property iteration", "Variable iteration" and "Linked and nested templates".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.iac.evaluation import decide, evaluate
from rightsize.iac.expressions import Evaluated, Language, Nesting, Node, Scope, Unknown, Work
from rightsize.iac.functions import ARM_FUNCTIONS, ARM_STRUCTURAL
from rightsize.iac.templates import ROLE_TYPE, UnknownValueError, items_of_loop, make_role, roles_of_all_sides
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition

_SPACE = re.compile(r"\s*")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"true": True, "false": False, "null": None}


def parse_arm(text: str) -> Node:
    """Return the tree of an expression, which stands between the outermost brackets of a string.

    Raises:
        InputError: The text is not one expression.
    """
    parser = _Parser(text)
    found = parser.expression()
    if parser.at() < len(text):
        raise parser.error()
    return found


class _Parser:
    """Reads expressions from a place of a text on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.nesting = Nesting()

    def error(self) -> InputError:
        near = self.text[self.at() : self.place + 40].split("\n")[0]
        return InputError(f"cannot read an expression {f'before `{near}`' if near else 'at its end'}")

    def at(self) -> int:
        """Skip spaces, and return the place after them."""
        found = _SPACE.match(self.text, self.place)
        self.place = found.end() if found else self.place
        return self.place

    def expression(self) -> Node:
        with self.nesting.deeper():
            start = self.at()
            found = self._primary(start)
            while sign := self._take(".", "[", "("):
                if sign == ".":
                    found = self._node("member", start, found, self._match(_NAME)[0], False)
                elif sign == "[":
                    index = self.expression()
                    self._need("]")
                    found = self._node("index", start, found, index, False)
                else:
                    arguments = self._arguments()
                    found = self._node("call", start, found.text, arguments, False)
            return found

    def _primary(self, start: int) -> Node:
        if self.text.startswith("'", start):
            return self._node("value", start, self._match(_STRING)[1].replace("''", "'"))
        if self.text[start : start + 1].isdigit() or self.text.startswith("-", start):
            digits = self._match(_NUMBER)[0]
            return self._node("value", start, int(digits) if re.fullmatch(r"-?\d{1,19}", digits) else float(digits))
        name = self._match(_NAME)[0]
        if name.lower() in _WORDS and not self.text.startswith("(", self.at()):
            return self._node("value", start, _WORDS[name.lower()])
        return self._node("name", start, name)

    def _arguments(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._take(")"):
            found.append(self.expression())
            if not self._take(","):
                self._need(")")
                break
        return tuple(found)

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at())
        if found is None:
            raise self.error()
        self.place = found.end()
        return found

    def _take(self, *tokens: str) -> str | None:
        place = self.at()
        found = next((token for token in tokens if self.text.startswith(token, place)), None)
        self.place += len(found or "")
        return found

    def _need(self, token: str) -> None:
        if not self._take(token):
            raise self.error()

    def _node(self, kind: str, start: int, *parts: Any) -> Node:
        return Node(kind, parts, self.text[start : self.place].strip(), start, self.place)


DEEPEST = 20
"""The most templates within one another."""
MOST_TURNS = 800
"""The most turns of a loop; Azure has the same limit."""

Fields = Mapping[str, Any]


def arm_roles(template: Fields) -> Iterator[RoleDefinition]:
    """Yield the roles of a template and of the templates nested in it.

    Raises:
        InputError: What a role grants cannot be known before its deployment, or a template is linked.
    """
    work = Work()
    values = _values(template, work)
    for resource in resources_in(template):
        yield from roles_of_all_sides(work, partial(_of_resource, resource, values, 0))


def _values(
    template: Fields, work: Work, given: Mapping[bool, Mapping[str, object]] | None = None
) -> Mapping[bool, TemplateValues]:
    """Return the values of a template with the defaults of parameters, and without; a nested one is given some."""
    certain = TemplateValues(template, False, work, given[False] if given is not None else None)
    with_defaults = TemplateValues(template, True, work, given[True] if given is not None else None, certain)
    return {True: with_defaults, False: certain}


@dataclass(slots=True)
class TemplateValues:
    """The values of a template.

    Attributes:
        template: The template.
        uses_defaults: Whether parameters have their defaults or are unknown.
        work: The work left.
        given: The parameters that a nested template is called with; None for the outermost one.
        certain: The same with parameters unknown; None if it is that.
    """

    template: Fields
    uses_defaults: bool
    work: Work
    given: Mapping[str, object] | None = None
    certain: TemplateValues | None = None
    evaluated: Evaluated = field(default_factory=Evaluated)

    def value(self, raw: object, loops: Mapping[str, int]) -> Any:
        """Return a JSON value with its expressions evaluated and its property loops unrolled.

        Args:
            raw: The value as it stands.
            loops: The position in each loop around it; the empty name has the one of the innermost resource loop.
        """
        if isinstance(raw, str):
            return self._text(raw, loops)
        if isinstance(raw, list):
            return [self.value(item, loops) for item in raw]
        if not isinstance(raw, Mapping):
            return raw
        made: dict[str, object] = {}
        for key, item in raw.items():
            if key.lower() == "copy" and isinstance(item, list):
                made.update(self._copies(item, loops))
                continue
            name = self._text(key, loops)
            if isinstance(name, Unknown):
                return name
            made[str(name)] = self.value(item, loops)
        return made

    def _copies(self, copies: list[Any], loops: Mapping[str, int]) -> Iterator[tuple[str, object]]:
        for copy in copies:
            fields = lower_keys(copy)
            name, count = fields.get("name"), self.value(fields.get("count"), loops)
            if not isinstance(name, str):
                raise InputError("a `copy` loop has no name")
            if isinstance(count, Unknown):
                yield name, count
                continue
            turns = range(_turns(count, f"the loop `{name}`"))
            yield name, [self.value(fields.get("input"), {**loops, name.lower(): turn}) for turn in turns]

    def _copied(self, copy: Any) -> object:
        return dict(self._copies([copy], {}))[copy["name"]]

    def _once(self, kind: str, name: str, read: Callable[[], object]) -> object:
        return self.evaluated.once(f"{kind}('{name}')".lower(), self.work, read)

    def _text(self, raw: str, loops: Mapping[str, int]) -> object:
        if not (raw.startswith("[") and raw.endswith("]")):
            return raw
        if raw.startswith("[["):
            return raw[1:]
        found = evaluate(parse_arm(raw[1:-1]), self.scope(loops))
        return Unknown(found.cause, raw, found.is_missing) if isinstance(found, Unknown) else found

    def decided(self, raw: object, loops: Mapping[str, int]) -> Any:
        """Return the value of a condition, or the side of it that is looked at."""
        if not isinstance(raw, str) or not raw.startswith("[") or raw.startswith("[["):
            return self.value(raw, loops)
        return decide(parse_arm(raw[1:-1]), self.scope(loops))

    def scope(self, loops: Mapping[str, int]) -> Scope:
        """Return where an expression stands, within loops."""
        certain = self.certain.scope(loops) if self.certain else None
        functions = self.functions(loops)
        return Scope(
            Language.ARM, lambda name: Unknown(name, name), functions, ARM_STRUCTURAL, self.work, certain=certain
        )

    def functions(self, loops: Mapping[str, int]) -> dict[str, Callable[..., object]]:
        """Return the functions that an expression may call."""
        return {
            **ARM_FUNCTIONS,
            "parameters": self.parameter,
            "variables": self._variable,
            "copyindex": lambda *arguments: _copy_index(loops, *arguments),
        }

    def parameter(self, name: str) -> object:
        """Return the value of a parameter: the given one, else its default."""
        unknown = Unknown(f"parameters('{name}')", f"[parameters('{name}')]")
        if self.given is not None and name.lower() in self.given:
            return self.given[name.lower()]
        declared = lower_keys(lower_keys(self.template.get("parameters")).get(name.lower()))
        if "defaultvalue" not in declared or not (self.uses_defaults or self.given is not None):
            return unknown
        return self._once("parameters", name, partial(self.value, declared["defaultvalue"], {}))

    def _variable(self, name: str) -> object:
        variables = self.template.get("variables")
        variables = variables if isinstance(variables, Mapping) else {}
        for one, raw in variables.items():
            if one.lower() == name.lower() and one.lower() != "copy":
                return self._once("variables", name, partial(self.value, raw, {}))
        for copy in variables.get("copy") or []:
            if str(lower_keys(copy).get("name")).lower() == name.lower():
                return self._once("variables", name, partial(self._copied, copy))
        return Unknown(f"variables('{name}')", f"[variables('{name}')]")


def resources_in(template: Fields) -> list[Any]:
    """Return the resources of a template, which may have symbolic names."""
    resources = template.get("resources") or []
    return list(resources.values()) if isinstance(resources, Mapping) else resources


def _roles(template: Fields, values: Mapping[bool, TemplateValues], depth: int) -> Iterator[RoleDefinition]:
    if depth > DEEPEST:
        raise InputError("templates are nested deeper than any deployment")
    for resource in resources_in(template):
        yield from _of_resource(resource, values, depth)


def _of_resource(resource: object, values: Mapping[bool, TemplateValues], depth: int) -> Iterator[RoleDefinition]:
    """Yield the roles of a resource of any type, of the template in it, and of the resources below it."""
    if not isinstance(resource, Mapping) or resource.get("existing") is True:
        return
    kind = _kind(resource, values)
    is_role = kind == ROLE_TYPE or kind.endswith("/providers/roledefinitions")
    if is_role or kind == "microsoft.resources/deployments":
        for loops in _turns_of(resource, values):
            if not values[True].decided(resource.get("condition", True), loops):
                continue
            yield from [_role(resource, values, loops)] if is_role else _nested(resource, values, loops, depth)
    if isinstance(resource.get("resources"), (list, Mapping)):
        yield from _roles({"resources": resource["resources"]}, values, depth + 1)


def _kind(resource: Fields, values: Mapping[bool, TemplateValues]) -> str:
    """Return the type of a resource in lower case; one that is unknown is no role unless it has permissions."""
    kind = values[True].value(resource.get("type", ""), {})
    if isinstance(kind, Unknown) and "permissions" in lower_keys(resource.get("properties")):
        raise UnknownValueError("`type` of a resource with permissions", kind.cause)
    return str(kind).lower()


def _role(resource: Fields, values: Mapping[bool, TemplateValues], loops: Mapping[str, int]) -> RoleDefinition:
    raw = resource.get("properties")
    granting = raw
    if isinstance(raw, Mapping):
        granting = {key: value for key, value in raw.items() if key.lower() in ("permissions", "copy")}

    def fields(uses_defaults: bool) -> dict[str, Any]:
        template = values[uses_defaults]
        properties = template.value(granting, loops)
        if isinstance(properties, Unknown):
            return {"permissions": properties}
        with template.work.by_default():
            found = lower_keys(template.value(raw, loops))
            name = template.value(resource.get("name"), loops)
        return {
            "name": _of_turn(found.get("rolename"), loops),
            "id": name,
            "description": found.get("description"),
            "scopes": found.get("assignablescopes"),
            "permissions": lower_keys(properties).get("permissions"),
        }

    return make_role(fields)


def _nested(
    resource: Fields, values: Mapping[bool, TemplateValues], loops: Mapping[str, int], depth: int
) -> Iterator[RoleDefinition]:
    properties = lower_keys(resource.get("properties"))
    inner = properties.get("template")
    if properties.get("templatelink") is not None:
        raise UnknownValueError("a deployment", str(properties["templatelink"]), "for a linked template")
    if not isinstance(inner, Mapping):
        return
    evaluation = lower_keys(properties.get("expressionevaluationoptions"))
    if str(evaluation.get("scope", "outer")).lower() != "inner":
        # Its expressions are those of the template around it.
        yield from _roles(inner, values, depth + 1)
        return
    given = lower_keys(properties.get("parameters"))
    passed = {
        uses: {name: outer.value(lower_keys(one).get("value"), loops) for name, one in given.items()}
        for uses, outer in values.items()
    }
    yield from _roles(inner, _values(inner, values[True].work, passed), depth + 1)


def _turns_of(resource: Fields, values: Mapping[bool, TemplateValues]) -> Iterator[Mapping[str, int]]:
    """Yield the positions of the loops of a resource: one turn where it has no loop."""
    copy = resource.get("copy")
    if not isinstance(copy, Mapping):
        yield {}
        return
    fields = lower_keys(copy)
    name = str(fields.get("name", "")).lower()
    place = f"the loop `{name}` of a resource"

    def turns(uses_defaults: bool) -> object:
        count = values[uses_defaults].value(fields.get("count"), {})
        return count if isinstance(count, Unknown) else list(range(_turns(count, place)))

    for turn, _ in items_of_loop(turns, place):
        yield {name: turn, "": turn}


def _turns(count: object, place: str) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_TURNS:
        raise InputError(f"`count` of {place} is not a number up to {MOST_TURNS}")
    return count


def _copy_index(loops: Mapping[str, int], *arguments: Any) -> object:
    named = bool(arguments) and isinstance(arguments[0], str)
    offset = arguments[1 if named else 0] if len(arguments) > named else 0
    return loops[arguments[0].lower() if named else ""] + offset


def _of_turn(name: object, loops: Mapping[str, int]) -> object:
    """Return the name of a role; one that is unknown in a loop is told from those of the other turns."""
    if isinstance(name, Unknown) and loops:
        return Unknown(name.cause, f"{name.shown} [{'.'.join(str(loops[loop]) for loop in sorted(loops) if loop)}]")
    return name


def lower_keys(document: object) -> dict[str, Any]:
    """Return an object with its keys in lower case; empty for anything else."""
    if not isinstance(document, Mapping):
        return {}
    return {str(key).lower(): value for key, value in document.items()}
