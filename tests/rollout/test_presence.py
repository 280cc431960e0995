"""Presence and absence in Azure: nothing is concluded from an answer that does not say it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.change.bundle import Bundle, ScheduleRules, Swap
from rightsize.change.journal import read_journal
from rightsize.change.rest import RefusalError, UnseenError
from rightsize.change.steps import state_of
from rightsize.model.errors import AccessError
from tests.azure.hurried import Hurried
from tests.loopback.pim_writes import default_rules, rules_of
from tests.rollout.room import (
    BROAD,
    NARROW,
    RG,
    START,
    SUB,
    Room,
    broad,
    bundle_of,
    engine_of,
    forget_heads,
    guid,
    journal_at,
    narrow,
    role,
    swap,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def _tenant(*swaps: Swap) -> tuple[Room, Bundle]:
    bundle = bundle_of(*(swaps or (swap(1),)))
    return Room().hold(*(gone for one in bundle.swaps for gone in one.removes)).watch(bundle), bundle


def _apply(room: Room, bundle: Bundle, path: Path) -> Hurried:
    clock = Hurried()
    with journal_at(path) as journal:
        engine_of(room, bundle, journal, clock).apply(1)
    return clock


def _back(room: Room, bundle: Bundle, path: Path) -> None:
    with journal_at(path) as journal:
        engine_of(room, bundle, journal).roll_back(list(reversed(bundle.swaps)))


def _state(path: Path) -> str:
    return state_of(entry for entry in read_journal(path) if entry.swap)


def _codes(path: Path) -> list[str]:
    return [str(entry.data["code"]) for entry in read_journal(path) if entry.event in ("failed", "stopped")]


def test_a_subscription_that_is_not_seen_is_not_gone(path: Path) -> None:
    """As from another tenant: 404 to everything below it. Nothing is said to be taken back, and nothing is lost."""
    room, bundle = _tenant()
    original = room.state()
    _apply(room, bundle, path)
    done = room.state()
    room.unseen = True
    with pytest.raises(UnseenError):
        _back(room, bundle, path)
    assert _state(path) == "rolling_back" and room.state() == done
    room.unseen = False
    _back(room, bundle, path)
    assert room.state() == original


def test_a_wave_does_not_begin_where_a_subscription_is_not_seen(path: Path) -> None:
    room, bundle = _tenant()
    room.unseen = True
    with pytest.raises(AccessError, match="cannot check wave"):
        _apply(room, bundle, path)
    assert read_journal(path) == []


@pytest.mark.parametrize("line", [rf"GET .*roleAssignments/{guid(1)}", r"GET .*resourceGroups/rg$", f"GET {SUB}$"])
def test_a_refusal_to_show_is_never_gone(path: Path, line: str) -> None:
    """403 at the assignment, at its scope, or at the subscription, on the way back."""
    import re  # noqa: PLC0415

    room, bundle = _tenant(swap(1, removes=(broad(1, scope=RG),)))
    original = room.state()
    _apply(room, bundle, path)
    room.strike = lambda _, asked: "forbidden" if re.match(line, asked) else None
    with pytest.raises(RefusalError):
        _back(room, bundle, path)
    assert _state(path) == "rolling_back" and guid(1, "e") in room.state()["assignments"]
    room.strike = lambda *_: None
    _back(room, bundle, path)
    assert room.state() == original


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_where_the_scope_is_gone_the_swap_ends_so(path: Path, when: str) -> None:
    """The resource group of the old assignment is deleted: there is nothing to bring back, and nobody to blame."""
    room, bundle = _tenant(swap(1, removes=(broad(1, scope=RG),)))
    if when == "before":
        room.gone = {RG.lower()}
    elif when == "between":
        room.strike = lambda _, line: (
            room.gone.add(RG.lower()) if "PUT" in line and "/roleAssignments" in line else None
        )  # type: ignore[func-returns-value]
    _apply(room, bundle, path)
    if when == "after":
        room.gone = {RG.lower()}
        _back(room, bundle, path)
    assert _state(path) == "scope_gone"
    _back(room, bundle, path)
    assert _state(path) == "scope_gone"


def test_what_came_below_a_scope_that_is_gone_does_not_hold_up_the_way_back(path: Path) -> None:
    """The old assignment, at the subscription, comes back; the new one went with its resource group."""
    room, bundle = _tenant()
    _apply(room, bundle, path)
    room.gone = {RG.lower()}
    _back(room, bundle, path)
    assert guid(1) in room.state()["assignments"] and _state(path) == "rolled_back"


def _drops(room: Room, gone: str, method: str) -> Callable[[int, str], None]:
    """Let somebody else delete an assignment just before Azure gets a request for one."""

    def strike(_: int, line: str) -> None:
        if line.startswith(method) and "roleAssignments" in line:
            room.role_assignments[:] = [one for one in room.role_assignments if one["name"] != gone]

    return strike


def test_a_deletion_that_found_nothing_stops_the_swap(path: Path) -> None:
    """Azure showed it, and answers 204: somebody else is at work there. What came stays; the next run looks."""
    room, bundle = _tenant()

    room.strike = _drops(room, guid(1), "DELETE")
    _apply(room, bundle, path)
    assert _state(path) == "stopped" and _codes(path) == ["NotRemoved"]
    assert guid(1, "e") in room.state()["assignments"]
    room.strike = lambda *_: None
    _apply(room, bundle, path)
    assert _state(path) == "done"


def test_a_deletion_that_found_nothing_on_the_way_back_is_said(path: Path) -> None:
    room, bundle = _tenant()
    original = room.state()
    _apply(room, bundle, path)

    room.strike = _drops(room, guid(1, "e"), "DELETE")
    with pytest.raises(RefusalError, match="nothing to delete"):
        _back(room, bundle, path)
    room.strike = lambda *_: None
    _back(room, bundle, path)
    assert room.state() == original


def test_what_somebody_else_removed_meanwhile_keeps_what_came(path: Path) -> None:
    """The old assignment is deleted by hand after the new one was made: the new one is all there is, and stays."""
    room, bundle = _tenant()

    room.strike = _drops(room, guid(1), "PUT")
    _apply(room, bundle, path)
    assert _state(path) == "stopped" and _codes(path) == ["Changed", "OldGone"]
    assert guid(1, "e") in room.state()["assignments"]
    room.strike = lambda *_: None
    _apply(room, bundle, path)
    _back(room, bundle, path)
    assert guid(1, "e") in room.state()["assignments"]


def test_what_came_is_read_back_twice_apart_after_the_wait(path: Path) -> None:
    """From Azure, just before the deletion: what is there at first, and no longer then, lets nothing go."""
    room, bundle = _tenant()
    original, seen = room.state(), []

    def strike(_: int, line: str) -> None:
        if line == f"GET {narrow(1).url}" and any("PUT" in one and "roleAssignments" in one for one in room.lines):
            seen.append(line)
            if len(seen) == 2:
                room.role_assignments[:] = [one for one in room.role_assignments if one["name"] != guid(1, "e")]

    room.strike = strike
    clock = _apply(room, bundle, path)
    assert room.state() == original and _codes(path) == ["NotSettled"]
    assert clock.waits[:2] == [600, 60]


def test_what_was_there_is_waited_for_and_read_back_twice_before_what_came_goes(path: Path) -> None:
    room, bundle = _tenant()
    _apply(room, bundle, path)
    room.lines.clear()
    clock = Hurried()
    with journal_at(path) as journal:
        engine_of(room, bundle, journal, clock).roll_back(bundle.swaps)
    asked = [line for line in room.lines if guid(1) in line or line.startswith("DELETE")]
    deletion = next(number for number, line in enumerate(asked) if line.startswith("DELETE"))
    assert asked[:deletion].count(f"GET {broad(1).url}") >= 4 and clock.waits == [600, 60]


@pytest.mark.parametrize("kind", ["custom", "another"])
def test_an_old_role_that_was_deleted_is_made_again(path: Path, kind: str) -> None:
    """From the journal, whole, where it is the one that the plan read; never another."""
    room, bundle = _tenant()
    original = room.state()
    _apply(room, bundle, path)
    room.role_definitions[:] = [one for one in room.role_definitions if one["name"] != BROAD]
    if kind == "another":
        bundle = replace(bundle, old_roles={BROAD: role(BROAD, "Broad", START)})
        with pytest.raises(RefusalError, match="differs from the plan"):
            _back(room, bundle, path)
        assert guid(1, "e") in room.state()["assignments"]
        return
    _back(room, bundle, path)
    assert room.state() == original
    (made,) = [one for one in room.role_definitions if one["name"] == BROAD]
    assert made["properties"]["permissions"] == role(BROAD, "Broad", "*")["properties"]["permissions"]


@pytest.mark.parametrize("grants", ["the same", "more"])
def test_a_new_role_that_is_there_is_taken_if_it_grants_the_same(path: Path, grants: str) -> None:
    """An earlier plan may have made it, with another description: it is used as it is, and stays on the way back."""
    room, bundle = _tenant()
    there = copy.deepcopy(dict(bundle.roles[NARROW]))
    there["properties"] |= {"roleName": "VM Operator", "description": "of another day"}
    if grants == "more":
        there["properties"]["permissions"][0]["actions"].append("*")
    room.role_definitions.append(there)
    original = room.state()
    _apply(room, bundle, path)
    assert [one for one in room.role_definitions if one["name"] == NARROW] == [there]
    if grants == "more":
        assert room.state() == original and _codes(path) == ["RoleChanged"]
        return
    assert guid(1, "e") in room.state()["assignments"]
    _back(room, bundle, path)
    assert room.state() == original


def test_an_old_role_that_is_another_by_now_lets_nothing_begin(path: Path) -> None:
    room, bundle = _tenant()
    room.role_definitions[0] = role(BROAD, "Broad", START)
    original = room.state()
    _apply(room, bundle, path)
    assert room.state() == original and _codes(path) == ["RoleChanged"]


@pytest.mark.parametrize(
    "forged",
    [
        {"principalId": guid(66, "d")},
        {"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"},
        {"condition": "another"},
    ],
)
def test_a_journal_brings_back_nothing_that_the_plan_did_not_remove(path: Path, forged: dict[str, Any]) -> None:
    """Also where hashes and heads fit: what the bundle says was removed is all that may be made again."""
    room, bundle = _tenant()
    _apply(room, bundle, path)
    entries = read_journal(path)
    path.unlink()
    forget_heads(path)
    with journal_at(path) as journal:
        for one in entries:
            properties = one.data.get("properties", {})
            data = one.data | ({"properties": properties | forged} if properties else {})
            journal.write(one.swap, one.event, one.key, one.at, data)
    before = room.state()
    with pytest.raises(RefusalError, match="differs from the plan"):
        _back(room, bundle, path)
    assert room.state() == before


@pytest.mark.parametrize("event", ["create-begin", "role-begin"])
def test_a_journal_deletes_nothing_that_the_plan_did_not_make(path: Path, event: str) -> None:
    room, bundle = _tenant()
    room.hold(broad(7))
    _apply(room, bundle, path)
    with journal_at(path) as journal:
        key, url = (guid(7), broad(7).url) if event == "create-begin" else (BROAD, broad(1).role_url)
        journal.write(bundle.swaps[0].id, event, key, "2026-10-02T08:00:00Z", {"existed": False, "url": url})
    with pytest.raises(RefusalError, match="would delete"):
        _back(room, bundle, path)
    assert guid(7) in room.state()["assignments"] and BROAD in room.state()["roles"]


def test_an_activation_does_not_serve_instead_of_what_comes(path: Path) -> None:
    """It shows as an assignment like any other, and ends tonight."""
    room, bundle = _tenant()
    room.role_definitions.append(role(NARROW, "Narrow", START))
    other = replace(narrow(1), id=guid(77))
    room.hold(other)
    shown = {"scope": RG, "principalId": guid(1, "d"), "roleDefinitionId": other.properties()["roleDefinitionId"]}
    shown |= {"assignmentType": "Activated", "endDateTime": "2026-10-01T20:00:00Z", "condition": None}
    room.assignment_instances.append({"id": "a", "name": "a", "properties": shown})
    original = room.state()
    _apply(room, bundle, path)
    assert room.state() == original and _codes(path) == ["Ends"]


def test_an_assignment_that_goes_does_not_serve_instead_of_what_comes(path: Path) -> None:
    """The same role at the same place, with another id."""
    same = swap(1, creates=(replace(broad(1), id=guid(1, "e")),), roles=())
    room, bundle = _tenant(same)
    original = room.state()
    _apply(room, bundle, path)
    assert room.state() == original and _codes(path) == ["SameAsGoing"]


def test_a_request_that_waits_for_approval_is_not_done(path: Path) -> None:
    eligible = swap(
        1,
        removes=(broad(1, state="eligible", description=None),),
        creates=(narrow(1, state="eligible"),),
        rules=(ScheduleRules(RG, NARROW, SUB, BROAD),),
    )
    room, bundle = _tenant(eligible)
    rules_of(room, SUB, BROAD)["properties"]["rules"] = default_rules()  # type: ignore[arg-type]
    original = room.state()
    room.needs_approval = True
    _apply(room, bundle, path)
    assert room.state() == original and _codes(path) == ["PendingApproval"]
    (failed,) = [entry for entry in read_journal(path) if entry.event == "failed"]
    assert "cancel it" in failed.data["reason"]
