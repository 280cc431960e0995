"""A plan keeps earlier use where it happened, states its time, and verifies by it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from rightsize.model.errors import InputError, UsageError
from rightsize.model.plan import Plan, Proposal
from rightsize.propose.backtest import choose_folds, history_of, prepare_trial, try_plan
from rightsize.propose.core.options import PlanOptions
from rightsize.render.role_summary import write_review
from tests.propose.histories import extend
from tests.propose.small_tenant import (
    CONTRIBUTOR,
    DATA,
    DAY0,
    NET,
    SUB,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)
from tests.propose.written_plans import Written, named, only, to_version_1

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
DELETE = "Microsoft.Compute/virtualMachines/delete"
NIC_WRITE = "Microsoft.Network/networkInterfaces/write"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
BLOB_DELETE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete"
VM2 = f"{DATA}/providers/Microsoft.Compute/virtualMachines/vm2"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/files"
NIC = f"{NET}/providers/Microsoft.Network/networkInterfaces/nic1"
LEAN = {"reads": "none", "unobservable": "drop"}


def starter(**more: object) -> SmallTenant:
    """A contributor of a subscription who starts a machine in the window, and restarted another before it."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM)
    tenant.use(user, RESTART, VM2, days=1, start=-3, **more)
    return tenant


def granted(plan: Plan, proposal: Proposal) -> dict[str, set[str]]:
    """Return what the new roles of a proposal grant, by the last segment of the scope."""
    found: dict[str, set[str]] = {}
    for one in proposal.assignments:
        found.setdefault(one.scope.rsplit("/", 1)[-1], set()).update(strings(plan, one.role))
    return found


@pytest.mark.slow
def test_it_stays_where_it_was_used_and_nowhere_else() -> None:
    """One role of the holder has both; it is assigned at the two places and at no other."""
    plan = starter().plan(roles="max", **LEAN)
    assert granted(plan, proposal_for(plan, guid(101))) == {place: {START, RESTART} for place in ("vm1", "data")}


@pytest.mark.slow
def test_a_single_resource_takes_no_place_for_it() -> None:
    """On the days between nobody may have seen the resource come and go; what the window shows is at the machine."""
    tenant = starter()
    tenant.use(guid(1), DELETE, VM, days=1, start=-3)
    plan = tenant.plan(**LEAN)
    assert granted(plan, proposal_for(plan, guid(101)))["app"] >= {DELETE}


@pytest.mark.slow
def test_what_one_member_used_before_the_window_stays_though_another_used_it_within() -> None:
    """Only few of the members get the operation, and this one is among them."""
    tenant = SmallTenant()
    members = [tenant.principal(number) for number in range(1, 10)]
    tenant.assign(101, tenant.group(20, members), CONTRIBUTOR, SUB)
    tenant.use(members[0], RESTART, VM)
    tenant.use(members[1], RESTART, VM, days=1, start=-3)
    for member in members:
        tenant.use(member, START, VM)
    plan = tenant.plan(split_groups=True, **LEAN)
    assert plan.replay["denied"] == 0
    new = {
        role.definition.role_definition_id for role in plan.roles if RESTART in role.definition.permissions[0].actions
    }
    given = {one.principal_id for one in proposal_for(plan, guid(101)).assignments if one.role in new}
    assert given == {members[0], members[1]}


@pytest.mark.slow
@pytest.mark.parametrize(("forget", "kept"), [(93, True), (92, False), (0, False)])
def test_forget_days_says_how_long(forget: int, kept: bool) -> None:
    plan = starter().plan(**LEAN, forget_days=forget)
    assert ("data" in granted(plan, proposal_for(plan, guid(101)))) == kept
    assert plan.generated_from["options"]["forget_days"] == forget


def test_negative_days_make_no_sense() -> None:
    with pytest.raises(UsageError, match="--forget-days -1"):
        PlanOptions(forget_days=-1)


@pytest.mark.slow
def test_the_evidence_says_when_it_was_used_last() -> None:
    plan = starter().plan()
    proposal = proposal_for(plan, guid(101))
    uses = pl.DataFrame(plan.uses).filter(pl.col("proposal_id") == proposal.id)
    assert uses.select("period", "operation", "days_ago").rows() == [("window", START, None), ("before", RESTART, 93)]
    assert uses["events"][1] == 2
    assert (proposal.evidence["used"], proposal.evidence["used_before"]) == (1, 1)
    assert proposal.evidence["kept_unseen"]["used_before_window"] == 1
    assert "1 of them used before the window only" in proposal.reason


@pytest.mark.slow
def test_the_counts_of_the_plan_leave_nothing_out() -> None:
    """What was used before the window moves from one verdict to the other; as much is granted."""
    with_it, without = (starter().plan(**LEAN, forget_days=days).verdicts for days in (400, 0))
    moved = {name: with_it[name] - without[name] for name in ("granted", "used", "unused", "out_of_coverage")}
    assert moved == {"granted": 0, "used": 0, "unused": -1, "out_of_coverage": 1}


@pytest.mark.slow
def test_the_page_of_the_role_says_it() -> None:
    plan = starter().plan(**LEAN)
    (role,) = [one for one in plan.roles if RESTART in one.definition.permissions[0].actions]
    page = write_review(role, [proposal_for(plan, guid(101))], plan)
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {RESTART}")]
    assert "last used 93 days ago, before the window" in row
    assert "2025-12-29" in row


@pytest.mark.nightly
def test_what_was_used_before_is_no_excess() -> None:
    """It counts as use like any other; where it is forgotten, it is access that nobody used."""
    tenant = starter()
    tenant.rows["usage_days"][-1]["scope"] = VM
    with_it, without = (
        proposal_for(tenant.plan(roles="max", **LEAN, forget_days=days), guid(101)) for days in (400, 0)
    )
    assert with_it.excess_before < without.excess_before
    assert with_it.excess_after == without.excess_after == 0.0


@pytest.mark.nightly
def test_one_role_for_two_places_costs_the_same_whenever_they_were_used() -> None:
    """The role of the holder has both operations, and grants at each place the one that was used at the other."""
    within = starter()
    for row in within.rows["usage_days"]:
        row["day"] = max(row["day"], DAY0 + dt.timedelta(days=1))
    before, after = (
        [getattr(proposal_for(one.plan(roles="max", **LEAN), guid(101)), name) for one in (starter(), within)]
        for name in ("excess_before", "excess_after")
    )
    assert before[0] == before[1]
    assert after[0] == after[1] > 0


@pytest.mark.slow
def test_a_linked_check_stays_with_a_write_from_before_the_window() -> None:
    tenant = starter()
    tenant.use(guid(1), NIC_WRITE, NIC, days=1, start=-3)
    plan = tenant.plan(**LEAN)
    assert JOIN in {text for texts in granted(plan, proposal_for(plan, guid(101))).values() for text in texts}


@pytest.mark.slow
def test_an_operation_that_no_log_shows_wholly_stays_where_a_log_showed_it() -> None:
    """A data action of which nothing is known today was in a log before; to drop what is unseen does not drop it."""
    tenant = SmallTenant()
    role = "00000000-0000-4000-8000-00000000aaaa"
    tenant.roles[role] = ("Blobs", [tenant.roles[CONTRIBUTOR][1][0].__class__(data_actions=("*",))])
    tenant.assign(101, tenant.principal(1), role, SUB)
    container = f"{ACCOUNT}/blobServices/default/containers/c"
    tenant.use(guid(1), BLOB_DELETE, container, days=1, start=-3)
    plan = tenant.plan(**LEAN)
    assert granted(plan, proposal_for(plan, guid(101))) == {"data": {BLOB_DELETE}}


@pytest.mark.slow
def test_a_group_keeps_what_one_of_few_members_did_before() -> None:
    tenant = SmallTenant()
    first, second = tenant.principal(1), tenant.principal(2)
    group = tenant.group(3, [first, second])
    tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group")
    tenant.use(first, START, VM)
    tenant.use(second, RESTART, VM2, days=1, start=-3)
    plan = tenant.plan(**LEAN)
    assert plan.replay["denied"] == 0
    assert plan.replay["allowed"] == 2
    assert RESTART in granted(plan, proposal_for(plan, guid(101)))["data"]


@pytest.mark.nightly
def test_the_plan_verifies_and_a_plan_that_forgot_does_not_ask() -> None:
    for forget, allowed in ((400, 2), (0, 1)):
        found = Written.of(starter(), **LEAN, forget_days=forget).verify(starter())
        assert not found.changes
        assert not found.failed
        assert found.replay == {"allowed": allowed, "denied": 0, "needs_activation": 0}


@pytest.mark.slow
def test_older_use_that_is_loaded_later_makes_a_plan_stale() -> None:
    """An older export shows a use that is not forgotten, and that the plan takes away."""
    later = starter()
    later.use(guid(1), NIC_WRITE, NIC, days=1, start=-200)
    found = Written.of(starter(), **LEAN).verify(later)
    assert only(found).operation == NIC_WRITE.lower()
    older = starter()
    older.use(guid(1), NIC_WRITE, NIC, days=1, start=-311)
    assert not Written.of(starter(), **LEAN).verify(older).changes


@pytest.mark.slow
def test_a_plan_from_before_the_option_remembers_nothing() -> None:
    """Such a plan is of version 1; a plan of today without the option is refused."""

    def forget(document: dict[str, Any]) -> None:
        del document["generated_from"]["options"]["forget_days"]

    later = starter()
    later.use(guid(1), NIC_WRITE, NIC, days=1, start=-200)
    whole = Written.of(starter(), **LEAN)
    forgetful = whole.edit(forget)
    with pytest.raises(InputError, match="forget_days"):
        forgetful.verify(later)
    old = forgetful.edit(lambda document: to_version_1(document, whole.read().tables))
    assert named(old.verify(later)) == []


@pytest.mark.nightly
def test_the_same_rows_give_the_same_bytes() -> None:
    tenant, other = starter(), starter()
    other.rows["usage_days"].reverse()
    first, second = (json.dumps([repr(one) for one in each.plan().proposals]) for each in (tenant, other))
    assert first == second


@pytest.mark.nightly
def test_a_backtest_learns_from_the_days_before_its_window_and_peeks_at_none_after() -> None:
    """The first restart is before the training of the last fold; the delete is on its test days only."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, days=120, start=0)
    tenant.use(user, RESTART, VM2, days=1, start=2)
    tenant.use(user, RESTART, VM2, days=1, start=110)
    tenant.use(user, DELETE, VM, days=1, start=111)
    inputs = extend(tenant, 120).inputs()
    (*_, fold) = choose_folds(history_of(inputs), train_days=60, test_days=30)
    assert fold.train.first_day > dt.date(2026, 1, 3)
    tallies = {}
    for forget in (400, 0):
        options = PlanOptions(**LEAN, min_window=60, forget_days=forget, role_worth=0)
        tallies[forget] = try_plan(prepare_trial(inputs, fold, options), options)[0]
    assert (tallies[400].calls, tallies[400].denied_calls) == (3, 1)
    assert (tallies[0].calls, tallies[0].denied_calls) == (3, 2)
