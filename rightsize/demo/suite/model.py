"""The data classes and sizes of a suite tenant: principals, grants, resources, and the needs planted as its truth."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rightsize.model.nouns import Plane, RoleDefinition
from rightsize.model.text import Folded

SEEN_DAYS, AHEAD_DAYS = 92, 30
"""The days that a plan may see, and the days after them on which it is judged."""
LAST_SEEN = dt.date(2026, 9, 30)
"""The last day that a plan may see."""

NeedKind = Literal["logged", "read", "linked", "unruled", "endpoint", "data", "seasonal", "future"]
"""The kinds of needs, by the log that shows them or the reason why none does.

`logged` is in the Activity Log, or in the log of a resource that sends its own. No log shows `read` (reads of Resource
Manager), `linked` (checked inside a write, as `rules/linked_checks.csv` says), `unruled` (checked inside a write by a
made-up pair that no rule may have), `endpoint` (a control-plane operation on the own endpoint of a service) and `data`
(a data action). `seasonal` was last used before the window and comes back in the next days. `future` is a part of the
job that its holder first uses in the next days.
"""
NEED_KINDS: tuple[NeedKind, ...] = ("logged", "read", "linked", "unruled", "endpoint", "data", "seasonal", "future")
UNRULED: NeedKind = "unruled"
IN_LOG: tuple[NeedKind, ...] = ("logged", "seasonal", "future")
"""The kinds whose calls a log records on the days on which they are made."""

LAST_OWNER = "last_owner"
READABLE = "platform"
"""The resource group that the reader of the inventory may read in an unreadable subscription."""
FIRST_DAY = LAST_SEEN - dt.timedelta(days=SEEN_DAYS - 1)


@dataclass(frozen=True, slots=True)
class SuiteCatalogue:
    """Azure's operations and built-in roles.

    Attributes:
        operations: (operation, is a data action: true, false, or None where no source says it; the source), sorted.
    """

    operations: tuple[tuple[str, bool | None, str | None], ...]
    roles: Mapping[str, RoleDefinition]


Gap = Literal["", "unlisted", "unreadable", "emptied", "standby"]
GAPS: tuple[Gap, ...] = ("unlisted", "unreadable", "emptied", "standby")
"""The reasons why existence decides nothing, or less, in a subscription.

`unlisted` is in no inventory. Of `unreadable` the reader may read one resource group, and its lists are short. In
`emptied` a resource group was deleted within the seen days. `standby` is empty, and waits for a failure elsewhere.
"""


@dataclass(frozen=True, slots=True)
class SuiteScope:
    """A management group or subscription, with the families of resources that a subscription has."""

    scope: str
    name: str
    parent: str
    families: frozenset[str] = frozenset()
    gap: Gap = ""

    @property
    def is_subscription(self) -> bool:
        """Return whether this is a subscription, not a management group."""
        return self.scope.startswith("/subscriptions/")


@dataclass(frozen=True, slots=True)
class SuiteResource:
    """A resource; one that is not `listed` came and went within the seen days, so that no listing has it.

    `sends_log` says whether a diagnostic setting sends the log of its data plane, which the exports have.
    """

    scope: str
    resource_type: str
    name: str
    properties: Mapping[str, Any]
    listed: bool = True
    sends_log: bool = False


SignsIn = Literal["never", "some", "daily"]


@dataclass(frozen=True, slots=True)
class SuitePrincipal:
    """A user, application, AI agent or group. `jobs` is empty for groups and for those without a job.

    An application whose credentials Azure keeps is an identity. An agent has the application id of its `blueprint`, and
    so has the principal of the blueprint. `owner` is the tenant that owns the application, empty
    for the tenant itself. `signs_in` says how often the principal gets tokens besides those for its needs: people for
    mail, others for Microsoft Graph.
    """

    principal_id: str
    kind: Literal["user", "app", "identity", "group", "agent", "blueprint"]
    name: str
    jobs: tuple[str, ...] = ()
    created_on: dt.date = dt.date(2024, 1, 8)
    owner: str = ""
    signs_in: SignsIn = "some"
    blueprint: str = ""
    is_guest: bool = False

    @property
    def arm_type(self) -> str:
        """The principal type as role assignments name it."""
        return {"user": "User", "group": "Group"}.get(self.kind, "ServicePrincipal")


@dataclass(frozen=True, slots=True)
class SuiteGrant:
    """A role assignment.

    `by_design` is the word of `propose.drafts.reasons` that says why it has to stay as it is; it is empty where a plan
    may change it. Of several Owners of a subscription one has to stay, whichever it is; one of them has `LAST_OWNER`.
    `activated` are the days of activations that made no call.
    """

    grant_id: str
    principal_id: str
    role: RoleDefinition
    scope: str
    state: Literal["active", "eligible"] = "active"
    by_design: str = ""
    created_on: dt.date = dt.date(2024, 1, 8)
    activated: tuple[int, ...] = ()


def day_of(number: int) -> dt.date:
    """Return the date of a day that is counted from the first day of the log."""
    return FIRST_DAY + dt.timedelta(days=number)


def is_owner_of(grant: SuiteGrant, subscription: str) -> bool:
    """Return whether an assignment makes its holder an Owner of a subscription, standing and at the subscription."""
    return (grant.role.role_name, grant.scope, grant.state) == ("Owner", subscription, "active")


@dataclass(frozen=True, slots=True)
class SuiteNeed:
    """An operation that a principal needs at a scope, on days that are counted from the first day of the log.

    `by_resource` says that the log which shows it is that of the resource, not the Activity Log.
    """

    principal_id: str
    operation: str
    plane: Plane
    scope: str
    kind: NeedKind
    days: tuple[int, ...]
    by_resource: bool = False

    @property
    def seen(self) -> tuple[int, ...]:
        """The days of it that a plan may see, if a log shows it."""
        return tuple(day for day in self.days if day < SEEN_DAYS)

    @property
    def is_recorded(self) -> bool:
        """Return whether a log of the seen days has a call of this need."""
        return self.kind in IN_LOG and bool(self.seen)

    @property
    def comes_next(self) -> bool:
        """Return whether the need comes up on a day on which a plan is judged."""
        return any(SEEN_DAYS <= day < SEEN_DAYS + AHEAD_DAYS for day in self.days)


@dataclass(frozen=True, slots=True)
class SuiteRefusal:
    """A call that Azure refused on a seen day; `linked` is the operation that its caller lacked, if not its own."""

    principal_id: str
    operation: str
    scope: str
    day: int
    linked: str = ""
    linked_scope: str = ""


@dataclass(frozen=True, slots=True)
class SuiteSignIn:
    """A sign-in of a seen day that gave a token for a service: (application id, name)."""

    principal_id: str
    service: tuple[str, str]
    day: int


@dataclass(frozen=True, slots=True)
class PlantedJob:
    """A job of the truth: the operations that its holders call, each as (plane, folded operation).

    `checks` are those that Azure checks inside its writes. `only_at` has the folded subscription of the operations that
    are called in one environment only.
    """

    name: str
    operations: frozenset[tuple[Plane, Folded]]
    checks: frozenset[tuple[Plane, Folded]] = frozenset()
    only_at: Mapping[tuple[Plane, Folded], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SuiteTenant:
    """A tenant of the suite with its truth; without `sign_ins` no log of them is exported."""

    name: str
    seed: int
    tenant_id: str
    reader_id: str
    scopes: tuple[SuiteScope, ...]
    principals: tuple[SuitePrincipal, ...]
    members: Mapping[str, Sequence[str]]
    grants: tuple[SuiteGrant, ...]
    resources: tuple[SuiteResource, ...]
    needs: tuple[SuiteNeed, ...]
    refusals: tuple[SuiteRefusal, ...] = ()
    sign_ins: tuple[SuiteSignIn, ...] = ()
    jobs: tuple[PlantedJob, ...] = ()

    @property
    def subscriptions(self) -> tuple[SuiteScope, ...]:
        """Its subscriptions."""
        return tuple(scope for scope in self.scopes if scope.is_subscription)


_EVERY_FAMILY = ("base", "compute", "net", "web", "data", "aks", "backup", "integration", "ml", "dns")
_GROUP = "production"
DEVELOPMENT = "development"
AUDITED = "audited"
"""The family of a subscription in which every resource that can send the log of its data plane does."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a tenant.

    Attributes:
        subscriptions: (name, management group or empty, families) of each subscription.
        rounds: Number of rounds of jobs.
        size: The column of `bystanders.csv` with the numbers of those without a job.
        gaps: What cannot be known of some subscriptions, by their name.
        blueprints: Where there are any, agents made from them do all jobs, one after the other.
        logs_sign_ins: Whether the tenant keeps the logs of sign-ins, which Entra ID P1 allows.
        teams: Whether ten to twelve drawn jobs have some hundred holders, instead of all jobs a few; each subscription
            is an environment, and has the families of these jobs besides its own.
    """

    name: str
    subscriptions: tuple[tuple[str, str, tuple[str, ...]], ...]
    rounds: int = 1
    size: Literal["small", "large"] = "small"
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    blueprints: tuple[str, ...] = ()
    logs_sign_ins: bool = True
    teams: bool = False


SMALL = Shape("small", (("main", "", _EVERY_FAMILY),))
LARGE = Shape(
    "large",
    (
        ("apps", _GROUP, ("base", "compute", "net", "web")),
        ("data", _GROUP, ("base", "data", "net", "integration", AUDITED)),
        ("platform", _GROUP, ("base", "aks", "compute", "net")),
        ("research", "sandbox", ("base", "ml", "data")),
        ("shared", "sandbox", ("base", "net", "dns", "backup")),
    ),
    rounds=4,
    size="large",
)


SPECIAL = Shape(
    "special",
    (
        ("apps", _GROUP, ("base", "web")),
        ("unlisted", _GROUP, ("base", "integration")),
        ("unreadable", _GROUP, ("base", "integration")),
        ("emptied", _GROUP, ("base",)),
        ("standby", _GROUP, ()),
    ),
    gaps={gap: gap for gap in GAPS},
    logs_sign_ins=False,
)
"""A tenant with one subscription of which everything can be known, and one of each kind of gap."""
AGENTS = Shape("agents", (("main", "", _EVERY_FAMILY),), blueprints=("Cloud operations", "Data platform"))
"""A tenant in which AI agents hold the roles."""
TEAMS = Shape(
    "jobs", (("production", "", ("base",)), ("test", "", ("base",)), (DEVELOPMENT, "", ("base",))), teams=True
)
"""A tenant of teams, in three environments."""
SUITES: Mapping[str, tuple[tuple[Shape, int], ...]] = {
    "small": ((SMALL, 0),),
    "full": ((SMALL, 0), (SMALL, 1), (LARGE, 0)),
    "special": ((SPECIAL, 0),),
    "agents": ((AGENTS, 0),),
    "jobs": ((TEAMS, 0),),
}
"""The tenants of each suite: shape, and the number that is added to the seed."""
