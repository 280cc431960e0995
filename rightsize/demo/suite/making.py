"""Make the parts of a suite tenant from a seed: people with jobs, broad grants, resources, and planted needs."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rightsize.demo.suite.jobs import (
    GROUP,
    SUBSCRIPTION,
    Bystander,
    Job,
    NeedRow,
    bystanders,
    rates,
    resources_of,
    target_scope,
)
from rightsize.demo.suite.model import (
    AHEAD_DAYS,
    LAST_OWNER,
    LAST_SEEN,
    READABLE,
    SEEN_DAYS,
    NeedKind,
    Shape,
    SuiteCatalogue,
    SuiteGrant,
    SuiteNeed,
    SuitePrincipal,
    SuiteRefusal,
    SuiteResource,
    SuiteScope,
    is_owner_of,
)
from rightsize.demo.writing import below, guid
from rightsize.model.errors import InputError
from rightsize.model.nouns import Plane, RoleDefinition
from rightsize.model.text import fold
from rightsize.rbac.algebra import grants

_BUS = "Microsoft.ServiceBus/namespaces"
_LAB = f"/resourceGroups/lab/providers/{_BUS}/lab"
"""A resource that goes with its resource group: no listing has it, and no log names it."""
_GROUP_TYPE = "Microsoft.Resources/subscriptions/resourceGroups"
_MACHINE = "Microsoft.Compute/virtualMachines"
_ASSIGN = "Microsoft.Authorization/roleAssignments/write"
_LIST = "Microsoft.Resources/subscriptions/resources/read"
_MONTHLY = (0, 31, 62, SEEN_DAYS)
_SCAN = "Microsoft.PolicyInsights/policyStates/triggerEvaluation/action"


@dataclass(slots=True)
class Making:
    """What a tenant has so far; each method adds a part."""

    shape: Shape
    seed: int
    catalogue: SuiteCatalogue
    jobs: tuple[Job, ...]
    scopes: list[SuiteScope] = field(default_factory=list)
    principals: list[SuitePrincipal] = field(default_factory=list)
    members: dict[str, list[str]] = field(default_factory=dict)
    grants: list[SuiteGrant] = field(default_factory=list)
    resources: list[SuiteResource] = field(default_factory=list)
    needs: dict[tuple[str, str, str], SuiteNeed] = field(default_factory=dict)
    logging: set[str] = field(default_factory=set)
    refusals: list[SuiteRefusal] = field(default_factory=list)
    hired: list[tuple[Job, SuitePrincipal, SuiteScope, list[RoleDefinition]]] = field(default_factory=list)

    def id(self, *words: object) -> str:
        """Return a GUID of the tenant."""
        return guid("suite", self.shape.name, self.seed, *words)

    def draw(self, limit: int, *words: object) -> int:
        """Return a number below a limit."""
        return below(limit, "suite", self.shape.name, self.seed, *words)

    def place(self) -> None:
        """Make management groups, subscriptions and resources."""
        root = f"/providers/Microsoft.Management/managementGroups/{self.id('tenant')}"
        self.scopes.append(SuiteScope(root, "Tenant Root Group", ""))
        groups = {}
        for name in dict.fromkeys(group for _, group, _ in self.shape.subscriptions if group):
            groups[name] = f"/providers/Microsoft.Management/managementGroups/{name}"
            self.scopes.append(SuiteScope(groups[name], name, root))
        for name, group, families in self.shape.subscriptions:
            scope = f"/subscriptions/{self.id('subscription', name)}"
            gap = self.shape.gaps.get(name, "")
            own = frozenset(families) | ({job.family for job in self.jobs} if self.shape.teams else frozenset())
            self.scopes.append(SuiteScope(scope, name, groups.get(group, root), own, gap))
            self.resources += resources_of(scope, name, own, self.shape.teams)
            if gap == "emptied":
                self.resources.append(SuiteResource(f"{scope}{_LAB}", _BUS, "lab", {}, listed=False))

        self.logging = {one.scope for one in self.resources if one.sends_log}

    def role(self, name: str) -> RoleDefinition:
        """Return a built-in role by name."""
        role = self.catalogue.roles.get(name)
        if role is None:
            raise InputError(
                f"the catalogue has no built-in role `{name}`",
                hint="give all built-in roles, from `az role definition list -o json`",
            )
        return role

    def hire(self, job: Job, number: str) -> None:
        """Add a holder of a job, if a subscription has a place for it, with the needs that its grants allow."""
        places = [scope for scope in self.scopes if scope.is_subscription and job.family in scope.families]
        if not places:
            return
        home = places[self.draw(len(places), job.name, number, "home")]
        # What an application gets and does is what an agent does: it joins no group and activates nothing.
        job = replace(job, kind="app") if self.shape.blueprints else job
        name = f"{job.name}-{number}@contoso.com" if job.kind == "user" else f"{job.name}-{number}"
        who = self.agent(name, job.name) if self.shape.blueprints else self.add(job.kind, name, (job.name,))
        wanted = [*self.wanted(job, who, home)]
        held = self.give(job, who, home, wanted)
        self.hired.append((job, who, home, held))
        self.plant_granted(wanted, held)
        self.refusals += self.refused(job, who, wanted, held)

    def refused(
        self, job: Job, who: SuitePrincipal, wanted: Sequence[SuiteNeed], held: Sequence[RoleDefinition]
    ) -> Iterator[SuiteRefusal]:
        """Yield the calls of a holder that Azure refused: parts of the job, checks inside a write, and a try."""
        causes: dict[str, str] = {row.operation: fold(row.cause) for row in job.needs if row.cause}
        writes: dict[str, SuiteNeed] = {
            fold(need.operation): need for need in wanted if need.seen and is_granted(need, held)
        }
        for need in wanted:
            write = writes.get(causes.get(need.operation, ""))
            if write is not None:
                place = "" if is_granted(need, held) else need.scope
                if self.draw(1000, who.name, need.operation, "refused link") < rates()["refused_link"]:
                    elsewhere = self.out_of_reach(who)
                    place = "/".join((elsewhere, *need.scope.split("/")[3:])) if elsewhere else place
                if place:
                    yield SuiteRefusal(who.principal_id, write.operation, write.scope, write.seen[0],
                                       need.operation, place)  # fmt: skip
            elif need.kind == "logged" and need.seen and not need.by_resource and not is_granted(need, held):
                yield SuiteRefusal(who.principal_id, need.operation, need.scope, need.seen[0])
        group = next((need.scope for need in wanted if "/resourceGroups/" in need.scope), "")
        tried = SuiteNeed(who.principal_id, _ASSIGN, "control", "/".join(group.split("/")[:5]), "logged", ())
        if group and self.draw(1000, who.name, "refused") < rates()["refused"] and not is_granted(tried, held):
            yield SuiteRefusal(who.principal_id, tried.operation, tried.scope, self.draw(SEEN_DAYS, who.name, "tried"))

    def out_of_reach(self, who: SuitePrincipal) -> str:
        """Return a subscription where a holder has no right; that of others where the tenant has only one."""
        groups = {group for group, members in self.members.items() if who.principal_id in members}
        held = {one.scope for one in self.grants if one.principal_id in {who.principal_id, *groups}}
        known = [one for one in self.scopes if one.is_subscription]
        free = [one.scope for one in known if one.parent not in held and not any(one.scope in scope for scope in held)]
        return free[0] if free else f"/subscriptions/{self.id('others')}" if len(known) == 1 else ""

    def complete(self) -> None:
        """Plant a seasonal and a future need where chance has planted none, so that every tenant has every kind."""
        for kind in ("seasonal", "future"):
            if all(need.kind != kind for need in self.needs.values()):
                found = (need for one in self.hired for need in self.rare(*one, kind == "future"))
                for need in list(found)[:1]:
                    self.plant(need)

    def rare(
        self, job: Job, who: SuitePrincipal, home: SuiteScope, held: Sequence[RoleDefinition], is_future: bool
    ) -> Iterator[SuiteNeed]:
        """Yield the seasonal needs of a holder's job, or those that the holder does not have yet, as future needs."""
        for row in job.needs:
            base = self.targets(row.target, home)
            if base and row.kind == ("logged" if is_future else "seasonal"):
                kind: NeedKind = "future" if is_future else "seasonal"
                scope = target_scope(row.operation, *base[0])
                days = self.days(row, who, kind)
                need = SuiteNeed(who.principal_id, row.operation, "control", scope, kind, days)
                if is_granted(need, held) and _key(need) not in self.needs:
                    yield need

    def add(self, kind: Any, name: str, jobs: tuple[str, ...] = (), **more: Any) -> SuitePrincipal:
        """Add a principal."""
        made = SuitePrincipal(self.id("principal", name), kind, name, jobs, **more)
        self.principals.append(made)
        return made

    def agent(self, name: str, job: str) -> SuitePrincipal:
        """Add an agent; with the first of a blueprint, its principal."""
        blueprint = self.shape.blueprints[len(self.hired) % len(self.shape.blueprints)]
        app_id = self.id("blueprint", blueprint)
        if all(one.blueprint != app_id for one in self.principals):
            self.add("blueprint", blueprint, signs_in="never", blueprint=app_id)
        return self.add("agent", name, (job,), blueprint=app_id)

    def plant(self, need: SuiteNeed) -> None:
        """Plant a need; one that a log shows stands before the same need of another kind."""
        known = self.needs.get(_key(need))
        if known is None or (need.is_recorded and not known.is_recorded):
            self.needs[_key(need)] = need

    def plant_granted(self, wanted: Sequence[SuiteNeed], held: Sequence[RoleDefinition]) -> None:
        """Plant those of the needs of a holder that its roles allow."""
        for need in wanted:
            if is_granted(need, held):
                self.plant(need)

    def wanted(self, job: Job, who: SuitePrincipal, home: SuiteScope) -> Iterator[SuiteNeed]:
        """Yield the needs of a holder of a job; there is at least one."""
        made = {row: need for row in job.needs if not row.cause for need in self.needs_of(job, row, who, home)}
        if not made:
            made = {row: need for row in job.needs[:1] for need in self.needs_of(job, row, who, home, certain=True)}
        yield from made.values()
        for row, need in list(made.items()):
            others = [one for one in self.targets(row.target, home) if target_scope(row.operation, *one) != need.scope]
            if row.kind == need.kind == "logged" and others and self.lot(who, row, "other") < rates()["new_resource"]:
                scope = target_scope(row.operation, *others[0])
                yield SuiteNeed(who.principal_id, row.operation, "control", scope, "future", self.ahead(who, row))
        for row in job.needs:
            causes = [need.days for cause, need in made.items() if fold(cause.operation) == fold(row.cause)]
            days = tuple(sorted({day for one in causes for day in one}))
            base = self.targets(row.target, home)
            if base and days and days[0] < SEEN_DAYS:
                scope = target_scope(row.operation, *base[self.lot(who, row, "target") % len(base)])
                yield SuiteNeed(who.principal_id, row.operation, "control", scope, row.kind, days)

    def needs_of(
        self, job: Job, row: NeedRow, who: SuitePrincipal, home: SuiteScope, *, certain: bool = False
    ) -> Iterator[SuiteNeed]:
        """Yield the need of one row of a job, if the holder has it."""
        base = self.targets(row.target, home)
        if not base:
            return
        lot = 0 if certain else self.lot(who, row, "has")
        kind: NeedKind = row.kind
        chance = job.logged if row.kind == "logged" else rates()[row.kind]
        if lot >= chance:
            if row.kind != "logged" or lot >= chance + rates()["future"]:
                return
            kind = "future"
        # A key for data is asked for where its holder has data.
        data = [one for one in job.needs if one.kind == "data" and one.target == row.target]
        at = data[0] if row.kind == "endpoint" and data else row
        target = base[self.lot(who, at, "target") % len(base)]
        scope = target_scope(row.operation, *target)
        days = self.days(row, who, kind)
        plane: Plane = "data" if row.kind == "data" else "control"
        by_resource = row.kind in ("data", "endpoint") and target[1] in self.logging
        shown: NeedKind = "logged" if by_resource else kind
        yield SuiteNeed(who.principal_id, row.operation, plane, scope, shown, days, by_resource)

    def days(self, row: NeedRow, who: SuitePrincipal, kind: NeedKind) -> tuple[int, ...]:
        """Return the days of a need; quarterly work was last done just before the window, or before the log."""
        if kind == "future":
            return self.ahead(who, row)
        if row.every is None:
            earlier = (self.lot(who, row, "earlier") % 2,) if self.lot(who, row, "seen") < 500 else ()
            return (*earlier, *self.ahead(who, row)[:1])
        return tuple(range(self.lot(who, row, "first") % row.every, SEEN_DAYS + AHEAD_DAYS, row.every))

    def ahead(self, who: SuitePrincipal, row: NeedRow) -> tuple[int, ...]:
        """Return days ahead of the seen ones."""
        first = SEEN_DAYS + self.lot(who, row, "ahead") % AHEAD_DAYS
        return tuple(range(first, SEEN_DAYS + AHEAD_DAYS, row.every or AHEAD_DAYS))

    def lot(self, who: SuitePrincipal, row: NeedRow, why: str) -> int:
        """Return a number from 0 to 999 for a holder and a need of the job."""
        return self.draw(1000, who.name, row.kind, row.operation, row.target, why)

    def targets(self, target: str, home: SuiteScope) -> list[tuple[str, str]]:
        """Return (type, id) of what a need may be about, in a subscription."""
        if target == SUBSCRIPTION:
            return [(target, home.scope)]
        if target == GROUP:
            return [(target, f"{home.scope}/resourceGroups/{name}") for name in ("app", "platform")]
        return [
            (one.resource_type, one.scope)
            for one in self.resources
            if one.resource_type == target and one.scope.startswith(f"{home.scope}/")
        ]

    def give(
        self, job: Job, who: SuitePrincipal, home: SuiteScope, wanted: Sequence[SuiteNeed]
    ) -> list[RoleDefinition]:
        """Give a holder its assignments, and return their roles."""
        lot = self.draw(100, who.name, "grant")
        broad, held = self.role(job.broad), [self.role("Reader")]
        groups = sorted({"/".join(need.scope.split("/")[:5]) for need in wanted})
        above = home.parent if len(self.shape.subscriptions) > 1 else home.scope
        if lot < 20:
            held = [self.grant(who, broad, above)]
        elif lot < 45:
            held = [self.grant(who, broad, home.scope)]
        elif lot < 54:
            held = [self.grant(who, self.role("Owner"), home.scope)]
        elif lot < 70 and job.narrow:
            held = [
                self.grant(who, self.role(job.narrow), home.scope),
                self.grant(who, self.role("Reader"), home.scope),
            ]
        elif lot < 82 and job.kind == "user":
            held = [self.join(job, who, home, broad)]
        elif lot < 92 and all("/resourceGroups/" in group for group in groups):
            held = [self.grant(who, broad, group) for group in groups]
        elif lot >= 94 and job.kind == "user":
            held = [self.grant(who, broad, home.scope, "eligible"), self.grant(who, self.role("Reader"), home.scope)]
        else:
            held = [self.grant(who, broad, home.scope)]
        if job.data:
            resources = sorted({"/".join(need.scope.split("/")[:9]) for need in wanted if need.plane == "data"})
            narrow = self.draw(1000, who.name, "data grant") < rates()["data_at_resource"]
            held += [self.grant(who, self.role(job.data), place) for place in (narrow and resources) or [home.scope]]
        return held

    def join(self, job: Job, who: SuitePrincipal, home: SuiteScope, role: RoleDefinition) -> RoleDefinition:
        """Put a holder into the group of the job in a subscription, which is made where there is none."""
        name = f"{job.name}-{home.name}"
        known = next((one for one in self.principals if one.name == name), None)
        if known is None:
            known = self.add("group", name)
            self.grant(known, role, home.scope)
        self.members.setdefault(known.principal_id, []).append(who.principal_id)
        return role

    def grant(
        self, who: SuitePrincipal, role: RoleDefinition, scope: str, state: Any = "active", **more: Any
    ) -> RoleDefinition:
        """Assign a role, and return it."""
        id_ = self.id("grant", who.name, role.role_name, scope, state)
        if all(one.grant_id != id_ for one in self.grants):
            self.grants.append(SuiteGrant(id_, who.principal_id, role, scope, state, **more))
        return role

    def add_bystanders(self) -> None:
        """Add those without a job: who stays by design, the reader of the inventory, newcomers, and the idle."""
        for row in bystanders():
            places = self.places_of(row) if row.role else [""]
            for number in range(row.counts[self.shape.size] if places else 0):
                created = dt.date(2024, 1, 8) if row.age is None else LAST_SEEN - dt.timedelta(days=row.age)
                name = f"{row.name}-{number}" + ("@contoso.com" if row.kind == "user" else "")
                who = self.add(row.kind, name, created_on=created, owner=row.owner, signs_in=row.signs_in)
                if row.role:
                    self.grant(who, self.role(row.role), places[number % len(places)], row.state,
                               by_design=row.by_design, created_on=created, activated=row.activated)  # fmt: skip

    def places_of(self, row: Bystander) -> list[str]:
        """Return the scopes where those without a job may hold their role; there may be none."""
        if row.place in ("root", "top"):
            return ["/" if row.place == "root" else self.scopes[0].scope]
        places = [one for one in self.scopes if one.is_subscription]
        if row.place == SUBSCRIPTION:
            return [one.scope for one in places]
        found = [one.scope for one in places if one.gap == row.place]
        return found or [one.scope for one in self.resources if one.resource_type == row.place]

    def fill_gaps(self) -> None:
        """Plant needs in subscriptions of which not everything can be known, and the deletion of a resource group."""
        people = {one.name.partition("-0")[0]: one.principal_id for one in self.principals}
        every_day = tuple(range(SEEN_DAYS + AHEAD_DAYS))
        for scope in (one for one in self.scopes if one.gap):
            if who := people.get(f"scanner-{scope.gap}"):
                self.plant(SuiteNeed(who, _SCAN, "control", scope.scope, "logged", every_day))
            if who := people.get(f"sender-{scope.gap}"):
                buses = [one for one in self.resources if one.resource_type == _BUS]
                bus = next(one.scope for one in buses if one.scope.startswith(f"{scope.scope}/"))
                # What was in a deleted resource group is made anew after the seen days.
                days = (*range(2, 35, 3), SEEN_DAYS + 4) if scope.gap == "emptied" else every_day[2::3]
                self.plant(SuiteNeed(who, f"{_BUS}/messages/send/action", "data", bus, "data", days))
            if scope.gap == "standby":
                machine = f"{scope.scope}/resourceGroups/app/providers/{_MACHINE}/one"
                self.plant(SuiteNeed(people["standby-operator"], f"{_MACHINE}/write", "control", machine, "future",
                                     (SEEN_DAYS + 12,)))  # fmt: skip
            if scope.gap == "emptied":
                group = f"{scope.scope}/resourceGroups/lab"
                self.plant(SuiteNeed(people["lab-owner"], f"{_GROUP_TYPE}/delete", "control", group, "logged", (40,)))

    def plant_readings(self) -> None:
        """Plant what the reader of the inventory reads in each subscription: once a month, and after the seen days."""
        for scope in (one.scope for one in self.scopes if one.is_subscription):
            self.plant(SuiteNeed(self.id("principal", "inventory-reader-0"), _LIST, "control", scope, "read", _MONTHLY))

    def limit_reader(self) -> None:
        """Let the reader of the inventory read only one resource group of an unreadable subscription."""
        found = [one for one in self.scopes if one.is_subscription]
        if not any(one.gap == "unreadable" for one in found):
            return
        reader = next(one for one in self.principals if one.name == "inventory-reader-0")
        self.grants = [one for one in self.grants if one.principal_id != reader.principal_id]
        for one in found:
            place = f"{one.scope}/resourceGroups/{READABLE}" if one.gap == "unreadable" else one.scope
            self.grant(reader, self.role("Reader"), place)

    def name_last_owners(self) -> None:
        """Mark for each subscription with Owners the assignment of the one who has most recorded days there."""
        days: Counter[str] = Counter()
        for need in self.needs.values():
            days[need.principal_id] += len(need.days) if need.is_recorded else 0
        for scope in [one.scope for one in self.scopes if one.is_subscription]:
            found = [one for one in self.grants if is_owner_of(one, scope)]
            if found:
                last = min(found, key=lambda one: (-days[one.principal_id], one.grant_id))
                self.grants[self.grants.index(last)] = replace(last, by_design=LAST_OWNER)


def _key(need: SuiteNeed) -> tuple[str, str, str]:
    return need.principal_id, fold(need.operation), fold(need.scope)


def is_granted(need: SuiteNeed, roles: Sequence[RoleDefinition]) -> bool:
    """Return whether one of some roles grants a need."""
    return any(grants(role.permissions, need.operation, need.plane) != "no" for role in roles)
