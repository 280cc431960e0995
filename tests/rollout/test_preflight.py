"""Checks before a wave: our own access, emergency accounts, owners, locks, PIM rules, and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rightsize.change.bundle import ScheduleRules
from rightsize.change.journal import read_journal
from rightsize.change.preflight import PreflightFacts
from rightsize.change.rest import RefusalError
from rightsize.model.errors import AccessError, GateError
from rightsize.rbac.assignments import OWNER
from tests.loopback.pim_writes import default_rules, rules_of
from tests.rollout.room import (
    BROAD,
    NARROW,
    RG,
    SUB,
    TENANT,
    Room,
    broad,
    bundle_of,
    engine_of,
    guid,
    journal_at,
    narrow,
    role,
    swap,
)

ME, END = guid(50, "d"), "2027-03-01T22:00:00Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def _apply(room: Room, path: Path, *swaps: Any, known: PreflightFacts | None = None) -> list[str]:
    """Carry out wave 1; return the codes of what was refused, and see that it is as it was then."""
    original = room.state()
    bundle = bundle_of(*swaps)
    room.watch(bundle)
    with journal_at(path) as journal:
        engine_of(room, bundle, journal).apply(1, known)
    codes = [str(entry.data["code"]) for entry in read_journal(path) if entry.event == "failed"]
    made = [line for line in room.lines if not line.startswith("GET")]
    assert not codes or (room.state() == original and made == [])
    return codes


def test_own_access_through_a_group_that_only_azure_knows_is_not_taken_away(path: Path) -> None:
    room = Room(groups={guid(1, "d"): {ME}}).hold(broad(1), broad(5, principal_id=ME))
    assert _apply(room, path, swap(1), known=PreflightFacts(ME)) == ["OwnAccess"]


def test_an_emergency_account_that_joined_a_group_since_keeps_its_access(path: Path) -> None:
    """Azure says it, though the store does not; and the store says it, though Azure does not."""
    room = Room(groups={guid(1, "d"): {guid(99, "d")}}).hold(broad(1))
    assert _apply(room, path, swap(1)) == ["EmergencyAccess"]
    room = Room().hold(broad(1))
    members = {guid(1, "d"): {guid(99, "d")}}
    assert _apply(room, path.with_name("2"), swap(1), known=PreflightFacts(members=members)) == ["EmergencyAccess"]


@pytest.mark.parametrize(
    ("other", "enabled", "codes"),
    [
        ({}, {2}, []),
        ({}, set(), ["LastOwner"]),
        ({"condition": "x", "condition_version": "2.0"}, {2}, ["LastOwner"]),
        ({"scope": RG}, {2}, ["LastOwner"]),
        (None, {2}, ["LastOwner"]),
    ],
)
def test_the_last_owner_who_can_act_stays(
    path: Path, other: dict[str, Any] | None, enabled: set[int], codes: list[str]
) -> None:
    """As Azure has it now: one who has a condition, is disabled, elsewhere, or gone since is none."""
    gone = broad(1, role=OWNER)
    room = Room().hold(gone)
    if other is not None:
        room.hold(broad(2, role=OWNER, **other))
    known = PreflightFacts(enabled={guid(number, "d") for number in enabled})
    assert _apply(room, path, swap(1, removes=(gone,)), known=known) == codes


def test_an_owner_whose_assignment_ends_is_none_who_stays(path: Path) -> None:
    gone, other = broad(1, role=OWNER), broad(2, role=OWNER)
    room = Room().hold(gone, other)
    shown = {"scope": SUB, "principalId": guid(2, "d"), "roleDefinitionId": other.properties()["roleDefinitionId"]}
    shown |= {"assignmentType": "Activated", "endDateTime": END, "condition": None}
    room.assignment_instances.append({"id": "a", "name": "a", "properties": shown})
    assert _apply(room, path, swap(1, removes=(gone,)), known=PreflightFacts(enabled={guid(2, "d")})) == ["LastOwner"]


@pytest.mark.parametrize("level", ["CanNotDelete", "ReadOnly"])
def test_a_lock_is_found_before_anything_is_made(path: Path, level: str) -> None:
    room = Room().hold(broad(1))
    room.locks = [{"id": f"{RG}/providers/Microsoft.Authorization/locks/l", "properties": {"level": level}}]
    assert _apply(room, path, swap(1)) == ["ScopeLocked"]


def test_a_lock_that_comes_meanwhile_keeps_both_until_it_goes(path: Path) -> None:
    """CanNotDelete prevents the deletion of role assignments below it: nobody loses anything."""
    room = Room().hold(broad(1))
    original, bundle = room.state(), bundle_of(swap(1))
    lock = {"id": f"{SUB}/providers/Microsoft.Authorization/locks/l", "properties": {"level": "CanNotDelete"}}

    def strike(_: int, line: str) -> None:
        if line.startswith("PUT") and "roleAssignments" in line and not room.locks:
            room.locks.append(lock)

    room.strike = strike
    with journal_at(path) as journal, pytest.raises(RefusalError, match="ScopeLocked"):
        engine_of(room.watch(bundle), bundle, journal).apply(1)
    assert {guid(1), guid(1, "e")} <= room.state()["assignments"].keys()
    room.strike = lambda *_: None
    room.locks.clear()
    with journal_at(path) as journal:
        engine_of(room, bundle, journal).apply(1)
    assert room.state() == original


def _rule(**more: Any) -> list[dict[str, Any]]:
    rules = default_rules(eligible=more.pop("eligible", None))
    return [rule | more if rule["id"] == "Enablement_Admin_Eligibility" else rule for rule in rules]


@pytest.mark.parametrize(
    ("rules", "until", "has_mfa", "codes"),
    [
        (_rule(), None, False, []),
        (_rule(enabledRules=["Justification"]), None, False, []),
        (_rule(eligible="P365D"), None, False, ["PolicyRefuses"]),
        (_rule(eligible="P30D"), END, False, ["PolicyRefuses"]),
        (_rule(eligible="P365D"), END, False, []),
        (_rule(enabledRules=["MultiFactorAuthentication"]), None, False, ["PolicyRefuses"]),
        (_rule(enabledRules=["Ticketing"]), None, True, ["PolicyRefuses"]),
    ],
)
def test_what_the_rules_of_a_role_would_refuse_is_found_before_anything_is_made(
    path: Path, rules: list[dict[str, Any]], until: str | None, has_mfa: bool, codes: list[str]
) -> None:
    gone, made = (
        broad(1, state="eligible", until=until, description=None),
        narrow(1, state="eligible", until=until),
    )
    room = Room().hold(gone)
    rules_of(room, SUB, BROAD)["properties"]["rules"] = rules  # type: ignore[arg-type]
    one = swap(1, removes=(gone,), creates=(made,), rules=(ScheduleRules(RG, NARROW, SUB, BROAD),))
    assert _apply(room, path, one, known=PreflightFacts(has_mfa=has_mfa)) == codes


@pytest.mark.parametrize("which", ["elevated", "ending", "lasting"])
def test_a_right_that_may_end_midway_lets_nothing_begin(path: Path, which: str) -> None:
    """Elevated access at the root, or an activation until tonight."""
    mine = broad(5, principal_id=ME, scope="/" if which == "elevated" else SUB)
    room = Room().hold(broad(1), mine)
    end = "2026-10-01T12:30:00Z" if which == "ending" else "2026-12-01T00:00:00Z"
    shown = {"scope": SUB, "principalId": ME, "roleDefinitionId": broad(5).properties()["roleDefinitionId"]}
    room.assignment_instances.append(
        {"id": "a", "name": "a", "properties": shown | {"endDateTime": end, "condition": None}}
    )
    if which == "lasting":
        assert _apply(room, path, swap(1), known=PreflightFacts(ME)) == []
        return
    with pytest.raises(AccessError, match="comes from elevated access"):
        _apply(room, path, swap(1), known=PreflightFacts(ME))
    assert read_journal(path) == []


def test_a_subscription_of_another_tenant_is_refused(path: Path) -> None:
    room = Room().hold(broad(1))
    with pytest.raises(AccessError, match="belongs to tenant"):
        _apply(room, path, swap(1), known=PreflightFacts(tenant="another"))
    assert _apply(room, path, swap(1), known=PreflightFacts(tenant=TENANT)) == []


@pytest.mark.slow
def test_old_and_new_have_to_fit_together_as_azure_has_it_now(path: Path) -> None:
    room = Room().hold(*(broad(number) for number in range(1, 4_001)))
    with pytest.raises(GateError, match="4001 assignments"):
        _apply(room, path, swap(1))
    room.role_assignments.pop()
    assert _apply(room, path, swap(1)) == []


def test_a_management_group_holds_five_hundred(path: Path) -> None:
    place = "/providers/Microsoft.Management/managementGroups/g"
    one = swap(1, removes=(broad(1, scope=place),), creates=(narrow(1, scope=place),))
    room = Room().hold(*(broad(number, scope=place) for number in range(1, 501)))
    with pytest.raises(GateError, match="501 assignments"):
        _apply(room, path, one)


def test_custom_roles_have_to_fit_too(path: Path) -> None:
    room = Room().hold(broad(1))
    room.role_definitions += [role(guid(number), f"r{number}", "*") for number in range(4_998)]
    with pytest.raises(GateError, match="5001 custom roles"):
        _apply(room, path, swap(1))
