"""Write small documents of deployments, each beside the operations that somebody else has said it takes.

No text of a source stands here: the documents are written anew, and hold what the list is about alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg"
HUB = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/hub"


@dataclass(frozen=True, slots=True)
class Case:
    """A deployment with a list of what it takes.

    Attributes:
        name: What is deployed.
        source: Where the list stands.
        content: The document.
        listed: The operations of the list that this document is about.
        file: The name of the document.
        silent: Beginnings of operations of which the source says nothing.
        measured: Whether somebody ran it, rather than wrote the list.
    """

    name: str
    source: str
    content: bytes
    listed: frozenset[str]
    file: str = "main.json"
    silent: tuple[str, ...] = ()
    measured: bool = False


def operations(*texts: str) -> frozenset[str]:
    """Return operations of `type: read write`, in lower case; what has a `/` of its own stands after the type."""
    found = set()
    for text in texts:
        kind, _, does = text.partition(": ")
        found |= {f"{kind}/{one}".lower() for one in does.split()}
    return frozenset(found)


def resource_id(kind: str, name: str, group: str = GROUP) -> str:
    """Return the id of a resource; the names of the parts are separated by `/`."""
    namespace, *types = kind.split("/")
    pairs = "/".join(f"{one}/{name}" for one, name in zip(types, name.split("/"), strict=True))
    return f"{group}/providers/{namespace}/{pairs}"


def template(*resources: Mapping[str, Any], scope: str = "") -> bytes:
    """Return an ARM template."""
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    if scope:
        schema = "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#"
    return json.dumps({"$schema": schema, "contentVersion": "1.0.0.0", "resources": list(resources)}).encode()


def resource(kind: str, name: str, properties: Mapping[str, Any] | None = None, /, **more: Any) -> dict[str, Any]:
    """Return a resource of a template."""
    return {"type": kind, "apiVersion": "2024-01-01", "name": name, "properties": properties or {}, **more}


def state(*resources: tuple[str, str, Mapping[str, Any]]) -> bytes:
    """Return what `terraform show -json` says of a state: what it has is made, read back and removed again."""
    listed = [
        {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name, "values": dict(values)}
        for kind, name, values in resources
    ]
    return json.dumps({"format_version": "1.0", "values": {"root_module": {"resources": listed}}}).encode()


def of_type(
    kind: str, name: str, values: Mapping[str, Any] | None = None, *, arm: str
) -> tuple[str, str, dict[str, Any]]:
    """Return a resource of a state with its id."""
    at = GROUP if arm == "group" else resource_id(arm, name)
    return (
        kind,
        name.rsplit("/", maxsplit=1)[-1],
        {"id": at, "name": name.rsplit("/", maxsplit=1)[-1], **(values or {})},
    )


OWN_GROUP = of_type("azurerm_resource_group", "rg", arm="group")
OF_GROUP = "Microsoft.Resources/subscriptions/resourceGroups: read write delete"
NETWORK, SUBNET = "Microsoft.Network/virtualNetworks", "Microsoft.Network/virtualNetworks/subnets"
PUBLIC = "Microsoft.Network/publicIPAddresses"
SUBNET_ID = resource_id(SUBNET, "vnet/apps")
HUB_SUBNET = resource_id(SUBNET, "vnet/apps", HUB)
HUB_IP = resource_id(PUBLIC, "ip", HUB)
AKS, VAULT, STORAGE = (
    "Microsoft.ContainerService/managedClusters",
    "Microsoft.KeyVault/vaults",
    "Microsoft.Storage/storageAccounts",
)
