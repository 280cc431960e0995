"""Each string of a new role has a reason, also where nothing that the role replaces used it."""

from __future__ import annotations

import pytest

from rightsize.propose.proof import gate_faults
from rightsize.render.role_summary import ELSE, ONLY_HERE, WHICH, summary_text, write_review
from tests.propose.small_tenant import CONTRIBUTOR, NET, OWNER, SUB, VM, SmallTenant, guid

START, RESTART = (f"Microsoft.Compute/virtualMachines/{verb}/action" for verb in ("start", "restart"))
WRITE, JOIN = "Microsoft.Network/networkInterfaces/write", "Microsoft.Network/virtualNetworks/subnets/join/action"
NIC = f"{NET}/providers/Microsoft.Network/networkInterfaces/nic1"


def _shared_job() -> SmallTenant:
    """Three restart machines; the third has started one only. Four others do something else."""
    tenant = SmallTenant()
    for number in (1, 2, 3):
        user = tenant.principal(number, display_name=f"Mei {number}")
        tenant.assign(100 + number, user, CONTRIBUTOR, SUB)
        tenant.use(user, START, VM, days=40)
        if number != 3:
            tenant.use(user, RESTART, VM, days=20)
    for number in (4, 5, 6, 7):
        user = tenant.principal(number, display_name=f"Net {number}")
        tenant.assign(100 + number, user, CONTRIBUTOR, SUB)
        tenant.use(user, WRITE, NIC, days=30)
    return tenant


@pytest.mark.slow
def test_what_others_with_the_same_job_used_names_them() -> None:
    """The first two keep their assignments, so that only their work speaks for the action."""
    plan = _shared_job().plan(exclude=(guid(1), guid(2)), role_worth=0)
    role = next(role for role in plan.roles if guid(3) in role.evidence["holders"])
    why = {one["action"]: one for one in role.evidence["actions"]}
    assert why[START]["why"] == "used"
    assert why[RESTART]["why"] == "job"
    assert why[RESTART]["principal_ids"] == [guid(1), guid(2)]
    assert role.evidence["job"] == why[RESTART]["job"]
    assert not role.evidence["is_add_on"]
    assert not list(gate_faults(role.evidence))


@pytest.mark.slow
def test_every_string_of_every_role_has_a_reason() -> None:
    plan = _shared_job().plan(role_worth=0)
    assert plan.roles
    for role in plan.roles:
        assert all(one["why"] for one in role.evidence["actions"])
        assert role.evidence["holders"] == sorted({one["principal_id"] for one in role.evidence["summary"]["holders"]})
        assert role.evidence["saves"]["live"] >= 0


@pytest.mark.slow
def test_a_page_says_which_job_and_who_else_has_it() -> None:
    """The first keeps its assignment, and so does without the role."""
    plan = _shared_job().plan(exclude=(guid(1),), role_worth=0)
    role = next(role for role in plan.roles if guid(3) in role.evidence["holders"])
    summary = role.evidence["summary"]
    assert summary["job"] == role.evidence["job"]
    assert summary["others"] == [guid(1)]
    lines = dict(summary_text(summary, plan.names).lines)
    assert lines[WHICH].startswith("VM Operator")
    assert lines[ELSE].startswith("Mei 1")


@pytest.mark.slow
def test_a_page_says_what_only_one_holder_loses() -> None:
    """The third is an Owner today, and the second a Contributor: it alone loses the assignment of roles."""
    tenant = _shared_job()
    tenant.rows["role_assignments"][2]["role_definition_id"] = OWNER
    tenant.assign(199, tenant.principal(9), OWNER, SUB)
    plan = tenant.plan(exclude=(guid(1), guid(9)), role_worth=0)
    role = next(role for role in plan.roles if guid(3) in role.evidence["holders"])
    summary = role.evidence["summary"]
    assert summary["assignments"] == 2
    (lost,) = summary["only_here"]
    assert (lost["principal_id"], lost["operations"]) == (guid(3), 2)
    assert lost["for_example"] == "Microsoft.Authorization/roleAssignments/delete"
    lines = dict(summary_text(summary, plan.names).lines)
    assert lines[ONLY_HERE] == "Mei 3: 2 operations, such as Microsoft.Authorization/roleAssignments/delete"


@pytest.mark.slow
def test_what_comes_along_names_the_write_and_the_source_of_the_rule() -> None:
    """Who reviews a role asks why a network card brings a join of networks: the page answers with write and source."""
    plan = _shared_job().plan(role_worth=0)
    role = next(role for role in plan.roles if guid(4) in role.evidence["holders"])
    said = {one["action"]: one for one in role.evidence["actions"]}
    join = said[JOIN]
    assert join["why"] == "linked_check"
    assert (join["with"], join["source"]) == (WRITE, "Microsoft Learn: virtual network permissions")
    assert any(one["why"] == "linked_check" and one["with"] == WRITE for one in role.evidence["summary"]["kept_unseen"])
    page = write_review(role, [one for one in plan.proposals if guid(4) in one.principal_ids], plan)
    assert f"{WRITE} (Microsoft Learn: virtual network permissions)" in page
