"""What new roles may grant in future: by patterns of reads, and by built-in roles, which Azure changes."""

from __future__ import annotations

import pytest

from rightsize.model.plan import Growth
from tests.propose.small_tenant import CONTRIBUTOR, READER, SUB, VM, VM_CONTRIBUTOR, SmallTenant, proposal_for


@pytest.mark.nightly
def test_reads_that_stay_as_patterns_are_open_too() -> None:
    """They are there by another option, and say the same of tomorrow; what a built-in role grants is Microsoft's."""
    tenant = SmallTenant()
    tenant.operations["Microsoft.Compute/virtualMachines/extensions/read"] = False
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, VM_CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/write", VM)
    plan = tenant.plan(unobservable="drop")
    reading = [one for role in plan.roles for one in role.evidence["actions"] if "*" in one["action"]]
    assert {one["why"] for one in reading} == {"arm_read"}
    assert all(one["opens"].endswith("ends in `/read`") for one in reading)
    assert "patterns" in {one.because for one in proposal_for(plan, assignment).proof.tomorrow}
    other = tenant.principal(2)
    beside = tenant.assign(102, other, CONTRIBUTOR, SUB)
    tenant.use(other, "Microsoft.Compute/virtualMachines/write", VM)
    assert Growth(READER, "built_in") in proposal_for(tenant.plan(unobservable="drop"), beside).proof.tomorrow


@pytest.mark.slow
def test_a_plan_without_patterns_or_built_in_roles_grows_by_nothing() -> None:
    tenant = SmallTenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/write", VM)
    assert proposal_for(tenant.plan(reads="none", unobservable="drop"), assignment).proof.tomorrow == ()


@pytest.mark.nightly
def test_a_read_pattern_that_matches_nothing_in_the_catalogue_is_left_out() -> None:
    """Today's role has such patterns for operations that Azure lists no more, or not yet."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, VM_CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/write", VM)
    strings = {one["action"] for role in tenant.plan(unobservable="drop").roles for one in role.evidence["actions"]}
    assert strings
    assert not any("*" in text for text in strings)
    tenant.operations["Microsoft.Compute/virtualMachines/extensions/read"] = False
    plan = tenant.plan(unobservable="drop")
    strings = {one["action"] for role in plan.roles for one in role.evidence["actions"]}
    assert {text for text in strings if "*" in text} == {"Microsoft.Compute/virtualMachines/*/read"}
