"""Refusals after a swap are traced to its removals; silence closes only what a covered log would have shown."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.change.bundle import Swap
from rightsize.change.journal import Entry
from rightsize.change.tripwire import Refusal, SeenUse, SwapStatus, add_back, standing_of
from rightsize.model.nouns import PermissionBlock
from tests.rollout.room import BROAD, NARROW, RG, START, SUB, broad, guid, narrow, swap

DONE = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
STOP = "Microsoft.Compute/virtualMachines/deallocate/action"
STARRED = "Microsoft.Compute/virtualMachines/*/deallocate/action"
ANN, GROUP = guid(1, "d"), guid(50, "d")


def refusal(**more: Any) -> Refusal:
    fields = {"principal_id": ANN, "operation": STOP, "scope": f"{RG}/providers/Microsoft.Compute/virtualMachines/vm"}
    return Refusal(**(fields | {"plane": "control", "calls": 2, "last_seen": dt.datetime(2026, 10, 2, 8)} | more))


def stands(
    *refusals: Refusal, one: Swap | None = None, days: int = 0, events: tuple[str, ...] = ("done",), **more: Any
) -> SwapStatus:
    one = one or swap(1)
    entries = [Entry(one.id, event, one.id, DONE.isoformat(), {"reason": "no"}) for event in events]
    whole = frozenset(DONE.date() + dt.timedelta(days=number) for number in range(days + 1))
    covered = {place.lower(): whole for place in (SUB, *more.pop("also", ()))}
    fields: dict[str, Any] = {"members": {}, "tree": {}, "today": DONE.date() + dt.timedelta(days=days)} | more
    roles = {BROAD: [PermissionBlock(("Microsoft.Compute/*",))], NARROW: [PermissionBlock((START,))]}
    seen = SeenUse(refusals=refusals, covered=covered, **({"roles": roles} | fields))
    return standing_of(one, entries, seen, watch_days=7, soak_days=30)


def test_a_refusal_that_the_removed_role_would_have_allowed_trips() -> None:
    found = stands(refusal(), days=20)
    assert found.state == "tripped"
    assert add_back(found) == [
        {
            "principal_id": ANN,
            "operation": STOP,
            "scope": f"{RG}/providers/Microsoft.Compute/virtualMachines/vm",
            "plane": "control",
            "calls": 2,
        }
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"last_seen": dt.datetime(2026, 10, 1, 11, 59)},
        {"principal_id": guid(2, "d")},
        {"operation": "Microsoft.Network/virtualNetworks/write"},
        {"plane": "data"},
        {"scope": "/subscriptions/20000000-0000-0000-0000-000000000000/resourceGroups/rg"},
        {"operation": START},
    ],
)
def test_what_the_swap_did_not_take_away_does_not_trip(more: dict[str, Any]) -> None:
    """Before it, by somebody else, of another kind or place, or what the new assignment allows as well."""
    assert stands(refusal(**more), days=20).state == "closed"


@pytest.mark.parametrize(
    ("removed", "made", "state"),
    [
        ("Microsoft.Compute/*", STARRED, "tripped"),
        (STARRED, STARRED, "closed"),
        (STARRED, START, "tripped"),
        (STARRED, "Microsoft.Compute/*", "closed"),
    ],
)
def test_a_string_that_may_allow_it_answers_no_refusal_but_of_the_same_string(
    removed: str, made: str, state: str
) -> None:
    """Whether `virtualMachines/*/deallocate/action` allows it, Azure does not say; the refusal may be the answer."""
    roles = {BROAD: [PermissionBlock((removed,))], NARROW: [PermissionBlock((made,))]}
    assert stands(refusal(), days=20, roles=roles).state == state


def test_what_the_new_role_allows_elsewhere_only_trips() -> None:
    assert stands(refusal(operation=START, scope=f"{SUB}/resourceGroups/other"), days=20).state == "tripped"


def test_a_member_of_the_group_trips_too() -> None:
    one = swap(1, removes=(broad(1, principal_id=GROUP),), creates=(narrow(1, principal_id=GROUP),))
    assert stands(refusal(), one=one, members={GROUP: frozenset({ANN})}, days=20).state == "tripped"
    assert stands(refusal(), one=one, members={}, days=20).state == "closed"


def test_a_management_group_above_counts() -> None:
    group = "/providers/Microsoft.Management/managementGroups/g"
    one = swap(1, removes=(broad(1, scope=group),))
    assert stands(refusal(), one=one, tree={SUB: group}).state == "tripped"


def test_a_management_group_is_covered_where_all_below_it_is() -> None:
    """Calls stand in the log of their own subscription; one that nobody loaded proves nothing."""
    group, other = "/providers/Microsoft.Management/managementGroups/g", "/subscriptions/2"
    one = swap(1, removes=(broad(1, scope=group),))
    assert stands(one=one, tree={SUB: group}, days=8).covered_days == 0, "the group's own log is missing"
    assert stands(one=one, tree={SUB: group}, days=8, also=(group,)).state == "closed"
    assert stands(one=one, tree={SUB: group, other: group}, days=8, also=(group,)).state == "watching"
    assert stands(one=one, tree={SUB: group, other: group}, days=8, also=(group, other)).state == "closed"


def test_calls_of_several_days_are_added_up() -> None:
    found = stands(refusal(), refusal(calls=3, last_seen=dt.datetime(2026, 10, 3, 8)), days=20)
    assert [one["calls"] for one in add_back(found)] == [5]


@pytest.mark.parametrize(("days", "state"), [(0, "watching"), (6, "watching"), (7, "closed")])
def test_silence_closes_what_a_covered_log_would_have_shown(days: int, state: str) -> None:
    """Only whole days after the swap count, and only covered ones."""
    assert stands(days=days).state == state


def test_silence_without_a_log_proves_nothing() -> None:
    found = stands(one=swap(1, removes=(broad(1, scope="/subscriptions/2/resourceGroups/x"),)), days=400)
    assert (found.state, found.covered_days) == ("watching", 0)


def test_what_no_log_shows_stays_open_until_it_is_confirmed_or_has_soaked() -> None:
    """Removed reads and unlogged operations are blind, not closed."""
    one = swap(1, blind=2)
    assert stands(one=one, days=8).state == "blind"
    assert stands(one=one, days=8, events=("done", "confirmed")).state == "closed"
    assert stands(one=one, days=29).state == "blind"
    assert stands(one=one, days=30).state == "closed"


def test_data_actions_are_blind_to_the_activity_log() -> None:
    roles = {BROAD: [PermissionBlock((), (), ("*",))]}
    assert stands(days=8, roles=roles).state == "blind"


@pytest.mark.parametrize(
    ("events", "state"), [((), "open"), (("created",), "begun"), (("failed", "rollback", "rolled-back"), "rolled_back")]
)
def test_what_is_not_done_is_not_watched(events: tuple[str, ...], state: str) -> None:
    found = stands(refusal(), events=events, days=20)
    assert (found.state, found.refusals) == (state, ())
    assert found.reason == ("no" if "failed" in events else None)
