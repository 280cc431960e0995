"""The data classes of a generated tenant: principals, scopes, grants, habits and calls."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from rightsize.demo.spec import TenantSpec
from rightsize.model.nouns import RoleDefinition

PrincipalKind = Literal["user", "guest", "group", "app", "identity"]
# The evidence of a use: the Activity Log, the storage log of the one account that has it, the request log of another
# resource, or none.
HabitKind = Literal["logged", "storage", "request", "read", "linked", "unruled_check", "unlogged_data", "data_endpoint"]
Outcome = Literal["", "denied", "linked", "policy", "locked"]
UNRULED_CHECK = "unruled_check"
"""An invented operation that a provider checks inside a write, like undocumented checks of real providers: the rules
of linked checks do not have the pair, and must not."""
SILENT_KINDS = ("read", "linked", UNRULED_CHECK, "unlogged_data", "data_endpoint")


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, guest, group, application or managed identity.

    `options` are words: emergency, young, gone (deleted permanently), soft_deleted, first_party, foreign, policy,
    user_assigned, synced, dynamic, role_assignable, idle, on_call, tagger (tags every
    night), deployer (spared by the deny).
    """

    principal_id: str
    kind: PrincipalKind
    name: str
    user_principal_name: str = ""
    title: str = ""
    app_id: str = ""
    resource_id: str = ""
    created_on: dt.date = dt.date(2024, 1, 8)
    options: frozenset[str] = frozenset()

    @property
    def arm_type(self) -> str:
        """The principal type as role assignments name it."""
        return {"user": "User", "guest": "User", "group": "Group"}.get(self.kind, "ServicePrincipal")

    @property
    def caller(self) -> str:
        """The caller in the Activity Log: a user's UPN, an application's object id."""
        return self.user_principal_name or self.principal_id


@dataclass(frozen=True, slots=True)
class SampleScope:
    """A management group or subscription; `parent` is the full scope of the management group above."""

    kind: Literal["management_group", "subscription"]
    scope: str
    name: str
    parent: str


@dataclass(frozen=True, slots=True)
class SampleGrant:
    """A role assignment, PIM eligibility or activation, of today or (option `removed`) of the past.

    Attributes:
        grant_id: GUID of the assignment; for an eligible one of its schedule instance.
        options: Words: eligible, activated, removed, emergency, young, first_party, policy, orphan, soft_deleted.
        duplicate_of: GUID of the assignment that contains this one, or empty.
        eligibility_id: For an activation, the eligibility behind it.
        listed: Whether today's listings show it.
    """

    grant_id: str
    principal_id: str
    role: RoleDefinition
    scope: str
    created_on: dt.date
    condition: str | None = None
    duplicate_of: str = ""
    eligibility_id: str = ""
    options: frozenset[str] = frozenset()

    @property
    def state(self) -> str:
        """The state of the grant as the store has it."""
        return next((word for word in ("eligible", "activated") if word in self.options), "active")

    @property
    def listed(self) -> bool:
        """Whether today's listings show it."""
        return "removed" not in self.options


@dataclass(frozen=True, slots=True)
class Habit:
    """A repeated operation of a principal, at one scope, under one assignment.

    Attributes:
        grant: The assignment that allows it, None where no present one does.
        credited_to: The assignment of today that the truth credits; for an ended activation the eligibility.
        cadence: nightly, weekday, weekly, monthly, four_weekly, month_end or once.
        rate: Calls a day of the cadence.
        by_lot: The rate is the chance of one call on each day of the cadence, whatever `TenantSpec.events` asks for.
        bundle: Habits of one bundle happen as one request and share its correlation id.
        first_ago: Its first day, counted backwards from the last day; `last_ago` is its last day.
        linked_operation: For the outcome `linked`, the refused linked check, at `linked_scope`.
        assigned: For a role assignment that it makes, the id of the role and the type of its principal.
    """

    principal_id: str
    operation: str
    scope: str
    kind: HabitKind
    cadence: str
    rate: float
    grant: SampleGrant | None = None
    credited_to: str = ""
    outcome: Outcome = ""
    bundle: str = ""
    first_ago: int = 10_000
    last_ago: int = 0
    linked_operation: str = ""
    linked_scope: str = ""
    assigned: tuple[str, str] | None = None
    by_lot: bool = False


@dataclass(frozen=True, slots=True)
class SampleTenant:
    """A tenant: the contents of its directory and of Resource Manager, and its calls.

    Attributes:
        calls: One row a call: `habit` (index), `call` (number within the habit), `day` (offset), `time`,
            `failed` (code of a failure after authorisation, 0 for none), `pattern` (index of the row pattern),
            `has_evidence` and `has_claims` (whether its rows carry them).
        logged_resources: Storage accounts whose data plane is logged.
        missing: For a subscription the days without log, as (first, last).
    """

    spec: TenantSpec
    tenant_id: str
    domain: str
    principals: tuple[Principal, ...]
    members: dict[str, tuple[str, ...]]
    scopes: tuple[SampleScope, ...]
    roles: tuple[RoleDefinition, ...]
    grants: tuple[SampleGrant, ...]
    habits: tuple[Habit, ...]
    calls: pl.DataFrame
    logged_resources: tuple[str, ...] = ()
    missing: dict[str, tuple[dt.date, dt.date]] = field(default_factory=dict)

    def principals_by_id(self) -> dict[str, Principal]:
        """Return the principals by their object id."""
        return {principal.principal_id: principal for principal in self.principals}
