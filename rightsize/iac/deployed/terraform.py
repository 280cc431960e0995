"""Read what a Terraform plan changes, and what a state holds, out of `terraform show -json` or a state file.

Of a plan each resource has its own change. A state says no change: whoever manages it writes, reads and removes it all.
What a plan refers to is often known only after it is applied. Then the references of its `configuration` say it, by
outputs and variables of modules; of locals and of loops no plan has them.

Source: developer.hashicorp.com, "JSON Output Format" of Terraform; registry.terraform.io, Azure/azapi.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rightsize.iac.deployed.deployments import (
    CREATE,
    DELETE,
    GROUP,
    READ,
    SUBSCRIPTION,
    UPDATE,
    Call,
    Change,
    Deployment,
    Reference,
    as_segment,
    child_id,
    is_id,
    placeholder,
    references_in,
    resource_id,
    spelt_type,
    subscription_of,
    type_of,
)
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json
from rightsize.rules.resource_types import is_extension, terraform_type

_DOES = {"create": CREATE, "update": UPDATE, "delete": DELETE, "read": READ, "no-op": READ}
_ALL = frozenset([CREATE, UPDATE, READ, DELETE])
_INDEX = re.compile(r"\[[^\]]*\]")
_AT = (
    "scope",
    "target_resource_id",
    "resource_id",
    "target_id",
    "management_group_id",
    "resource_group_id",
    "subscription_id",
)
"""The attributes that name what a resource extends."""
MOST_HOPS = 20
"""The most modules that a reference leads through."""


def is_terraform(document: object) -> bool:
    """Return whether a JSON value is a plan or a state of Terraform."""
    if not isinstance(document, Mapping):
        return False
    is_state = "terraform_version" in document and isinstance(document.get("resources"), list)
    shown = ("values", "planned_values", "resource_changes")
    return is_state or ("format_version" in document and any(key in document for key in shown))


def read_terraform(document: Mapping[str, Any], at: str = "") -> Deployment:
    """Return what a plan changes, or what whoever manages a state has to be able to change.

    Args:
        document: The plan or the state.
        at: A subscription or resource group, where the document does not say it.
    """
    configuration = _fields(document.get("configuration"))
    settings = _settings(configuration)
    said = settings.get("subscription_id")
    place = at or f"/subscriptions/{said if isinstance(said, str) and said else SUBSCRIPTION}"
    found = Deployment("terraform", place)
    found.registers = bool(configuration) and settings.get("skip_provider_registration") not in (True, "true")
    found.registers = found.registers and settings.get("resource_provider_registrations") != "none"
    reader = _Reader(found, _fields(configuration.get("root_module")))
    for resource in _resources(document):
        reader.add(resource)
    reader.finish()
    return found


@dataclass(frozen=True, slots=True)
class _Resource:
    """A resource of a plan or a state.

    Attributes:
        address: Its address.
        kind: Its type in Terraform.
        is_data: Whether it is only read.
        does: What happens to it.
        body: Its attributes, as far as they are known.
    """

    address: str
    kind: str
    is_data: bool
    does: frozenset[str]
    body: Mapping[str, Any]


def _resources(document: Mapping[str, Any]) -> Iterator[_Resource]:
    changes = document.get("resource_changes")
    if isinstance(document.get("resources"), list):
        yield from _of_state(document["resources"])
    elif isinstance(changes, list):
        yield from filter(None, map(_of_change, changes))
        prior = _fields(_fields(document.get("prior_state")).get("values")).get("root_module")
        yield from _of_module(prior, frozenset([READ]), only_data=True)
    else:
        values = document.get("values", document.get("planned_values"))
        yield from _of_module(_fields(values).get("root_module"), _ALL)


def _of_change(change: object) -> _Resource | None:
    fields = _fields(change)
    what = _fields(fields.get("change"))
    actions = [one for one in _list(what.get("actions")) if isinstance(one, str)]
    does = {_DOES[one] for one in actions if one in _DOES}
    before, after = _fields(what.get("before")), _fields(what.get("after"))
    kind, address = fields.get("type"), fields.get("address")
    if not does or not isinstance(kind, str) or not isinstance(address, str):
        return None
    return _Resource(
        address, kind, fields.get("mode") == "data", frozenset(does), {**before, **after} if after else before
    )


def _of_state(resources: list[Any]) -> Iterator[_Resource]:
    for resource in map(_fields, resources):
        is_data = resource.get("mode") == "data"
        kind, module = str(resource.get("type", "")), resource.get("module")
        address = ".".join(
            [*([str(module)] if module else []), *(["data"] if is_data else []), kind, str(resource.get("name"))]
        )
        for instance in map(_fields, _list(resource.get("instances"))):
            key = instance.get("index_key")
            if "deposed" not in instance:
                place = address if key is None else f"{address}[{load_key(key)}]"
                yield _Resource(
                    place, kind, is_data, frozenset([READ]) if is_data else _ALL, _fields(instance.get("attributes"))
                )


def load_key(key: object) -> str:
    """Return the key of an instance as addresses have it."""
    return f'"{key}"' if isinstance(key, str) else str(key)


def _of_module(module: object, does: frozenset[str], *, only_data: bool = False, depth: int = 0) -> Iterator[_Resource]:
    if depth > 100:
        raise InputError("modules are nested deeper than any configuration")
    fields = _fields(module)
    for resource in map(_fields, _list(fields.get("resources"))):
        is_data = resource.get("mode") == "data"
        kind, address = resource.get("type"), resource.get("address")
        if isinstance(kind, str) and isinstance(address, str) and (is_data or not only_data):
            yield _Resource(
                address, kind, is_data, frozenset([READ]) if is_data else does, _fields(resource.get("values"))
            )
    for child in _list(fields.get("child_modules")):
        yield from _of_module(child, does, only_data=only_data, depth=depth + 1)


@dataclass(slots=True)
class _Reader:
    """Turns resources of Terraform into changes, whose ids may need those of others.

    Attributes:
        found: What is found so far.
        root: The configuration of the outermost module.
        resources: The resources by their address without keys of loops, the first of each.
        all: All resources.
        ids: The ids that are known, by that address.
    """

    found: Deployment
    root: Mapping[str, Any]
    resources: dict[str, _Resource] = field(default_factory=dict)
    all: list[_Resource] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)

    def add(self, resource: _Resource) -> None:
        if not resource.kind.startswith(("azurerm_", "azapi_")):
            if resource.kind.startswith("azuread_") and not resource.is_data:
                self._say("azuread resources take permissions of Microsoft Graph, which are not listed here")
            return
        self.all.append(resource)
        self.resources.setdefault(_INDEX.sub("", resource.address), resource)

    def finish(self) -> None:
        """Add the changes of all resources."""
        known = set[tuple[str, bool]]()
        for resource in self.all:
            place = (resource.address, resource.is_data)
            if place not in known:
                known.add(place)
                self._add(resource)

    def _add(self, resource: _Resource) -> None:
        if resource.kind == "azapi_resource_action":
            self._add_action(resource)
            return
        kind = self._kind_of(resource)
        made = self._id_of(resource, kind)
        references = dict.fromkeys([*references_in(_body(resource), made), *self._references(resource, made)])
        does = resource.does | {READ} if not resource.is_data else resource.does
        if resource.kind == "azapi_update_resource":
            does -= {CREATE, DELETE}
            does |= {UPDATE} if resource.does != {READ} else set()
        self.found.add(Change(resource.address, kind, made, does, _body(resource), tuple(references), resource.kind))

    def _add_action(self, resource: _Resource) -> None:
        """Add what an azapi action calls: a POST with a name is an action, and others read or write."""
        target = resource.body.get("resource_id")
        name, method = resource.body.get("action"), str(resource.body.get("method") or "POST").upper()
        kind = _stated_type(resource) or (type_of(target) if isinstance(target, str) else "")
        if not kind or not resource.does & {CREATE, UPDATE, READ}:
            return
        verb = (
            f"{name}/action"
            if isinstance(name, str) and name and method == "POST"
            else "read"
            if method == "GET"
            else "write"
        )
        place = target if is_id(target) else resource_id(self._group(resource), kind, [])
        self.found.calls.append(Call(f"{kind}/{verb}", str(place), f"`{resource.address}` calls it"))

    def _kind_of(self, resource: _Resource) -> str:
        stated = _stated_type(resource)
        if stated:
            return spelt_type(stated)
        declared = terraform_type(resource.kind)
        if declared:
            return declared
        known = resource.body.get("id")
        return spelt_type(type_of(known)) if isinstance(known, str) and is_id(known) else ""

    def _id_of(self, resource: _Resource, kind: str) -> str:
        """Return the id of a resource: the known one, or one made of its attributes."""
        address = _INDEX.sub("", resource.address)
        is_first = resource.address == self.resources[address].address
        known = self.ids.get(address)
        if is_first and known is not None:
            return known
        made = self._made_id(resource, kind)
        if is_first:
            self.ids[address] = made
        elif known is None:
            self.ids.pop(address, None)
        return made

    def _made_id(self, resource: _Resource, kind: str) -> str:
        known = resource.body.get("id")
        known = known.split("|")[0] if isinstance(known, str) else ""
        if is_id(known):
            stated = type_of(known).lower()
            if not kind or stated == kind.lower():
                return known
            if stated.startswith(f"{kind.lower()}/"):
                return "/".join(known.split("/")[: -2 * (stated.count("/") - kind.count("/"))])
        name = as_segment(resource.body.get("name"))
        parent = resource.body.get("parent_id")
        if isinstance(parent, str) and parent:
            return child_id(parent, kind, name) if kind else parent
        self.ids.setdefault(_INDEX.sub("", resource.address), resource_id(self._group(resource), kind, []))
        place = self._parent(resource, kind)
        if place is not None:
            return child_id(place, kind, name)
        return resource_id(self._group(resource), kind, [*self._names_above(resource, kind), name]) if kind else ""

    def _parent(self, resource: _Resource, kind: str) -> str | None:
        """Return the id of what a resource is below, or what it extends; None where nothing says it."""
        above = kind.rpartition("/")[0].lower() if kind.count("/") > 1 else ""
        if is_extension(kind):
            for name in _AT:
                value = resource.body.get(name)
                if isinstance(value, str) and value.startswith("/"):
                    return value.rstrip("/") or "/"
            named = [one for one in self._references(resource, "") if one.path in _AT]
            return named[0].id if named else None
        if not above:
            return None
        everything = [*references_in(resource.body), *self._references(resource, "")]
        return next(
            (one.id for one in everything if type_of(one.id).lower() == above and one.path.endswith("_id")), None
        )

    def _names_above(self, resource: _Resource, kind: str) -> list[str]:
        """Return the names of what a resource is below, by its attributes such as `virtual_network_name`."""
        found = []
        for segment in kind.split("/")[1:-1]:
            word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", segment).lower()
            word = re.sub(r"ies$", "y", word) if word.endswith("ies") else word.removesuffix("s")
            named = [key for key in resource.body if key.endswith("_name") and word.split("_")[-1] in key]
            value = next((resource.body[key] for key in (f"{word}_name", *named) if resource.body.get(key)), None)
            found.append(value if isinstance(value, str) else placeholder(f"{word}_name"))
        return found

    def _group(self, resource: _Resource) -> str:
        name = resource.body.get("resource_group_name")
        if not isinstance(name, str) or not name:
            name = GROUP if "resourcegroups" not in self.found.at.lower() else self.found.at.split("/")[4]
        return f"{subscription_of(self.found.at)}/resourceGroups/{name}"

    def _references(self, resource: _Resource, own: str) -> Iterator[Reference]:
        """Yield what the configuration says that a resource refers to, where its attributes do not have it."""
        path, module = self._module_of(resource.address)
        name = ".".join(_INDEX.sub("", resource.address).split(".")[-(3 if resource.is_data else 2) :])
        for declared in map(_fields, _list(module.get("resources"))):
            if _declared_name(declared) == name:
                for place, references in _leaves(_fields(declared.get("expressions"))):
                    if not _has_id(resource.body, place):
                        for target in self._targets(references, path, place.rsplit(".", 1)[-1], 0):
                            if target and not target.lower().startswith(own.lower() or "\0"):
                                yield Reference(target, place)

    def _module_of(self, address: str) -> tuple[tuple[str, ...], Mapping[str, Any]]:
        """Return the names of the modules of an address, and the configuration of the innermost."""
        parts = _INDEX.sub("", address).split(".")
        names: list[str] = []
        while parts[:1] == ["module"] and len(parts) > 2:
            names.append(parts[1])
            parts = parts[2:]
        return tuple(names), self._module(tuple(names))

    def _module(self, path: tuple[str, ...]) -> Mapping[str, Any]:
        module = self.root
        for name in path:
            module = _fields(_fields(_fields(module.get("module_calls")).get(name)).get("module"))
        return module

    def _targets(self, references: list[str], path: tuple[str, ...], attribute: str, hops: int) -> Iterator[str]:
        """Yield the ids that the references of an expression lead to."""
        if hops > MOST_HOPS:
            return
        prefix = "".join(f"module.{name}." for name in path)
        for text in references:
            parts = _INDEX.sub("", text).split(".")
            longer = any(other.startswith(f"{text}.") for other in references)
            if parts[0] == "module" and len(parts) > 2:
                output = _fields(_fields(self._module((*path, parts[1])).get("outputs")).get(parts[2]))
                inner = _texts(_fields(output.get("expression")).get("references"))
                yield from self._targets(inner, (*path, parts[1]), attribute, hops + 1)
            elif parts[0] == "var" and len(parts) > 1 and path:
                call = _fields(_fields(self._module(path[:-1]).get("module_calls")).get(path[-1]))
                for _, given in _leaves({parts[1]: _fields(call.get("expressions")).get(parts[1])}):
                    yield from self._targets(given, path[:-1], attribute, hops + 1)
            elif parts[0] in ("local", "each") and attribute.endswith(("_id", "_ids")) and not longer:
                self._say(f"what `{text}` refers to stands in no plan")
            else:
                count = 3 if parts[0] == "data" else 2
                means_id = parts[count:] == ["id"] or (
                    not longer and len(parts) == count and attribute.endswith(("id", "ids", "scope"))
                )
                target = self.resources.get(prefix + ".".join(parts[:count])) if means_id else None
                if target is not None:
                    yield self._id_of(target, self._kind_of(target))

    def _say(self, sentence: str) -> None:
        if sentence not in self.found.unknown:
            self.found.unknown.append(sentence)


def _stated_type(resource: _Resource) -> str:
    """Return the type that an azapi resource states."""
    stated = resource.body.get("type")
    return stated.split("@")[0] if resource.kind.startswith("azapi_") and isinstance(stated, str) else ""


def _body(resource: _Resource) -> Mapping[str, Any]:
    """Return the attributes of a resource; the body of azapi may be JSON in a text."""
    body = resource.body.get("body")
    if resource.kind.startswith("azapi_") and isinstance(body, str):
        try:
            body = load_json(body)
        except InputError:
            return resource.body
    return (
        {**resource.body, **body} if resource.kind.startswith("azapi_") and isinstance(body, Mapping) else resource.body
    )


def _declared_name(declared: Mapping[str, Any]) -> str:
    name = f"{declared.get('type')}.{declared.get('name')}"
    return f"data.{name}" if declared.get("mode") == "data" else name


def _leaves(expressions: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Yield the path and the references of each expression of a configuration."""
    if depth > 60:
        return
    if isinstance(expressions, Mapping):
        references = _texts(expressions.get("references"))
        if references:
            yield path, references
            return
        for key, value in expressions.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(expressions, list):
        for item in expressions:
            yield from _leaves(item, path, depth + 1)


def _has_id(body: object, path: str) -> bool:
    """Return whether a place of a body has an id already."""
    here = [body]
    for name in path.split("."):
        inner = [one for value in here for one in (value if isinstance(value, list) else [value])]
        here = [one[name] for one in inner if isinstance(one, Mapping) and name in one]
    return any(True for value in here for _ in references_in(value))


def _settings(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constant settings of the provider."""
    for name, provider in _fields(configuration.get("provider_config")).items():
        fields = _fields(provider)
        if name == "azurerm" or fields.get("name") == "azurerm":
            expressions = _fields(fields.get("expressions"))
            return {key: _fields(one).get("constant_value") for key, one in expressions.items()}
    return {}


def _fields(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str)]
