"""Read what an ARM template deploys: resources at all depths, loops, conditions, nested templates and what it calls.

A condition that no parameter decides counts as true, since the deployment may make the resource. A parameter without a
value is a placeholder in ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rightsize.iac.arm import DEEPEST, MOST_TURNS, TemplateValues, lower_keys, parse_arm, resources_in
from rightsize.iac.deployed import deployments
from rightsize.iac.expressions import Node, Unknown, Work
from rightsize.iac.functions import ARM_FUNCTIONS
from rightsize.model.errors import InputError

DEPLOYMENT = "Microsoft.Resources/deployments"
MOST_STEPS = 20_000_000
_ABOUT_THE_FILE = ("$schema", "contentVersion")
_NOT_BODY = frozenset(
    ["type", "apiversion", "name", "dependson", "copy", "condition", "resources", "scope", "comments"]
)
Loops = Mapping[str, int]


def is_template(document: object) -> bool:
    """Return whether a JSON value is a template of a deployment."""
    if not isinstance(document, Mapping):
        return False
    schema = document.get("$schema")
    has_resources = isinstance(document.get("resources"), (list, Mapping))
    return has_resources and isinstance(schema, str) and "deploymenttemplate" in schema.lower()


def read_template(
    template: Mapping[str, Any], at: str = "", given: Mapping[str, object] | None = None
) -> deployments.Deployment:
    """Return what a template deploys.

    Args:
        template: The template.
        at: The scope of the deployment; empty takes the kind of scope of its schema, with placeholders.
        given: The values of its parameters.

    Raises:
        InputError: An expression cannot be read, or the template has no end.
    """
    schema = str(template.get("$schema", "")).lower()
    place = next(
        (scope for kind, scope in deployments.PLACES.items() if f"{kind}deploymenttemplate" in schema),
        deployments.USUAL_PLACE,
    )
    found = deployments.Deployment("arm", at or place)
    values = _values_of(
        template, found.at, Work(MOST_STEPS), {name.lower(): one for name, one in (given or {}).items()}
    )
    found.add(
        deployments.Change(
            "the deployment",
            DEPLOYMENT,
            deployments.child_id(found.at, DEPLOYMENT, "{deployment}"),
            frozenset([deployments.CREATE]),
        )
    )
    _read(template, _Place(found, values, found.at))
    return found


def parameters_of(document: object) -> dict[str, object]:
    """Return the values in a file of parameters, without those in a key vault; raise InputError where it is none."""
    raw = document.get("parameters", document) if isinstance(document, Mapping) else None
    if not isinstance(raw, Mapping):
        raise InputError("it is no file of parameters")
    given = {str(name): one for name, one in raw.items() if name not in _ABOUT_THE_FILE}
    for name, one in given.items():
        if not (isinstance(one, Mapping) and ("value" in one or "reference" in one)):
            raise InputError(f"`{name}` has no `value`")
    return {name: one["value"] for name, one in given.items() if "value" in one}


@dataclass(slots=True)
class _Values(TemplateValues):
    """The values of a template at a scope; a parameter without a value is a placeholder.

    Attributes:
        at: The scope of the deployment.
    """

    at: str = ""

    def functions(self, loops: Loops) -> dict[str, Callable[..., object]]:
        return {**TemplateValues.functions(self, loops), **deployments.id_functions(self.at)}

    def parameter(self, name: str) -> object:
        found = TemplateValues.parameter(self, name)
        declared = lower_keys(lower_keys(self.template.get("parameters")).get(name.lower()))
        is_text = str(declared.get("type", "")).lower() in ("string", "securestring")
        return deployments.placeholder(name) if isinstance(found, Unknown) and is_text else found


@dataclass(slots=True)
class _Decided(TemplateValues):
    """The same without placeholders, which decides conditions."""

    at: str = ""

    def functions(self, loops: Loops) -> dict[str, Callable[..., object]]:
        return {**TemplateValues.functions(self, loops), **_unknown_names(deployments.id_functions(self.at))}


def _unknown_names(functions: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    kept = ("environment", "resourceid", "subscriptionresourceid", "tenantresourceid")
    return {name: one for name, one in functions.items() if name in kept}


def _values_of(template: Mapping[str, Any], at: str, work: Work, given: Mapping[str, object]) -> _Values:
    decided = _Decided(template, True, work, given or None, at=at)
    return _Values(template, True, work, given or None, decided, at=at)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a resource stands.

    Attributes:
        found: What is found so far.
        values: The values of the template around it.
        at: The scope of the deployment around it.
        kind: The type of the resource around it; empty at the outside.
        names: The names of the resources around it.
        depth: The templates and resources around it.
    """

    found: deployments.Deployment
    values: _Values
    at: str
    kind: str = ""
    names: tuple[str, ...] = ()
    depth: int = 0


def _read(template: Mapping[str, Any], place: _Place) -> None:
    if place.depth > DEEPEST:
        raise InputError("templates are nested deeper than any deployment")
    for resource in resources_in(template):
        if isinstance(resource, Mapping):
            fields = lower_keys(resource)
            if fields.get("existing") is not True:
                for loops in _turns(fields, place.values):
                    _add(fields, place, loops)
    for output in lower_keys(template.get("outputs")).values():
        _add_calls(output, place, {})


def _turns(fields: Mapping[str, Any], values: _Values) -> Iterator[Loops]:
    """Yield the positions of the loop of a resource; one turn where it has none, or the file does not say how many."""
    copy = fields.get("copy")
    if not isinstance(copy, Mapping):
        yield {}
        return
    name, count = str(lower_keys(copy).get("name", "")).lower(), values.value(lower_keys(copy).get("count"), {})
    known = isinstance(count, int) and not isinstance(count, bool)
    for turn in range(min(count, MOST_TURNS)) if known else (0,):
        yield {name: turn, "": turn}


def _add(fields: Mapping[str, Any], place: _Place, loops: Loops) -> None:
    """Add a resource, the template in it, and the resources below it."""
    values = place.values
    decides = values.certain or values
    if decides.decided(fields.get("condition", True), loops) in (False, "false", "False"):
        return
    stated = values.value(fields.get("type"), loops)
    if not isinstance(stated, str) or not stated:
        place.found.unknown.append("the type of a resource is known only to the deployment")
        return
    names = (*place.names, *deployments.as_segment(values.value(fields.get("name"), loops)).split("/"))
    kind = deployments.spelt_type(
        f"{place.kind}/{stated}" if place.kind and "." not in stated.split("/")[0] else stated
    )
    kind, made = _named(kind, names, _scope_of(fields, place, loops))
    if kind.lower() == DEPLOYMENT.lower():
        made = _add_nested(fields, replace(place, depth=place.depth + 1), loops)
    body = {key: values.value(one, loops) for key, one in fields.items() if key not in _NOT_BODY}
    raw = {key: one for key, one in fields.items() if key not in _NOT_BODY}
    if kind.lower() == DEPLOYMENT.lower():
        raw = {
            "properties": {key: one for key, one in lower_keys(fields.get("properties")).items() if key != "template"}
        }
        body = {"properties": values.value(raw["properties"], loops)}
    references = dict.fromkeys([*deployments.references_in(body, made), *_ids_in(raw, place, loops, made)])
    address = f"{kind} {'/'.join(names)}"
    place.found.add(deployments.Change(address, kind, made, frozenset([deployments.CREATE]), body, tuple(references)))
    _add_calls(raw, place, loops)
    if isinstance(fields.get("resources"), (list, Mapping)) and kind.lower() != DEPLOYMENT.lower():
        _read({"resources": fields["resources"]}, replace(place, kind=kind, names=names, depth=place.depth + 1))


def _scope_of(fields: Mapping[str, Any], place: _Place, loops: Loops) -> str:
    """Return the scope that a resource is made at: that of the deployment, or what it extends."""
    scope = place.values.value(fields.get("scope"), loops)
    if not isinstance(scope, str) or not scope:
        return place.at
    if scope.startswith("/"):
        return scope if scope == "/" else scope.rstrip("/")
    namespace, *rest = scope.split("/")
    return deployments.resource_id(place.at, "/".join([namespace, *rest[::2]]), rest[1::2])


def _named(kind: str, names: tuple[str, ...], at: str) -> tuple[str, str]:
    """Return the type and the id of a resource; an extension may be written as a part of what it extends."""
    above, is_old, extension = kind.partition("/providers/")
    if not is_old:
        return kind, deployments.resource_id(at, kind, names)
    depth = above.count("/")
    namespace = names[depth] if len(names) > depth + 1 else "Microsoft.Authorization"
    kind = extension if "." in extension.split("/")[0] else f"{namespace}/{extension}"
    return kind, deployments.child_id(deployments.resource_id(at, above, names[:depth]), kind, names[-1])


def _add_nested(fields: Mapping[str, Any], place: _Place, loops: Loops) -> str:
    """Read the template in a deployment, and return the id of the deployment."""
    values = place.values
    given = {key: values.value(fields.get(key), loops) for key in ("subscriptionid", "resourcegroup", "scope")}
    at = place.at
    if isinstance(given["scope"], str) and given["scope"].startswith("/"):
        at = given["scope"]
    if given["subscriptionid"]:
        at = f"/subscriptions/{deployments.as_segment(given['subscriptionid'])}"
    if given["resourcegroup"]:
        at = f"{deployments.subscription_of(at)}/resourceGroups/{deployments.as_segment(given['resourcegroup'])}"
    properties = lower_keys(fields.get("properties"))
    inner = properties.get("template")
    name = deployments.as_segment(values.value(fields.get("name"), loops))
    if isinstance(inner, Mapping):
        is_own = str(lower_keys(properties.get("expressionevaluationoptions")).get("scope", "")).lower() == "inner"
        if is_own:
            passed = {
                key: values.value(lower_keys(one).get("value"), loops)
                for key, one in lower_keys(properties.get("parameters")).items()
            }
            known = {key: one for key, one in passed.items() if not isinstance(one, Unknown)}
            values = _values_of(inner, at, values.work, known)
        _read(inner, replace(place, values=values, at=at, kind="", names=()))
    else:
        place.found.unknown.append(f"the deployment `{name}` links a template that is not in this file")
    return deployments.child_id(at, DEPLOYMENT, name)


def _ids_in(raw: object, place: _Place, loops: Loops, own: str, path: str = "") -> Iterator[deployments.Reference]:
    """Yield the ids that expressions of a body make, also where a part of the expression has no value."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from _ids_in(key, place, loops, own, path)
            yield from _ids_in(value, place, loops, own, f"{path}.{key}" if path else str(key))
    elif isinstance(raw, list):
        for item in raw:
            yield from _ids_in(item, place, loops, own, path)
    else:
        for node in _expressions(raw, place.values):
            if not any(_is_runtime(call) for call in deployments.calls_in(node)):
                for found in deployments.ids_of(node, place.values.scope(loops), place.at):
                    if not found.lower().startswith(own.lower()):
                        yield deployments.Reference(found, path)


def _expressions(raw: object, values: _Values, seen: frozenset[str] = frozenset()) -> Iterator[Node]:
    """Yield an expression, and those of the variables that it uses."""
    if not isinstance(raw, str) or not raw.startswith("[") or not raw.endswith("]") or raw.startswith("[["):
        return
    node = parse_arm(raw[1:-1])
    yield node
    for call in deployments.calls_in(node):
        if str(call.parts[0]).lower() == "variables" and call.parts[1] and call.parts[1][0].kind == "value":
            name = str(call.parts[1][0].parts[0]).lower()
            if name not in seen:
                value = lower_keys(values.template.get("variables")).get(name)
                yield from _expressions(value, values, seen | {name})


def _is_runtime(call: Node) -> bool:
    name = str(call.parts[0]).lower()
    return name == "reference" or (name.startswith("list") and name not in ARM_FUNCTIONS)


def _add_calls(raw: object, place: _Place, loops: Loops) -> None:
    """Add the operations that expressions call by themselves: `reference` reads, and `listKeys` lists keys."""
    if isinstance(raw, (Mapping, list)):
        for item in raw.values() if isinstance(raw, Mapping) else raw:
            _add_calls(item, place, loops)
        return
    for node in _expressions(raw, place.values):
        for call in filter(_is_runtime, deployments.calls_in(node)):
            target = deployments.called_on(call, place.values.scope(loops))
            kind, name = deployments.type_of(target), str(call.parts[0])
            if kind:
                operation = f"{kind}/read" if name.lower() == "reference" else f"{kind}/{name}/action"
                place.found.calls.append(deployments.Call(operation, target, f"the template calls `{name}`"))
