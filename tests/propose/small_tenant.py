"""Build small tenants by hand, as the frames that a store would return."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.verdicts.judge import Analysis, analyse
from rightsize.analyze.window import choose_window
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan, Proposal
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_patterns import AzureLimits
from rightsize.propose.pipeline import make_plan
from rightsize.rbac.expand import expand_roles
from rightsize.rbac.scopes import lineage, parse_scope
from rightsize.rules.operations import annotate, planes_of

SUB = "/subscriptions/00000000-0000-0000-0000-0000000000a1"
SUB2 = "/subscriptions/00000000-0000-0000-0000-0000000000a2"
MG = "/providers/Microsoft.Management/managementGroups/corp"
APP, DATA, NET = f"{SUB}/resourceGroups/app", f"{SUB}/resourceGroups/data", f"{SUB}/resourceGroups/net"
VM = f"{APP}/providers/Microsoft.Compute/virtualMachines/vm1"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
VM_CONTRIBUTOR = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
DAY0 = dt.date(2026, 1, 1)
DAYS = 90

OPERATIONS: dict[str, bool | None] = {
    "Microsoft.Compute/virtualMachines/read": False,
    "Microsoft.Compute/virtualMachines/write": False,
    "Microsoft.Compute/virtualMachines/delete": False,
    "Microsoft.Compute/virtualMachines/start/action": False,
    "Microsoft.Compute/virtualMachines/restart/action": False,
    "Microsoft.Compute/disks/read": False,
    "Microsoft.Compute/disks/write": False,
    "Microsoft.Network/virtualNetworks/read": False,
    "Microsoft.Network/virtualNetworks/write": False,
    "Microsoft.Network/virtualNetworks/subnets/read": False,
    "Microsoft.Network/virtualNetworks/subnets/join/action": False,
    "Microsoft.Network/networkInterfaces/read": False,
    "Microsoft.Network/networkInterfaces/write": False,
    "Microsoft.Network/networkInterfaces/join/action": False,
    "Microsoft.Resources/subscriptions/resourceGroups/read": False,
    "Microsoft.Resources/subscriptions/resourceGroups/write": False,
    "Microsoft.Resources/subscriptions/resourceGroups/delete": False,
    "Microsoft.Resources/deployments/read": False,
    "Microsoft.Resources/deployments/write": False,
    "Microsoft.Authorization/roleAssignments/read": False,
    "Microsoft.Authorization/roleAssignments/write": False,
    "Microsoft.Authorization/roleAssignments/delete": False,
    "Microsoft.Management/managementGroups/read": False,
    "Microsoft.Management/managementGroups/write": False,
    "Microsoft.Storage/storageAccounts/read": False,
    "Microsoft.Storage/storageAccounts/write": False,
    "Microsoft.Storage/storageAccounts/listKeys/action": False,
    "Microsoft.Storage/storageAccounts/blobServices/containers/read": False,
    "Microsoft.Storage/storageAccounts/blobServices/containers/write": False,
    "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action": False,
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read": True,
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write": True,
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete": True,
}

ROLES: dict[str, tuple[str, list[PermissionBlock]]] = {
    OWNER: ("Owner", [PermissionBlock(actions=("*",))]),
    CONTRIBUTOR: (
        "Contributor",
        [
            PermissionBlock(
                actions=("*",), not_actions=("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write")
            )
        ],
    ),
    READER: ("Reader", [PermissionBlock(actions=("*/read",))]),
    VM_CONTRIBUTOR: (
        "Virtual Machine Contributor",
        [
            PermissionBlock(
                actions=(
                    "Microsoft.Compute/virtualMachines/*",
                    "Microsoft.Network/networkInterfaces/*",
                    "Microsoft.Network/virtualNetworks/read",
                    "Microsoft.Network/virtualNetworks/subnets/join/action",
                    "Microsoft.Resources/deployments/*",
                    "Microsoft.Resources/subscriptions/resourceGroups/read",
                )
            )
        ],
    ),
    BLOB_READER: (
        "Storage Blob Data Reader",
        [
            PermissionBlock(
                actions=(
                    "Microsoft.Storage/storageAccounts/blobServices/containers/read",
                    "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
                ),
                data_actions=("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",),
            )
        ],
    ),
}


def guid(number: int) -> str:
    """A principal or assignment id that sorts by its number."""
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class SmallTenant:
    """Collects rows; what a test does not say takes a value that lets the assignment be narrowed."""

    operations: dict[str, bool | None] = field(default_factory=lambda: dict(OPERATIONS))
    roles: dict[str, tuple[str, list[PermissionBlock]]] = field(default_factory=lambda: dict(ROLES))
    custom_roles: set[str] = field(default_factory=set)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=lambda: {SUB: MG, SUB2: MG, MG: "/"})
    covered: tuple[str, ...] = (SUB, SUB2, MG, "/")
    with_catalogue: bool = True

    def add(self, table: str, **row: Any) -> None:
        """Add a row."""
        self.rows.setdefault(table, []).append(row)

    def principal(self, number: int, kind: str = "User", **more: Any) -> str:
        """Add a principal and return its id."""
        row = {
            "principal_id": guid(number),
            "principal_type": kind,
            "display_name": f"Person {number}",
            "created_on": dt.datetime(2020, 1, 1),
            "listed": True,
            "account_enabled": None if kind == "Group" else True,
        }
        self.add("principals", **(row | more))
        return guid(number)

    def group(self, number: int, members: list[str], *, complete: bool = True, **more: Any) -> str:
        """Add a group with its members and return its id."""
        group_id = self.principal(number, "Group", **more)
        for member in members:
            self.add("group_members", group_id=group_id, member_id=member, listing="members", member_type="User")
            self.add("group_closure", group_id=group_id, member_id=member, depth=1)
        self.add("listings", listing="members", of=group_id, complete=complete)
        return group_id

    def assign(self, number: int, principal_id: str, role: str, scope: str, **more: Any) -> str:
        """Add an assignment and return its id."""
        row = {
            "role_assignment_id": guid(number),
            "state": "active",
            "principal_id": principal_id,
            "principal_type": "User",
            "principal_name": "somebody",
            "role_definition_id": role,
            "scope": scope,
            "created_on": dt.datetime(2021, 1, 1),
        }
        self.add("role_assignments", **(row | more))
        return guid(number)

    def use(
        self, principal_id: str, operation: str, scope: str, *, days: int = 3, start: int = 10, **more: Any
    ) -> None:
        """Add use on consecutive days of the window."""
        for offset in range(start, start + days):
            day = DAY0 + dt.timedelta(days=offset)
            noon = dt.datetime.combine(day, dt.time(12))
            row = {
                "principal_id": principal_id,
                "operation": operation,
                "scope": scope,
                "plane": "data" if self.operations.get(operation) else "control",
                "day": day,
                "first_seen": noon,
                "last_seen": noon,
                "succeeded": 2,
                "failed": 0,
                "started": 0,
                "denied": 0,
                "suspect": 0,
            }
            self.add("usage_days", **(row | more))

    def silent(self, kinds: tuple[str, ...] = ("interactive", "non_interactive")) -> None:
        """Say that the sign-in logs cover the window, so that nobody without a token can have read anything."""
        for kind in kinds:
            self._cover("sign_in_log", kind, "/")

    def sign_in(
        self, principal: str, resource_id: str, *, kind: str = "interactive", succeeded: int = 1, day: int = 20
    ) -> None:
        """Let a principal ask for a token of a service on a day of the window."""
        self.add(
            "sign_ins",
            principal_id=principal,
            app_id=guid(990),
            resource_id=resource_id,
            kind=kind,
            day=DAY0 + dt.timedelta(days=day),
            succeeded=succeeded,
            failed=0,
        )

    def _cover(self, source: str, category: str, scope: str, **more: Any) -> None:
        for offset in range(DAYS):
            day = DAY0 + dt.timedelta(days=offset)
            row = {"source": source, "category": category, "scope": scope, "day": day, "events": 1, "state": "observed"}
            self.add("coverage", **(row | more))

    def inputs(self) -> Inputs:
        """Return the frames."""
        rows = {name: list(found) for name, found in self.rows.items()}
        extra = SmallTenant(rows=rows)
        for scope in self.covered:
            extra._cover("activity_log", "Administrative", scope)
        rows = extra.rows
        rows["scopes"] = self._scopes()
        frames = {name: pl.DataFrame(found, schema_overrides=dict(schema_of(name))) for name, found in rows.items()}
        return Inputs.of(**frames, **self._catalogue())

    def _catalogue(self) -> dict[str, pl.DataFrame]:
        """Return the tables of roles and operations."""
        rows: dict[str, list[dict[str, Any]]] = {}
        rows["role_definitions"] = [
            {
                "role_definition_id": id_,
                "role_name": name,
                "role_type": "CustomRole" if id_ in self.custom_roles else "BuiltInRole",
                "assignable_scopes": ["/"],
                "permissions": "[]",
            }
            for id_, (name, _) in self.roles.items()
        ]
        rows["role_permissions"] = list(self._permissions())
        operations = self.operations if self.with_catalogue else {}
        rows["role_operations"] = [
            {"role_definition_id": role, "operation": name, "plane": plane, "conditional": conditional}
            for role, name, plane, conditional in expand_roles(
                {id_: blocks for id_, (_, blocks) in self.roles.items()},
                [(name, planes_of(name, is_data_action=is_data)) for name, is_data in operations.items()],
            )
        ]
        frames = {name: pl.DataFrame(found, schema_overrides=dict(schema_of(name))) for name, found in rows.items()}
        return frames | {"operations": _catalogue(tuple(operations.items()))}

    def _permissions(self) -> Any:
        for id_, (_, blocks) in self.roles.items():
            for number, block in enumerate(blocks):
                for kind, texts in (
                    ("action", block.actions),
                    ("not_action", block.not_actions),
                    ("data_action", block.data_actions),
                    ("not_data_action", block.not_data_actions),
                ):
                    for text in texts:
                        yield {
                            "role_definition_id": id_,
                            "block": number,
                            "kind": kind,
                            "pattern": text,
                            "condition": block.condition,
                        }

    def _scopes(self) -> list[dict[str, Any]]:
        named = {row["scope"] for table in ("role_assignments", "usage_days") for row in self.rows.get(table, [])}
        named |= {APP, DATA, NET, *self.parents}
        spelled = {parse_scope(text).key: parse_scope(text) for text in sorted(named, reverse=True)}
        for scope in list(spelled.values()):
            for key in lineage(scope, {}):
                spelled.setdefault(key, parse_scope(scope.text[: len(key)] if key.startswith("/s") else key))
        tree = {parse_scope(child).key: parent for child, parent in self.parents.items()}
        return [
            {
                "scope": scope.text,
                "kind": scope.kind,
                "parent_scope": tree.get(key, scope.parent),
                "listed": key in tree,
            }
            for key, scope in spelled.items()
        ]

    def plan(self, limits: AzureLimits | None = None, *, window_days: int = DAYS, **options: Any) -> Plan:
        """Analyse, once for the same rows in the same order, and propose; a new role may save little, unless said.

        In so few resource groups hardly any role saves what one has to save in a tenant.
        """
        chosen = PlanOptions(**{"role_worth": 0} | options)
        held = f"{self!r} {window_days} {chosen.min_days} {chosen.forget_days}"
        if held not in _ANALYSED:
            inputs = self.inputs()
            window = choose_window(
                inputs, DAY0 + dt.timedelta(days=DAYS), window_days, chosen.forget_days, chosen.min_days
            )
            if len(_ANALYSED) == _KEPT:
                del _ANALYSED[next(iter(_ANALYSED))]
            _ANALYSED[held] = inputs, analyse(inputs, window)
        inputs, analysis = _ANALYSED[held]
        return make_plan(inputs, analysis, chosen, content_hash="0" * 64, limits=limits)


_KEPT = 16
"""So many are kept: tenants that are alike stand in tests that are near each other."""
_ANALYSED: dict[str, tuple[Inputs, Analysis]] = {}


@lru_cache(maxsize=_KEPT)
def _catalogue(operations: tuple[tuple[str, bool | None], ...]) -> pl.DataFrame:
    """Return the catalogue with what the rules say of each operation."""
    rows = [{"operation": name, "is_data_action": flag, "is_guess": False} for name, flag in operations]
    schema = {"operation": pl.String, "is_data_action": pl.Boolean, "is_guess": pl.Boolean}
    return annotate(Inputs.of(operations=pl.DataFrame(rows, schema=schema)).operations)


def frames_of(inputs: Inputs) -> dict[str, pl.DataFrame]:
    """Return the tables of an analysis by their names."""
    return {one.name: getattr(inputs, one.name) for one in fields(inputs)}


def proposal_for(plan: Plan, assignment: str, state: str = "active") -> Proposal:
    """Return the proposal that speaks of an assignment."""
    (found,) = [one for one in plan.proposals if one.id == _proposal_id(assignment, state)]
    return found


def _proposal_id(assignment: str, state: str) -> str:
    from rightsize.propose.assembly.assemble import proposal_id  # noqa: PLC0415

    return proposal_id(assignment, state)


def strings(plan: Plan, role_id: str) -> list[str]:
    """Return the strings of a new role."""
    (found,) = [role for role in plan.roles if role.definition.role_definition_id == role_id]
    block = found.definition.permissions[0]
    return [*block.actions, *block.data_actions]


def as_text(plan: Plan) -> str:
    """Return a plan as text, to compare."""
    return json.dumps([repr(proposal) for proposal in plan.proposals]) + repr(plan.roles) + repr(plan.advice)
