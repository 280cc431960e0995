"""The switch of a vault: roles first, read back, then the model; killed or refused anywhere, nobody is locked out."""

from __future__ import annotations

import copy
import datetime as dt
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure.wire import FaultError, WireRequest
from rightsize.change.bundle import Bundle, Held, PolicyHeld, VaultSwitch, bundle_schema, read_bundle, write_bundle
from rightsize.change.journal import read_journal
from rightsize.change.order import RolloutTenant, make_bundle
from rightsize.change.preflight import PreflightFacts
from rightsize.change.rest import RefusalError
from rightsize.change.steps import state_of
from rightsize.change.tripwire import Refusal, SeenUse, standing_of
from rightsize.model.errors import AccessError
from rightsize.render.plan import proposal_document
from rightsize.render.rows import plain
from rightsize.workflow.data.doctor import rollout_role
from tests.loopback import wire
from tests.planes.vaults.vault_world import GET, VAULT, World
from tests.rollout.room import (
    RG,
    FrailJournal,
    Killed,
    Room,
    apply_first_wave,
    bundle_of,
    engine_of,
    guid,
    journal_at,
    narrow,
    role,
    swap,
    undo_each,
)

KV = f"{RG}/providers/Microsoft.KeyVault/vaults/kv"
PROPERTIES: dict[str, Any] = {
    "tenantId": "t",
    "enableRbacAuthorization": None,
    "enabledForDeployment": True,
    "networkAcls": {"defaultAction": "Deny"},
    "accessPolicies": [
        {"tenantId": "T", "objectId": guid(1, "d"), "permissions": {"secrets": ["Get", "list"], "keys": []}},
        {"tenantId": "other", "objectId": guid(7, "d"), "permissions": {"secrets": ["get"]}},
    ],
}
HELD = (PolicyHeld(guid(1, "d"), "", ("secret get", "secret list")),)


class VaultRoom(Room):
    """A tenant with one vault; whoever has neither a policy in force nor the new role is lost."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.vault = copy.deepcopy(PROPERTIES)
        self.role_definitions.append(role("d0000000-0000-0000-0000-000000000001", "Other", "*"))

    def _answer(self, request: WireRequest, path: str, query: dict[str, str]) -> wire.Answer:
        if path != KV:
            return super()._answer(request, path, query)
        if request.method == "PATCH":
            body = wire.Request("PATCH", "", path, query, request.url, body=(request.body or "").encode()).json()
            assert body.keys() == {"properties"} and body["properties"].keys() == {"enableRbacAuthorization"}
            self.vault |= body["properties"]
        return wire.Answer(document={"id": KV, "properties": copy.deepcopy(self.vault)})

    def _look_for_losses(self, line: str) -> None:
        roles = {one["name"] for one in self.role_definitions}
        for one in self.watched:
            if self.vault["enableRbacAuthorization"] and not all(self._has(held, roles) for held in one.creates):
                self.lost.append(f"{one.id} after {line}")
                raise AssertionError(f"somebody lost access: {self.lost[-1]}")


def _bundle(**more: Any) -> Bundle:
    """One vault whose only holder gets a new role in it."""
    made: Held = narrow(1, scope=KV)
    return bundle_of(swap(1, creates=(made,), removes=(), switches=(VaultSwitch(KV, HELD),), **more))


def _state(bundle: Bundle, path: Path) -> str:
    return state_of(read_journal(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_the_model_is_switched_when_the_roles_were_read_back(path: Path) -> None:
    """Policies, flags and network rules stay as they are."""
    room, bundle = VaultRoom(), _bundle()
    clock = apply_first_wave(room, bundle, path)
    assert _state(bundle, path) == "done"
    assert room.vault == PROPERTIES | {"enableRbacAuthorization": True}
    changes = [line.split(" ")[0] for line in room.lines if not line.startswith("GET")]
    assert changes == ["PUT", "PUT", "PATCH"]
    assert max(clock.waits) == 600
    events = [entry.event for entry in read_journal(path)]
    assert events.index("verified") < events.index("switch-begin") < events.index("switched") < events.index("done")


def test_the_role_of_a_rollout_may_switch_vaults(path: Path) -> None:
    """It has what the way there and back asks of a vault, and that only where it is asked for."""
    room, bundle = VaultRoom(), _bundle()
    apply_first_wave(room, bundle, path)
    verbs = {"GET": "read", "PATCH": "write"}
    asked = {f"Microsoft.KeyVault/vaults/{verbs[line.split(' ')[0]]}" for line in room.lines if line.endswith(KV)}
    (block,) = rollout_role(["a"], with_vaults=True)["properties"]["permissions"]
    (usual,) = rollout_role(["a"])["properties"]["permissions"]
    assert set(block["actions"]) - set(usual["actions"]) == asked


def test_the_way_back_switches_first_and_waits(path: Path) -> None:
    room, bundle = VaultRoom(), _bundle()
    original = room.state()
    apply_first_wave(room, bundle, path)
    before = len(room.lines)
    undo_each(room, bundle, path)
    assert room.vault == PROPERTIES | {"enableRbacAuthorization": False}
    assert room.state() == original
    changes = [line.split(" ")[0] for line in room.lines[before:] if not line.startswith("GET")]
    assert changes == ["PATCH", "DELETE", "DELETE"]


def test_a_vault_whose_policies_changed_is_not_switched(path: Path) -> None:
    """Somebody got a policy since the plan, and no role would replace it."""
    room, bundle = VaultRoom(), _bundle()
    original = room.state()
    room.vault["accessPolicies"].append({"tenantId": "t", "objectId": "new", "permissions": {"keys": ["sign"]}})
    apply_first_wave(room, bundle, path)
    assert _state(bundle, path) == "rolled_back"
    assert (room.vault["enableRbacAuthorization"], room.state()) == (None, original)


def test_policies_that_went_meanwhile_keep_the_roles(path: Path) -> None:
    """The way back would leave the holder with neither."""
    room, bundle = VaultRoom(), _bundle()
    apply_first_wave(room, bundle, path)
    room.vault["accessPolicies"] = []
    with pytest.raises(RefusalError):
        undo_each(room, bundle, path)
    assert room.vault["enableRbacAuthorization"] is True


def test_a_vault_that_somebody_switched_already_stays_switched(path: Path) -> None:
    room, bundle = VaultRoom(), _bundle()
    room.watch(bundle)
    room.watched = ()
    room.vault["enableRbacAuthorization"] = True
    with journal_at(path) as journal:
        engine_of(room, bundle, journal).apply(1)
    assert not [line for line in room.lines if line.startswith("PATCH")]


REQUESTS, ENTRIES = 30, 14


def test_the_faults_reach_the_end(path: Path) -> None:
    room, bundle = VaultRoom(), _bundle()
    apply_first_wave(room, bundle, path)
    assert room.requests <= REQUESTS and len(read_journal(path)) <= ENTRIES


@pytest.mark.slow
@pytest.mark.many(30)
@pytest.mark.parametrize("way", ["on", "back"])
@pytest.mark.parametrize("fault", ["kill", "kill after", "drop after", "forbidden"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_fault_at_any_request_leaves_one_of_two_states(path: Path, number: int, fault: str, way: str) -> None:
    """A later run ends in the plan's state or in today's, and nobody is without access meanwhile."""
    room, bundle = VaultRoom(), _bundle()
    original = room.state()
    if way == "back":
        apply_first_wave(room, bundle, path)
    start = room.requests
    room.strike = lambda request, _: fault if request == start + number else None
    run = undo_each if way == "back" else apply_first_wave
    with suppress(Killed, FaultError, RefusalError, AccessError):
        run(room, bundle, path)
    room.strike = lambda *_: None
    with suppress(RefusalError):
        run(room, bundle, path)
    by_roles = bool(room.vault["enableRbacAuthorization"])
    assert _state(bundle, path) in ("done", "rolled_back")
    assert by_roles == (_state(bundle, path) == "done")
    assert by_roles or room.state() == original
    assert room.vault["enabledForDeployment"] is True
    assert room.lost == []


@pytest.mark.slow
@pytest.mark.many(14)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, ENTRIES + 1))
def test_a_kill_at_any_line_of_the_journal_is_resumed(path: Path, number: int, after: bool) -> None:
    room, bundle = VaultRoom(), _bundle()
    with suppress(Killed):
        apply_first_wave(room, bundle, path, FrailJournal(path, number, after=after))
    apply_first_wave(room, bundle, path)
    assert (_state(bundle, path), room.vault["enableRbacAuthorization"]) == ("done", True)


def test_a_bundle_is_derived_from_the_plan_a_vault_a_wave() -> None:
    """It survives writing and reading; a vault that waits is left out with the reason."""
    world = World().holds("app", secrets=["get"]).uses("app", GET)
    plan = {"proposals": [plain(proposal_document(one)) for one in world.part().proposals]}
    bundle = make_bundle(plan, "hash", {}, RolloutTenant((), {}, {}), emergency=())
    (found,) = bundle.swaps
    assert found.switches == (VaultSwitch(VAULT, (PolicyHeld("app", "", ("secret get",)),)),)
    assert [one.scope for one in found.creates] == [f"{VAULT}/secrets/a"]
    assert read_bundle(write_bundle(bundle).encode()) == bundle
    assert "switches" in bundle_schema()
    waiting = world.holds("u", "User", app="client", keys=["sign"])
    plan = {"proposals": [plain(proposal_document(one)) for one in waiting.part().proposals]}
    bundle = make_bundle(plan, "hash", {}, RolloutTenant((), {}, {}), emergency=())
    assert bundle.swaps == ()
    assert {one.reason for one in bundle.left_out} == {"its vault waits for a decision: on_behalf"}


def test_a_vault_whose_policy_an_emergency_account_has_is_left_alone() -> None:
    """The plan has to know the account, too: then it keeps all that it has."""
    world = World().holds("app", secrets=["get"]).uses("app", GET).holds("glass", "User", secrets=["all"])
    tenant = RolloutTenant((), {}, {})
    plan = {"proposals": [plain(proposal_document(one)) for one in world.part().proposals]}
    assert make_bundle(plan, "hash", {}, tenant, emergency=("glass",)).swaps == ()
    known = world.part(emergency_access=("glass",)).proposals
    plan = {"proposals": [plain(proposal_document(one)) for one in known]}
    (found,) = make_bundle(plan, "hash", {}, tenant, emergency=("glass",)).swaps
    assert {one.principal_id for one in found.creates} == {"app", "glass"}


def test_whoever_runs_it_loses_no_policy(path: Path) -> None:
    room, bundle = VaultRoom(), _bundle()
    more = (*HELD, PolicyHeld("me", "", ("secret get",)))
    bundle = replace(bundle, swaps=(replace(bundle.swaps[0], switches=(VaultSwitch(KV, tuple(sorted(more))),)),))
    apply_first_wave(room, bundle, path, known=PreflightFacts("me"))
    assert [entry.data["code"] for entry in read_journal(path) if entry.event == "failed"] == ["OwnAccess"]


def test_a_refusal_that_a_policy_would_have_allowed_trips(path: Path) -> None:
    room, bundle = VaultRoom(), _bundle()
    apply_first_wave(room, bundle, path)
    (one,), later = bundle.swaps, dt.datetime(2099, 1, 2)
    refused = Refusal(
        guid(1, "d"), "Microsoft.KeyVault/vaults/secrets/getSecret/action", f"{KV}/secrets/a", "data", 1, later
    )
    days = frozenset(dt.date(2099, 1, day) for day in range(1, 20))
    seen = SeenUse([refused], {KV.lower(): days}, {}, {}, {}, dt.date(2099, 1, 20))
    asked = {"watch_days": 7, "soak_days": 30}
    assert standing_of(one, read_journal(path), seen, **asked).state == "tripped"
    other = replace(seen, refusals=[replace(refused, operation="Microsoft.KeyVault/vaults/keys/sign/action")])
    assert standing_of(one, read_journal(path), other, **asked).state == "closed"
