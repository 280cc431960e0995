"""A swap ends in the plan's state or in the original one, whatever fails and wherever it is killed."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure.wire import FaultError
from rightsize.change.bundle import Bundle, Held
from rightsize.change.journal import read_journal
from rightsize.change.preflight import PreflightFacts
from rightsize.change.rest import RefusalError
from rightsize.change.steps import state_of
from tests.azure.hurried import Hurried
from tests.rollout.room import (
    NARROW,
    OWNER,
    RG,
    START,
    SUB,
    FrailJournal,
    Killed,
    Room,
    apply_first_wave,
    broad,
    bundle_of,
    engine_of,
    guid,
    journal_at,
    narrow,
    role,
    swap,
    undo_each,
)

CONDITION = "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})))"


def _tenant() -> tuple[Room, Bundle]:
    """Two swaps that share a new role; one has two assignments that go, one of them with a condition."""
    more = broad(3, principal_id=guid(1, "d"), condition=CONDITION, condition_version="2.0", scope=RG)
    first = swap(1, removes=(broad(1), more))
    return Room().hold(broad(1), broad(2), more, broad(9)), bundle_of(first, swap(2))


def _planned(room: Room, bundle: Bundle) -> dict[str, Any]:
    """The state that the plan wants, from a run that nothing disturbs."""
    fresh, _ = _tenant()
    state = fresh.state()
    for one in bundle.swaps:
        for gone in one.removes:
            del state["assignments"][gone.id]
        for made in one.creates:
            state["assignments"][made.id] = (made.scope, made.properties())
    state["roles"] = sorted([*state["roles"], NARROW])
    return state


def _states(bundle: Bundle, path: Path) -> list[str]:
    entries = read_journal(path)
    return [state_of(entry for entry in entries if entry.swap == one.id) for one in bundle.swaps]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_a_wave_makes_before_it_removes(path: Path) -> None:
    """Nobody is without access in between: all that comes is there, and read back, before anything goes."""
    room, bundle = _tenant()
    clock = apply_first_wave(room, bundle, path)
    assert room.state() == _planned(room, bundle)
    assert _states(bundle, path) == ["done", "done"]
    kinds = [line.split(" ")[0] for line in room.lines if not line.startswith("GET")]
    assert kinds == ["PUT"] * 3 + ["DELETE"] * 3
    assert max(clock.waits) == 600


def test_a_wave_that_is_done_is_not_done_again(path: Path) -> None:
    room, bundle = _tenant()
    apply_first_wave(room, bundle, path)
    before = len(room.lines)
    apply_first_wave(room, bundle, path)
    assert [line for line in room.lines[before:] if not line.startswith("GET")] == []


@pytest.mark.slow
def test_the_way_back_restores_everything(path: Path) -> None:
    """Ids, conditions and descriptions come back; what came goes, the role that came with it too."""
    room, bundle = _tenant()
    original = room.state()
    apply_first_wave(room, bundle, path)
    undo_each(room, bundle, path)
    assert room.state() == original
    assert _states(bundle, path) == ["rolled_back", "rolled_back"]
    undo_each(room, bundle, path)
    assert room.state() == original


def test_one_swap_may_be_taken_back_alone(path: Path) -> None:
    """The role that another swap still uses stays."""
    room, bundle = _tenant()
    original, planned = room.state(), _planned(room, bundle)
    apply_first_wave(room, bundle, path)
    with journal_at(path) as journal:
        engine_of(room, bundle, journal).roll_back([bundle.swaps[0]])
    state = room.state()
    assert state["roles"] == planned["roles"]
    assert set(state["assignments"]) == {
        *(key for key in original["assignments"] if key != bundle.swaps[1].removes[0].id),
        bundle.swaps[1].creates[0].id,
    }


def _count(run: Callable[[Room, Bundle, Path], None], path: Path) -> tuple[int, int]:
    room, bundle = _tenant()
    run(room, bundle, path)
    return room.requests, len(read_journal(path))


def _ends(way: str, room: Room, bundle: Bundle, path: Path, original: dict[str, Any]) -> None:
    """Go on to the plan, or back to the state before."""
    (apply_first_wave if way == "on" else undo_each)(room, bundle, path)
    assert room.state() == (_planned(room, bundle) if way == "on" else original)


REQUESTS, ENTRIES = 46, 26


def test_the_kills_reach_the_end(tmp_path: Path) -> None:
    """The numbers below cover every step there is."""
    requests, entries = _count(lambda room, bundle, path: apply_first_wave(room, bundle, path) and None, tmp_path / "j")
    assert requests <= REQUESTS and entries <= ENTRIES


@pytest.mark.slow
@pytest.mark.many(46)
@pytest.mark.parametrize("way", ["on", "back"])
@pytest.mark.parametrize("fault", ["kill", "kill after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_kill_at_any_request_leaves_a_way_on_and_a_way_back(path: Path, number: int, fault: str, way: str) -> None:
    room, bundle = _tenant()
    original = room.state()
    room.strike = lambda at, _: fault if at == number else None
    with suppress(Killed):
        apply_first_wave(room, bundle, path)
    room.strike = lambda *_: None
    _ends(way, room, bundle, path, original)


@pytest.mark.slow
@pytest.mark.many(26)
@pytest.mark.parametrize("way", ["on", "back"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("last", range(1, ENTRIES + 1))
def test_a_kill_at_any_line_of_the_journal_leaves_a_way_on_and_a_way_back(
    path: Path, last: int, after: bool, way: str
) -> None:
    room, bundle = _tenant()
    original = room.state()
    with suppress(Killed):
        apply_first_wave(room, bundle, path, FrailJournal(path, last, after=after))
    _ends(way, room, bundle, path, original)


@pytest.mark.slow
@pytest.mark.many(13)
@pytest.mark.parametrize("number", range(1, 52))
def test_a_kill_on_the_way_back_goes_on_back(path: Path, number: int) -> None:
    room, bundle = _tenant()
    original = room.state()
    apply_first_wave(room, bundle, path)
    room.requests = 0
    room.strike = lambda at, _: "kill after" if at == number else None
    with suppress(Killed):
        undo_each(room, bundle, path)
    room.strike = lambda *_: None
    undo_each(room, bundle, path)
    assert room.state() == original


@pytest.mark.parametrize("fault", ["throttle", "server", "conflict", "drop", "drop after", "html"])
@pytest.mark.parametrize("every", [2, 3, 10])
def test_what_passes_by_does_not_matter(path: Path, fault: str, every: int) -> None:
    """Throttling, broken connections, conflicts and half answers are asked again, also where the write was done."""
    room, bundle = _tenant()
    planned = _planned(room, bundle)
    room.strike = lambda at, line: fault if at % every == 0 and (fault != "html" or line.startswith("GET")) else None
    apply_first_wave(room, bundle, path)
    assert room.state() == planned


@pytest.mark.parametrize("line", ["PUT .*roleAssignments/e", "PUT .*roleDefinitions", "DELETE .*/a", "GET .*/e"])
@pytest.mark.parametrize("fault", ["forbidden", "limit", "conflict"])
def test_a_refusal_takes_the_swap_back_whole(path: Path, line: str, fault: str) -> None:
    """The limit of assignments, a refused deletion, a conflict that stays: the swap ends where it began."""
    room, bundle = _tenant()
    original = room.state()
    struck = re.compile(line)
    begun: set[str] = set()

    def strike(_: int, asked: str) -> str | None:
        if struck.match(asked) and not any(entry.event == "failed" for entry in read_journal(path)):
            begun.add(asked)
            return fault
        return None

    only = bundle_of(bundle.swaps[0])
    room.strike = strike
    apply_first_wave(room, only, path)
    assert begun
    assert room.state() == original
    assert _states(only, path) == ["rolled_back"]
    (failed,) = [entry for entry in read_journal(path) if entry.event == "failed"]
    assert failed.data["reason"]


def test_one_refused_swap_does_not_hold_up_the_others(path: Path) -> None:
    room, bundle = _tenant()
    room.strike = lambda _, line: "forbidden" if line.startswith("DELETE") and guid(1) in line else None
    apply_first_wave(room, bundle, path)
    assert _states(bundle, path) == ["rolled_back", "done"]


@pytest.mark.slow
def test_a_way_back_that_is_refused_is_kept_open(path: Path) -> None:
    """Azure takes nothing back today: the journal knows, and another day it does."""
    room, bundle = _tenant()
    original = room.state()
    apply_first_wave(room, bundle, path)
    room.strike = lambda _, line: "forbidden" if line.startswith("PUT") else None
    with pytest.raises(RefusalError):
        undo_each(room, bundle, path)
    room.strike = lambda *_: None
    undo_each(room, bundle, path)
    assert room.state() == original


def test_silence_ends_the_run_and_not_the_swap(path: Path) -> None:
    """A service that does not answer at all decides nothing: the same call goes on later."""
    room, bundle = _tenant()
    planned = _planned(room, bundle)
    room.strike = lambda at, _: "server" if at > 12 else None
    with pytest.raises(FaultError):
        apply_first_wave(room, bundle, path)
    room.strike = lambda *_: None
    apply_first_wave(room, bundle, path)
    assert room.state() == planned


@pytest.mark.parametrize("times", [1, 5])
def test_what_is_not_shown_yet_is_waited_for(path: Path, times: int) -> None:
    """Azure needs a while until it shows what it took."""
    room, bundle = _tenant()
    planned = _planned(room, bundle)
    clock = Hurried()

    def strike(_: int, line: str) -> None:
        if line.startswith("PUT"):
            room.hidden[line.rsplit("/", 1)[-1]] = times

    room.strike = strike
    with journal_at(path) as journal:
        engine_of(room, bundle, journal, clock).apply(1)
    assert room.state() == planned and 10.0 in clock.waits


@pytest.mark.parametrize(
    "change",
    [
        {"condition": "another"},
        {"description": "another"},
        {"roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"},
        None,
    ],
)
def test_what_somebody_else_changed_is_left_alone(path: Path, change: dict[str, str] | None) -> None:
    """An assignment that is another by now, or gone, is none that the plan spoke of."""
    room, bundle = _tenant()
    (there,) = [one for one in room.role_assignments if one["name"] == guid(1)]
    if change is None:
        room.role_assignments.remove(there)
    else:
        there["properties"].update(change)
    changed = room.state()
    apply_first_wave(room, bundle_of(bundle.swaps[0]), path)
    assert room.state() == changed


def test_what_changes_between_making_and_removing_is_left_alone(path: Path) -> None:
    room, bundle = _tenant()
    original = room.state()
    (there,) = [one for one in room.role_assignments if one["name"] == guid(1)]

    def strike(_: int, line: str) -> None:
        if line.startswith("PUT") and "roleAssignments" in line:
            there["properties"]["description"] = "somebody was here"

    room.strike = strike
    apply_first_wave(room, bundle_of(bundle.swaps[0]), path)
    original["assignments"][guid(1)][1]["description"] = "somebody was here"
    assert room.state() == original


@pytest.mark.slow
def test_what_is_there_already_is_used_and_not_taken_away(path: Path) -> None:
    """The same assignment under another id, made by somebody else, serves; the way back leaves it."""
    room, bundle = _tenant()
    room.role_definitions.append(role(NARROW, "Narrow", START))
    room.hold(Held(guid(77), RG, NARROW, guid(1, "d"), "User"))
    original = room.state()
    only = bundle_of(bundle.swaps[0])
    apply_first_wave(room, only, path)
    assert guid(1) not in room.state()["assignments"] and guid(77) in room.state()["assignments"]
    undo_each(room, only, path)
    assert room.state() == original


def test_a_role_of_that_id_that_is_another_is_never_edited(path: Path) -> None:
    room, bundle = _tenant()
    room.role_definitions.append(role(NARROW, "Narrow", "*"))
    original = room.state()
    apply_first_wave(room, bundle, path)
    assert room.state() == original
    assert _states(bundle, path) == ["rolled_back", "rolled_back"]


@pytest.mark.parametrize("caller", [guid(1, "d").upper(), guid(7, "d")])
def test_own_access_is_not_taken_away(path: Path, caller: str) -> None:
    """Also not through a group: here the first principal is one, with somebody else in it."""
    room, bundle = _tenant()
    original = room.state()
    known = PreflightFacts(caller, members={guid(1, "d"): {guid(7, "d")}, guid(2, "d"): {guid(8, "d")}})
    apply_first_wave(room, bundle_of(bundle.swaps[0]), path, known=known)
    assert room.state() == original
    assert [entry.data["code"] for entry in read_journal(path) if entry.event == "failed"] == ["OwnAccess"]
    apply_first_wave(room, bundle_of(bundle.swaps[1]), path, known=known)
    assert guid(2) not in room.state()["assignments"]


@pytest.mark.parametrize("scope", [SUB, RG])
def test_a_lock_is_respected(path: Path, scope: str) -> None:
    room, bundle = _tenant()
    original = room.state()
    room.locks = [{"id": f"{scope}/providers/Microsoft.Authorization/locks/l", "properties": {"level": "ReadOnly"}}]
    apply_first_wave(room, bundle_of(bundle.swaps[0]), path)
    assert room.state() == original
    (failed,) = [entry for entry in read_journal(path) if entry.event == "failed"]
    assert failed.data["code"] == "ScopeLocked"


def test_waves_go_one_by_one(path: Path) -> None:
    room = Room().hold(broad(1), broad(2))
    bundle = bundle_of(swap(1), swap(2, 2))
    apply_first_wave(room, bundle, path)
    assert guid(2) in room.state()["assignments"]
    assert _states(bundle, path) == ["done", "open"]


def test_the_last_owner_is_refused_by_azure_and_comes_to_no_harm(path: Path) -> None:
    room = Room().hold(broad(1, role=OWNER))
    original = room.state()
    apply_first_wave(room, bundle_of(swap(1, removes=(broad(1, role=OWNER),), creates=(narrow(1),))), path)
    assert room.state() == original


def test_a_way_back_that_is_killed_after_every_line_comes_to_its_end(path: Path) -> None:
    """Each life of the process gets one line further; none writes what an earlier one wrote."""
    room, bundle = _tenant()
    original = room.state()
    apply_first_wave(room, bundle, path)
    for _ in range(2 * ENTRIES):
        try:
            with FrailJournal(path, 1, after=True) as journal:
                engine = engine_of(room, bundle, journal)
                for one in reversed(bundle.swaps):
                    engine.roll_back([one])
        except Killed:
            continue
        break
    assert _states(bundle, path) == ["rolled_back", "rolled_back"]
    assert room.state() == original
