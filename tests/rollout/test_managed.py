"""PIM assignments are swapped by PIM requests, with the same guarantee and their rules."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure.hosts import RequestGuard
from rightsize.change.arm import Pim
from rightsize.change.bundle import Bundle, Held, ScheduleRules
from rightsize.change.engine import RolloutEngine
from rightsize.change.journal import read_journal
from rightsize.change.rest import RefusalError
from rightsize.change.steps import state_of
from rightsize.model.errors import InternalError
from rightsize.workflow.plan.rollout_run import writes_of
from tests.azure.hurried import Hurried
from tests.bench import bench_rollout
from tests.loopback.pim_writes import default_rules, rules_of
from tests.rollout.room import (
    BROAD,
    NARROW,
    OWNER,
    RG,
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
    swap,
    undo_each,
)

END = "2027-03-01T22:00:00Z"
CARRIED = ScheduleRules(RG, NARROW, SUB, BROAD)


def _tenant() -> tuple[Room, Bundle]:
    """Eligible to narrower eligible, time-bound to time-bound, and standing to eligible; one rule wants approval."""
    eligible = swap(
        1,
        removes=(broad(1, state="eligible", until=END, description=None),),
        creates=(narrow(1, state="eligible", until=END),),
        rules=(CARRIED,),
    )
    bound = swap(
        2,
        removes=(broad(2, until=END, description=None, scope=RG),),
        creates=(narrow(2, until=END),),
        rules=(replace(CARRIED, of_scope=RG),),
    )
    standing = swap(3, creates=(narrow(3, state="eligible", lasts="P365D"),), rules=(CARRIED,))
    swaps = (eligible, bound, standing)
    room = Room().hold(*(gone for one in swaps for gone in one.removes))
    for scope in (SUB, RG):
        rules_of(room, scope, BROAD)["properties"]["rules"] = default_rules(approval=True, eligible="P365D")  # type: ignore[arg-type]
    return room, bundle_of(*swaps)


def _planned() -> dict[str, Any]:
    room, bundle = _tenant()
    state = room.state()
    state["assignments"] = {}
    ends = {1: END, 2: END, 3: "2027-10-01T00:00:00.387Z"}
    made = [(one.creates[0], ends[number]) for number, one in enumerate(bundle.swaps, 1)]
    definition = f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/{NARROW}"
    state["managed"] = sorted(str([RG, definition, one.principal_id, end, None]) for one, end in made)
    state["roles"] = sorted([*state["roles"], NARROW])
    state["rules"][(RG.lower(), NARROW)] = default_rules(approval=True, eligible="P365D")
    return state


def _failed(path: Path) -> list[str]:
    return [str(entry.data["code"]) for entry in read_journal(path) if entry.event == "failed"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.mark.slow
def test_what_is_managed_is_asked_for_and_goes_back_with_its_end(path: Path) -> None:
    room, bundle = _tenant()
    original = room.state()
    apply_first_wave(room, bundle, path)
    assert room.state() == _planned()
    written = [line for line in room.lines if not line.startswith("GET")]
    assert {line.split(" ")[0] + " " + line.split("/")[-2] for line in written} == {
        "PUT roleDefinitions",
        "PATCH roleManagementPolicies",
        "PUT roleEligibilityScheduleRequests",
        "PUT roleAssignmentScheduleRequests",
        "DELETE roleAssignments",
    }
    undo_each(room, bundle, path)
    assert room.state() == original


def test_rules_are_carried_over_before_anybody_holds_the_role(path: Path) -> None:
    room, bundle = _tenant()
    apply_first_wave(room, bundle, path)
    written = [line.rsplit("/", 1)[0].rsplit("/", 1)[-1] for line in room.lines if not line.startswith("GET")]
    assert written.index("roleManagementPolicies") < written.index("roleEligibilityScheduleRequests")


REQUESTS, ENTRIES = 80, 38


def test_the_kills_reach_the_end(path: Path) -> None:
    """The numbers below cover every step there is."""
    room, bundle = _tenant()
    apply_first_wave(room, bundle, path)
    assert room.requests <= REQUESTS and len(read_journal(path)) <= ENTRIES


@pytest.mark.nightly
@pytest.mark.parametrize("way", ["on", "back"])
@pytest.mark.parametrize("fault", ["kill", "kill after"])
def test_a_kill_at_any_request_leaves_a_way_on_and_a_way_back(tmp_path: Path, fault: str, way: str) -> None:
    for number in range(1, REQUESTS + 1):
        room, bundle = _tenant()
        original = room.state()
        room.strike = lambda at, _, number=number: fault if at == number else None  # type: ignore[misc]
        path = tmp_path / str(number)
        with suppress(Killed):
            apply_first_wave(room, bundle, path)
        room.strike = lambda *_: None
        (apply_first_wave if way == "on" else undo_each)(room, bundle, path)
        assert room.state() == (_planned() if way == "on" else original), number


@pytest.mark.nightly
@pytest.mark.parametrize("way", ["on", "back"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_line_of_the_journal_leaves_both_ways(tmp_path: Path, after: bool, way: str) -> None:
    for last in range(1, ENTRIES + 1):
        room, bundle = _tenant()
        original = room.state()
        path = tmp_path / str(last)
        with suppress(Killed):
            apply_first_wave(room, bundle, path, FrailJournal(path, last, after=after))
        (apply_first_wave if way == "on" else undo_each)(room, bundle, path)
        assert room.state() == (_planned() if way == "on" else original), last


@pytest.mark.nightly
def test_a_kill_on_the_way_back_goes_on_back(tmp_path: Path) -> None:
    for number in range(1, 70):
        room, bundle = _tenant()
        original = room.state()
        path = tmp_path / str(number)
        apply_first_wave(room, bundle, path)
        room.requests = 0
        room.strike = lambda at, _, number=number: "kill after" if at == number else None  # type: ignore[misc]
        with suppress(Killed):
            undo_each(room, bundle, path)
        room.strike = lambda *_: None
        undo_each(room, bundle, path)
        assert room.state() == original, number


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize("fault", ["throttle", "server", "conflict", "drop", "drop after"])
@pytest.mark.parametrize("every", [7, 10])
def test_what_passes_by_does_not_matter(path: Path, fault: str, every: int) -> None:
    """Also where the answer to a request was lost, and a second one is told that the first was heard."""
    room, bundle = _tenant()
    original = room.state()
    room.strike = lambda at, _: fault if at % every == 0 else None
    apply_first_wave(room, bundle, path)
    assert room.state() == _planned()
    undo_each(room, bundle, path)
    assert room.state() == original


@pytest.mark.parametrize("line", ["PUT .*EligibilityScheduleRequests", "PUT .*AssignmentScheduleRequests", "PATCH "])
def test_a_refusal_takes_the_swap_back_whole(path: Path, line: str) -> None:
    import re  # noqa: PLC0415

    room, bundle = _tenant()
    original = room.state()
    only = bundle_of(bundle.swaps[1] if "Assignment" in line else bundle.swaps[0])
    struck: list[str] = []

    def strike(_: int, asked: str) -> str | None:
        if re.match(line, asked) and not struck:
            struck.append(asked)
            return "forbidden"
        return None

    room.strike = strike
    apply_first_wave(room, only, path)
    assert struck and room.state() == original
    assert _failed(path) == ["AuthorizationFailed"]


@pytest.mark.slow
def test_what_is_too_young_to_be_taken_back_is_waited_for(path: Path) -> None:
    """Azure takes nothing back that is younger than five minutes."""
    room, bundle = _tenant()
    original = room.state()
    apply_first_wave(room, bundle, path)
    refused = iter(["too short"] * 5)
    room.strike = lambda _, line: next(refused, None) if line.startswith("PUT") else None
    clock = Hurried()
    undo_each(room, bundle, path, clock)
    # Three swaps are taken back one by one, each read back twice, sixty seconds apart.
    assert room.state() == original and clock.waits.count(60.0) == 5 + 3


def test_what_is_activated_at_the_moment_is_left_alone(path: Path) -> None:
    room, bundle = _tenant()
    (there,) = room.eligibility_instances
    active = {"scope": SUB, "principalId": guid(1, "d"), "roleDefinitionId": there["properties"]["roleDefinitionId"]}
    active |= {"assignmentType": "Activated", "linkedRoleEligibilityScheduleInstanceId": f"/x/{there['name']}"}
    active |= {"endDateTime": None, "condition": None, "memberType": "Direct"}
    room.assignment_instances.append({"id": "a", "name": "a", "properties": active})
    original = room.state()
    apply_first_wave(room, bundle_of(bundle.swaps[0]), path)
    assert room.state() == original and _failed(path) == ["Activated"]


def test_rules_that_other_holders_live_by_are_left_alone(path: Path) -> None:
    """A policy is everybody's who holds the role at that place."""
    room, bundle = _tenant()
    other = Held(guid(8), RG, OWNER, guid(8, "d"), "User", state="eligible", until=END)
    room.hold(other)
    original = room.state()
    made = narrow(1, role=OWNER, state="eligible", until=END)
    one = replace(bundle.swaps[0], creates=(made,), roles=(), rules=(replace(CARRIED, role=OWNER),))
    apply_first_wave(room, bundle_of(one), path)
    assert room.state() == original and _failed(path) == ["RulesShared"]
    rules_of(room, RG, OWNER)["properties"]["rules"] = default_rules(approval=True, eligible="P365D")  # type: ignore[arg-type]
    apply_first_wave(room, replace(bundle_of(one), swaps=(replace(one, id=guid(9, "f")),)), path)
    assert _failed(path) == ["RulesShared"], "the same rules hurt nobody"


def test_roles_of_different_rules_are_not_merged_into_one(path: Path) -> None:
    room, bundle = _tenant()
    rules_of(room, RG, OWNER)["properties"]["rules"] = default_rules()  # type: ignore[arg-type]
    original = room.state()
    one = replace(bundle.swaps[0], rules=(CARRIED, ScheduleRules(RG, NARROW, RG, OWNER)))
    apply_first_wave(room, bundle_of(one), path)
    assert room.state() == original and _failed(path) == ["RulesDiffer"]


def test_rules_stay_while_another_swap_lives_by_them(path: Path) -> None:
    room, bundle = _tenant()
    apply_first_wave(room, bundle, path)
    with journal_at(path) as journal:
        engine_of(room, bundle, journal).roll_back([bundle.swaps[0]])
    assert (RG.lower(), NARROW) in room.state()["rules"]


@pytest.mark.slow
def test_what_would_have_ended_by_now_is_not_brought_back(path: Path) -> None:
    room, bundle = _tenant()
    only = bundle_of(bundle.swaps[1])
    apply_first_wave(room, only, path)
    clock = Hurried()
    clock.sleep((dt.datetime.fromisoformat(END) - clock.utc()).total_seconds() + 1)
    room.watched = ()  # what has ended is nobody's access
    undo_each(room, only, path, clock)
    assert not [one for one in room.assignment_instances if BROAD in one["properties"]["roleDefinitionId"]]
    (entry,) = [one for one in read_journal(path) if one.event == "restored"]
    assert entry.data == {"ended": END}
    assert state_of(read_journal(path)) == "rolled_back"


def test_another_end_than_the_plan_knew_is_a_change(path: Path) -> None:
    room, bundle = _tenant()
    room.eligibility_instances[0]["properties"]["endDateTime"] = "2028-01-01T00:00:00Z"
    original = room.state()
    apply_first_wave(room, bundle_of(bundle.swaps[0]), path)
    assert room.state() == original and _failed(path) == ["Changed"]


@pytest.mark.slow
def test_a_full_subscription_keeps_what_came_until_there_is_room(path: Path) -> None:
    """Where no room is left for what was there, what came stays: nobody is without access in between."""
    room = Room().hold(broad(1), broad(2))
    original = room.state()
    bundle = bundle_of(swap(1), swap(2))
    apply_first_wave(room, bundle, path)
    others = [broad(number) for number in range(3, 4001)]
    room.hold(*others)
    with pytest.raises(RefusalError, match="RoleAssignmentLimitExceeded"):
        undo_each(room, bundle, path)
    assert {guid(1, "e"), guid(2, "e")} <= room.state()["assignments"].keys()
    gone = {one.id for one in others}
    room.role_assignments[:] = [one for one in room.role_assignments if one["name"] not in gone]
    undo_each(room, bundle, path)
    assert room.state() == original


def test_only_what_the_bundle_has_may_be_written() -> None:
    """Below every client: its assignments and definitions, and requests and rules where it asks for them."""
    _, bundle = _tenant()
    bundle = replace(bundle, swaps=(*bundle.swaps, swap(4)))
    guard = RequestGuard.of(["https://arm.example"], writes_of(bundle))
    base = "/providers/Microsoft.Authorization"
    allowed = [
        ("PUT", f"{RG}{base}/roleEligibilityScheduleRequests/{guid(1)}"),
        ("PUT", f"{SUB}{base}/roleAssignmentScheduleRequests/{guid(1)}"),
        ("PATCH", f"{RG}{base}/roleManagementPolicies/{guid(1)}"),
        ("PATCH", f"{RG}{base}/roleManagementPolicies/{guid(1)}_{guid(2)}"),
        ("DELETE", broad(4).url),
        ("PUT", broad(4).url),
        ("PUT", narrow(4).url.upper()),
        ("PUT", f"{SUB}{base}/roleDefinitions/{NARROW}"),
        ("PUT", f"{SUB}{base}/roleDefinitions/{BROAD}"),
    ]
    for method, path in allowed:
        guard.check(method, f"https://arm.example{path}")
        with pytest.raises(InternalError):
            RequestGuard.of(["https://arm.example"]).check(method, f"https://arm.example{path}")
    for method, path in [
        ("DELETE", f"{RG}{base}/roleEligibilityScheduleRequests/{guid(1)}"),
        ("PUT", f"{RG}{base}/roleManagementPolicies/{guid(1)}"),
        ("PATCH", broad(4).url),
        ("PUT", f"{RG}{base}/roleEligibilityScheduleRequests/{guid(1)}/cancel"),
        ("PUT", f"{RG}{base}/locks/{guid(1)}"),
        ("PUT", f"{SUB}{base}/roleAssignments/{guid(66)}"),
        ("PUT", f"{RG}2{base}/roleAssignments/{guid(4, 'e')}"),
        ("PUT", f"{SUB}{base}/roleDefinitions/{OWNER}"),
        ("PUT", f"/subscriptions/{guid(9)}{base}/roleAssignmentScheduleRequests/{guid(1)}"),
    ]:
        with pytest.raises(InternalError):
            guard.check(method, f"https://arm.example{path}")


@pytest.mark.nightly
@pytest.mark.parametrize("reread", [1, 25])
def test_faults_and_kills_together_end_in_the_plan_or_in_the_original(path: Path, reread: int) -> None:
    """A fault in every tenth call and a kill after every line of the journal; the bench does it with more of them."""
    room, bundle = bench_rollout.mixed_tenant(8)
    original, planned = room.state(), bench_rollout.planned_state(8)
    kills = bench_rollout.carry_out(room, bundle, path, lambda engine: engine.apply(1), reread=reread)
    assert room.state() == planned != original

    def back(engine: RolloutEngine) -> None:
        for one in reversed(bundle.swaps):
            engine.roll_back([one])

    kills += bench_rollout.carry_out(room, bundle, path, back, reread=reread)
    assert room.state() == original
    assert kills == len(read_journal(path)) > 100


class _Told:
    """Resource Manager where every request ends as it is told, and nothing comes of it."""

    def __init__(self, status: str) -> None:
        self.status = status

    def write(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"properties": {"status": self.status}}

    def pages(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize("status", ["Denied", "AdminDenied", "Failed", "TimedOut", "PendingApproval"])
def test_a_request_that_comes_to_nothing_is_a_refusal(status: str) -> None:
    """Azure takes it with a good status all the same; a swap must not wait for somebody's approval."""
    held = narrow(1, state="eligible")
    with pytest.raises(RefusalError) as refused:
        Pim(_Told(status)).assign(held.url, held.properties())  # type: ignore[arg-type]
    assert refused.value.code == status
    Pim(_Told("Provisioned")).assign(held.url, held.properties())  # type: ignore[arg-type]
