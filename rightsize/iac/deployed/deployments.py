"""The changes of a deployment, in one shape for all languages: resources with their ids, and what these refer to.

An id that a file does not decide has named placeholders in it: `{subscription}`, `{resourceGroup}`, or the name of the
parameter that decides it, such as `{vnetName}`. A placeholder stands for a value, so the type of a resource is known
although its name is not.

Evaluate the functions of templates that make resource ids and names, for a deployment at a scope.

What only the deployment knows is a placeholder.

Source: learn.microsoft.com, "Resource functions for ARM templates" and "Scope functions for ARM templates".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.iac.evaluation import evaluate
from rightsize.iac.expressions import Node, Scope, Unknown
from rightsize.model.errors import InputError

SUBSCRIPTION, GROUP = "{subscription}", "{resourceGroup}"
USUAL_PLACE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
"""Where a deployment goes whose file names no other kind of place."""
PLACES = {
    "subscription": f"/subscriptions/{SUBSCRIPTION}",
    "managementgroup": "/providers/Microsoft.Management/managementGroups/{managementGroup}",
    "tenant": "/",
}
"""The other kinds of places, by their lower-case words in ARM and Bicep."""
CREATE, UPDATE, DELETE, READ = "create", "update", "delete", "read"
WRITES = frozenset({CREATE, UPDATE})
MOST_RESOURCES = 100_000
"""The most resources of a file: more are no deployment."""
_PROVIDER = re.compile(r"/providers/(?=[^/]+\.[^/]+/|\{)", re.IGNORECASE)
_GROUP_ID = re.compile(r"(?i)^/subscriptions/[^/]+/resourcegroups/[^/]+$")
_SUBSCRIPTION_ID = re.compile(r"(?i)^/subscriptions/[^/]+$")
_MANAGEMENT_GROUP = re.compile(r"(?i)^/providers/microsoft\.management/managementgroups/[^/]+$")
GROUP_TYPE = "Microsoft.Resources/subscriptions/resourceGroups"
_TYPES = {"microsoft.resources/resourcegroups": GROUP_TYPE}


@dataclass(frozen=True, slots=True)
class Reference:
    """A resource id in the body of another resource.

    Attributes:
        id: The id.
        path: The names of the properties that lead to it, joined by dots, without the positions in lists.
    """

    id: str
    path: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operation that the code calls on a resource by itself, such as `listKeys` of a storage account.

    Attributes:
        operation: The operation.
        id: The id of the resource.
        words: What calls it.
    """

    operation: str
    id: str
    words: str


@dataclass(frozen=True, slots=True)
class Change:
    """A resource that a deployment makes, changes, removes or only reads.

    Attributes:
        address: Where it stands in the code: its symbolic name, its address in Terraform, or its type and name.
        kind: Its type in Azure, as the code spells it; empty where nothing says it.
        id: Its id, with placeholders.
        does: What happens to it, of `create`, `update`, `delete` and `read`.
        body: What the code says of it, as JSON; its keys are those of its language.
        references: What its body refers to.
        terraform: Its type in Terraform; empty for another language.
    """

    address: str
    kind: str
    id: str
    does: frozenset[str]
    body: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    terraform: str = ""


@dataclass(slots=True)
class Deployment:
    """All that a file deploys.

    Attributes:
        language: `arm`, `bicep`, `what-if` or `terraform`.
        at: The scope of the deployment, with placeholders.
        changes: The resources.
        calls: The operations that the code calls by itself.
        registers: Whether Terraform registers the resource providers that it needs.
        unknown: What the file does not say, one sentence each.
    """

    language: str
    at: str
    changes: list[Change] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    registers: bool = False
    unknown: list[str] = field(default_factory=list)

    def add(self, change: Change) -> None:
        """Add a resource; raise InputError where there are more than a deployment has."""
        if len(self.changes) >= MOST_RESOURCES:
            raise InputError(f"the file has more than {MOST_RESOURCES:,} resources")
        self.changes.append(change)


def type_of(resource_id: str) -> str:
    """Return the type that a resource id names, as it is spelt there; empty where it names none."""
    text = resource_id.rstrip("/")
    parts = _PROVIDER.split(text)
    if len(parts) > 1 and not _MANAGEMENT_GROUP.match(text):
        namespace, *names = parts[-1].split("/")
        return "/".join([namespace, *names[::2]]) if names else ""
    if _GROUP_ID.match(text):
        return GROUP_TYPE
    if _SUBSCRIPTION_ID.match(text):
        return "Microsoft.Resources/subscriptions"
    return "Microsoft.Management/managementGroups" if _MANAGEMENT_GROUP.match(text) else ""


def spelt_type(kind: str) -> str:
    """Return a type as its operations spell it: resource groups have two spellings."""
    return _TYPES.get(kind.lower(), kind)


def is_id(text: object) -> bool:
    """Return whether a text is the id of a resource in a subscription, a resource group or the tenant."""
    return isinstance(text, str) and text.startswith(("/subscriptions/", "/providers/")) and bool(type_of(text))


def resource_id(at: str, kind: str, names: Iterable[str]) -> str:
    """Return the id of a resource of a type, made of its scope and its names; a missing name is a placeholder."""
    namespace, *types = kind.split("/")
    if kind.lower() in (GROUP_TYPE.lower(), *_TYPES):
        return f"{subscription_of(at)}/resourceGroups/{next(iter(names), GROUP)}"
    given = list(names)
    given = given[len(given) - len(types) :] if len(given) > len(types) else given
    given += [f"{{{one}}}" for one in types[len(given) :]]
    pairs = "/".join(f"{one}/{name}" for one, name in zip(types, given, strict=True))
    return f"{at.rstrip('/')}/providers/{namespace}/{pairs}"


def child_id(parent: str, kind: str, name: str) -> str:
    """Return the id of a resource below another one, or of an extension of it."""
    above = type_of(parent).lower()
    if above and kind.lower().rpartition("/")[0] == above and parent.lower().count("/providers/"):
        return f"{parent.rstrip('/')}/{kind.rpartition('/')[2]}/{name}"
    return resource_id(parent, kind, [name])


def subscription_of(at: str) -> str:
    """Return the subscription of a scope, with a placeholder where the scope is none of a subscription."""
    parts = at.split("/")
    return "/".join(parts[:3]) if at.lower().startswith("/subscriptions/") else f"/subscriptions/{SUBSCRIPTION}"


def group_of(at: str) -> str:
    """Return the resource group of a scope, with placeholders where it does not say it."""
    parts = at.split("/")
    is_group = len(parts) > 4 and parts[3].lower() == "resourcegroups"
    return "/".join(parts[:5]) if is_group else f"{subscription_of(at)}/resourceGroups/{GROUP}"


def references_in(body: object, own: str = "", path: str = "", depth: int = 0) -> Iterator[Reference]:
    """Yield the resource ids in a body, those among its keys included; its own id and those below it are left out."""
    if depth > 60:
        return
    if isinstance(body, Mapping):
        for key, value in body.items():
            if is_id(key) and not _is_own(str(key), own):
                yield Reference(str(key), path)
            yield from references_in(value, own, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(body, list):
        for item in body:
            yield from references_in(item, own, path, depth + 1)
    elif isinstance(body, str) and is_id(body) and not _is_own(body, own):
        yield Reference(body, path)


def _is_own(text: str, own: str) -> bool:
    folded, mine = text.lower(), own.lower()
    return bool(mine) and (folded == mine or folded.startswith(f"{mine}/"))


def placeholder(name: object) -> str:
    """Return the placeholder for a value that the file does not say: one word, without what ends a segment."""
    plain = re.sub(r"[^\w.-]+", "_", str(name)).strip("_")
    return f"{{{plain[:60] or 'unknown'}}}"


def as_segment(value: object) -> str:
    """Return a value as it stands in an id: a text, or a placeholder."""
    if isinstance(value, Unknown):
        return placeholder(value.cause)
    return value if isinstance(value, str) and value else placeholder("name")


_ID_FUNCTIONS = frozenset(
    ["resourceid", "subscriptionresourceid", "tenantresourceid", "managementgroupresourceid", "extensionresourceid"]
)
_PUBLIC = {
    "name": "AzureCloud",
    "suffixes": {
        "acrLoginServer": ".azurecr.io",
        "keyvaultDns": ".vault.azure.net",
        "sqlServerHostname": ".database.windows.net",
        "storage": "core.windows.net",
    },
}
"""The public cloud: its names stand in names of DNS zones only."""


def id_functions(at: str) -> dict[str, Callable[..., Any]]:
    """Return the functions by name, in lower case, for a deployment at a scope."""
    subscription, group = subscription_of(at), group_of(at)
    words = subscription.split("/")[-1]
    return {
        "resourceid": lambda *parts: made_id("resourceid", parts, at),
        "subscriptionresourceid": lambda *parts: made_id("subscriptionresourceid", parts, at),
        "tenantresourceid": lambda *parts: made_id("tenantresourceid", parts, at),
        "managementgroupresourceid": lambda *parts: made_id("managementgroupresourceid", parts, at),
        "extensionresourceid": lambda *parts: made_id("extensionresourceid", parts, at),
        "resourcegroup": lambda *parts: _group(parts, subscription, group),
        "subscription": lambda *parts: {
            "id": f"/subscriptions/{parts[0]}" if parts else subscription,
            "subscriptionId": parts[0] if parts else words,
            "tenantId": "{tenant}",
            "displayName": words,
        },
        "managementgroup": lambda *parts: {
            "id": _management_group(parts[0] if parts else _named_group(at)),
            "name": parts[0] if parts else _named_group(at),
        },
        "tenant": lambda: {"tenantId": "{tenant}", "id": "/"},
        "deployment": lambda: {"name": "{deployment}"},
        "environment": lambda: _PUBLIC,
        "uniquestring": lambda *_: "{uniqueString}",
        "guid": lambda *_: "{guid}",
        "newguid": lambda *_: "{guid}",
        "utcnow": lambda *_: "{utcNow}",
    }


def _group(parts: Sequence[str], subscription: str, group: str) -> dict[str, str]:
    """Return the resource group of the deployment, or the one that is named, after its subscription perhaps."""
    if parts:
        group = f"{f'/subscriptions/{parts[0]}' if len(parts) > 1 else subscription}/resourceGroups/{parts[-1]}"
    return {"id": group, "name": group.split("/")[-1], "location": "{location}"}


def _named_group(at: str) -> str:
    """Return the name of the management group of a deployment, or a placeholder."""
    return at.rsplit("/", 1)[-1] if "managementgroups" in at.lower() else placeholder("managementGroup")


def _management_group(name: str) -> str:
    return f"/providers/Microsoft.Management/managementGroups/{name}"


def made_id(function: str, parts: Sequence[object], at: str) -> str:
    """Return the id that a function makes; raise ValueError where no argument is a type."""
    given = [as_segment(part) for part in parts]
    index = next(
        (place for place, part in enumerate(given) if "/" in part and "." in part.split("/")[0] and part[0] != "/"),
        None,
    )
    if index is None:
        raise ValueError(function)
    before, kind, names = (
        given[:index],
        spelt_type(given[index]),
        [n for part in given[index + 1 :] for n in part.split("/")],
    )
    if function == "extensionresourceid":
        return child_id(before[0] if before else at, kind, names[-1] if names else placeholder("name"))
    place = group_of(at)
    if function == "tenantresourceid":
        place = ""
    elif function == "managementgroupresourceid":
        place = _management_group(before[-1] if before else _named_group(at))
    elif function == "subscriptionresourceid":
        place = f"/subscriptions/{before[-1]}" if before else subscription_of(at)
    elif before:
        subscription = f"/subscriptions/{before[0]}" if len(before) > 1 else subscription_of(at)
        place = f"{subscription}/resourceGroups/{before[-1]}"
    return resource_id(place, kind, names)


def ids_of(node: Node, scope: Scope, at: str) -> Iterator[str]:
    """Yield the ids that calls within an expression make, also where the whole has no value."""
    for call in calls_in(node):
        name = str(call.parts[0]).lower()
        if name in _ID_FUNCTIONS:
            try:
                yield made_id(name, [evaluate(one, scope) for one in call.parts[1]], at)
            except ValueError:
                continue


def calls_in(node: object, depth: int = 0) -> Iterator[Node]:
    """Yield the calls of functions within an expression, but those whose value is only a name or a condition's."""
    if depth > 100:
        return
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from calls_in(item, depth + 1)
    elif isinstance(node, Node):
        if node.kind == "call":
            yield node
            if str(node.parts[0]).lower() in ("guid", "uniquestring"):
                return
        yield from calls_in(node.parts, depth + 1)


def called_on(node: Node, scope: Scope) -> str:
    """Return the id of what the first argument of a call names; empty where it names none."""
    if not node.parts[1]:
        return ""
    value = evaluate(node.parts[1][0], scope)
    if isinstance(value, Unknown):
        return ""
    return value if isinstance(value, str) and type_of(value) else ""
