"""The data classes of a generated tenant: its size, days, seed, attacks, principals, scopes, grants, habits, calls."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rightsize.model.errors import UsageError
from rightsize.model.nouns import RoleDefinition

if TYPE_CHECKING:
    import polars as pl

WINDOW_DAYS = 90
MIN_PRINCIPALS = 60
MIN_SUBSCRIPTIONS = 6
MAX_SUBSCRIPTIONS = 500
MIN_DAYS = 100
ATTACKS = (
    "user_takeover",
    "workload_takeover",
    "machine_takeover",
    "privilege_creep",
    "log_tampering",
    "role_handed_on",
    "night_activation",
)
"""A user's session and a workload's credential taken over, a machine's identity used by who runs code on it, privilege
gathered over weeks, monitoring switched off, a role given to somebody else who uses it, and an eligible role activated
at night, without the reason that was always given."""


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """The options of a tenant. The same options give the same bytes, on every machine.

    Attributes:
        seed: Chooses ids, times and the work of generated staff; the cast and its story stay the same.
        principals: Number of principals; the first 60 are the cast.
        days: Days of exported activity, the last of which is `end_day`.
        end_day: The last day with activity.
        events: Approximate number of calls in the exports; None leaves it to the habits.
        subscriptions: Number of subscriptions; the first six are the cast's.
        attacks: The planted attacks, by their names in `ATTACKS`.
    """

    seed: int = 0
    principals: int = MIN_PRINCIPALS
    days: int = 120
    end_day: dt.date = dt.date(2026, 9, 30)
    events: int | None = None
    subscriptions: int = MIN_SUBSCRIPTIONS
    attacks: tuple[str, ...] = ("user_takeover",)

    def __post_init__(self) -> None:
        """Raise UsageError for a size that does not fit the story.

        Raises:
            UsageError: A size is out of its bounds, or an attack is not known.
        """
        unknown = sorted(set(self.attacks) - set(ATTACKS))
        if unknown:
            raise UsageError(f"`{unknown[0]}` is not an attack", hint=f"one of {', '.join(ATTACKS)}")
        if self.principals < MIN_PRINCIPALS:
            raise _too_small("principals", self.principals, MIN_PRINCIPALS)
        if self.days < MIN_DAYS:
            raise _too_small("days", self.days, MIN_DAYS)
        if self.subscriptions < MIN_SUBSCRIPTIONS:
            raise _too_small("subscriptions", self.subscriptions, MIN_SUBSCRIPTIONS)
        if self.subscriptions > MAX_SUBSCRIPTIONS:
            raise UsageError(
                f"a demo tenant of `{self.subscriptions}` subscriptions is too large: at most {MAX_SUBSCRIPTIONS}"
            )
        if self.events is not None and self.events < 1:
            raise _too_small("events", self.events, 1)

    @property
    def first_day(self) -> dt.date:
        """The first day with activity."""
        return self.end_day - dt.timedelta(days=self.days - 1)

    @property
    def window_start(self) -> dt.date:
        """The first day of the observation window that ends with `end_day`."""
        return self.end_day - dt.timedelta(days=WINDOW_DAYS - 1)

    def day_ago(self, days: int) -> dt.date:
        """Return the day that lies `days` before the last one."""
        return self.end_day - dt.timedelta(days=days)


def _too_small(what: str, given: int, least: int) -> UsageError:
    return UsageError(f"a demo tenant of `{given}` {what} is too small", hint=f"give --{what} at least {least}")


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
