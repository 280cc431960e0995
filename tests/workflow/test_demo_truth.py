"""The assignments after a plan, which the planted truth is checked against."""

from __future__ import annotations

import polars as pl
import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.workflow.suite.judge import after_plan
from tests.propose.small_tenant import CONTRIBUTOR, OWNER, SUB, SmallTenant, proposal_for


@pytest.mark.slow
def test_a_plan_leaves_the_assignments_that_it_keeps() -> None:
    """The last owner stays, and an idle contributor goes."""
    tenant = SmallTenant()
    owner = tenant.assign(101, tenant.principal(1), OWNER, SUB)
    idle = tenant.assign(102, tenant.principal(2), CONTRIBUTOR, SUB)
    plan = tenant.plan(unobservable="drop", reads="none")
    assert (proposal_for(plan, owner).kind, proposal_for(plan, idle).kind) == ("keep", "remove")
    rows = [{"role_assignment_id": owner}, {"role_assignment_id": idle}]
    today = pl.DataFrame(rows, schema=schema_of("role_assignments"))
    assert after_plan(plan, today)["role_assignment_id"].to_list() == [owner]
