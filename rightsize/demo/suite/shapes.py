"""The sizes of suite tenants, and the subscriptions of which not everything can be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rightsize.demo.suite.model import GAPS, Gap

_EVERY_FAMILY = ("base", "compute", "net", "web", "data", "aks", "backup", "integration", "ml", "dns")
_GROUP = "production"
DEVELOPMENT = "development"
AUDITED = "audited"
"""The family of a subscription in which every resource that can send the log of its data plane does."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a tenant.

    Attributes:
        name: Its name.
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
