"""A plan on logs of a part of the window: its words, its evidence, its chance of breaking, when it is a preview."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.model.errors import UsageError
from rightsize.model.plan import Plan
from rightsize.propose.core.options import PlanOptions
from tests.propose.histories import bounds_of
from tests.propose.inventoried import analysed, inventoried
from tests.propose.small_tenant import CONTRIBUTOR, DAY0, SUB, VM, SmallTenant, guid, proposal_for

START = "Microsoft.Compute/virtualMachines/start/action"
LEAN = {"reads": "none", "unobservable": "drop"}


def cover(tenant: SmallTenant, days: Any, *scopes: str) -> None:
    """Let the Activity Log of scopes cover these days alone."""
    tenant.covered = tuple(one for one in tenant.covered if one not in scopes)
    for scope in scopes:
        for offset in days:
            day = DAY0 + dt.timedelta(days=offset)
            row = {"source": "activity_log", "category": "Administrative", "scope": scope, "day": day}
            tenant.add("coverage", **row, events=1, state="observed")


def staff(covered: Any = range(25, 90), **use: Any) -> SmallTenant:
    """Two contributors, one who starts a machine and one who does nothing, on a log of some of the ninety days."""
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB)
    tenant.assign(102, tenant.principal(2), CONTRIBUTOR, SUB)
    tenant.use(guid(1), START, VM, **({"start": 40} | use))
    cover(tenant, covered, SUB)
    return tenant


@pytest.fixture(scope="module")
def plan() -> Plan:
    return staff().plan(**LEAN)


@pytest.mark.nightly
def test_a_plan_says_how_many_days_its_evidence_covers(plan: Plan) -> None:
    narrowed, removed = (proposal_for(plan, guid(number)) for number in (101, 102))
    assert (narrowed.kind, removed.kind) == ("custom", "remove")
    assert narrowed.reason.endswith("(covered 65 of 90 days)")
    assert "operations would have been logged (covered 65 of 90 days)" in removed.reason
    for one in (narrowed, removed):
        assert one.evidence["covered_days"] == 65
        assert one.evidence["removed"]["covered_in_part"] > 0
        assert "covered" not in one.evidence["removed"]
        assert one.proof.used_subset and one.proof.granted_superset


@pytest.mark.slow
def test_a_log_of_the_whole_window_needs_no_words() -> None:
    narrowed = proposal_for(staff(range(90)).plan(**LEAN), guid(101))
    assert "days" not in narrowed.reason
    assert "covered_days" not in narrowed.evidence


@pytest.mark.nightly
def test_the_chance_of_breaking_rests_on_the_covered_days() -> None:
    """Days without a log are no days of work, and what a holder did on them brought nothing."""
    busy = {"days": 60, "start": 20}
    whole, part = (bounds_of(staff(days, **busy))[guid(101)] for days in (range(90), range(25, 90)))
    assert [found.active_days for found in (whole, part)] == [60, 55]
    before, part = (bounds_of(staff(days, days=3, start=5))[guid(101)] for days in (range(90), range(25, 90)))
    assert [(found.basis, found.operations) for found in (before, part)] == [("used", 1), ("silent", 0)]


@pytest.mark.nightly
def test_last_days_of_which_a_third_has_no_log_test_nothing() -> None:
    """Nothing that came on them would have been seen."""
    some, many = range(60, 67), [*range(60, 67), *range(68, 75)]
    for missing, tests in ((some, 2), (many, 0)):
        tenant = staff([day for day in range(90) if day not in missing], days=90, start=0)
        found = bounds_of(tenant).values()
        assert sum(one.counts[1][1] for one in found) == tests


@pytest.mark.slow
def test_with_less_a_plan_keeps_the_assignment_and_says_what_is_missing() -> None:
    plan = staff(range(31, 90)).plan()
    kept = proposal_for(plan, guid(102))
    assert kept.kind == "keep"
    assert "on days without a log" in kept.reason
    assert plan.would_tell["days_missing"] == "the log of the missing days"


@pytest.mark.nightly
def test_existence_needs_its_days_whatever_min_days_says() -> None:
    """With one day less than the log could still give, nothing is known of what came and went."""
    for days, problem in ((range(1, 90), None), (range(2, 90), "days_missing")):
        tenant = inventoried()
        cover(tenant, days, SUB)
        problems = dict(analysed(tenant, min_days=20).existence.problems.select("node", "problem").iter_rows())
        assert problems[SUB.lower()] == problem


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("options", "subject"),
    [({"window_days": 30}, "--min-window"), ({"min_days": 59}, "--min-days"), ({"min_days": 60}, None), ({}, None)],
)
def test_a_plan_on_less_than_a_whole_window_says_that_it_is_a_preview(
    options: dict[str, int], subject: str | None
) -> None:
    advice = staff().plan(**LEAN, **options).advice
    said = [one for one in advice if "preview" in one.text]
    assert [one.subject for one in said] == ([subject] if subject else [])
    assert all("`rollout` refuses it without `--accept-short-window`" in one.text for one in said)


@pytest.mark.nightly
def test_a_plan_whose_window_was_fitted_says_so_where_its_window_stands() -> None:
    """Its options have the number that was used, so that the same plan can be asked for."""
    short = staff().plan(**LEAN, window_days=30).generated_from
    assert short["window"]["preview"] == "it rests on 30 days of use, not on 90"
    assert "preview" not in staff().plan(**LEAN).generated_from["window"]
    assert short["options"]["min_window"] == 30
    assert (PlanOptions().as_json(45)["min_window"], PlanOptions().as_json()["min_window"]) == (45, 90)
    assert PlanOptions(min_window=60).as_json(60)["min_window"] == 60


def test_the_option_stands_in_the_plan_where_it_is_given() -> None:
    assert "min_days" not in PlanOptions().as_json()
    assert PlanOptions(min_days=45).as_json()["min_days"] == 45
    with pytest.raises(UsageError, match="`--min-days 0` is not a number from 1 up"):
        PlanOptions(min_days=0)
