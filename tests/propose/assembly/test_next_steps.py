"""The order of the changes of a plan: waves, shares, roles that are paid for once, and what goes together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS, Plan, PlannedAssignment, PlannedRole, Proof, Proposal
from rightsize.model.plan_totals import NextSteps, Reached
from rightsize.propose.assembly.next_steps import rank_steps
from rightsize.propose.verify.review import plan_of
from rightsize.render.next_steps import describe_step, describe_undo
from rightsize.workflow.plan_folder import read_plan_folder
from tests.propose.small_tenant import CONTRIBUTOR, MG, OWNER, SUB2, SmallTenant, guid, proposal_for

LIMITED = (
    "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request["
    "Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals "
    "{acdd72a7-3385-48ef-bd42-f606fba81ae7}))"
)
OLD = Path(__file__).parents[1] / "verify" / "plan_version_1"
SUB = "/subscriptions/00000000-0000-0000-0000-0000000000a1"


def change(name: str, removes: float = 0.0, *roles: str, kind: str = "custom", **more: Any) -> Proposal:
    """A proposal that removes an excess, with the new roles that it assigns."""
    evidence = {"role": "today", "scope": SUB, "state": "active", "granted": 4} | more.pop("evidence", {})
    plane = more.pop("plane", "control")
    return Proposal(
        id=name,
        plane=plane,
        principal_ids=(f"of-{name}",),
        kind=PROPOSAL_KINDS[kind],
        replaces=(more.pop("replaces", f"held-{name}"),),
        assignments=tuple(PlannedAssignment(SUB, role, f"of-{name}") for role in roles),
        reason=more.pop("reason", "keeps 1 of 4 operations; more"),
        evidence=evidence,
        proof=Proof(more.pop("proved", True), True),
        break_probability_30d=more.pop("chance", 0.0),
        excess_before=more.pop("before", removes),
        excess_after=more.pop("after", 0.0),
        risk_before=0.0,
        risk_after=0.0,
    )


def ranked(*proposals: Proposal, reached: dict[str, Reached] | None = None) -> NextSteps:
    """The steps of a plan with these proposals; roles whose name begins with `new` are new."""
    names = sorted({made.role for one in proposals for made in one.assignments if made.role.startswith("new")})
    block = (PermissionBlock(("Microsoft.Compute/virtualMachines/read",)),)
    roles = tuple(PlannedRole(RoleDefinition(name, name, block, role_type="CustomRole"), name, {}) for name in names)
    return rank_steps(Plan({}, tuple(proposals), roles, ()), reached)


def order(steps: NextSteps) -> list[tuple[int, str]]:
    return [(step.wave, step.proposal) for step in steps.steps]


def test_an_empty_plan_and_one_that_keeps_all_have_no_steps() -> None:
    assert ranked() == NextSteps()
    kept = change("a", before=9.0, after=9.0, kind="keep")
    assert ranked(kept).steps == () and ranked(kept).removable == {"azure_roles": 0}


def test_the_waves_come_one_after_the_other_whatever_they_buy() -> None:
    unused = {"removed": {"covered": 3, "no_such_resource": 1}, "kept_unseen": {}}
    steps = ranked(
        *(change(f"n{number}", 100.0 * number) for number in range(1, 8)),
        change("orphan", 1.0, kind="remove_orphan"),
        change("double", 2.0, kind="remove_duplicate"),
        change("gone", 3.0, kind="remove", evidence=unused, chance=0.01),
    )
    assert order(steps) == [
        *((1, name) for name in ("double", "orphan")),
        (2, "gone"),
        *((3, f"n{number}") for number in (7, 6, 5, 4, 3)),
        *((4, f"n{number}") for number in (2, 1)),
    ]
    assert [step.rank for step in steps.steps] == list(range(1, 11))
    assert steps.steps[-1].total == 1.0
    assert sum(step.share for step in steps.steps) == pytest.approx(1.0)
    # Nobody is behind an orphan; whoever is not known counts as one person.
    assert [step.reached.all for step in steps.steps[:3]] == [1, 0, 1]


@pytest.mark.parametrize(
    "evidence",
    [
        {"removed": {"covered": 3, "type_not_used": 1}},
        {"removed": {"covered": 3, "arm_read": 1}},
        {"removed": {"covered": 3}},
        {"removed": {"covered": 4}, "kept_unseen": {"arm_read": 1}},
        {"removed": {}},
        {},
    ],
)
def test_a_removal_with_any_doubt_is_not_proved_unused(evidence: dict[str, Any]) -> None:
    """A choice, a reason that no log shows, an operation without a reason: each is a doubt."""
    assert order(ranked(change("a", 5.0, kind="remove", evidence=evidence))) == [(3, "a")]
    proved = {"removed": {"covered": 4}}
    assert order(ranked(change("a", 5.0, kind="remove", evidence=proved, proved=False))) == [(3, "a")]
    assert order(ranked(change("a", 5.0, kind="custom", evidence=proved))) == [(3, "a")]
    assert order(ranked(change("a", 5.0, kind="remove", evidence=proved))) == [(2, "a")]


def test_a_role_that_several_share_is_paid_for_once() -> None:
    """The first step makes it, and the others move up then."""
    steps = ranked(
        change("first", 90.0, "new-shared"), change("second", 29.0, "new-shared"), change("alone", 80.0, "new-own")
    )
    assert [step.proposal for step in steps.steps] == ["first", "second", "alone"]
    assert [len(step.makes_roles) for step in steps.steps] == [1, 0, 1]
    assert [len(step.new_roles) for step in steps.steps] == [1, 1, 1]
    apart = ranked(change("first", 90.0, "new-1"), change("second", 29.0, "new-2"), change("alone", 80.0, "new-own"))
    assert [step.proposal for step in apart.steps] == ["first", "alone", "second"]


def test_people_roles_and_the_chance_of_breaking_each_move_a_step_back() -> None:
    even = (change("a", 100.0), change("b", 100.0))
    assert [one.proposal for one in ranked(*even).steps] == ["a", "b"]
    crowd = {"of-a": Reached(people=40)}
    assert [one.proposal for one in ranked(*even, reached=crowd).steps] == ["b", "a"]
    assert [one.proposal for one in ranked(change("a", 100.0, "new-1"), even[1]).steps] == ["b", "a"]
    assert [one.proposal for one in ranked(change("a", 100.0, chance=0.1), even[1]).steps] == ["b", "a"]


def test_what_stays_by_design_and_what_is_latent_is_in_no_share() -> None:
    steps = ranked(
        change("a", 30.0, evidence={"latent": {"before": 10.0, "after": 0.0}}),
        change("b", 20.0),
        change("owner", before=900.0, after=900.0, kind="keep", evidence={"by_design": "last_owner"}),
    )
    assert steps.removable == {"azure_roles": 40.0}
    assert {step.proposal: (step.share, step.latent) for step in steps.steps} == {"a": (0.5, 10.0), "b": (0.5, 0.0)}


def test_planes_have_shares_of_their_own_and_their_own_five() -> None:
    steps = ranked(
        *(change(f"a{number}", 10.0) for number in range(6)),
        *(change(f"g{number}", 1e6, plane="graph", evidence={"permissions": []}) for number in range(6)),
    )
    assert [(step.wave, step.plane) for step in steps.steps] == [
        *((3, "azure_roles"),) * 5,
        *((3, "graph"),) * 5,
        (4, "azure_roles"),
        (4, "graph"),
    ]
    assert [steps.steps[place].total for place in (-2, -1)] == [1.0, 1.0]


def test_changes_that_rely_on_each_other_stay_together_in_the_later_wave() -> None:
    """One step alone would take away what only the other one gives."""
    unused = {"removed": {"covered": 4}, "together_with": ["held-big"]}
    more = [change(f"n{number}", 500.0) for number in range(4)]
    steps = ranked(change("gone", 1.0, kind="remove", evidence=unused), change("big", 400.0), *more)
    found = {step.proposal: step for step in steps.steps}
    assert found["gone"].wave == found["big"].wave == 3
    assert found["gone"].together_with == ("big",) and found["big"].together_with == ("gone",)
    assert found["gone"].rank == found["big"].rank + 1
    # A duplicate needs nothing but what is there already.
    steps = ranked(
        change("double", 1.0, kind="remove_duplicate", evidence={"rests_on": ["held-big"]}), change("big", 400.0)
    )
    assert order(steps) == [(1, "double"), (3, "big")]


def test_the_parts_of_one_assignment_are_one_step() -> None:
    parts = (
        change("b", replaces="held", before=50.0, after=10.0),
        change("a", replaces="HELD", before=0.0, after=15.0, kind="make_eligible", chance=0.2),
    )
    (step,) = ranked(*parts).steps
    assert (step.proposal, step.also, step.removes, step.chance) == ("b", ("a",), 25.0, 0.2)
    assert ranked(*parts).ranks() == {"b": 1, "a": 1}


def test_the_order_does_not_depend_on_the_order_of_the_plan() -> None:
    roles = ("new-1", "new-2", "new-3", "old")
    proposals = [
        change(f"p{number}", (5.0, 10.0, 20.0)[number % 3], roles[number % 4], roles[number * 7 % 4])
        for number in range(40)
    ]
    expected = ranked(*proposals)
    assert ranked(*reversed(proposals)) == expected
    assert ranked(*proposals[1::2], *proposals[::2]) == expected


def away(power: int, what: str = "gives it away", **more: Any) -> dict[str, Any]:
    """The evidence of a grant that gives the tenant away."""
    return {"gives_away": {"power": power, "what": what}} | more


def test_what_gives_the_tenant_away_comes_first_by_power_then_unused_then_changes() -> None:
    steps = ranked(
        change("most", 900.0),
        change("orphan", 1.0, kind="remove_orphan"),
        change("used", 2.0, evidence=away(1, used=3)),
        change("idle", 1.0, evidence=away(1)),
        change("less", 800.0, evidence=away(3)),
        change("stays", before=9.0, after=9.0, kind="keep", evidence=away(1), reason="waits: no log tells; more"),
    )
    assert order(steps) == [
        *((0, name) for name in ("idle", "stays", "used", "less")),
        (1, "orphan"),
        (3, "most"),
    ]
    stays = steps.steps[1]
    assert (stays.kind, stays.removes, stays.share, stays.reason) == ("keep", 0.0, 0.0, "waits: no log tells")
    # It changes nothing, so no list of changes has it.
    assert set(steps.ranks()) == {"most", "orphan", "used", "idle", "less"}
    assert steps.steps[-1].total == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("kind", "evidence"),
    [("remove_duplicate", {}), ("keep", {"state": "activated", "by_design": "activated"})],
)
def test_a_duplicate_and_an_activation_give_nothing_away(kind: str, evidence: dict[str, Any]) -> None:
    """The twin, or the eligible assignment behind it, does."""
    steps = ranked(change("a", 1.0, kind=kind, evidence=away(1) | evidence))
    assert 0 not in {step.wave for step in steps.steps}


def test_emergency_access_is_named_last_and_never_changed() -> None:
    steps = ranked(
        change("known", before=9.0, after=9.0, kind="keep", evidence=away(1, by_design="emergency_access")),
        change("entra", kind="keep", evidence=away(1), plane="directory", reason="emergency_access: it is one"),
        change("less", 1.0, evidence=away(4)),
    )
    assert [step.proposal for step in steps.steps] == ["less", "entra", "known"]
    assert all(describe_step(step, {}).startswith("stays, emergency access: today at ") for step in steps.steps[1:])
    assert not any(map(describe_undo, steps.steps[1:]))


def test_an_outside_subject_has_the_power_of_its_principal() -> None:
    deployer = {"replaces": "app/federatedidentitycredentials/pr", "plane": "trust"}
    outside = change("outside", 1.0, kind="remove", evidence=away(4, "anybody signs in"), **deployer)
    alone = ranked(outside).steps[0]
    assert alone.danger is not None and alone.danger.power == 4
    grant = replace(
        change("grant", kind="keep", plane="graph", evidence=away(2, "adds a credential", used=1)),
        principal_ids=outside.principal_ids,
    )
    first, second = ranked(grant, outside).steps
    assert (first.proposal, second.proposal) == ("outside", "grant")
    assert first.danger is not None and first.danger.power == 2
    assert first.danger.what == "anybody signs in, and the principal adds a credential"
    assert describe_undo(first).startswith("trust/")


@pytest.mark.slow
def test_assigning_any_role_above_subscriptions_gives_the_tenant_away_unless_a_condition_limits_it() -> None:
    below = "/providers/Microsoft.Management/managementGroups/below"
    tenant = SmallTenant()
    tenant.parents |= {below: MG, SUB2: below}
    places = {101: (OWNER, "/"), 102: (OWNER, MG), 103: (OWNER, below), 104: (OWNER, SUB2), 105: (CONTRIBUTOR, "/")}
    for number, (role, scope) in places.items():
        tenant.assign(number, tenant.principal(number), role, scope)
    tenant.assign(106, tenant.principal(106), OWNER, "/", condition=LIMITED)
    plan = tenant.plan()
    found = {number: proposal_for(plan, guid(number)).evidence.get("gives_away") for number in (*places, 106)}
    what = "assigns itself any role there"
    assert {number: said for number, said in found.items() if said} == {
        101: {"power": 2, "what": what},
        102: {"power": 2, "what": what},
        103: {"power": 3, "what": what},
    }


def test_what_goes_together_with_a_danger_goes_today() -> None:
    steps = ranked(
        change("danger", 1.0, evidence=away(3, together_with=["held-other"])), change("other", 400.0), change("c", 9.0)
    )
    assert order(steps) == [(0, "danger"), (0, "other"), (3, "c")]


def test_what_stays_is_a_question_and_people_may_be_enough_as_eligible() -> None:
    kept = change("a", kind="keep", evidence=away(2))
    workload = ranked(kept, reached={"of-a": Reached(workloads=1)}).steps[0]
    assert describe_step(workload, {}).endswith("is needed")
    person = ranked(kept).steps[0]
    assert describe_step(person, {}).startswith("ask whether today at ")
    assert describe_step(person, {}).endswith("is needed, or whether eligible is enough")


def test_what_is_not_worth_a_role_stands_apart_with_what_it_would_free() -> None:
    reason = "not worth a role: a new role would save 0.5% of the access, and 2% is asked"
    latent = {"latent": {"before": 3.0, "after": 3.0}}
    small = change("small", before=5.0, after=5.0, kind="keep", reason=reason)
    large = change("large", before=9.0, after=9.0, kind="keep", reason=reason, evidence=latent)
    first, second = ranked(small, large, change("other", before=7.0, after=7.0, kind="keep")).left_out
    assert (first.proposal, first.excess, first.saves) == (
        "large",
        6.0,
        "a new role would save 0.5% of the access, and 2% is asked",
    )
    assert second.proposal == "small"


def test_a_plan_of_the_first_format_is_ranked() -> None:
    steps = rank_steps(plan_of(read_plan_folder(OLD)))
    assert steps.steps and steps.steps[-1].total == 1.0
    assert {step.wave for step in steps.steps} == {3}
