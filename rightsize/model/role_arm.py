"""Read the role definitions of an ARM template: loops over literals, variables, defaults and nested templates.

A linked template lies elsewhere and is refused. Source: learn.microsoft.com, "Understand the structure and syntax of
ARM templates", "Resource iteration", "Property iteration", "Variable iteration" and "Linked and nested templates".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.expression_arm import parse_arm
from rightsize.model.expression_functions import ARM_FUNCTIONS, ARM_STRUCTURAL
from rightsize.model.expression_scope import Evaluated, Scope, Unknown, Work
from rightsize.model.expression_tree import Language
from rightsize.model.expression_values import decide, evaluate
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_templates import ROLE_TYPE, UnknownValueError, items_of_loop, make_role, roles_of_all_sides

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
    for resource in _resources(template):
        yield from roles_of_all_sides(work, partial(_of_resource, resource, values, 0))


def _values(
    template: Fields, work: Work, given: Mapping[bool, Mapping[str, object]] | None = None
) -> Mapping[bool, _Template]:
    """Return the values of a template with the defaults of parameters, and without; a nested one is given some."""
    certain = _Template(template, False, work, given[False] if given is not None else None)
    with_defaults = _Template(template, True, work, given[True] if given is not None else None, certain)
    return {True: with_defaults, False: certain}


@dataclass(slots=True)
class _Template:
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
    certain: _Template | None = None
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
            fields = _lower(copy)
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
        found = evaluate(parse_arm(raw[1:-1]), self._scope(loops))
        return Unknown(found.cause, raw, found.is_missing) if isinstance(found, Unknown) else found

    def decided(self, raw: object, loops: Mapping[str, int]) -> Any:
        """Return the value of a condition, or the side of it that is looked at."""
        if not isinstance(raw, str) or not raw.startswith("[") or raw.startswith("[["):
            return self.value(raw, loops)
        return decide(parse_arm(raw[1:-1]), self._scope(loops))

    def _scope(self, loops: Mapping[str, int]) -> Scope:
        functions: dict[str, Callable[..., object]] = {
            **ARM_FUNCTIONS,
            "parameters": self._parameter,
            "variables": self._variable,
            "copyindex": lambda *arguments: _copy_index(loops, *arguments),
        }
        certain = self.certain._scope(loops) if self.certain else None
        return Scope(
            Language.ARM, lambda name: Unknown(name, name), functions, ARM_STRUCTURAL, self.work, certain=certain
        )

    def _parameter(self, name: str) -> object:
        unknown = Unknown(f"parameters('{name}')", f"[parameters('{name}')]")
        if self.given is not None and name.lower() in self.given:
            return self.given[name.lower()]
        declared = _lower(_lower(self.template.get("parameters")).get(name.lower()))
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
            if str(_lower(copy).get("name")).lower() == name.lower():
                return self._once("variables", name, partial(self._copied, copy))
        return Unknown(f"variables('{name}')", f"[variables('{name}')]")


def _resources(template: Fields) -> list[Any]:
    resources = template.get("resources") or []
    return list(resources.values()) if isinstance(resources, Mapping) else resources


def _roles(template: Fields, values: Mapping[bool, _Template], depth: int) -> Iterator[RoleDefinition]:
    if depth > DEEPEST:
        raise InputError("templates are nested deeper than any deployment")
    for resource in _resources(template):
        yield from _of_resource(resource, values, depth)


def _of_resource(resource: object, values: Mapping[bool, _Template], depth: int) -> Iterator[RoleDefinition]:
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


def _kind(resource: Fields, values: Mapping[bool, _Template]) -> str:
    """Return the type of a resource in lower case; one that is unknown is no role unless it has permissions."""
    kind = values[True].value(resource.get("type", ""), {})
    if isinstance(kind, Unknown) and "permissions" in _lower(resource.get("properties")):
        raise UnknownValueError("`type` of a resource with permissions", kind.cause)
    return str(kind).lower()


def _role(resource: Fields, values: Mapping[bool, _Template], loops: Mapping[str, int]) -> RoleDefinition:
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
            found = _lower(template.value(raw, loops))
            name = template.value(resource.get("name"), loops)
        return {
            "name": _of_turn(found.get("rolename"), loops),
            "id": name,
            "description": found.get("description"),
            "scopes": found.get("assignablescopes"),
            "permissions": _lower(properties).get("permissions"),
        }

    return make_role(fields)


def _nested(
    resource: Fields, values: Mapping[bool, _Template], loops: Mapping[str, int], depth: int
) -> Iterator[RoleDefinition]:
    properties = _lower(resource.get("properties"))
    inner = properties.get("template")
    if properties.get("templatelink") is not None:
        raise UnknownValueError("a deployment", str(properties["templatelink"]), "for a linked template")
    if not isinstance(inner, Mapping):
        return
    evaluation = _lower(properties.get("expressionevaluationoptions"))
    if str(evaluation.get("scope", "outer")).lower() != "inner":
        # Its expressions are those of the template around it.
        yield from _roles(inner, values, depth + 1)
        return
    given = _lower(properties.get("parameters"))
    passed = {
        uses: {name: outer.value(_lower(one).get("value"), loops) for name, one in given.items()}
        for uses, outer in values.items()
    }
    yield from _roles(inner, _values(inner, values[True].work, passed), depth + 1)


def _turns_of(resource: Fields, values: Mapping[bool, _Template]) -> Iterator[Mapping[str, int]]:
    """Yield the positions of the loops of a resource: one turn where it has no loop."""
    copy = resource.get("copy")
    if not isinstance(copy, Mapping):
        yield {}
        return
    fields = _lower(copy)
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


def _lower(document: object) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        return {}
    return {str(key).lower(): value for key, value in document.items()}
