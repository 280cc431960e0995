"""Generate the tenants of the suite from a seed."""

from __future__ import annotations

from dataclasses import replace

from rightsize.demo.suite.jobs import Job, NeedRow, jobs
from rightsize.demo.suite.making import Making
from rightsize.demo.suite.model import PlantedJob, SuiteCatalogue, SuiteTenant
from rightsize.demo.suite.shapes import SUITES, Shape
from rightsize.demo.suite.sign_ins import sign_ins_of
from rightsize.demo.suite.teams import draw_jobs, hire_teams
from rightsize.model.nouns import Plane
from rightsize.rbac.text import Folded, fold


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
