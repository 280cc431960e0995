"""Generate the tenants of the suite from a seed, tenants of teams among them.

A tenant of teams has ten to twelve drawn jobs, each with several holders, and those whose work is unusual. A job comes
from the table `team_jobs.csv`, with a few more changes from Azure's catalogue. Planted besides: a group of forty of
whom one does something else, people with two jobs, an account that does two jobs on purpose, a pipeline that does
everything, guests, and jobs of which a holder does a third.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rightsize.demo.suite.jobs import GROUP, Job, NeedRow, jobs, rates, target_scope, team_jobs
from rightsize.demo.suite.logs import sign_ins_of
from rightsize.demo.suite.making import Making
from rightsize.demo.suite.model import (
    DEVELOPMENT,
    SUITES,
    PlantedJob,
    Shape,
    SuiteCatalogue,
    SuiteNeed,
    SuitePrincipal,
    SuiteScope,
    SuiteTenant,
)
from rightsize.demo.writing import below, guid
from rightsize.model.nouns import Plane
from rightsize.model.text import Folded, fold

LEAST_JOBS, MOST_JOBS = 10, 12
CROWD = 40
"""The members of the large group."""
_LEAST_HOLDERS, _MORE_HOLDERS = 4, 4
_BETWEEN, _GUESTS, _SPARSE = 4, 3, 2
"""The numbers of people with two jobs, of guests, and of jobs of which a holder does a third."""
_HOMES = (("production",), ("production", DEVELOPMENT), ("test", DEVELOPMENT), (DEVELOPMENT,))
_SELDOM_CALLED = (
    *("private", "perimeter", "prox", "valid", "check", "join", "/list", "regenerate", "internal", "providers"),
    *("migrat", "move", "register", "get", "/usages", "compare", "query", "principal", "estimate", "eventgridfilters"),
)
"""Parts of names that few people call by themselves, or that change nothing; they are not drawn."""


_TRAITS: tuple[Callable[[Job], bool], ...] = (
    lambda job: job.kind == "user" and any(row.environment for row in job.needs),
    lambda job: any(row.kind == "linked" for row in job.needs),
    lambda job: any(row.kind == "endpoint" for row in job.needs),
    lambda job: any(row.kind == "data" for row in job.needs),
)
"""What at least one job of a tenant has: an environment, a check inside a write, work on an endpoint, data actions."""


def draw_jobs(shape: Shape, seed: int, catalogue: SuiteCatalogue) -> tuple[Job, ...]:
    """Return the jobs of a tenant, by name; each trait that a tenant needs is there."""

    def rank(*words: object) -> str:
        return guid("suite", shape.name, seed, "job", *words)

    number = LEAST_JOBS + below(MOST_JOBS - LEAST_JOBS + 1, "suite", shape.name, seed, "jobs")
    ranked = sorted(team_jobs(), key=lambda job: rank(job.name))
    needed = {next(job.name for job in ranked if has(job)) for has in _TRAITS}
    chosen = sorted(ranked, key=lambda job: job.name not in needed)[:number]
    sparse = {job.name for job in sorted(chosen, key=lambda job: rank(job.name, "sparse"))[:_SPARSE]}
    return tuple(
        replace(
            job,
            needs=tuple(_drawn(job, seed, catalogue)),
            logged=rates()["sparse" if job.name in sparse else "logged"],
        )
        for job in sorted(chosen, key=lambda job: job.name)
    )


def _drawn(job: Job, seed: int, catalogue: SuiteCatalogue) -> Iterator[NeedRow]:
    """Yield the needs of a job, with drawn operations in the place of patterns."""
    known = {fold(row.operation) for row in job.needs}
    for row in job.needs:
        if not row.draws:
            yield row
            continue
        start = fold(row.operation.removesuffix("*"))
        found = [
            name
            for name, is_data, _ in catalogue.operations
            if fold(name).startswith(start)
            and is_data is False
            and fold(name) not in known
            and fold(name).rsplit("/", 1)[-1] in ("write", "action")
            and not any(part in fold(name)[len(start) - 1 :] for part in _SELDOM_CALLED)
        ]
        for name in sorted(found, key=lambda name: guid("suite", seed, job.name, name))[: row.draws]:
            yield replace(row, operation=name, draws=0)


def hire_teams(making: Making) -> None:
    """Add everybody who works in a tenant of teams."""
    by_kind = [job for job in making.jobs if job.kind == "user"]
    crowd = max(by_kind, key=lambda job: (job.logged, making.draw(1000, job.name, "crowd")))
    rest = [job for job in making.jobs if job is not crowd]
    _gather(making, crowd, rest)
    for job in rest:
        for number in range(_LEAST_HOLDERS + making.draw(_MORE_HOLDERS, job.name, "holders")):
            _hire(making, f"{job.name}-{number}", job.kind, (job,))
    people = [job for job in rest if job.kind == "user"]
    for number in range(_BETWEEN):
        _hire(making, f"between-{number}", "user", _two(making, people, number))
    for number in range(_GUESTS):
        job = people[making.draw(len(people), "guest", number)]
        _hire(making, f"guest-{number}", "user", (replace(job, logged=rates()["guest"]),), is_guest=True)
    both = tuple(replace(job, logged=1000) for job in _two(making, rest, -1))
    _hire(making, "service-desk-automation", "app", both)
    _add_pipeline(making)


def _two(making: Making, jobs: Sequence[Job], number: int) -> tuple[Job, ...]:
    first = making.draw(len(jobs), "two", number)
    return jobs[first], jobs[(first + 1 + making.draw(len(jobs) - 1, "second", number)) % len(jobs)]


def _homes(making: Making, name: str) -> list[SuiteScope]:
    chosen = _HOMES[making.draw(len(_HOMES), name, "homes")]
    return [one for one in making.scopes if one.is_subscription and one.name in chosen]


def _hire(making: Making, name: str, kind: Any, jobs: Sequence[Job], *, is_guest: bool = False) -> None:
    """Add somebody with one job or two, in one environment or two, with what the grants allow of their needs."""
    if kind == "user":
        name += "_fabrikam.com#EXT#@contoso.onmicrosoft.com" if is_guest else "@contoso.com"
    who = making.add(kind, name, tuple(job.name for job in jobs), is_guest=is_guest)
    for home in _homes(making, name):
        for job in (one.within(home.name) for one in jobs):
            wanted = [*making.wanted(job, who, home)]
            held = making.give(replace(job, kind=kind), who, home, wanted)
            making.hired.append((job, who, home, held))
            making.plant_granted(wanted, held)
            making.refusals += making.refused(job, who, wanted, held)


def _gather(making: Making, job: Job, rest: Sequence[Job]) -> None:
    """Add the group of forty, of whom the first also does a part of another job; a third of them does nothing."""
    group = making.add("group", f"{job.name}-everybody")
    homes = [one for one in making.scopes if one.name in ("production", DEVELOPMENT)]
    held = [
        making.grant(group, making.role(role), home.scope) for home in homes for role in (job.broad, job.data) if role
    ]
    for number in range(CROWD):
        who = making.add("user", f"{job.name}-{number}@contoso.com", (job.name,))
        making.members.setdefault(group.principal_id, []).append(who.principal_id)
        for home in homes if making.draw(1000, who.name, "works") < rates()["works"] else ():
            own = job.within(home.name)
            wanted = [*making.wanted(own, who, home)]
            making.hired.append((own, who, home, held))
            making.plant_granted(wanted, held)
    odd = next(one for one in making.principals if one.name == f"{job.name}-0@contoso.com")
    other = next(one for one in rest if one.kind == "user")
    _plant_odd(making, odd, other, homes[0])


def _plant_odd(making: Making, who: SuitePrincipal, other: Job, home: SuiteScope) -> None:
    """Plant logged parts of another job: two, and one of those that read secrets or delete, if there is one."""
    rows = [row for row in other.within(home.name).needs if row.kind == "logged" and row.target != GROUP]
    risky = [row for row in rows[2:] if row.operation.lower().endswith("/delete") or "/list" in row.operation.lower()]
    for row in (*rows[:2], *risky[:1]):
        scope = target_scope(row.operation, *making.targets(row.target, home)[0])
        days = making.days(row, who, "logged")
        making.plant(SuiteNeed(who.principal_id, row.operation, "control", scope, "logged", days))


def _add_pipeline(making: Making) -> None:
    """Add an application that does the logged parts of all jobs everywhere, and that has no job of its own."""
    who = making.add("app", "release-everything")
    held = [making.grant(who, making.role("Contributor"), making.scopes[0].scope)]
    for home in [one for one in making.scopes if one.is_subscription]:
        for job in making.jobs:
            own = replace(job.within(home.name), logged=1000)
            making.plant_granted([*making.wanted(own, who, home)], held)


def suite_tenants(suite: str, seed: int, catalogue: SuiteCatalogue) -> list[SuiteTenant]:
    """Return the tenants of a suite."""
    return [make_tenant(shape, seed + added, catalogue) for shape, added in SUITES[suite]]


def make_tenant(shape: Shape, seed: int, catalogue: SuiteCatalogue) -> SuiteTenant:
    """Return the tenant of a shape and a seed; the same arguments give the same tenant.

    Raises:
        InputError: The catalogue lacks a role that the tenant assigns.
    """
    making = Making(shape, seed, catalogue, draw_jobs(shape, seed, catalogue) if shape.teams else jobs())
    making.place()
    if shape.teams:
        hire_teams(making)
    for number in range(shape.rounds):
        for job in making.jobs:
            for holder in range(job.weight):
                making.hire(job, f"{number}.{holder}")
    making.complete()
    making.add_bystanders()
    making.fill_gaps()
    making.plant_readings()
    making.limit_reader()
    making.name_last_owners()
    made = SuiteTenant(
        f"{shape.name}-{seed}",
        seed,
        making.id("tenant"),
        making.id("principal", "inventory-reader-0"),
        tuple(making.scopes),
        tuple(making.principals),
        making.members,
        tuple(making.grants),
        tuple(making.resources),
        tuple(sorted(making.needs.values(), key=lambda one: (one.principal_id, one.plane, one.operation, one.scope))),
        tuple(making.refusals),
        jobs=tuple(_planted(job, making) for job in making.jobs),
    )
    return replace(made, sign_ins=tuple(sign_ins_of(made))) if shape.logs_sign_ins else made


def _planted(job: Job, making: Making) -> PlantedJob:
    """Return the truth about a job; an environment is the subscription of its name."""
    places = {one.name: fold(one.scope) for one in making.scopes if one.is_subscription}
    return PlantedJob(
        job.name,
        frozenset(_key(row) for row in job.needs if not row.cause),
        frozenset(_key(row) for row in job.needs if row.cause),
        {_key(row): places[row.environment] for row in job.needs if row.environment},
    )


def _key(row: NeedRow) -> tuple[Plane, Folded]:
    return ("data" if row.kind == "data" else "control"), fold(row.operation)
