"""The status of proposals in a review: decisions hold while the change is the same, whatever the logs add."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from rightsize.model.decisions import DecisionKind, ReviewDecision
from rightsize.model.errors import InputError
from rightsize.model.plan import KEEP, Plan, PlanePart, Proof
from rightsize.propose.verify.review import content_of, respect, standings, totals, unmatched
from tests.propose.small_tenant import CONTRIBUTOR, READER, SUB, VM, SmallTenant, guid

pytestmark = pytest.mark.slow

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
TODAY = dt.date(2026, 4, 1)


def _tenant(*operations: str, days: int = 30) -> SmallTenant:
    tenant = SmallTenant()
    for number in (1, 2):
        user = tenant.principal(number)
        tenant.assign(100 + number, user, CONTRIBUTOR, SUB)
        for operation in operations or (START,):
            tenant.use(user, operation, VM, days=days)
    tenant.assign(103, tenant.principal(3), READER, SUB)
    return tenant


def _decisions(plan: Plan, *kinds: DecisionKind, expires: dt.date | None = None) -> dict[str, ReviewDecision]:
    changed = [one for one in plan.proposals if one.kind != "keep"]
    return {
        one.id: ReviewDecision(one.id, kind, content_of(one), one.kind, "Mei", f"{kind} it", TODAY, expires)
        for one, kind in zip(changed, kinds, strict=False)
    }


def _states(plan: Plan, decisions: dict[str, ReviewDecision]) -> list[str]:
    return [one.state for one in standings(plan, decisions, TODAY)]


@pytest.mark.nightly
def test_more_days_of_the_same_leave_decisions_alone() -> None:
    """Counts and chances are evidence; the change that was accepted is the same."""
    plan = _tenant(days=20).plan()
    decisions = _decisions(plan, "accept", "defer")
    later = _tenant(days=40).plan()
    assert later.proposals != plan.proposals
    assert _states(later, decisions) == _states(plan, decisions) == ["accepted", "deferred"]


@pytest.mark.nightly
def test_another_change_makes_a_decision_outdated() -> None:
    """One operation more is another role, and nobody has decided on that."""
    decisions = _decisions(_tenant().plan(), "accept", "reject")
    assert _states(_tenant(START, WRITE).plan(), decisions) == ["outdated", "outdated"]


def test_what_changes_nothing_any_more_is_unmatched() -> None:
    plan = _tenant().plan()
    decisions = _decisions(plan, "accept")
    (id_,) = decisions
    kept = replace(plan, proposals=tuple(replace(one, kind=KEEP, assignments=()) for one in plan.proposals))
    assert unmatched(plan, decisions) == []
    assert [one.proposal for one in unmatched(kept, decisions)] == [id_]


def test_what_is_rejected_is_kept_with_the_reason_and_stays_so() -> None:
    """The others keep their roles and content, so that what is accepted is stable; the decision still fits."""
    plan = _tenant().plan()
    decisions = _decisions(plan, "reject", "accept")
    rejected, accepted = (one for one in plan.proposals if one.id in decisions)
    made = respect(plan, decisions)
    found = {one.id: one for one in made.proposals}
    kept = found[rejected.id]
    assert (kept.kind, kept.assignments, kept.excess_after) == ("keep", (), rejected.excess_before)
    assert kept.reason == "rejected by Mei: reject it"
    assert kept.evidence["review"]["proposed"] == rejected.kind
    assert "removed" not in kept.evidence
    assert found[accepted.id].assignments == accepted.assignments
    assert _states(made, decisions) == ["rejected", "accepted"]
    assert made.roles == plan.roles  # the accepted one shares them


def test_roles_that_only_rejected_proposals_need_are_gone() -> None:
    plan = _tenant().plan()
    assert plan.roles
    assert respect(plan, _decisions(plan, "reject", "reject")).roles == ()


def test_files_of_other_planes_do_not_say_what_is_rejected() -> None:
    """Commands that take a grant away would be run by somebody who was told that it stays."""
    plan = _tenant().plan()
    (one, other) = (replace(one, plane="graph", id=f"graph-{one.id}") for one in plan.proposals[:2])
    names = [f"graph/{found.principal_ids[0]}.sh" for found in (one, other)]
    part = PlanePart("graph", (one, other), {}, {}, {}, files=dict.fromkeys(names, "#"))
    whole = replace(plan, parts=(part,))
    decisions = {one.id: ReviewDecision(one.id, "reject", content_of(one), one.kind, "Mei", "no", TODAY)}
    (made,) = respect(whole, decisions).parts
    assert list(made.files) == names[1:]
    assert [found.kind for found in made.proposals] == ["keep", other.kind]


def test_what_has_ended_is_an_error_that_names_it() -> None:
    """Ends are looked at on the day after the window, never on the clock: the same inputs are the same plan."""
    plan = _tenant().plan()
    last = dt.date.fromisoformat(plan.generated_from["window"]["last_day"])
    ended = _decisions(plan, "reject", expires=last)
    with pytest.raises(InputError, match=rf"1 decision has ended: .* until {last}, rejected by Mei"):
        respect(plan, ended)
    assert respect(plan, _decisions(plan, "reject", expires=last + dt.timedelta(days=1)))
    assert [one.state for one in standings(plan, ended, last)] == ["rejected", "open"]


def test_totals_say_what_a_decision_does() -> None:
    plan = _tenant().plan()
    none = totals(standings(plan, {}, TODAY), plan)
    assert none.excess_accepted == none.excess_today > none.excess_all
    one = totals(standings(plan, decisions := _decisions(plan, "accept"), TODAY), plan)
    (id_,) = decisions
    (changed,) = [found for found in plan.proposals if found.id == id_]
    assert one.excess_accepted == none.excess_today - changed.excess_before + changed.excess_after
    assert (one.gone, one.made, one.roles, one.beyond) == (1, len(changed.assignments), len(plan.roles), 0)
    assert one.excess_all == none.excess_all
    rejected = totals(standings(plan, _decisions(plan, "reject", "reject"), TODAY), plan)
    assert rejected.excess_all == none.excess_today
    assert rejected.states == {"rejected": 2}


def test_a_failed_proof_is_no_content() -> None:
    """It is refused elsewhere; here only what would be changed counts."""
    (one, *_) = _tenant().plan().proposals
    assert content_of(replace(one, proof=Proof(False, True, guid(1)))) == content_of(one)
