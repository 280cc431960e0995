"""Read and change role assignments, definitions, locks and PIM rules in Resource Manager.

An assignment counts as *gone* only where Azure answers 404 for it and 200 for its scope, and where we may read
assignments there: a subscription of another tenant, too, answers 404 to everything below it.

PUT and DELETE do not work on these assignments. A request under a new name (`AdminAssign`, `AdminRemove`) asks for the
change, and listings of instances show its result. The name of a policy changes whenever its rules do, so it is looked
up each time.
Sources: Microsoft Learn, REST reference of roleEligibilityScheduleRequests, roleAssignmentScheduleRequests, their
instances, and roleManagementPolicies, all 2020-10-01; "Rules in PIM - mapping guide".
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote

from rightsize.azure.exchange import Exchange
from rightsize.change.bundle import Held, whole_seconds
from rightsize.change.rest import RefusalError, Rest, ScopeGoneError, SettlingError, UnseenError
from rightsize.model.text import fold
from rightsize.rbac.assignments import role_path

_PIM_VERSION = "2020-10-01"
_PROVIDER = "/providers/Microsoft.Authorization/"
_JUSTIFICATION = "rightsize rollout"
"""The justification of requests; the rules of many roles require one from an administrator."""
_REFUSED = frozenset(("denied", "admindenied", "failed", "canceled", "invalid", "timedout", "failedasresourceislocked"))
_UNDECIDED = frozenset(("pendingapproval", "pendingadmindecision", "pendingapprovalprovisioning"))
_ELIGIBILITY, _ASSIGNMENT = "roleEligibility", "roleAssignment"


def is_managed(url: str) -> bool:
    """Return whether a `url` of `Held` belongs to Privileged Identity Management."""
    return "ScheduleInstances?" in url


class Pim:
    """Requests, instances and policies of PIM, all through `Rest`, with its errors."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def look(self, url: str) -> dict[str, Any] | None:
        """Return an assignment's properties in a role assignment's form, with `endDateTime`; None if it is absent."""
        found = self._instance(url)
        if found is None:
            return None
        place, _, principal, role = _parts(url)
        theirs = found["properties"]
        live = {
            "scope": place or "/",
            "roleDefinitionId": role_path(place, role),
            "principalId": principal,
            "condition": theirs.get("condition"),
            "conditionVersion": theirs.get("conditionVersion"),
            "endDateTime": whole_seconds(theirs.get("endDateTime")),
        }
        return {name: value for name, value in live.items() if value is not None}

    def assign(self, url: str, properties: Mapping[str, Any]) -> None:
        """Request an assignment, unless it already exists."""
        expiration: dict[str, Any] = {"type": "NoExpiration"}
        if properties.get("endDateTime"):
            expiration = {"type": "AfterDateTime", "endDateTime": properties["endDateTime"]}
        elif properties.get("duration"):
            expiration = {"type": "AfterDuration", "duration": properties["duration"]}
        body = {
            "principalId": properties["principalId"],
            "roleDefinitionId": properties["roleDefinitionId"],
            "requestType": "AdminAssign",
            "justification": _JUSTIFICATION,
            "scheduleInfo": {"expiration": expiration},
        }
        body |= {name: properties[name] for name in ("condition", "conditionVersion") if properties.get(name)}
        try:
            self._request(url, body)
        except RefusalError:
            # A request whose answer was lost was carried out if the assignment exists.
            if self._instance(url) is None:
                raise

    def remove(self, url: str) -> bool:
        """Request the removal of an assignment; return whether it existed."""
        if self._instance(url) is None:
            return False
        place, _, principal, role = _parts(url)
        body = {
            "principalId": principal,
            "roleDefinitionId": role_path(place, role),
            "requestType": "AdminRemove",
            "justification": _JUSTIFICATION,
        }
        try:
            self._request(url, body)
        except RefusalError:
            if self._instance(url) is not None:
                raise
            return False
        return True

    def is_activated(self, url: str) -> bool:
        """Return whether an eligible assignment is activated at the moment: removing it ends the activation, too."""
        found = self._instance(url)
        if found is None:
            return False
        place = _parts(url)[0]
        mine = {_last(found.get("name")), _last(found["properties"].get("roleEligibilityScheduleId"))} - {""}
        links = ("linkedRoleEligibilityScheduleInstanceId", "linkedRoleEligibilityScheduleId")
        listed = self._rest.pages(
            f"{place}{_PROVIDER}roleAssignmentScheduleInstances", _PIM_VERSION, "$filter=atScope()"
        )
        return any(_last((one.get("properties") or {}).get(link)) in mine for one in listed for link in links)

    def rules(self, scope: str, role: str) -> list[dict[str, Any]]:
        """Return the rules of a role at a scope, sorted by id; raise SettlingError while its policy does not exist."""
        return sorted(
            (dict(rule) for rule in self._policy(scope, role)["properties"].get("rules") or []),
            key=lambda rule: str(rule.get("id")),
        )

    def set_rules(self, scope: str, role: str, rules: list[dict[str, Any]]) -> None:
        """Set these rules on a role at a scope, and check that it has them."""
        if same_rules(self.rules(scope, role), rules):
            return
        name = self._policy(scope, role)["name"]
        url = f"{_base(scope)}{_PROVIDER}roleManagementPolicies/{name}"
        try:
            self._rest.write(url, _PIM_VERSION, "PATCH", {"properties": {"rules": rules}})
        except RefusalError as error:
            # Where the answer was lost, the rules may be set, and the policy then has another name.
            if self._policy(scope, role)["name"] == name:
                raise
            raise SettlingError(error.reason) from error
        if not same_rules(self.rules(scope, role), rules):
            raise SettlingError(f"Azure does not show the PIM rules of role {role} at {scope} as they were set")

    def ends(self, scope: str, role: str, held: Held) -> bool:
        """Return whether an active assignment of this role to this principal at this scope is time-bound."""
        wanted = f"principalId eq '{held.principal_id}' and roleDefinitionId eq '{role_path(scope, role)}'"
        return any(_is_at(one, scope) for one in self._ending(scope, wanted))

    def ending_of(self, principal: str, scope: str, before: dt.datetime) -> set[tuple[str, str]]:
        """Return folded scope and role of a principal's active assignments, also through groups, that end by a time."""
        found = self._ending(scope, f"assignedTo('{principal}')")
        return {
            (fold(str(one.get("scope")).rstrip("/")), _last(one.get("roleDefinitionId")))
            for one in found
            if has_ended(one, before)
        }

    def ending_holders(self, scope: str, role: str) -> set[tuple[str, str]]:
        """Return folded scope and principal of the time-bound active assignments of a role at and below a scope."""
        found = self._ending(scope, f"roleDefinitionId eq '{role_path(scope, role)}'")
        return {
            (fold(str(one.get("scope")).rstrip("/")), fold(str(one.get("principalId"))))
            for one in found
            if _last(one.get("roleDefinitionId")) == fold(role)
        }

    def _ending(self, scope: str, wanted: str) -> list[Mapping[str, Any]]:
        url = f"{_base(scope)}{_PROVIDER}{_ASSIGNMENT}ScheduleInstances"
        try:
            found = list(self._rest.pages(url, _PIM_VERSION, f"$filter={quote(wanted)}"))
        except RefusalError as error:
            # Without a PIM licence nothing is activated, and nothing ends.
            if "licen" in fold(error.code) or "premium" in fold(error.code):
                return []
            raise
        said = [one.get("properties") or {} for one in found]
        return [one for one in said if one.get("endDateTime") or fold(str(one.get("assignmentType"))) == "activated"]

    def holders(self, scope: str, role: str) -> set[str]:
        """Return the folded principals that hold a role at exactly this scope through PIM."""
        found: set[str] = set()
        wanted = quote(f"roleDefinitionId eq '{role_path(scope, role)}'")
        for kind in (_ELIGIBILITY, _ASSIGNMENT):
            url = f"{_base(scope)}{_PROVIDER}{kind}ScheduleInstances"
            for one in self._rest.pages(url, _PIM_VERSION, f"$filter={wanted}"):
                properties = one.get("properties") or {}
                if _is_at(properties, scope) and _last(properties.get("roleDefinitionId")) == fold(role):
                    found.add(fold(str(properties.get("principalId"))))
        return found

    def _policy(self, scope: str, role: str) -> Mapping[str, Any]:
        wanted = quote(f"roleDefinitionId eq '{role_path(scope, role)}'")
        url = f"{_base(scope)}{_PROVIDER}roleManagementPolicies"
        found = list(self._rest.pages(url, _PIM_VERSION, f"$filter={wanted}"))
        if len(found) != 1:
            raise SettlingError(f"Azure shows {len(found)} PIM policies instead of one for role {role} at {scope}")
        return found[0]

    def _instance(self, url: str) -> Mapping[str, Any] | None:
        place, kind, principal, role = _parts(url)
        wanted = quote(f"principalId eq '{principal}' and roleDefinitionId eq '{role_path(place, role)}'")
        listing = f"{place}{_PROVIDER}{kind}ScheduleInstances"
        for one in self._rest.pages(listing, _PIM_VERSION, f"$filter={wanted}"):
            properties = one.get("properties") or {}
            is_it = (
                fold(str(properties.get("principalId"))) == principal
                and _last(properties.get("roleDefinitionId")) == role
                and _is_at(properties, place)
                and fold(str(properties.get("memberType") or "Direct")) == "direct"
                and fold(str(properties.get("assignmentType") or "Assigned")) == "assigned"
            )
            if is_it:
                return one
        return None

    def _request(self, url: str, body: Mapping[str, Any]) -> None:
        place, kind, _, _ = _parts(url)
        name = f"{place}{_PROVIDER}{kind}ScheduleRequests/{uuid.uuid4()}"
        said = self._rest.write(name, _PIM_VERSION, "PUT", {"properties": dict(body)})
        status = str((said.get("properties") or {}).get("status") or "")
        if fold(status) in _REFUSED:
            raise RefusalError(f"the request for {url} ended as `{status}`", status)
        if fold(status) in _UNDECIDED:
            asked = name.rsplit("/", 1)[-1]
            raise RefusalError(
                f"request {asked} waits for approval: cancel it, or somebody may still approve it", status
            )


def same_rules(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> bool:
    """Return whether two lists of rules are equal in any order, with null and absent values alike."""
    return _canonical(ours) == _canonical(theirs)


def has_ended(properties: Mapping[str, Any], now: dt.datetime) -> bool:
    """Return whether an assignment has an end that is past."""
    end = properties.get("endDateTime")
    return bool(end) and dt.datetime.fromisoformat(str(end)) <= now


def _canonical(rules: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(_said(rule), sort_keys=True) for rule in rules)


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None}
    return [_said(inner) for inner in value] if isinstance(value, list) else value


def _parts(url: str) -> tuple[str, str, str, str]:
    """Return scope, kind, folded principal and folded role of a `url` of `Held`."""
    path, _, query = url.partition("?")
    place, _, listing = path.rpartition(_PROVIDER)
    said = parse_qs(query)
    return place, listing.removesuffix("ScheduleInstances"), fold(said["principalId"][0]), fold(said["role"][0])


def _is_at(properties: Mapping[str, Any], place: str) -> bool:
    return fold(str(properties.get("scope", "")).rstrip("/")) == fold(place.rstrip("/"))


def _base(scope: str) -> str:
    return "" if scope == "/" else scope


def _last(value: Any) -> str:
    return fold(str(value or "").rsplit("/", 1)[-1])


_VERSION = "2022-04-01"
_VAULT_VERSION = "2026-02-01"
_LOCK_VERSION = "2016-09-01"
_SUBSCRIPTION_VERSION, _GROUP_VERSION = "2022-12-01", "2021-04-01"
_MANAGEMENT_GROUP_VERSION = "2020-05-01"
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

    def vault(self, path: str) -> dict[str, Any] | None:
        """Return the properties of a key vault, or None where there is none."""
        found = self._at(path, lambda: self._rest.get(path, _VAULT_VERSION))
        return None if found is None else dict(found.get("properties") or {})

    def set_model(self, path: str, *, by_roles: bool) -> None:
        """Let roles decide about the data of a key vault, or its access policies; nothing else of it changes."""
        body = {"properties": {"enableRbacAuthorization": by_roles}}
        self._at(path, lambda: self._rest.write(path, _VAULT_VERSION, "PATCH", body))

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
