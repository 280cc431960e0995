"""Generate staff beyond the cast: teams with a job, a resource group, people, a pipeline and an identity each.

Each team does one job of `data/team_jobs.csv`, so that teams differ by their job and their place. All parts are within
Contributor. The parts of a job without a rate are seldom done, and not by everybody.

Everyday work is the same every month, so it cannot test the break estimate. Therefore some teams have people who now
and then do something for the first time. Every second team also has one more assignment: for a month end, a recovery
drill or the rotation of certificates, or one that its holder never or hardly ever uses.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from rightsize.demo import tenant
from rightsize.demo.people import DOMAIN, Cast, read_data
from rightsize.demo.writing import below, guid
from rightsize.model.nouns import RoleDefinition

_SELDOM = "seldom"


@dataclass(frozen=True, slots=True)
class Part:
    """An operation of a job: type and name of its object below the resource group, cadence and rate of `Habit`."""

    operation: str
    below_group: str
    cadence: str
    rate: float


@dataclass(frozen=True, slots=True)
class TeamJob:
    """A job: what its holders do, and (operation, object below the resource group) of what few of them do, seldom."""

    name: str
    parts: tuple[Part, ...]
    seldom: tuple[tuple[str, str], ...]


@cache
def team_jobs() -> tuple[TeamJob, ...]:
    """Return the jobs, in the table's order."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(read_data("team_jobs.csv").splitlines()):
        rows.setdefault(row["job"], []).append(row)
    return tuple(
        TeamJob(
            name,
            tuple(
                Part(row["operation"], row["below_group"], row["cadence"], float(row["rate"]))
                for row in found
                if row["cadence"] != _SELDOM
            ),
            tuple((row["operation"], row["below_group"]) for row in found if row["cadence"] == _SELDOM),
        )
        for name, found in rows.items()
    )


def job_of(spec: tenant.TenantSpec, team: int) -> TeamJob:
    """Return the job of a team."""
    return team_jobs()[below(len(team_jobs()), spec.seed, "job", team)]


Case = Literal["", "month_end", "drill", "rotation", "silent", "unused"]
_CASES: tuple[Case, ...] = ("month_end", "drill", "rotation", "silent", "silent", "unused", "unused", "", "", "", "")
# Assignments that follow the calendar: name of the holder, cadence, operation, one more that comes now and then, place.
SEASONS = {
    "month_end": (
        "closing",
        "month_end",
        "Microsoft.Sql/servers/databases/export/action",
        "Microsoft.Sql/servers/databases/import/action",
        "Microsoft.Sql/servers/{app}/databases/main",
    ),
    "drill": (
        "drill",
        "four_weekly",
        "Microsoft.Sql/servers/databases/failover/action",
        "Microsoft.Sql/servers/databases/restorePoints/action",
        "Microsoft.Sql/servers/{app}/databases/main",
    ),
    "rotation": (
        "rotate",
        "monthly",
        "Microsoft.Web/certificates/Write",
        "Microsoft.Web/certificates/Delete",
        "Microsoft.Web/certificates/{app}",
    ),
}
NEW_IN_A_CYCLE = 0.15
"""Chance that a cycle has an operation that the other cycles lack."""
_STIRRING = 8
"""One in this many holders of an unused assignment uses it for some days after all."""
_SPELL_DAYS = 5
_LEAST, _SPREAD = 0.004, 15.0


@dataclass(frozen=True, slots=True)
class Occasion:
    """A rare operation: its place, and its chance on each day of the cadence."""

    operation: str
    below_group: str
    rate: float


def case_of(spec: tenant.TenantSpec, team: int) -> Case:
    """Return the purpose of the assignment that a team has besides its group's."""
    return _CASES[below(len(_CASES), spec.seed, "case", team)]


def seldom_work(spec: tenant.TenantSpec, team: int, person: int, job: TeamJob) -> Iterator[Occasion]:
    """Yield the rare operations of a member of a team, all of its job; half of the teams have none."""
    restless = below(4, spec.seed, "restless", team)
    if restless < 2 or (restless == 2 and person) or person % 2:
        return
    first = below(len(job.seldom), spec.seed, "seldom", team, person)
    many = 1 + below(restless, spec.seed, "seldom number", team, person) // 2
    for number in range(min(many, len(job.seldom))):
        share = below(1000, spec.seed, "seldom rate", team, person, number) / 1000
        operation, below_group = job.seldom[(first + number) % len(job.seldom)]
        yield Occasion(operation, below_group, _LEAST * _SPREAD**share)


def stirring_days(spec: tenant.TenantSpec, team: int) -> tuple[int, int] | None:
    """Return first and last day, counted backwards, on which an idle assignment was used after all; mostly None."""
    if below(_STIRRING, spec.seed, "stirs", team):
        return None
    first = _SPELL_DAYS + below(spec.days - _SPELL_DAYS, spec.seed, "stirring", team)
    return first, first - _SPELL_DAYS + 1


TEAM_SIZE = 12
_SMALL = 5
"""The largest team size without any assignment besides the usual ones."""
_IDLE, _MOST = 4, 5
"""One in `_IDLE` people does nothing, and the others lack one in `_MOST` parts of their job."""
_MANAGEMENT_GROUP = "avh-landingzones"

_RELEASE = (
    ("Microsoft.Resources/deployments/write", "Microsoft.Resources/deployments/release"),
    ("Microsoft.Web/sites/write", "Microsoft.Web/sites/{app}"),
    ("Microsoft.Web/serverfarms/join/action", "Microsoft.Web/serverfarms/plan"),
)
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


@cache
def _names() -> tuple[tuple[str, ...], ...]:
    """Return first names, last names, and wards of a hospital."""
    return tuple(tuple(line.split()) for line in read_data("names.txt").splitlines())


@dataclass(slots=True)
class Filling:
    """The principals, scopes, grants and habits that are added to the cast."""

    scopes: list[tenant.SampleScope] = field(default_factory=list)
    principals: list[tenant.Principal] = field(default_factory=list)
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    grants: list[tenant.SampleGrant] = field(default_factory=list)
    habits: list[tenant.Habit] = field(default_factory=list)


def fill(spec: tenant.TenantSpec, cast: Cast) -> Filling:
    """Return the staff, subscriptions and habits beyond the cast."""
    filling = Filling()
    roles = {role.role_name: role for role in cast.roles}
    subscriptions = [scope.scope for scope in cast.scopes if scope.kind == "subscription"]
    extra = list(_extra_subscriptions(spec, cast))
    filling.scopes.extend(extra)
    # Teams use subscriptions of their own where there are any, so that those of the cast stay readable.
    homes = [scope.scope for scope in extra] or subscriptions
    tagger = next(principal for principal in cast.principals if "tagger" in principal.options)
    tags = next(grant for grant in cast.grants if grant.principal_id == tagger.principal_id)
    for scope in extra:
        filling.habits.append(_nightly(tagger, tags, "Microsoft.Resources/tags/write", scope.scope))
    wanted = spec.principals - tenant.MIN_PRINCIPALS
    for team in range((wanted + TEAM_SIZE - 1) // TEAM_SIZE):
        size = min(TEAM_SIZE, wanted - team * TEAM_SIZE)
        _Team(spec, filling, roles, homes[team % len(homes)], team).found(size)
    return filling


def _extra_subscriptions(spec: tenant.TenantSpec, cast: Cast) -> Iterator[tenant.SampleScope]:
    parent = cast.places.full(f"mg:{_MANAGEMENT_GROUP}")
    wards = _names()[2]
    for index in range(spec.subscriptions - tenant.MIN_SUBSCRIPTIONS):
        name = f"{wards[index % len(wards)]} {index // len(wards) + 1:02d}"
        yield tenant.SampleScope(
            "subscription", f"/subscriptions/{guid(spec.seed, 'subscription', index)}", name, parent
        )


def _nightly(actor: tenant.Principal, grant: tenant.SampleGrant, operation: str, scope: str) -> tenant.Habit:
    return tenant.Habit(actor.principal_id, operation, scope, "logged", "nightly", 1.0, grant, grant.grant_id)


class _Team:
    """One team: a group with the assignment, its people, a pipeline and an identity."""

    def __init__(
        self, spec: tenant.TenantSpec, filling: Filling, roles: dict[str, RoleDefinition], subscription: str, index: int
    ) -> None:
        self._spec, self._filling, self._roles, self._index = spec, filling, roles, index
        wards = _names()[2]
        self._name = f"{wards[index % len(wards)]} Team {index + 1:03d}"
        self._names = {"app": f"app-team-{index + 1:03d}", "vm": f"vm-team-{index + 1:03d}"}
        self._names["store"] = f"stteam{index + 1:03d}"
        self._subscription = subscription
        self._group = f"{subscription}/resourceGroups/rg-team-{index + 1:03d}"
        self._job: TeamJob = job_of(spec, index)

    def found(self, size: int) -> None:
        """Add `size` principals: the group first, then a pipeline and an identity, then people."""
        group = self._principal("group", self._name, 0)
        # Every third team has an assignment on the whole subscription, as people do it in a hurry.
        scope = self._subscription if self._index % 3 == 0 else self._group
        grant = self._grant(group, "Contributor", scope, "group")
        if size > 1:
            self._pipeline()
        if size > 2:
            self._identity()
        case = case_of(self._spec, self._index) if size > _SMALL else ""
        alone = case in SEASONS or case == "silent"
        people = [self._person(number) for number in range(size - 3 - alone)]
        for number, person in enumerate(people):
            self._work(person, grant)
            for one in seldom_work(self._spec, self._index, number, self._job):
                self._habit(
                    person,
                    one.operation,
                    self._full(one.below_group),
                    "logged",
                    "weekday",
                    one.rate,
                    grant,
                    by_lot=True,
                )
        if case in SEASONS:
            self._seasonal(size - 4, *SEASONS[case])
        elif case:
            self._idle(self._person(size - 4) if alone else people[-1])
        self._filling.members[group.principal_id] = tuple(person.principal_id for person in people)

    def _pipeline(self) -> None:
        app = self._principal("app", f"deploy-{self._names['app']}", 1)
        grant = self._grant(app, "Contributor", self._subscription, "pipeline")
        for operation, below_group in _RELEASE:
            kind: tenant.HabitKind = "linked" if "/join/" in operation else "logged"
            self._habit(app, operation, self._full(below_group), kind, "weekday", 1.0, grant, bundle="release")

    def _identity(self) -> None:
        app = self._names["app"]
        identity = self._principal("identity", f"id-{app}", 2, f"Microsoft.Web/sites/{app}")
        account = self._full("Microsoft.Storage/storageAccounts/{store}")
        grant = self._grant(identity, "Storage Blob Data Contributor", account, "identity")
        scope = f"{account}/blobServices/default/containers/{app}"
        self._habit(identity, f"{_BLOBS}/read", scope, "unlogged_data", "nightly", 1.0, grant)

    def _person(self, number: int) -> tenant.Principal:
        index = self._index * TEAM_SIZE + number
        firsts, lasts, _ = _names()
        first, last = firsts[index % len(firsts)], lasts[(index // len(firsts) + number * 7) % len(lasts)]
        return self._principal("user", f"{first} {last}", 3 + number)

    def _work(self, person: tenant.Principal, grant: tenant.SampleGrant) -> None:
        """Let a person do most parts of the team's job; one in four does none."""
        if not below(_IDLE, self._spec.seed, "idle", person.principal_id):
            return
        for part in self._job.parts:
            if below(_MOST, self._spec.seed, "part", person.principal_id, part.operation):
                scope = self._full(part.below_group)
                self._habit(person, part.operation, scope, "logged", part.cadence, part.rate, grant)

    def _seasonal(self, number: int, what: str, cadence: str, operation: str, more: str, below_group: str) -> None:
        """Add an application that works by the calendar, and now and then does something more."""
        app = self._principal("app", f"{what}-{self._names['app']}", 3 + number)
        grant = self._grant(app, "Contributor", self._group, what)
        self._habit(app, operation, self._full(below_group), "logged", cadence, 1.0, grant)
        self._habit(app, more, self._full(below_group), "logged", cadence, NEW_IN_A_CYCLE, grant, by_lot=True)

    def _idle(self, person: tenant.Principal) -> None:
        """Add an assignment of one person that is unused, except perhaps on some days."""
        grant = self._grant(person, "Contributor", self._subscription, "spare")
        stirring = stirring_days(self._spec, self._index)
        if stirring is not None:
            part = self._job.parts[below(len(self._job.parts), self._spec.seed, "spare", self._index)]
            scope = self._full(part.below_group).replace("/resourceGroups/rg-", "/resourceGroups/rg-spare-")
            first, last = stirring
            self._habit(person, part.operation, scope, "logged", "weekday", 1.0, grant, first_ago=first, last_ago=last)

    def _habit(
        self,
        actor: tenant.Principal,
        operation: str,
        scope: str,
        kind: tenant.HabitKind,
        cadence: str,
        rate: float,
        grant: tenant.SampleGrant,
        **more: Any,
    ) -> None:
        self._filling.habits.append(
            tenant.Habit(actor.principal_id, operation, scope, kind, cadence, rate, grant, grant.grant_id, **more)
        )

    def _full(self, below_group: str) -> str:
        return f"{self._group}/providers/{below_group.format(**self._names)}"

    def _principal(self, kind: tenant.PrincipalKind, name: str, number: int, resource: str = "") -> tenant.Principal:
        index = self._index * TEAM_SIZE + number
        user = kind == "user"
        principal = tenant.Principal(
            guid(self._spec.seed, "principal", index),
            kind,
            name,
            f"{name.lower().replace(' ', '.')}.{index}@{DOMAIN}" if user else "",
            f"Engineer, {self._name}" if user else "",
            guid(self._spec.seed, "app", index) if kind in ("app", "identity") else "",
            f"{self._group}/providers/{resource}" if resource else "",
            self._spec.day_ago(300 + below(700, self._spec.seed, "age", index)),
        )
        self._filling.principals.append(principal)
        return principal

    def _grant(self, holder: tenant.Principal, role: str, scope: str, what: str) -> tenant.SampleGrant:
        age = 150 + below(150, self._spec.seed, "assigned", self._index, what)
        grant = tenant.SampleGrant(
            guid(self._spec.seed, "assignment", self._index, what),
            holder.principal_id,
            self._roles[role],
            scope,
            self._spec.day_ago(age),
        )
        self._filling.grants.append(grant)
        return grant
