"""A plan keeps what loaded code declares where today's access grants it, says so, and verifies by it."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.model.text import fold
from rightsize.propose.assembly.purposes import read_jobs
from tests.propose.small_tenant import (
    CONTRIBUTOR,
    DATA,
    DAY0,
    READER,
    SUB,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)
from tests.propose.written_plans import Written

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
FAR = DAY0 + dt.timedelta(days=4000)
LEAN = {"reads": "none", "unobservable": "drop"}


def pipeline(*declared: str, until: dt.date = FAR) -> SmallTenant:
    """A workload that starts a machine, and whose code declares more for another resource group."""
    tenant = SmallTenant()
    robot = tenant.principal(1, "ServicePrincipal")
    tenant.assign(101, robot, CONTRIBUTOR, SUB, principal_type="ServicePrincipal")
    tenant.use(robot, START, VM)
    for operation in declared:
        tenant.add(
            "declared_needs",
            principal_id=robot,
            operation=operation,
            scope=DATA.lower(),
            sha256="0" * 64,
            file="main.bicep",
            resource="vm",
            rule="write",
            declared_on=DAY0,
            until=until,
        )
    return tenant


def given(tenant: SmallTenant) -> set[str]:
    plan = tenant.plan(**LEAN)
    return {one for role in proposal_for(plan, guid(101)).assignments for one in strings(plan, role.role)}


@pytest.mark.slow
def test_declared_work_that_nobody_did_yet_is_kept_where_it_is_declared() -> None:
    """Without the declaration it goes; with it, the new role has it at the declared resource group."""
    assert RESTART not in given(pipeline())

    plan = pipeline(RESTART).plan(**LEAN)
    proposal = proposal_for(plan, guid(101))

    places = {one.scope.lower() for one in proposal.assignments if RESTART in strings(plan, one.role)}
    assert DATA.lower() in places
    assert SUB.lower() not in places


@pytest.mark.slow
def test_a_plan_says_that_it_is_declared_and_not_used() -> None:
    """The evidence counts it apart, the uses have a period of their own, and the reason tells it."""
    plan = pipeline(RESTART).plan()
    proposal = proposal_for(plan, guid(101))

    uses = pl.DataFrame(plan.uses).filter(pl.col("proposal_id") == proposal.id)
    assert set(uses.select("period", "operation").rows()) == {("window", START), ("declared", RESTART)}
    assert (proposal.evidence["used"], proposal.evidence["declared"]) == (1, 1)
    assert "declared by code" in proposal.reason


@pytest.mark.slow
def test_a_declaration_never_gives_what_today_lacks() -> None:
    """An operation outside the grant appears in no role, whatever code declares."""
    assert ASSIGN not in given(pipeline(ASSIGN))

    tenant = SmallTenant()
    robot = tenant.principal(1, "ServicePrincipal")
    tenant.assign(101, robot, READER, SUB, principal_type="ServicePrincipal")
    tenant.rows["declared_needs"] = pipeline(RESTART).rows["declared_needs"]
    plan = tenant.plan(**LEAN)
    assert RESTART not in {one for role in plan.roles for block in role.definition.permissions for one in block.actions}


@pytest.mark.slow
def test_after_its_end_a_declaration_keeps_nothing() -> None:
    """The window ends after the last day of the declaration."""
    assert RESTART not in given(pipeline(RESTART, until=DAY0))


@pytest.mark.slow
def test_a_plan_with_declared_work_verifies() -> None:
    """The plan is proved and replayed against the tenant that it was made of."""
    found = Written.of(pipeline(RESTART), **LEAN).verify(pipeline(RESTART))

    assert not found.failed
    assert found.replay["denied"] == 0
    assert not found.changes


@pytest.mark.slow
def test_who_declares_the_work_of_a_job_has_the_job() -> None:
    """Two start and restart a machine; a pipeline that starts it and declares the rest is the third."""
    tenant = pipeline(RESTART)
    for number in (2, 3):
        person = tenant.principal(number, "User")
        tenant.assign(200 + number, person, CONTRIBUTOR, SUB)
        tenant.use(person, START, VM)
        tenant.use(person, RESTART, VM)
    inputs = tenant.inputs()

    jobs = read_jobs(inputs, analyse(inputs, choose_window(inputs)))

    (job,) = jobs.of_holder(fold(guid(1)))
    assert {name for _, name in jobs.work.index.folded_members(job.changes)} == {fold(START), fold(RESTART)}
