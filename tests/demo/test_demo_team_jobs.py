"""Generated teams have one job each: whoever works in a team does parts of its job, and teams of one job are alike."""

from __future__ import annotations

from collections import defaultdict

import pytest

from rightsize.demo.generator import generate
from rightsize.demo.people import operations
from rightsize.demo.teams import job_of, team_jobs
from rightsize.demo.tenant import MIN_PRINCIPALS, TenantSpec
from rightsize.model.text import fold


@pytest.mark.slow
def test_members_do_the_job_of_their_team() -> None:
    """All that a group's members use is of one job; several members share most parts of it."""
    spec = TenantSpec(principals=MIN_PRINCIPALS + 600)
    tenant = generate(spec)
    names = {one.principal_id: one.name for one in tenant.principals}
    groups = {id_: members for id_, members in tenant.members.items() if " Team " in names[id_]}
    used: dict[str, set[str]] = defaultdict(set)
    for habit in tenant.habits:
        if habit.kind == "logged" and habit.grant is not None and habit.grant.principal_id in groups:
            used[habit.grant.principal_id].add(habit.operation)
    assert len(used) == len(groups) == 50
    for group, done in used.items():
        job = job_of(spec, int(names[group].rsplit(" ", 1)[-1]) - 1)
        assert done <= {part.operation for part in job.parts} | {operation for operation, _ in job.seldom}
        assert len(done & {part.operation for part in job.parts}) >= 2


def test_jobs_are_named_by_operations_of_the_catalogue() -> None:
    """No operation is a part of two jobs, so that they can be told apart."""
    known = {fold(one.name) for one in operations()}
    seen: set[str] = set()
    for job in team_jobs():
        own = {fold(part.operation) for part in job.parts} | {fold(operation) for operation, _ in job.seldom}
        assert own <= known
        assert not own & seen
        assert job.seldom
        assert len(job.parts) >= 3
        seen |= own
