"""What a rollout does, written down before anything is done: swaps, in waves, each with what it makes and removes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json
from rightsize.rbac.assignment_ids import arm_principal_type, role_path
from rightsize.rbac.text import fold

FORMAT = 1
_PROPERTIES = (
    "roleDefinitionId",
    "principalId",
    "principalType",
    "condition",
    "conditionVersion",
    "description",
    "delegatedManagedIdentityResourceId",
)
"""What makes an assignment what it is; the rest (createdOn, createdBy and their like) Azure sets itself."""


@dataclass(frozen=True, slots=True)
class Held:
    """A role assignment, as it is made or removed.

    Attributes:
        id: Its GUID, the last part of its resource id.
        scope: Where it is.
        role: GUID of the role.
        principal_id: Who holds it, and `principal_type` what that is.
        condition: Its condition, with `condition_version`.
        description: Its description.
    """

    id: str
    scope: str
    role: str
    principal_id: str
    principal_type: str
    condition: str | None = None
    condition_version: str | None = None
    description: str | None = None

    @property
    def url(self) -> str:
        """Its path in Resource Manager."""
        base = "" if self.scope == "/" else self.scope
        return f"{base}/providers/Microsoft.Authorization/roleAssignments/{self.id}"

    def properties(self) -> dict[str, Any]:
        """Return its properties as a PUT takes them."""
        found: dict[str, str | None] = {
            "roleDefinitionId": role_path(self.scope, self.role),
            "principalId": self.principal_id,
            "principalType": arm_principal_type(self.principal_type),
            "condition": self.condition,
            "conditionVersion": self.condition_version if self.condition else None,
            "description": self.description,
        }
        return {name: value for name, value in found.items() if value}

    def differs_from(self, live: Mapping[str, Any]) -> str | None:
        """Return what Azure has otherwise, in one word, or None where it is this assignment."""
        said = {
            "principal": (self.principal_id, live.get("principalId")),
            "role": (self.role, str(live.get("roleDefinitionId", "")).rsplit("/", 1)[-1]),
            "scope": (self.scope.rstrip("/"), str(live.get("scope", "")).rstrip("/")),
        }
        for name, (ours, theirs) in said.items():
            if fold(str(ours)) != fold(str(theirs)):
                return name
        for name, text in (("condition", self.condition), ("description", self.description)):
            if (text or "") != (live.get(name) or ""):
                return name
        return None


def kept_properties(live: Mapping[str, Any]) -> dict[str, Any]:
    """Return of an assignment that Azure shows what a PUT needs to make it again."""
    return {name: live[name] for name in _PROPERTIES if live.get(name) is not None}


@dataclass(frozen=True, slots=True)
class Swap:
    """Everything that changes for principals whose changes hang together; it is done whole or not at all.

    Attributes:
        id: Its name, the same for the same plan.
        wave: The wave that it goes with, from 1.
        proposals: The proposals that it brings into Azure.
        creates: The assignments that come.
        removes: Those that go, as the store knows them.
        roles: GUIDs of the plan's roles that it needs.
        wait: Seconds that Azure needs to know what is new.
        risk: The chance that it breaks somebody within 30 days.
        covered: Removed operations that a log would show, and `blind` those that none would.
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


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An assignment that the plan changes and the rollout does not, with the reason."""

    role_assignment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A whole rollout.

    Attributes:
        plan: Hash of the `plan.json` that it brings into Azure.
        emergency: Emergency access accounts, which nothing here touches.
        swaps: Sorted by wave and id.
        left_out: What the plan changes and this does not.
        roles: The plan's roles in ARM's form, by GUID.
    """

    plan: str
    emergency: tuple[str, ...]
    swaps: tuple[Swap, ...]
    left_out: tuple[LeftOut, ...]
    roles: Mapping[str, Mapping[str, Any]]

    @property
    def waves(self) -> tuple[int, ...]:
        """The numbers of the waves."""
        return tuple(sorted({swap.wave for swap in self.swaps}))


def write_bundle(bundle: Bundle) -> str:
    """Return a bundle as JSON, the same for the same bundle."""
    return json.dumps({"format_version": FORMAT, **asdict(bundle)}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def read_bundle(text: bytes) -> Bundle:
    """Read a bundle, or raise InputError where the text is none of this format."""
    document = load_json(text)
    if not isinstance(document, dict) or document.get("format_version") != FORMAT:
        raise InputError("`rollout.json` is no rollout of this version", hint="make it anew: `rightsize rollout plan`")
    try:
        return Bundle(
            plan=str(document["plan"]),
            emergency=tuple(document["emergency"]),
            swaps=tuple(_swap(one) for one in document["swaps"]),
            left_out=tuple(LeftOut(**one) for one in document["left_out"]),
            roles=dict(document["roles"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        hint = "make it anew: `rightsize rollout plan`"
        raise InputError(f"`rollout.json` is not whole: {error}", hint=hint) from None


def _swap(document: Mapping[str, Any]) -> Swap:
    fields = dict(document)
    for name in ("creates", "removes"):
        fields[name] = tuple(Held(**one) for one in fields[name])
    for name in ("proposals", "roles"):
        fields[name] = tuple(fields[name])
    return Swap(**fields)
