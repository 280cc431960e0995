"""Say where Azure roles decide nothing about the data of a resource: access policies do, or roles of the service.

Such a resource answers by what no listing of role assignments has. So a question about its data is `unknown` by roles,
whatever roles grant. `rules/resource_settings.csv` has the settings that say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import UnobservableReason
from rightsize.analyze.verdicts.resource_logs import AZURE_ROLES, KEYS, REPOSITORY_ROLES, kind_at, setting_facts
from rightsize.rbac.scopes import Scope
from rightsize.rbac.text import fold
from rightsize.rules.operations import classify
from rightsize.store.connection import Store

_LISTED = "SELECT * FROM resources WHERE scope = $scope"
_NAMED = (
    "SELECT principal_id, coalesce(user_principal_name, display_name) AS name FROM principals WHERE principal_id = $id"
)
_SHOWN = 5
_INSTEAD: Mapping[str, str] = {
    "microsoft.keyvault/vaults": "access policies decide about the data of `{}`, and not roles",
    "microsoft.containerservice/managedclusters": "`{}` does not use Azure RBAC for Kubernetes: its own roles decide",
    "microsoft.containerregistry/registries": "`{}` decides for the whole registry, and not by repository: "
    "ask for `Microsoft.ContainerRegistry/registries/pull/read` or `push/write`",
}
_OTHERS = "roles and accounts of the service decide about the data of `{}`, and not Azure roles"


class BesideRoles:
    """What decides instead of roles, by resource; each is looked up once."""

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store
        self._reasons: dict[str, str | None] = {}
        self._at_endpoint: dict[str, bool] = {}

    def reason(self, operation: str, plane: str, scope: Scope) -> str | None:
        """Return why roles decide nothing about an operation at a scope, one sentence; None where they decide."""
        kind = kind_at(scope.key)
        if kind is None or not (plane == "data" or self._runs_at_endpoint(operation)):
            return None
        resource = "/".join(scope.key.split("/")[:9])
        if resource not in self._reasons:
            self._reasons[resource] = self._read(resource, kind)
        return self._reasons[resource]

    def _read(self, resource: str, kind: str) -> str | None:
        listed = self._store.frame(_LISTED, {"scope": resource})
        if listed.is_empty():
            row = {"scope": resource, "resource_type": kind}
            listed = pl.DataFrame([row | dict.fromkeys(set(listed.columns) - row.keys())], schema=listed.schema)
        facts = set(setting_facts(Inputs.of(resources=listed)).select("fact", "answer").iter_rows())
        if facts.isdisjoint({(AZURE_ROLES, "no"), (REPOSITORY_ROLES, "no")}):
            return None
        said = [_INSTEAD.get(kind, _OTHERS).format(resource)]
        said += self._policies(listed["settings"][0])
        said += ["keys or local accounts open it, too"] if (KEYS, "yes") in facts else []
        return "; ".join(said)

    def _policies(self, settings: str | None) -> list[str]:
        """Return whose access policies a listing names."""
        known = json.loads(settings).get("accessPolicies") if settings else None
        if not known:
            return []
        holders = known.split(" ")
        shown = ", ".join(map(self._called, holders[:_SHOWN]))
        more = f" and {len(holders) - _SHOWN:,} more" if len(holders) > _SHOWN else ""
        return [f"it has policies for {shown}{more}"]

    def _called(self, principal_id: str) -> str:
        found = self._store.rows(_NAMED, {"id": principal_id})
        name = found[0]["name"] if found else None
        return f"{name} ({principal_id})" if name else principal_id

    def _runs_at_endpoint(self, operation: str) -> bool:
        name = fold(operation)
        if name not in self._at_endpoint:
            judged = classify(pl.DataFrame({"operation": [name], "is_data_action": [False]}))
            self._at_endpoint[name] = judged["unobservable_reason"][0] == UnobservableReason.DATA_ENDPOINT.value
        return self._at_endpoint[name]
