"""A drafted role is measured by what its principal used and holds, for all possible operations."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from rightsize.model.errors import InputError, UsageError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.options import WindowOptions
from rightsize.model.plan import PlannedAssignment
from rightsize.model.role_forms import permissions_to_json, read_role_definitions
from rightsize.propose.verify.review import plan_of
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import Analysed
from rightsize.workflow.analysis.keep_analysis import analyse_in_memory
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.roles import check
from rightsize.workflow.roles.check import check_role
from rightsize.workflow.suite.demo import STORE
from tests.analyze.tiny import RG, SUB, VM, Tiny
from tests.tenants.fake_store import FakeStore

START, WRITE, DELETE, READ = (
    f"Microsoft.Compute/virtualMachines/{end}" for end in ("start/action", "write", "delete", "read")
)
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
OPERATIONS = {START: False, WRITE: False, DELETE: False, READ: False, JOIN: False, ASSIGN: False}


class Held(Tiny):
    """A tenant whose roles have their permissions as the store has them."""

    def grants(self, name: str, *actions: str) -> Held:
        self.role(name, *actions)
        self.rows["role_definitions"][-1]["permissions"] = permissions_to_json([PermissionBlock(actions=actions)])
        return self


@pytest.fixture(scope="module")
def store() -> FakeStore:
    """A tenant: `p` used two operations, `idle` none, `asleep` holds the admin role by activation, `new` nothing.

    `p` holds all of Compute and the join in the subscription.
    """
    held = Held()
    held.catalogue(OPERATIONS)
    for row in held.rows["operations"]:
        row["risk"] = "privilege" if row["operation"] == ASSIGN else None
    held.grants("vm", "Microsoft.Compute/*", JOIN).grants("admin", ASSIGN).cover()
    held.assign("a", "p", "vm").use("p", START, VM).use("p", WRITE, VM, day=dt.date(2026, 1, 7))
    held.assign("b", "asleep", "vm").assign("c", "asleep", "admin", state="eligible").assign("d", "idle", "vm", RG)
    for name in ("p", "idle", "asleep", "new"):
        held.add("principals", principal_id=name, principal_type="User", display_name=f"{name} {name}", listed=True)
    return FakeStore(held.inputs())


@pytest.fixture(scope="module")
def analysed(store: FakeStore) -> Analysed:
    """Its analysis, which all tests read."""
    return analyse_in_memory(store, WindowOptions(min_window=10))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _opened(store: FakeStore, analysed: Analysed, request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        if "demo_folder" not in request.fixturenames:
            patched.setattr(check, "open_store", lambda *_, **__: store)
            patched.setattr(check, "find_analysis", lambda *_: analysed)
        yield


def checked(*actions: str, of: str = "p", scopes: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    drafted = read_role_definitions({"Name": "Draft", "Actions": list(actions), "AssignableScopes": ["/"]})
    return check_role(Path("any"), drafted, of, scopes, **more)


def test_a_role_of_what_was_used_covers_it_and_names_what_is_not_known() -> None:
    """Nothing used is lacking; the join inside the write is held, in no log, and left out: that is said as unknown."""
    found = checked(START, WRITE)
    assert found["verdict"] == "covers_use"
    assert (found["is_wider"], found["covers_use"], found["lacks"], found["wider"]) == (False, True, [], [])
    assert found["excess"]["operations"] == 0
    assert {(row["operation"], row["because"]) for row in found["may_lack"]["asked_by_use"]} == {
        (JOIN, f"checked_inside {WRITE}"),
        (READ, "read_of_a_used_type"),
    }
    assert found["used_at"] == [{"scope": RG, "operations": 2}]


@pytest.mark.nightly
def test_excess_has_the_verdict_on_each_operation() -> None:
    """What a wildcard grants beyond the use stands with its verdict, and the string is marked."""
    found = checked("Microsoft.Compute/virtualMachines/*")
    assert found["verdict"] == "covers_use_with_excess"
    assert {row["operation"]: row["verdict"] for row in found["excess"]["rows"]} == {
        DELETE: "unused",
        READ: "unobservable",
    }
    assert found["strings"][0] | {"problem": ""} == {
        "string": "Microsoft.Compute/virtualMachines/*", "list": "actions", "operations": 4, "used": 2, "problem": "",
    }  # fmt: skip
    assert found["strings"][0]["problem"].startswith("wildcard")


@pytest.mark.slow
def test_a_used_operation_that_lacks_has_its_last_use_and_the_reason() -> None:
    """It lacks because it is not granted, or because the role is assigned elsewhere."""
    found = checked(START)
    assert found["verdict"] == "lacks_use"
    assert [(row["operation"], row["why"], row["scopes"], row["events"]) for row in found["lacks"]] == [
        (WRITE, "not_granted", [VM], 1)
    ]
    assert found["lacks"][0]["last_seen"].date() == dt.date(2026, 1, 7)
    elsewhere = checked(START, WRITE, scopes=(f"{SUB}/resourceGroups/other",))
    assert {row["why"] for row in elsewhere["lacks"]} == {"outside_the_scopes"}


@pytest.mark.slow
def test_what_is_not_held_is_wider_with_a_real_witness() -> None:
    """A granted operation that the principal does not hold outweighs everything else, and is marked as privileged."""
    found = checked(START, WRITE, ASSIGN)
    assert found["verdict"] == "wider_than_today"
    assert found["wider"] == [
        {
            "scope": SUB,
            "held_otherwise": False,
            "operations": 1,
            "witnesses": [{"operation": ASSIGN, "plane": "control", "in_catalogue": True}],
        }
    ]
    assert [(row["operation"], row["verdict"]) for row in found["privileged"] if row["risk"] == "privilege"] == [
        (ASSIGN, "not_held")
    ]


@pytest.mark.slow
def test_wider_is_decided_beyond_the_catalogue() -> None:
    """A string that matches no operation of today still is wider; its witness is made, and says so."""
    found = checked(START, WRITE, "Contoso.Future/*")
    assert found["verdict"] == "wider_than_today"
    (wider,) = found["wider"]
    assert wider["operations"] == 0
    assert [one["in_catalogue"] for one in wider["witnesses"]] == [False]
    assert fnmatchcase(wider["witnesses"][0]["operation"], "Contoso.Future/*")
    assert [row["problem"].split(":")[0] for row in found["strings"] if not row["operations"]] == ["matches_nothing"]


@pytest.mark.slow
def test_access_that_has_to_be_activated_is_held_otherwise() -> None:
    """A permanent role of what is eligible today is no new access, and says that it would be permanent."""
    found = checked(START, WRITE, ASSIGN, of="asleep")
    assert (found["verdict"], found["is_wider"]) == ("makes_permanent", False)
    assert checked(START, WRITE, ASSIGN, of="asleep", eligible=True)["wider"] == []
    assert [(one["held_otherwise"], one["operations"]) for one in found["wider"]] == [(True, 1)]


@pytest.mark.slow
def test_a_wider_scope_is_wider() -> None:
    """What is held in a subscription is not held at the root."""
    assert checked(START, WRITE, scopes=("/",))["verdict"] == "wider_than_today"
    assert checked(START, WRITE, scopes=(RG,))["verdict"] == "covers_use"


@pytest.mark.slow
def test_a_loaded_role_may_stand_beside() -> None:
    """Roles that would be assigned too count with the draft; one that is not loaded is an error."""
    assert checked(START, beside=["vm"])["covers_use"]
    with pytest.raises(InputError, match="no loaded roles are called `Reader`"):
        checked(START, beside=["Reader"])


@pytest.mark.slow
def test_without_use_nothing_is_covered() -> None:
    """Whoever was not seen to use anything gives nothing to measure by; without access the scopes have to be named."""
    with pytest.raises(UsageError, match="holds no Azure role"):
        checked(START, of="new")
    assert checked(START, of="new", scopes=(RG,))["verdict"] == "wider_than_today"
    found = checked(START, of="idle")
    assert (found["verdict"], found["covers_use"]) == ("no_use_seen", None)


@pytest.mark.nightly
def test_every_proved_plan_passes(demo_folder: Path) -> None:
    """The roles that a plan gives a holder cover its use and are not wider: two ways to the same answer."""
    plan = plan_of(read_plan_folder(demo_folder))
    with open_store(demo_folder / STORE, read_only=True) as opened:
        definitions = opened.table("role_definitions").select("role_definition_id", "permissions")
        members = set(opened.table("group_closure")["member_id"])
    permissions = dict(definitions.iter_rows())
    permissions |= {
        one.definition.role_definition_id: permissions_to_json(one.definition.permissions) for one in plan.roles
    }
    given: dict[str, list[PlannedAssignment]] = {}
    for one in plan.proposals:
        if one.is_of_rbac and one.principal_ids[0] not in members:
            given.setdefault(one.principal_ids[0], []).extend(one.assignments)
    kept = {one.principal_ids[0] for one in plan.proposals if one.kind.keeps or one.kind.makes_eligible}
    chosen = [holder for holder in sorted(given) if len(given[holder]) > 1 and holder not in kept][:3]
    assert len(chosen) >= 2
    for holder in chosen:
        roles = [(read_role_definitions(json.loads(permissions[one.role])), one.scope) for one in given[holder]]
        every = [one for drafted, _ in roles for one in drafted]
        found = check_role(demo_folder / STORE, every, holder, [scope for _, scope in roles])
        assert found["lacks"] == [] and found["excess"]["by_verdict"].get("not_held", 0) == 0
        drafted, scope = roles[0]
        assert check_role(demo_folder / STORE, drafted, holder, [scope])["wider"] == []
