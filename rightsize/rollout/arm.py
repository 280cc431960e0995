"""Read, make and delete role assignments of every kind, role definitions and locks in Resource Manager.

An assignment counts as *gone* only where Azure answers 404 for it and 200 for its scope, and where we may read
assignments there: a subscription of another tenant, too, answers 404 to everything below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from rightsize.azure.exchange import Exchange
from rightsize.rbac.text import fold
from rightsize.rollout.bundle import Held
from rightsize.rollout.pim import Pim, is_managed
from rightsize.rollout.rest import RefusalError, Rest, ScopeGoneError, UnseenError

_VERSION = "2022-04-01"
_LOCK_VERSION = "2016-09-01"
_SUBSCRIPTION_VERSION, _GROUP_VERSION = "2022-12-01", "2021-04-01"
_MANAGEMENT_GROUP_VERSION = "2020-05-01"
_PROVIDER = "/providers/Microsoft.Authorization/"
_ROLE_FIELDS = ("roleName", "description", "type", "permissions", "assignableScopes")
T = TypeVar("T")


class Arm:
    """The requests of a swap to Azure.

    An assignment is identified by its `url` (see `Held`): its own path, or its key in a listing of Privileged Identity
    Management, which takes requests instead. Every method raises RefusalError (ScopeGoneError and UnseenError are
    kinds of it), SettlingError, or a FaultError where Azure does not answer.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._rest = Rest(exchange)
        self.pim = Pim(self._rest)

    @property
    def lost(self) -> int:
        """The number of tries without a good answer so far; Azure may have carried out any of them."""
        return self._rest.lost

    def assignment(self, url: str) -> dict[str, Any] | None:
        """Return the properties of an assignment, with its scope, or None where Azure shows none.

        None proves that it is gone only once every one of `scope_checks` holds, too.
        """
        return self._at(url, lambda: self._found(url))

    def put_assignment(self, url: str, properties: Mapping[str, Any]) -> None:
        """Make an assignment."""
        if is_managed(url):
            self._at(url, lambda: self.pim.assign(url, properties))
        else:
            self._at(url, lambda: self._rest.write(url, _VERSION, "PUT", {"properties": dict(properties)}))

    def delete_assignment(self, url: str) -> bool:
        """Delete an assignment; return False where Azure answers that there was none."""
        if is_managed(url):
            return self._at(url, lambda: self.pim.remove(url))
        return bool(self._at(url, lambda: self._rest.write(url, _VERSION, "DELETE")))

    def definition(self, url: str) -> dict[str, Any] | None:
        """Return a role definition as Azure has it, or None where there is none."""
        return self._at(url, lambda: self._rest.get(url, _VERSION))

    def put_definition(self, url: str, role: Mapping[str, Any]) -> None:
        """Make a role definition from the JSON of Azure or of a role file."""
        properties = {name: role["properties"][name] for name in _ROLE_FIELDS if name in role["properties"]}
        body = {"name": role.get("name"), "properties": properties}
        self._at(url, lambda: self._rest.write(url, _VERSION, "PUT", body))

    def delete_definition(self, url: str) -> None:
        """Delete a role definition; an absent one counts as deleted."""
        self._at(url, lambda: self._rest.write(url, _VERSION, "DELETE"))

    def same_assignment(self, held: Held) -> str | None:
        """Return the id of an assignment of the same role to the same principal at the same scope, or None."""
        for found in self.assignments(held.scope, f"principalId eq '{held.principal_id}'"):
            properties = found.get("properties") or {}
            role = str(properties.get("roleDefinitionId", "")).rsplit("/", 1)[-1]
            theirs = (str(properties.get("scope", "")).rstrip("/"), role, str(properties.get("principalId", "")))
            ours = (held.scope.rstrip("/"), held.role, held.principal_id)
            if tuple(map(fold, theirs)) == tuple(map(fold, ours)):
                return str(found["name"])
        return None

    def assignments(self, scope: str, wanted: str = "") -> Iterator[Mapping[str, Any]]:
        """Yield the role assignments at, above and below a scope, or those that match a `$filter`."""
        return self._rest.pages(
            f"{_base(scope)}{_PROVIDER}roleAssignments", _VERSION, wanted and f"$filter={quote(wanted)}"
        )

    def custom_roles(self, scope: str) -> set[str]:
        """Return the folded ids of the custom roles that may be assigned at a scope or below it."""
        wanted = quote("atScopeAndBelow() and type eq 'CustomRole'")
        url = f"{_base(scope)}{_PROVIDER}roleDefinitions"
        return {fold(str(found.get("name"))) for found in self._rest.pages(url, _VERSION, f"$filter={wanted}")}

    def locks(self, subscription: str) -> list[str]:
        """Return the folded scopes of the locks of a subscription, its resources included."""
        url = f"{subscription}{_PROVIDER}locks"
        marker = fold(f"{_PROVIDER}locks/")
        return [fold(str(found.get("id", ""))).partition(marker)[0] for found in self._rest.pages(url, _LOCK_VERSION)]

    def subscription(self, path: str) -> dict[str, Any]:
        """Return a subscription, or raise UnseenError."""
        found = self._rest.get(path, _SUBSCRIPTION_VERSION)
        if found is None:
            raise UnseenError(f"{path} cannot be seen: it is in another tenant, hidden from this sign-in, or deleted")
        return found

    def scope_checks(self, url: str) -> list[Callable[[], object]]:
        """Return the checks, one request each, that must pass before an absent assignment counts as gone.

        They raise:
            ScopeGoneError: The parent of the scope answers, and the scope does not exist.
            UnseenError: Its subscription cannot be seen.
            RefusalError: The caller may not read there.
        """
        scope = _scope_of(url)
        parts = scope.split("/")
        checks: list[Callable[[], object]] = []
        if fold(scope).startswith("/subscriptions/"):
            checks.append(lambda: self.subscription("/".join(parts[:3])))
            if len(parts) > 4:
                checks.append(lambda: self._there("/".join(parts[:5]), _GROUP_VERSION, scope))
        elif scope != "/":
            checks.append(lambda: self._there(scope, _MANAGEMENT_GROUP_VERSION, scope))
        checks.append(lambda: next(self.assignments(scope, "atScope()"), None))
        return checks

    def _there(self, path: str, version: str, scope: str) -> None:
        if self._rest.get(path, version) is None:
            raise ScopeGoneError(scope)

    def _found(self, url: str) -> dict[str, Any] | None:
        if is_managed(url):
            found = self.pim.look(url)
        else:
            answer = self._rest.get(url, _VERSION)
            found = None if answer is None else dict(answer.get("properties") or {})
        if found is not None:
            found.setdefault("scope", _scope_of(url))
        return found

    def _at(self, url: str, step: Callable[[], T]) -> T:
        """Do a step; where Azure says that its scope does not exist, check that as well before believing it."""
        try:
            return step()
        except ScopeGoneError as error:
            for check in self.scope_checks(url):
                check()
            raise RefusalError(
                f"Azure shows {_scope_of(url)}, but answers that it does not exist", error.code
            ) from error


def _scope_of(url: str) -> str:
    return url.partition(_PROVIDER)[0] or "/"


def _base(scope: str) -> str:
    return "" if scope == "/" else scope
