"""Use at one scope proves nothing about scopes without logs, and linked checks concern the caller."""

from __future__ import annotations

import polars as pl
import pytest

from rightsize.model.plan import PlannedRole
from rightsize.propose.needs.linked_checks import Writes, writes_within_reach
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    NET,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    proposal_for,
)

ACCOUNT = "providers/Microsoft.Storage/storageAccounts/st1/blobServices/default/containers/c"


def _membership(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={"principal_id": pl.String, "holder": pl.String}, orient="row")


def test_a_write_through_another_assignment_of_the_same_principal_counts() -> None:
    """Contributor in one resource group keeps the join that Network Contributor grants in another."""
    found = writes_within_reach(
        [("aks", Writes(0b01)), ("aks", Writes(0b10, frozenset({"new/write"})))], _membership(("aks", "aks"))
    )
    assert found["aks"] == Writes(0b11, frozenset({"new/write"}))


def test_a_write_of_the_group_counts_for_its_members_and_not_the_other_way() -> None:
    """What one member does by an assignment of its own is no work of the group."""
    found = writes_within_reach(
        [("group", Writes(0b001)), ("anna", Writes(0b010)), ("bert", Writes(0b100))],
        _membership(("anna", "anna"), ("anna", "group"), ("bert", "bert")),
    )
    assert found["group"].operations == 0b001
    assert found["anna"].operations == 0b011
    assert found["bert"].operations == 0b100


def test_what_the_write_of_a_member_is_checked_for_stays_with_the_group() -> None:
    """The group is how that member may join; the others get none of its checks."""
    found = writes_within_reach(
        [("group", Writes(0b001)), ("anna", Writes(0b010, checks=0b1000)), ("bert", Writes(0b100))],
        _membership(("anna", "anna"), ("anna", "group"), ("bert", "bert"), ("bert", "group")),
    )
    assert found["group"] == Writes(0b001, checks=0b1000)
    assert found["bert"] == Writes(0b101)


@pytest.mark.nightly
def test_a_group_that_lets_its_members_join_a_network_stays_for_the_machines_that_one_writes() -> None:
    """No log shows a join, so nothing was seen under the assignment of the group."""
    tenant = SmallTenant()
    tenant.silent()
    anna, bert = tenant.principal(1), tenant.principal(2)
    joins = tenant.assign(102, tenant.group(3, [anna, bert]), VM_CONTRIBUTOR, NET, principal_type="Group")
    assert proposal_for(tenant.plan(reads="none"), joins).kind == "remove"
    tenant.assign(101, anna, CONTRIBUTOR, APP)
    tenant.use(anna, "Microsoft.Compute/virtualMachines/write", VM)
    found = proposal_for(tenant.plan(reads="none"), joins)
    assert (found.kind, found.reason.partition(":")[0]) == ("keep", "nothing observed")


def test_a_holder_without_a_row_of_membership_reaches_itself() -> None:
    """An assignment of a principal that no listing has keeps its own writes."""
    assert writes_within_reach([("ghost", Writes(1))], _membership())["ghost"].operations == 1


@pytest.mark.slow
def test_a_data_action_seen_in_one_place_stays_where_no_log_looked() -> None:
    """A blob read in one container says nothing of the other accounts below the assignment."""
    tenant = SmallTenant()
    tenant.silent()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, BLOB_READER, SUB)
    tenant.use(user, "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", f"{DATA}/{ACCOUNT}")
    assert proposal_for(tenant.plan(), assignment).kind == "keep"


@pytest.mark.slow
def test_a_write_seen_in_one_group_stays_where_days_have_no_log() -> None:
    """In the days without a log the same write may have happened in any other group."""
    tenant = SmallTenant()
    tenant.covered = (SUB2,)
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/write", VM)
    proposal = proposal_for(tenant.plan(reads="none", unobservable="drop"), assignment)
    assert {one.scope for one in proposal.assignments} <= {SUB}


@pytest.mark.nightly
def test_a_join_through_one_role_stays_for_a_write_through_another() -> None:
    """The linked check is asked of the caller: Network Contributor elsewhere must go on allowing it."""
    tenant = SmallTenant()
    tenant.silent(("managed_identity",))
    identity = tenant.principal(1, "ManagedIdentity")
    tenant.assign(101, identity, CONTRIBUTOR, APP)
    network = tenant.assign(102, identity, VM_CONTRIBUTOR, NET)
    tenant.use(identity, "Microsoft.Compute/virtualMachines/write", VM)
    plan = tenant.plan(reads="none")
    kept = {one.role for one in proposal_for(plan, network).assignments}
    actions = {text for role in plan.roles if role.definition.role_definition_id in kept for text in _actions(role)}
    assert "Microsoft.Network/virtualNetworks/subnets/join/action" in actions


def _actions(role: PlannedRole) -> tuple[str, ...]:
    return tuple(text for block in role.definition.permissions for text in block.actions)
