"""Describe the bundle of a rollout: its swaps, where their assignments count, and the most bytes of its journal."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache, cached_property
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.json_schemas import SchemaChecks, json_schema_of, load_object, made_of
from rightsize.model.text import fold
from rightsize.rbac.assignments import (
    ASSIGNMENTS_PER_MANAGEMENT_GROUP,
    ASSIGNMENTS_PER_SUBSCRIPTION,
    arm_principal_type,
    role_path,
)

FORMAT = 2
BUNDLE, JOURNAL, PLAN = "rollout.json", "journal.jsonl", "plan"
"""What a rollout folder has: the bundle, its journal, and a copy of the plan folder."""
_AGAIN = (
    "make it again with `rightsize rollout plan`; "
    "where it has begun, roll it back with the version of rightsize that began it"
)
_PROPERTIES = (
    "roleDefinitionId",
    "principalId",
    "principalType",
    "condition",
    "conditionVersion",
    "description",
    "delegatedManagedIdentityResourceId",
    "endDateTime",
)
"""The properties that define an assignment; Azure sets the others itself (createdOn, createdBy and the like)."""


@dataclass(frozen=True, slots=True)
class Held:
    """A role assignment that a swap makes or removes.

    Attributes:
        id: Its GUID, the last part of its resource id.
        role: GUID of the role.
        principal_id: Its holder, with `principal_type`.
        condition: Its condition, with `condition_version`.
        state: `active` or `eligible`.
        until: Its end, if it has one, as RFC 3339 in whole seconds.
        lasts: Its duration from when it is made, as an ISO 8601 duration, where a rule requires an end.
    """

    id: str
    scope: str
    role: str
    principal_id: str
    principal_type: str
    condition: str | None = None
    condition_version: str | None = None
    description: str | None = None
    state: str = "active"
    until: str | None = None
    lasts: str | None = None

    @property
    def is_managed(self) -> bool:
        """Whether Privileged Identity Management manages it: it is eligible, or time-bound."""
        return self.state != "active" or self.until is not None

    @property
    def url(self) -> str:
        """Its path in Resource Manager, or the PIM listing that shows it with its key in there."""
        base = f"{'' if self.scope == '/' else self.scope}/providers/Microsoft.Authorization"
        if not self.is_managed:
            return f"{base}/roleAssignments/{self.id}"
        kind = "roleAssignment" if self.state == "active" else "roleEligibility"
        return f"{base}/{kind}ScheduleInstances?principalId={self.principal_id}&role={self.role}"

    @property
    def role_url(self) -> str:
        """The path of its role, at its scope."""
        return (
            f"{'' if self.scope == '/' else self.scope}/providers/Microsoft.Authorization/roleDefinitions/{self.role}"
        )

    def properties(self) -> dict[str, Any]:
        """Return the properties of the assignment as a PUT takes them."""
        found: dict[str, str | None] = {
            "roleDefinitionId": role_path(self.scope, self.role),
            "principalId": self.principal_id,
            # A PIM request has no principal type: Azure looks it up.
            "principalType": None if self.is_managed else arm_principal_type(self.principal_type),
            "condition": self.condition,
            "conditionVersion": self.condition_version if self.condition else None,
            "description": None if self.is_managed else self.description,
            "endDateTime": self.until,
            "duration": None if self.until else self.lasts,
        }
        return {name: value for name, value in found.items() if value}

    def differs_from(self, live: Mapping[str, Any]) -> str | None:
        """Return in one word what differs in Azure, or None where it is this assignment."""
        said = {
            "principal": (self.principal_id, live.get("principalId")),
            "role": (self.role, str(live.get("roleDefinitionId", "")).rsplit("/", 1)[-1]),
            "scope": (self.scope.rstrip("/"), str(live.get("scope", "")).rstrip("/")),
        }
        for name, (ours, theirs) in said.items():
            if fold(str(ours)) != fold(str(theirs)):
                return name
        texts = {"condition": self.condition, "description": None if self.is_managed else self.description}
        if self.until is not None or not self.is_managed:
            texts["endDateTime"] = self.until
        for name, text in texts.items():
            if (text or "") != (live.get(name) or ""):
                return "end" if name == "endDateTime" else name
        return None


def whole_seconds(moment: str | dt.datetime | None) -> str | None:
    """Return a time, as Azure writes it or as the store has it, in UTC to the second; None for None."""
    if not moment:
        return None
    read = moment if isinstance(moment, dt.datetime) else dt.datetime.fromisoformat(moment)
    utc = read.replace(tzinfo=dt.UTC) if read.tzinfo is None else read.astimezone(dt.UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def kept_properties(live: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of an Azure assignment that a PUT needs to make it again."""
    return {name: live[name] for name in _PROPERTIES if live.get(name) is not None}


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """A copy of PIM rules from one role to another, made before anybody holds the other role.

    Attributes:
        scope: The scope where `role` gets the rules.
        of_scope: The scope where `of_role` has the rules today.
    """

    scope: str
    role: str
    of_scope: str
    of_role: str

    @property
    def key(self) -> str:
        """The target of the rules as one word."""
        return f"{fold(self.scope)}|{fold(self.role)}"


@dataclass(frozen=True, slots=True, order=True)
class PolicyHeld:
    """An access policy of a vault: its holder, its application or an empty text, and its sorted permissions."""

    principal_id: str
    app_id: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VaultSwitch:
    """The switch of a key vault from its access policies, as the plan knows them, to roles."""

    vault: str
    policies: tuple[PolicyHeld, ...]


@dataclass(frozen=True, slots=True)
class Swap:
    """All changes for a group of principals whose changes depend on each other; done whole or not at all.

    Attributes:
        id: Its name, the same for the same plan.
        proposals: The proposals that it brings into Azure.
        creates: The assignments that it makes.
        removes: The assignments that it removes, as the store has them.
        roles: GUIDs of the plan's roles that it needs.
        wait: Seconds that Azure needs to spread the new assignments.
        wait_back: Seconds that Azure needs to spread what a rollback makes again.
        risk: The chance that it breaks somebody within 30 days.
        covered: Number of removed operations that a log would show; `blind` is that of those no log would show.
        rules: PIM rules that are copied first.
        switches: Key vaults that leave their access policies when the new assignments were read back.
    """

    id: str
    wave: int
    proposals: tuple[str, ...]
    creates: tuple[Held, ...]
    removes: tuple[Held, ...]
    roles: tuple[str, ...]
    wait: int
    risk: float
    covered: int
    blind: int
    rules: tuple[ScheduleRules, ...] = ()
    wait_back: int = 600
    switches: tuple[VaultSwitch, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An assignment that the plan changes and the rollout leaves alone, with the reason."""

    role_assignment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Order:
    """The options of `rollout plan`, kept so that the same bundle can be derived again.

    Attributes:
        canaries: Principals of the first wave.
        wave_size: Number of swaps in each later wave.
        only: Proposals that are brought in; all of them where it is empty.
        accepts_short_window: Whether a plan may rest on a window of less than 90 days, or on logs that had to cover
            less of it than is asked for by default.
    """

    canaries: tuple[str, ...] = ()
    wave_size: int = 25
    only: tuple[str, ...] = ()
    accepts_short_window: bool = False


DEFAULT_ORDER = Order()


@dataclass(frozen=True)
class Bundle:
    """A whole rollout.

    Attributes:
        plan: Hash of the `plan.json` that it brings into Azure.
        emergency: Emergency access accounts, which nothing here touches.
        swaps: Sorted by wave and id.
        left_out: Assignments that the plan changes and this rollout does not.
        roles: The plan's roles in ARM's form, by GUID.
        old_roles: Custom roles of the removed assignments, in ARM's form, by GUID: a rollback may make them again.
        order: The options of `rollout plan`.
        names: Display names of its principals, roles and left-out assignments, by folded id.
    """

    plan: str
    emergency: tuple[str, ...]
    swaps: tuple[Swap, ...]
    left_out: tuple[LeftOut, ...]
    roles: Mapping[str, Mapping[str, Any]]
    old_roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: Order = DEFAULT_ORDER
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the bundle as it is written."""
        return hashlib.sha256(write_bundle(self).encode()).hexdigest()

    @property
    def waves(self) -> tuple[int, ...]:
        """The numbers of the waves."""
        return tuple(sorted({swap.wave for swap in self.swaps}))


def write_bundle(bundle: Bundle) -> str:
    """Return a bundle as JSON, the same for the same bundle."""
    return json.dumps({"format_version": FORMAT, **asdict(bundle)}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def read_bundle(text: bytes) -> Bundle:
    """Return the bundle of a text, or raise InputError where the text does not have this format."""
    document = load_object(text, "`rollout.json`", hint=_AGAIN)
    if document.get("format_version") != FORMAT:
        raise InputError("`rollout.json` is not a rollout of this version", hint=_AGAIN)
    _checks().require(document, "`rollout.json`", hint=_AGAIN)
    bundle: Bundle = made_of(Bundle, {one.name: document[one.name] for one in fields(Bundle)})
    return bundle


@cache
def _checks() -> SchemaChecks:
    return SchemaChecks(json.loads(bundle_schema()))


def bundle_schema() -> str:
    """Return the JSON Schema of `rollout.json`, as text."""
    schema = json_schema_of(Bundle)
    names = [one.name for one in fields(Bundle)]
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:rightsize:rollout:{FORMAT}",
        "title": f"A rollout: rollout.json, format version {FORMAT}",
        "type": "object",
        "properties": {"format_version": {"const": FORMAT}, **schema["properties"]},
        "required": ["format_version", *names],
    }
    return json.dumps(document, indent=1) + "\n"


_LINE = 640
"""Bytes of a line without its data: names of fields, ids, a time, two hashes."""
_LINES_A_SWAP, _LINES_AN_ASSIGNMENT, _LINES_A_ROLE = 12, 6, 6
_REASON = 2_048
"""Bytes of Azure's text on a refusal, cut at 300 characters of up to six bytes each."""
_RULES = 65_536
"""Bytes of a role's rules in Privileged Identity Management, which no bundle has."""
_SET_BY_AZURE = 4_096
"""Bytes that Azure adds to a definition or an assignment (who made it and when)."""


def room_for(bundle: Bundle) -> int:
    """Return the number of bytes to reserve for the journal of a bundle."""
    return sum(_of_swap(swap, bundle) for swap in bundle.swaps) + 2 * _LINE


def _of_swap(swap: Swap, bundle: Bundle) -> int:
    held = [*swap.creates, *swap.removes]
    lines = _LINES_A_SWAP + _LINES_AN_ASSIGNMENT * (len(held) + len(swap.switches)) + _LINES_A_ROLE * len(swap.roles)
    lines += sum(4 * len(one.vault) for one in swap.switches) // _LINE + len(swap.switches)
    old = {one.role for one in swap.removes} & bundle.old_roles.keys()
    definitions = sum(2 * _size(bundle.old_roles[role]) + _SET_BY_AZURE + 3 * _LINE for role in old)
    kept = sum(_of_held(one) for one in held)
    return lines * _LINE + definitions + kept + len(swap.rules) * (_RULES + 4 * _LINE) + 4 * _REASON


def _of_held(one: Held) -> int:
    return 2 * _size(asdict(one)) + 4 * len(one.scope) + _SET_BY_AZURE


def _size(document: object) -> int:
    return len(json.dumps(document, ensure_ascii=True))


def home_of(scope: str) -> str:
    """Return the folded scope where an assignment counts: its subscription, or its own scope above subscriptions."""
    parts = fold(scope).split("/")
    return "/".join(parts[:3]) if parts[1:2] == ["subscriptions"] else fold(scope)


def most_at(home: str) -> int:
    """Return the maximum number of assignments that Azure allows at a scope of `home_of`."""
    return ASSIGNMENTS_PER_SUBSCRIPTION if home.startswith("/subscriptions/") else ASSIGNMENTS_PER_MANAGEMENT_GROUP
