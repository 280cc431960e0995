"""Evaluate the functions of templates that make resource ids and names, for a deployment at a scope.

What only the deployment knows is a placeholder.

Source: learn.microsoft.com, "Resource functions for ARM templates" and "Scope functions for ARM templates".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rightsize.iac.deployed.deployments import (
    as_segment,
    child_id,
    group_of,
    placeholder,
    resource_id,
    spelt_type,
    subscription_of,
    type_of,
)
from rightsize.iac.evaluation import evaluate
from rightsize.iac.expressions import Node, Scope, Unknown

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
