"""Activations are rebuilt from incomplete records, joined with use, and prove which eligible assignments are unused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.findings import find
from rightsize.analyze.verdicts.usage import duration, standing_hours
from rightsize.analyze.window import Window
from tests.analyze.tiny import FIRST, LAST, RG, SUB, VM, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
READ = "Microsoft.Compute/virtualMachines/read"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
MADE = f"{SUB}/providers/Microsoft.Authorization/roleAssignments/"


def at(day: int, hour: int = 9, minute: int = 0) -> dt.datetime:
    return dt.datetime(2026, 1, day, hour, minute)


FIFTH = at(5)


@pytest.fixture
def eligible() -> Tiny:
    tiny = Tiny().role("vm", "Microsoft.Compute/*").assign("e", "p", "vm", state="eligible").cover()
    return tiny.add("principals", principal_id="p", principal_type="User", listed=True)


def asked(tiny: Tiny, start: dt.datetime = FIFTH, **more: Any) -> Tiny:
    row = {
        "request_id": f"r-{start}",
        "plane": "control",
        "asks_for": "assignment",
        "request_type": "selfactivate",
        "status": "provisioned",
        "principal_id": "p",
        "role_definition_id": "vm",
        "scope": SUB,
        "start_on": start,
        "end_on": start + dt.timedelta(hours=4),
        "justified": True,
    }
    return tiny.add("schedule_requests", **row | more)


def written(tiny: Tiny, name: str = "gone", time: dt.datetime = FIFTH, kind: str = "write", **more: Any) -> Tiny:
    row = {
        "correlation_id": f"{name}-{kind}",
        "operation": f"Microsoft.Authorization/roleAssignments/{kind}",
        "scope": MADE + name,
        "time": time,
        "outcome": "succeeded",
        "assigned_role_id": "vm",
        "assigned_principal_id": "p",
    }
    return tiny.add("role_assignment_requests", **row | more)


def activations(tiny: Tiny) -> list[dict[str, Any]]:
    return tiny.analyse().activations.to_dicts()


def controls(tiny: Tiny) -> dict[str, str]:
    found = find(tiny.inputs(), tiny.analyse())
    return dict(found.select("control", "reason").iter_rows())


@pytest.mark.nightly
def test_records_of_one_activation_are_one_row(eligible: Tiny) -> None:
    """Request, write and audit record, minutes apart; the deletion says when it really ended."""
    asked(eligible)
    written(eligible, time=at(5, 9, 2))
    written(eligible, kind="delete", time=at(5, 11))
    eligible.add(
        "pim_records",
        record_id="a",
        time=at(5, 9, 3),
        step="activated",
        plane="control",
        principal_id="p",
        role_definition_id="vm",
        succeeded=True,
    )
    (row,) = activations(eligible)
    assert (row["role_assignment_id"], row["eligibility_id"], row["hours"]) == ("gone", "e", 2.0)
    assert row["seen_in"] == ["activity_log", "audit_log", "request"]


def test_a_late_approval_does_not_make_two_of_one_assignment(eligible: Tiny) -> None:
    asked(eligible, role_assignment_id="gone")
    written(eligible, time=at(5, 12))
    assert len(activations(eligible)) == 1


@pytest.mark.slow
def test_two_activations_of_one_day_stay_two(eligible: Tiny) -> None:
    asked(asked(eligible), at(5, 15))
    assert [row["start_on"] for row in activations(eligible)] == [at(5), at(5, 15)]


@pytest.mark.parametrize("status", ["denied", "canceled", "pendingapproval", "failed"])
def test_a_request_that_was_not_granted_is_no_activation(eligible: Tiny, status: str) -> None:
    assert activations(asked(eligible, status=status)) == []


def test_an_assignment_for_which_nobody_is_eligible_is_no_activation(eligible: Tiny) -> None:
    assert activations(written(eligible, assigned_principal_id="somebody")) == []


def test_use_under_an_activation_that_has_ended_belongs_to_its_eligibility(eligible: Tiny) -> None:
    """Two eligibilities grant the call; the rebuilt history says which one was activated."""
    eligible.role("wide", "*").assign("other", "p", "wide", state="eligible")
    written(eligible).use("p", START, role_assignment_id="gone")
    used = eligible.analyse().verdicts.filter(pl.col("verdict") == "used")
    assert used.select("role_assignment_id", "reason").rows() == [("e", "past_activation")]
    (row,) = activations(eligible)
    assert (row["events"], row["done"]) == (1, [START])


@pytest.mark.slow
def test_use_that_names_no_assignment_belongs_to_the_activation_that_was_running(eligible: Tiny) -> None:
    asked(asked(eligible, at(5, 10)), at(6)).use("p", START).use("p", "Microsoft.Network/networkInterfaces/write")
    assert [row["events"] for row in activations(eligible)] == [1, 0]


def test_what_nobody_activated_is_unused_whatever_shows_its_use(eligible: Tiny) -> None:
    judged = eligible.judged("e", "eligible")
    assert {judged[name] for name in (READ, WRITE, START)} == {("unused", "never_activated")}
    assert "never_activated" in controls(eligible)


@pytest.mark.slow
def test_an_activation_in_the_window_wakes_it_and_one_before_does_not(eligible: Tiny) -> None:
    before = dt.datetime.combine(FIRST, dt.time()) - dt.timedelta(days=3)
    assert asked(eligible, before).judged("e", "eligible")[READ] == ("unused", "never_activated")
    assert asked(eligible).judged("e", "eligible")[READ] == ("unobservable", "arm_read")


def test_a_gap_in_the_log_proves_nothing() -> None:
    tiny = Tiny().role("vm", "Microsoft.Compute/*").assign("e", "p", "vm", state="eligible").cover(days=range(9))
    assert tiny.judged("e", "eligible")[READ][1] != "never_activated"


def test_an_assignment_of_which_nothing_says_for_whom_it_was_may_have_been_an_activation(eligible: Tiny) -> None:
    eligible.use("service", ASSIGN, MADE + "unknown")
    assert eligible.judged("e", "eligible")[READ] == ("unobservable", "arm_read")


def test_an_assignment_that_somebody_else_made_is_no_activation(eligible: Tiny) -> None:
    eligible.add("principals", principal_id="admin", principal_type="User", listed=True)
    eligible.use("admin", ASSIGN, MADE + "unknown")
    assert eligible.judged("e", "eligible")[READ] == ("unused", "never_activated")


def test_an_assignment_that_the_holder_made_may_be_one(eligible: Tiny) -> None:
    eligible.use("p", ASSIGN, MADE + "unknown")
    assert eligible.judged("e", "eligible")[READ] == ("unobservable", "arm_read")


def test_a_member_activates_the_eligibility_of_the_group_at_a_narrower_scope() -> None:
    tiny = Tiny().role("vm", "Microsoft.Compute/*").member("g", "p").assign("e", "g", "vm", state="eligible").cover()
    (row,) = activations(asked(tiny, scope=RG))
    assert (row["eligibility_id"], row["scope"]) == ("e", RG.lower())


@pytest.mark.slow
def test_activations_without_a_reason_or_without_a_change_are_found(eligible: Tiny) -> None:
    found = controls(asked(eligible, justified=False))
    assert found["activation_without_reason"] == "1 of 1 activations gave no reason"
    assert "activated 1 times, and no log shows a change by it" in found["activated_only_to_read"]


@pytest.mark.parametrize(
    ("asks", "control"),
    [
        ({}, "activation_asks_nothing"),
        ({"requires_justification": True}, "activation_without_approval"),
        ({"requires_approval": True}, None),
    ],
)
def test_a_policy_that_asks_for_little_is_found(eligible: Tiny, asks: dict[str, bool], control: str | None) -> None:
    eligible.add("role_management_policies", policy_id="x", scope=SUB, role_definition_id="vm", rules="[]", **asks)
    assert {name for name in controls(eligible) if name.startswith("activation_")} == ({control} if control else set())


def test_standing_access_that_works_a_few_hours_is_found_with_the_length_it_needs() -> None:
    tiny = Tiny().role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").cover().use("p", WRITE).use("p", START)
    assert "an activation of PT30M" in controls(tiny)["standing_seldom_used"]


def test_hours_are_those_from_the_first_to_the_last_call_of_a_day() -> None:
    days = pl.DataFrame(
        {
            "a": [1, 1, 1],
            "day": [FIRST, FIRST, LAST],
            "first_seen": [at(1, 8), at(1, 10), at(10, 9)],
            "last_seen": [at(1, 9), at(1, 11), at(10, 9)],
        }
    )
    (row,) = standing_hours(days, Window(FIRST, LAST), "a").to_dicts()
    assert row == {"a": 1, "days": 2, "hours_a_month": pytest.approx(3.5 * 3), "hours_needed": 3.0}


@pytest.mark.parametrize(("hours", "said"), [(0.5, "PT30M"), (2.0, "PT2H"), (3.5, "PT3H30M"), (0.0, "PT0M")])
def test_durations_are_written_as_policies_have_them(hours: float, said: str) -> None:
    assert duration(hours) == said


@pytest.mark.nightly
def test_the_order_of_rows_changes_nothing(eligible: Tiny) -> None:
    written(asked(asked(eligible), at(7)), "other", at(7)).use("p", START, VM, role_assignment_id="other")
    expected = eligible.analyse().activations
    for seed in range(3):
        assert eligible.analyse(shuffled=seed).activations.equals(expected)
