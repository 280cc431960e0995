"""Role assignments of every kind, role definitions and locks in Resource Manager: read, made and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rightsize.azure.exchange import Exchange
from rightsize.rbac.text import fold
from rightsize.rollout.bundle import Held
from rightsize.rollout.pim import Pim, is_managed
from rightsize.rollout.rest import Rest

_VERSION = "2022-04-01"
_LOCK_VERSION = "2016-09-01"


class Arm:
    """What a swap asks of Azure.

    An assignment is told by its `url` (see `Held`): its own path, or what tells it apart in a listing of Privileged
    Identity Management, which takes requests instead.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._rest = Rest(exchange)
        self.pim = Pim(self._rest)

    def assignment(self, url: str) -> dict[str, Any] | None:
        """Return the properties of an assignment, with its scope, or None where there is none."""
        if is_managed(url):
            return self.pim.look(url)
        found = self._rest.get(url, _VERSION)
        if found is None:
            return None
        properties: dict[str, Any] = dict(found.get("properties") or {})
        properties.setdefault("scope", url.partition("/providers/Microsoft.Authorization/")[0] or "/")
        return properties

    def put_assignment(self, url: str, properties: Mapping[str, Any]) -> None:
        """Make an assignment, or raise RefusalError or SettlingError."""
        if is_managed(url):
            self.pim.assign(url, properties)
        else:
            self._rest.write(url, _VERSION, "PUT", {"properties": dict(properties)})

    def delete(self, url: str) -> None:
        """Delete an assignment or a definition; one that is not there is deleted. Raises RefusalError."""
        if is_managed(url):
            self.pim.remove(url)
        else:
            self._rest.write(url, _VERSION, "DELETE")

    def definition(self, url: str) -> dict[str, Any] | None:
        """Return a role definition as Azure has it, or None where there is none."""
        return self._rest.get(url, _VERSION)

    def put_definition(self, url: str, role: Mapping[str, Any]) -> None:
        """Make a role definition, or raise RefusalError or SettlingError."""
        self._rest.write(url, _VERSION, "PUT", {"name": role.get("name"), "properties": dict(role["properties"])})

    def same_assignment(self, held: Held) -> str | None:
        """Return the id of an assignment of the same role to the same principal at the same scope, or None."""
        base = "" if held.scope == "/" else held.scope
        wanted = quote(f"principalId eq '{held.principal_id}'")
        url = f"{base}/providers/Microsoft.Authorization/roleAssignments"
        for found in self._rest.pages(url, _VERSION, f"$filter={wanted}"):
            properties = found.get("properties") or {}
            role = str(properties.get("roleDefinitionId", "")).rsplit("/", 1)[-1]
            theirs = (str(properties.get("scope", "")).rstrip("/"), role, str(properties.get("principalId", "")))
            ours = (held.scope.rstrip("/"), held.role, held.principal_id)
            if tuple(map(fold, theirs)) == tuple(map(fold, ours)):
                return str(found["name"])
        return None

    def locks(self, subscription: str) -> list[str]:
        """Return the folded scopes of the locks of a subscription, its resources included."""
        url = f"{subscription}/providers/Microsoft.Authorization/locks"
        marker = "/providers/microsoft.authorization/locks/"
        return [str(found.get("id", "")).lower().partition(marker)[0] for found in self._rest.pages(url, _LOCK_VERSION)]
