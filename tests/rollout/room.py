"""A small Resource Manager in memory, with the loopback's rules for writing, and faults on the way to it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from rightsize.azure.exchange import Exchange, Throttle
from rightsize.azure.wire import DroppedError, Response, WireRequest
from rightsize.change.arm import Arm
from rightsize.change.bundle import Bundle, Held, Swap, kept_properties
from rightsize.change.engine import RolloutEngine
from rightsize.change.journal import Bound, Heads, Journal
from rightsize.change.preflight import PreflightFacts
from rightsize.change.steps import Steps
from tests.azure.hurried import Hurried
from tests.loopback import wire
from tests.loopback.arm_writes import write_role_object
from tests.loopback.pim_writes import default_rules, filtered, rules_of

SUB = "/subscriptions/10000000-0000-0000-0000-000000000000"
RG = f"{SUB}/resourceGroups/rg"
BROAD, NARROW = "b0000000-0000-0000-0000-000000000001", "c0000000-0000-0000-0000-000000000001"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
START = "Microsoft.Compute/virtualMachines/start/action"
TENANT = "7e000000-0000-0000-0000-000000000000"
BOUND = Bound("bundle-hash", "plan-hash", TENANT, "https://arm.example")


class Killed(BaseException):
    """The process ends here."""


def guid(number: int, kind: str = "a") -> str:
    return f"{kind * 8}-0000-4000-8000-{number:012x}"


def role(identifier: str, name: str, *actions: str) -> dict[str, Any]:
    block = {"actions": list(actions), "notActions": [], "dataActions": [], "notDataActions": []}
    properties = {"roleName": name, "description": "", "type": "CustomRole", "permissions": [block]}
    return {"name": identifier, "properties": properties | {"assignableScopes": [SUB]}}


def broad(number: int, **more: Any) -> Held:
    """The assignment of principal `number` that goes."""
    fields = {"id": guid(number), "scope": SUB, "role": BROAD, "principal_id": guid(number, "d")}
    return Held(**(fields | {"principal_type": "User", "description": f"made by hand, {number}"} | more))


def narrow(number: int, **more: Any) -> Held:
    """The assignment that comes for it."""
    fields = {"id": guid(number, "e"), "scope": RG, "role": NARROW, "principal_id": guid(number, "d")}
    return Held(**(fields | {"principal_type": "User", "description": "rightsize"} | more))


def swap(number: int, wave: int = 1, **more: Any) -> Swap:
    fields = {"id": guid(number, "f"), "wave": wave, "proposals": ("p",), "creates": (narrow(number),)}
    fields |= {"removes": (broad(number),), "roles": (NARROW,), "wait": 600, "risk": 0.1, "covered": 1, "blind": 0}
    return Swap(**(fields | more))


def bundle_of(*swaps: Swap) -> Bundle:
    needed = {name for one in swaps for name in one.roles}
    new = {NARROW: role(NARROW, "Narrow", START)} if needed else {}
    return Bundle("plan-hash", (guid(99, "d"),), swaps, (), new, {BROAD: role(BROAD, "Broad", "*")})


@dataclass
class Room:
    """The tenant. `strike` may end a request otherwise: it gets its number and line, and returns a name of a fault."""

    strike: Callable[[int, str], str | None] = lambda *_: None
    requests: int = 0
    lines: list[str] = field(default_factory=list)
    locks: list[dict[str, Any]] = field(default_factory=list)
    hidden: dict[str, int] = field(default_factory=dict)
    """How often something that is there is not shown yet, by the last part of its path."""
    gone: set[str] = field(default_factory=set)
    """Resource groups that are not there any more, folded."""
    unseen: bool = False
    """Whether the subscription answers as it does to whoever is signed in to another tenant."""
    needs_approval: bool = False
    """Whether requests to Privileged Identity Management wait for somebody's approval."""
    groups: dict[str, set[str]] = field(default_factory=dict)
    """Members of groups, for `assignedTo`."""
    watched: tuple[Swap, ...] = ()
    is_strict: bool = True
    """Whether a loss ends the test at once."""
    lost: list[str] = field(default_factory=list)
    """Which swaps had neither all of the old nor all of the new access after which request."""

    def __post_init__(self) -> None:
        self.role_assignments: list[dict[str, Any]] = []
        self.role_definitions = [role(BROAD, "Broad", "*"), role(OWNER, "Owner", "*")]
        self.eligibility_instances: list[dict[str, Any]] = []
        self.assignment_instances: list[dict[str, Any]] = []
        self.pim_requests: set[str] = set()
        self.pim_policies: dict[tuple[str, str], dict[str, Any]] = {}
        self.tenant = SimpleNamespace(scopes=[SimpleNamespace(scope=SUB)])
        operation = {"name": START, "isDataAction": False}
        self.provider_operations = [{"resourceTypes": [], "operations": [operation]}]

    def is_within(self, child: str, parent: str) -> bool:
        return f"{child.lower()}/".startswith(f"{parent.lower().rstrip('/')}/")

    def hold(self, *assignments: Held) -> Room:
        """Put assignments there, as Azure shows them."""
        for one in assignments:
            if one.is_managed:
                self._listing(one.url).append(_shown(one))
                continue
            shown = {"principalType": "User", "condition": None, "conditionVersion": None, "description": None}
            properties = shown | one.properties() | {"scope": one.scope, "createdOn": "2020-01-01T00:00:00Z"}
            self.role_assignments.append({"id": one.url, "name": one.id, "properties": properties})
        return self

    def state(self) -> dict[str, Any]:
        """What is there, but for what Azure sets itself."""
        held = {
            one["name"]: (one["properties"]["scope"], kept_properties(one["properties"]))
            for one in self.role_assignments
        }
        managed = sorted(
            str([one["properties"][name] for name in _MANAGED])
            for one in (*self.eligibility_instances, *self.assignment_instances)
        )
        found = {key: policy["properties"]["rules"] for key, policy in self.pim_policies.items()}
        rules = {key: said for key, said in found.items() if said != default_rules()}
        roles = sorted(one["name"] for one in self.role_definitions)
        return copy.deepcopy({"assignments": held, "roles": roles, "managed": managed, "rules": rules})

    def _listing(self, kind: str) -> list[dict[str, Any]]:
        is_eligible = "eligibility" in kind.lower()
        return self.eligibility_instances if is_eligible else self.assignment_instances

    def send(self, request: WireRequest) -> Response:
        """Answer as a sender of `Exchange` does."""
        parts = urlsplit(request.url)
        self.requests += 1
        line = f"{request.method} {unquote(parts.path)}"
        self.lines.append(line)
        fault = self.strike(self.requests, line)
        if fault == "kill":
            raise Killed
        if fault == "drop":
            raise DroppedError("the connection was closed")
        if fault in _FAULTS:
            return _FAULTS[fault]()
        answer = self._answer(request, unquote(parts.path), dict(parse_qsl(parts.query)))
        if request.method != "GET":
            self._look_for_losses(line)
        if fault == "kill after":
            raise Killed
        if fault == "drop after":
            raise DroppedError("the connection was closed before the answer")
        return Response(answer.status, {}, answer.content())

    def renew(self) -> None:
        """There is no token."""

    def watch(self, bundle: Bundle) -> Room:
        """Note from now on every moment at which somebody has neither the old access nor the plan's."""
        self.watched = bundle.swaps
        return self

    def _look_for_losses(self, line: str) -> None:
        roles = {one["name"] for one in self.role_definitions}
        for one in self.watched:
            if any(one.id in said for said in self.lost) or (self.gone and self._is_gone(one)):
                continue
            if not any(all(self._has(held, roles) for held in side) for side in (one.removes, one.creates)):
                self.lost.append(f"{one.id} after {line}")
                assert not self.is_strict, f"somebody lost access: {self.lost[-1]}"

    def _is_gone(self, one: Swap) -> bool:
        return any(held.scope.lower() in self.gone for held in (*one.removes, *one.creates))

    def _has(self, held: Held, roles: set[str]) -> bool:
        listing = self._listing(held.url) if held.is_managed else self.role_assignments
        return held.role in roles and any(
            (one["properties"]["principalId"], one["properties"]["roleDefinitionId"].rsplit("/", 1)[-1])
            == (held.principal_id, held.role)
            and one["properties"]["scope"] == held.scope
            and (one["properties"].get("condition") or None) == held.condition
            for one in listing
        )

    def _answer(self, request: WireRequest, path: str, query: dict[str, str]) -> wire.Answer:
        if self.unseen and path.lower().startswith("/subscriptions/"):
            return wire.arm_error(404, "SubscriptionNotFound", "The subscription could not be found.")
        if any(path.lower().startswith(f"{place}/") or path.lower() == place for place in self.gone):
            return wire.arm_error(404, "ResourceGroupNotFound", "The resource group could not be found.")
        scope, marker, rest = path.partition("/providers/Microsoft.Authorization/")
        if not marker:
            return wire.Answer(document={"id": path, "tenantId": TENANT})
        kind, _, name = rest.partition("/")
        if request.method in ("PUT", "PATCH", "DELETE"):
            asked = wire.Request(request.method, "", path, query, request.url, body=(request.body or "").encode())
            try:
                return write_role_object(self, asked, scope, kind.lower(), name)  # type: ignore[arg-type]
            except wire.RefusalError as error:
                return error.answer
        return self._shown(scope, kind, name, query.get("$filter", ""))

    def _shown(self, scope: str, kind: str, name: str, wanted: str) -> wire.Answer:
        if "ScheduleInstances" in kind:
            here = [one for one in self._listing(kind) if one["properties"]["scope"].lower() == scope.lower()]
            return wire.Answer(document={"value": self._assigned(filtered(here, wanted), wanted)})
        if kind == "roleManagementPolicies":
            (wanted_role,) = re.findall("roleDefinitionId eq '([^']+)'", wanted)
            return wire.Answer(document={"value": [rules_of(self, scope, wanted_role)]})  # type: ignore[arg-type]
        listing = {"roleassignments": self.role_assignments, "roledefinitions": self.role_definitions}.get(
            kind.lower(), self.locks
        )
        if not name:
            found = self._assigned(filtered(listing, wanted), wanted)
            if "atScope()" in wanted:
                found = [one for one in found if one["properties"]["scope"].lower() == scope.lower()]
            return wire.Answer(document={"value": found})
        if self.hidden.get(name, 0) > 0:
            self.hidden[name] -= 1
            return wire.arm_error(404, "NotFound", "not yet")
        named = [one for one in listing if one["name"] == name]
        return wire.Answer(document=named[0]) if named else wire.arm_error(404, "NotFound", "there is none")

    def _assigned(self, listing: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
        found = re.search(r"assignedTo\('([^']+)'\)", wanted)
        if found is None:
            return listing
        who = {found[1], *(group for group, members in self.groups.items() if found[1] in members)}
        return [one for one in listing if one["properties"]["principalId"] in who]


_MANAGED = ("scope", "roleDefinitionId", "principalId", "endDateTime", "condition")


def _shown(one: Held) -> dict[str, Any]:
    """A managed assignment as Azure lists it."""
    shown = {"condition": None, "conditionVersion": None, "endDateTime": None} | one.properties()
    shown |= {"scope": one.scope, "memberType": "Direct", "principalType": "User"}
    if one.state == "active":
        shown["assignmentType"] = "Assigned"
    return {"id": one.url.partition("?")[0] + "/" + one.id, "name": one.id, "properties": shown}


def _status(status: int, code: str, **headers: str) -> Callable[[], Response]:
    content = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    return lambda: Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


_FAULTS = {
    "too short": _status(400, "ActiveDurationTooShort"),
    "throttle": _status(429, "TooManyRequests", retry_after="1"),
    "server": _status(503, "ServiceUnavailable"),
    "conflict": _status(409, "Conflict"),
    "limit": _status(400, "RoleAssignmentLimitExceeded"),
    "forbidden": _status(403, "AuthorizationFailed"),
    "html": lambda: Response(200, {}, b"<html>"),
}


class FrailJournal(Journal):
    """A journal whose process ends at its `last` write: before it, or after it."""

    def __init__(self, path: Path, last: int = 0, *, after: bool = False) -> None:
        super().__init__(path, BOUND, heads_beside(path))
        self._left, self._after = last, after

    def write(self, swap: str, event: str, key: str, at: str, data: dict[str, Any] | None = None) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        super().write(swap, event, key, at, data)
        if self._left == 0:
            raise Killed


def _state_beside(path: Path) -> Path:
    return path.parent / f"state-{path.name}"


def heads_beside(path: Path) -> Heads:
    """Where the head of a test's journal is kept."""
    return Heads(_state_beside(path), BOUND.bundle)


def forget_heads(path: Path) -> None:
    """Delete every head that is kept of a test's journal."""
    for one in _state_beside(path).iterdir():
        one.unlink()


def journal_at(path: Path, **more: Any) -> Journal:
    """The journal of a test."""
    return Journal(path, BOUND, heads_beside(path), **more)


def engine_of(room: Room, bundle: Bundle, journal: Journal, clock: Hurried | None = None) -> RolloutEngine:
    clock = clock or Hurried()
    return RolloutEngine(Steps(bundle, Arm(Exchange(room, Throttle(clock), clock)), journal, clock))


def apply_first_wave(
    room: Room, bundle: Bundle, path: Path, journal: Journal | None = None, known: PreflightFacts | None = None
) -> Hurried:
    """Apply the first wave while the room looks for losses; return the clock that passed."""
    clock = Hurried()
    room.watch(bundle)
    with journal or journal_at(path) as opened:
        engine_of(room, bundle, opened, clock).apply(1, known)
    return clock


def undo_each(room: Room, bundle: Bundle, path: Path, clock: Hurried | None = None) -> None:
    """Roll back the swaps one by one, the last first."""
    with journal_at(path) as journal:
        engine = engine_of(room, bundle, journal, clock)
        for one in reversed(bundle.swaps):
            engine.roll_back([one])
