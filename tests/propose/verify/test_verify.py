"""A plan is proved again on today's tenant, and everything that makes it stale is named."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.fingerprint import WHAT, take_readings
from rightsize.propose.verify.plan_reader import read_plan
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    DAYS,
    NET,
    OWNER,
    READER,
    SUB,
    SUB2,
    VM,
    SmallTenant,
    frames_of,
    guid,
)
from tests.propose.written_plans import Written, named, only, proposal_of

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE_VM = "Microsoft.Compute/virtualMachines/write"
STORE_WRITE = "Microsoft.Storage/storageAccounts/write"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/files"
ALL_ACTIONS = json.dumps([{"actions": ["Microsoft.Compute/virtualMachines/start/action"]}])


def _tenant() -> SmallTenant:
    """A user and a group who write, a holder who is gone, a duplicate, an owner, and a deny."""
    tenant = SmallTenant()
    user, first, second, reader = (tenant.principal(number) for number in (1, 2, 3, 4))
    group = tenant.group(5, [first, second])
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.assign(102, group, CONTRIBUTOR, SUB, principal_type="Group")
    tenant.assign(103, guid(9), READER, SUB, principal_type="Unknown", principal_name="")
    tenant.assign(104, reader, READER, SUB2)
    tenant.assign(105, reader, READER, f"{SUB2}/resourceGroups/web")
    tenant.assign(106, tenant.principal(6), OWNER, SUB2)
    tenant.use(user, START, VM)
    tenant.use(first, STORE_WRITE, ACCOUNT)
    tenant.use(second, STORE_WRITE, ACCOUNT)
    tenant.add(
        "deny_assignments",
        deny_assignment_id=guid(201),
        scope=NET,
        principal_ids=[user],
        exclude_principal_ids=[],
        permissions=ALL_ACTIONS,
        does_not_apply_to_child_scopes=False,
    )
    return tenant


@pytest.fixture(scope="module")
def written() -> Written:
    return Written.of(_tenant())


def _row(tenant: SmallTenant, table: str, **key: Any) -> dict[str, Any]:
    (found,) = [row for row in tenant.rows[table] if all(row.get(name) == value for name, value in key.items())]
    return found


def _assignment(tenant: SmallTenant, number: int) -> dict[str, Any]:
    return _row(tenant, "role_assignments", role_assignment_id=guid(number))


@pytest.mark.nightly
def test_a_fresh_plan_is_verified(written: Written) -> None:
    kinds = {proposal["kind"] for proposal in written.document["proposals"]}
    assert kinds == {"custom", "remove_orphan", "remove_duplicate", "keep"}
    found = written.verify(_tenant())
    assert found.changes == ()
    assert found.failed == ()
    assert {proof.role_assignment_id for proof in found.proofs} == {guid(n) for n in (101, 102, 103, 105)}
    assert all(proof.used_subset and proof.granted_superset and proof.witness is None for proof in found.proofs)
    assert found.replay == {"allowed": 3, "denied": 0, "needs_activation": 0}


@pytest.mark.nightly
def test_evidence_that_the_plan_covers_does_not_make_it_stale(written: Written) -> None:
    """Later days, more calls, something inside the same machine: the plan stands."""
    tenant = _tenant()
    tenant.use(guid(1), START, VM, start=DAYS, days=2)
    tenant.use(guid(1), START, f"{VM}/extensions/agent", start=DAYS)
    found = written.verify(tenant)
    assert found.changes == ()
    assert found.window.last_day == dt.date(2026, 1, 1) + dt.timedelta(days=DAYS + 2)
    assert found.replay["allowed"] == 4


@pytest.mark.slow
def test_use_that_the_plan_does_not_cover_is_named(written: Written) -> None:
    """It says who did what where, and through which assignment that goes."""
    tenant = _tenant()
    tenant.use(guid(1), WRITE_VM, VM, start=DAYS, days=1)
    found = written.verify(tenant)
    change = only(found)
    assert (change.what, change.id, change.operation, change.plane) == ("use", guid(1), WRITE_VM.lower(), "control")
    assert change.scope == VM.lower()
    assert change.role_assignment_ids == (guid(101),)
    (proof,) = [one for one in found.proofs if not one.used_subset]
    assert proof.role_assignment_id == guid(101)
    assert found.replay["denied"] == 1


@pytest.mark.slow
def test_use_is_not_asked_of_what_today_refuses(written: Written) -> None:
    """Suspect calls, and those that a deny refuses, nothing allows, or that are forgotten, change nothing."""
    tenant = _tenant()
    tenant.use(guid(1), WRITE_VM, VM, suspect=2)
    tenant.use(guid(1), START, f"{NET}/providers/Microsoft.Compute/virtualMachines/v", start=DAYS)
    tenant.use(guid(4), START, VM, start=DAYS)
    tenant.use(guid(1), STORE_WRITE, ACCOUNT, start=-320)
    assert written.verify(tenant).changes == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"scope": APP},
        {"role_definition_id": OWNER},
        {"principal_id": guid(4)},
        {"condition": "@Resource[x] StringEquals 'y'"},
        {"end_on": dt.datetime(2027, 1, 1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_assignment_is_named(written: Written, change: dict[str, Any]) -> None:
    tenant = _tenant()
    _assignment(tenant, 101).update(change)
    assert ("role_assignment", guid(101), "changed") in named(written.verify(tenant))


@pytest.mark.slow
def test_a_kept_assignment_counts_as_well(written: Written) -> None:
    """The plan read it too, and a duplicate may rest on it."""
    tenant = _tenant()
    tenant.rows["role_assignments"].remove(_assignment(tenant, 104))
    found = written.verify(tenant)
    assert named(found) == [("role_assignment", guid(104), "gone")]
    assert [proof.role_assignment_id for proof in found.failed] == [guid(105)]


@pytest.mark.slow
def test_names_descriptions_and_spelling_do_not_count(written: Written) -> None:
    tenant = _tenant()
    tenant.roles[CONTRIBUTOR] = ("Renamed", [_shouted(block) for block in tenant.roles[CONTRIBUTOR][1]])
    row = _assignment(tenant, 101)
    row.update(principal_name="Renamed", description="new", scope=row["scope"].upper() + "/")
    tenant.rows["deny_assignments"][0].update(description="new", scope=NET.upper())
    assert written.verify(tenant).changes == ()


def _shouted(block: PermissionBlock) -> PermissionBlock:
    return PermissionBlock(
        tuple(text.upper() for text in reversed(block.actions)),
        tuple(f" {text.upper()} " for text in (*block.not_actions, *block.not_actions[:1])),
    )


@pytest.mark.slow
def test_a_changed_definition_is_named(written: Written) -> None:
    """Also where the plan only assigns the role, and nobody holds it today."""
    tenant = _tenant()
    tenant.roles[READER] = ("Reader", [PermissionBlock(actions=("*/read", "Microsoft.Support/*"))])
    found = written.verify(tenant)
    assert named(found) == [("role_definition", READER, "changed")]


@pytest.mark.slow
def test_a_definition_that_is_gone_is_named(written: Written) -> None:
    tenant = _tenant()
    del tenant.roles[READER]
    assert ("role_definition", READER, "gone") in named(written.verify(tenant))


@pytest.mark.slow
def test_a_changed_membership_is_named(written: Written) -> None:
    """One who joined would get what the plan gives; one who left is no longer reached."""
    joined = _tenant()
    joined.add("group_closure", group_id=guid(5), member_id=guid(4), depth=1)
    assert named(written.verify(joined)) == [("group_members", guid(5), "changed")]
    left = _tenant()
    left.rows["group_closure"].pop()
    assert ("group_members", guid(5), "changed") in named(written.verify(left))


@pytest.mark.slow
def test_a_changed_deny_is_named(written: Written) -> None:
    changed = _tenant()
    changed.rows["deny_assignments"][0]["exclude_principal_ids"] = [guid(1)]
    assert named(written.verify(changed)) == [("deny_assignment", guid(201), "changed")]
    gone = _tenant()
    gone.rows.pop("deny_assignments")
    assert named(written.verify(gone)) == [("deny_assignment", guid(201), "gone")]


@pytest.mark.slow
def test_a_principal_that_came_back_is_named(written: Written) -> None:
    """What goes because its holder is gone must not go when the holder is there."""
    tenant = _tenant()
    tenant.principal(9)
    assert named(written.verify(tenant)) == [("principal", guid(9), "returned")]


@pytest.mark.slow
def test_everything_that_changed_is_named_at_once(written: Written) -> None:
    tenant = _tenant()
    tenant.rows.pop("deny_assignments")
    tenant.add("group_closure", group_id=guid(5), member_id=guid(4), depth=1)
    _assignment(tenant, 101)["end_on"] = dt.datetime(2027, 1, 1)
    tenant.use(guid(1), WRITE_VM, VM, start=DAYS, days=1)
    tenant.use(guid(1), STORE_WRITE, ACCOUNT, start=DAYS, days=1)
    whats = [change.what for change in written.verify(tenant).changes]
    assert whats == ["role_assignment", "group_members", "deny_assignment", "use", "use"]


@pytest.mark.slow
def test_what_the_plan_never_read_is_counted_and_not_stale(written: Written) -> None:
    """A new assignment or deny takes nothing away from what the plan leaves and makes."""
    tenant = _tenant()
    tenant.assign(300, guid(1), READER, SUB2)
    tenant.add("deny_assignments", deny_assignment_id=guid(202), scope=NET, principal_ids=[guid(4)], permissions="[]")
    found = written.verify(tenant)
    assert found.changes == ()
    assert found.unread == {"role_assignments": 1, "eligible_assignments": 0, "deny_assignments": 1}


@pytest.mark.slow
def test_use_of_what_the_plan_never_read_is_covered(written: Written) -> None:
    tenant = _tenant()
    tenant.assign(300, guid(1), CONTRIBUTOR, APP)
    tenant.use(guid(1), WRITE_VM, VM, start=DAYS, days=1)
    assert written.verify(tenant).changes == ()


@pytest.mark.nightly
def test_activations_come_and_go() -> None:
    """An activation, and the plain assignment that Azure shows beside it, are read by no plan."""
    tenant = _tenant()
    tenant.assign(301, guid(1), CONTRIBUTOR, SUB2, state="eligible")
    calm = Written.of(tenant)
    for state in ("activated", "active"):
        tenant.assign(302, guid(1), CONTRIBUTOR, SUB2, state=state)
    busy = Written.of(tenant)
    assert calm.verify(tenant).changes == ()
    assert calm.rests_on == busy.rests_on
    del tenant.rows["role_assignments"][-2:]
    assert busy.verify(tenant).changes == ()
    _assignment(tenant, 301)["end_on"] = dt.datetime(2027, 1, 1)
    assert named(busy.verify(tenant)) == [("eligible_assignment", guid(301), "changed")]


@pytest.mark.slow
def test_a_new_role_whose_id_is_taken_is_named(written: Written) -> None:
    role = written.document["roles"][0]["role"]
    tenant = _tenant()
    tenant.custom_roles.add(role)
    tenant.roles[role] = ("Somebody else's", [PermissionBlock(actions=("*",))])
    assert ("role_definition", role, "clashes") in named(written.verify(tenant))
    body = json.loads(written.files[_role_file(written)])
    actions = tuple(body["properties"]["permissions"][0]["actions"])
    tenant.roles[role] = ("Made already", [PermissionBlock(actions=actions)])
    assert written.verify(tenant).changes == ()


@pytest.mark.slow
def test_readings_do_not_depend_on_the_order_of_rows() -> None:
    tenant = _tenant()
    inputs = tenant.inputs()
    turned = Inputs.of(**{name: frame.reverse() for name, frame in frames_of(inputs).items()})
    assert take_readings(inputs, [READER]) == take_readings(turned, [READER])
    assert list(take_readings(inputs)["role_assignments"]) == sorted(take_readings(inputs)["role_assignments"])


def _custom(document: dict[str, Any], assignment: str = guid(101)) -> dict[str, Any]:
    (found,) = [one for one in document["proposals"] if one["replaces"] == [assignment]]
    assert found["kind"] == "custom"
    return dict(found)


def _set(assignment: int, **fields: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of the planned assignments of one proposal."""

    def change(document: dict[str, Any]) -> None:
        for one in _custom(document, guid(assignment))["assignments"]:
            one.update(fields)

    return change


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "witness"),
    [
        (_set(101, role=OWNER), "is not granted today"),
        (_set(101, scope="/"), "nothing is granted today at"),
        (_set(101, scope=SUB2), "nothing is granted today at"),
        (_set(101, principal_id=guid(4)), "does not hold the assignment"),
        (_set(102, principal_id=guid(4)), "does not hold the assignment"),
    ],
)
def test_a_plan_that_gives_more_than_today_fails(
    written: Written, change: Callable[[dict[str, Any]], None], witness: str
) -> None:
    """Whoever changed the plan, and whatever proof it claims: role, scope and principal are decided anew."""
    found = written.edit(change).verify(_tenant())
    (proof,) = found.failed
    assert witness in (proof.witness or "")


@pytest.mark.nightly
def test_a_lost_condition_fails() -> None:
    """What was granted under a condition is not granted without it, or under another one."""
    tenant = _tenant()
    _assignment(tenant, 101)["condition"] = "c1"
    written = Written.of(tenant)

    def narrow(condition: str | None) -> Callable[[dict[str, Any]], None]:
        def change(document: dict[str, Any]) -> None:
            proposal = _of(document, 101)
            proposal.update(kind="builtin", assignments=[_planned(CONTRIBUTOR, SUB, guid(1), condition=condition)])

        return change

    for condition in (None, "c2"):
        (proof,) = written.edit(narrow(condition)).verify(tenant).failed
        assert proof.witness == "the condition of today's assignment would be lost"
    assert written.edit(narrow("c1")).verify(tenant).failed == ()


@pytest.mark.nightly
def test_eligible_access_that_becomes_active_fails() -> None:
    tenant = _tenant()
    tenant.assign(301, guid(1), CONTRIBUTOR, SUB2, state="eligible")
    written = Written.of(tenant)

    def narrow(state: str) -> Callable[[dict[str, Any]], None]:
        def change(document: dict[str, Any]) -> None:
            proposal = _of(document, 301)
            proposal.update(kind="builtin", assignments=[_planned(READER, SUB2, guid(1), state=state)])

        return change

    (proof,) = written.edit(narrow("active")).verify(tenant).failed
    assert proof.witness == "eligible access would become active"
    assert written.edit(narrow("eligible")).verify(tenant).failed == ()


def _of(document: dict[str, Any], assignment: int) -> dict[str, Any]:
    (found,) = [one for one in document["proposals"] if one["replaces"] == [guid(assignment)]]
    return found


def _keep(document: dict[str, Any], assignment: int) -> dict[str, Any]:
    found = _of(document, assignment)
    assert found["kind"] == "keep"
    return found


def _planned(role: str, scope: str, principal: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "scope": scope, "principal_id": principal, "condition": None, "state": "active"} | more


@pytest.mark.slow
def test_several_proposals_replace_one_assignment_together(written: Written) -> None:
    """A part becomes eligible: the union is what counts, and the use of that part needs an activation."""

    def split(document: dict[str, Any]) -> None:
        proposal = _custom(document)
        names = {one["role"]: one["file"] for one in document["roles"]}
        standing, eligible = [], []
        for one in proposal["assignments"]:
            is_start = START in written.files.get(names.get(one["role"], ""), "")
            (eligible if is_start else standing).append(one)
        proposal["assignments"][:] = standing
        second = {
            "id": "second",
            "kind": "make_eligible",
            "assignments": [one | {"state": "eligible"} for one in eligible],
        }
        document["proposals"].append(proposal | second)

    found = written.edit(split).verify(_tenant())
    assert found.changes == ()
    assert found.failed == ()
    (proof,) = [one for one in found.proofs if one.role_assignment_id == guid(101)]
    assert proof.kinds == ("custom", "make_eligible")
    assert found.replay == {"allowed": 2, "denied": 0, "needs_activation": 1}


@pytest.mark.slow
def test_members_may_hold_directly_what_their_group_held(written: Written) -> None:
    """Each member who used it needs an own assignment then."""

    def direct(*members: str) -> Callable[[dict[str, Any]], None]:
        def change(document: dict[str, Any]) -> None:
            proposal = _custom(document, guid(102))
            given = [one | {"principal_id": member} for one in proposal["assignments"] for member in members]
            proposal["assignments"][:] = given

        return change

    both = written.edit(direct(guid(2), guid(3))).verify(_tenant())
    assert (both.changes, both.failed) == ((), ())
    one = written.edit(direct(guid(2))).verify(_tenant())
    assert one.failed == ()
    assert (only(one).id, only(one).role_assignment_ids) == (guid(3), (guid(102),))


@pytest.mark.nightly
def test_one_proposal_may_replace_several_assignments() -> None:
    """What takes their place may grant what they grant together, where all of them reach."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.roles[guid(71)] = ("Starter", [PermissionBlock(actions=(START,))])
    tenant.roles[guid(72)] = ("Writer", [PermissionBlock(actions=(WRITE_VM,))])
    tenant.roles[guid(73)] = ("Both", [PermissionBlock(actions=(START, WRITE_VM))])
    tenant.custom_roles |= {guid(71), guid(72), guid(73)}
    tenant.assign(101, user, guid(71), SUB)
    tenant.assign(102, user, guid(72), APP)
    tenant.assign(103, tenant.principal(2), guid(73), SUB2)
    written = Written.of(tenant)

    def merge(scope: str) -> Callable[[dict[str, Any]], None]:
        def change(document: dict[str, Any]) -> None:
            document["proposals"] = [one for one in document["proposals"] if one["replaces"] == [guid(101)]]
            document["proposals"][0].update(
                kind="builtin",
                replaces=[guid(101), guid(102)],
                assignments=[_planned(guid(73), scope, user)],
            )

        return change

    assert written.edit(merge(APP)).verify(tenant).failed == ()
    (first, second) = written.edit(merge(NET)).verify(tenant).failed
    assert first.witness == second.witness == f"{WRITE_VM} (control) is not granted today"


@pytest.mark.slow
def test_a_duplicate_whose_container_goes_as_well_fails(written: Written) -> None:
    """Two assignments that each rest on the other would both be gone."""

    def change(document: dict[str, Any]) -> None:
        _keep(document, 104).update(kind="remove")

    (proof,) = written.edit(change).verify(_tenant()).failed
    assert proof.role_assignment_id == guid(105)
    assert proof.witness == "no assignment that stays grants all of it"


@pytest.mark.slow
def test_a_plan_that_takes_used_access_away_is_stale(written: Written) -> None:
    def change(document: dict[str, Any]) -> None:
        _custom(document)
        (found,) = [one for one in document["proposals"] if one["replaces"] == [guid(101)]]
        found.update(kind="remove", assignments=[])

    assert [one.what for one in written.edit(change).verify(_tenant()).changes] == ["use"]


def _role_file(written: Written) -> str:
    name: str = written.document["roles"][0]["file"]
    return name


@pytest.mark.slow
def test_role_files_may_be_laid_out_differently(written: Written) -> None:
    name = _role_file(written)
    turned = json.dumps(dict(reversed(json.loads(written.files[name]).items())), indent=7)
    assert Written(written.files | {name: turned}).verify(_tenant()).changes == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("start/action", "delete", "differ from the plan"),
        ("resourceGroups/app", "resourceGroups/net", None),
        ("By rightsize", "Written by rightsize", "differ from the plan"),
        ("{", "[", "cannot be read"),
    ],
)
def test_an_altered_role_file_is_refused(written: Written, old: str, new: str, message: str | None) -> None:
    names = [one["file"] for one in written.document["roles"] if old in written.files[one["file"]]]
    for name in names:
        altered = Written(written.files | {name: written.files[name].replace(old, new)})
        with pytest.raises(InputError, match=message):
            altered.verify(_tenant())
    assert bool(names) == bool(message)


@pytest.mark.slow
def test_a_missing_role_file_is_refused(written: Written) -> None:
    name = _role_file(written)
    with pytest.raises(InputError, match="missing"):
        Written({key: text for key, text in written.files.items() if key != name}).verify(_tenant())


def _drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


def _put(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        _put(4, "format_version"),
        _put("2", "format_version"),
        _put(True, "format_version"),
        _drop("format_version"),
        _drop("generated_from", "options"),
        _put([], "generated_from", "options"),
        _drop("generated_from", "options", "forget_days"),
        _drop("generated_from", "window"),
        _put("2026-13-01", "generated_from", "window", "first_day"),
        _put("2099-01-01", "generated_from", "window", "first_day"),
        _put([], "rests_on"),
        _put({"group_members": []}, "rests_on"),
        _put({key: {} for key in WHAT}, "rests_on"),
        _put({key: {guid(101): 7} for key in WHAT}, "rests_on"),
        _drop("evidence", -1),
        _drop("evidence", 0),
        _put({}, "proposals"),
        _put([7], "proposals"),
        _put("demolish", "proposals", 0, "kind"),
        _put([], "proposals", 0, "replaces"),
        _put("frozen", "proposals", 0, "evidence", "state"),
        _put(None, "proposals", 0, "id"),
        _set(101, scope="not a scope"),
        _set(101, state="activated"),
        _set(101, role=guid(4711)),
        _set(101, principal_id="\ud800"),
        _set(101, condition=3),
        _put("../plan.json", "roles", 0, "file"),
        _put("/etc/passwd", "roles", 0, "file"),
        _put("roles/a/../../b.json", "roles", 0, "file"),
        _put("roles/..json", "roles", 0, "file"),
        _drop("roles", 0, "content"),
        lambda document: document["roles"].append(document["roles"][0]),
        lambda document: document["proposals"].append(document["proposals"][0]),
        lambda document: document["proposals"].append(_keep(document, 104) | {"id": "again", "kind": "remove"}),
        lambda document: _keep(document, 104).update(assignments=[_planned(READER, SUB2, guid(4))]),
    ],
)
def test_what_is_no_plan_is_refused(written: Written, change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(InputError):
        written.edit(change).verify(_tenant())


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"format_version": 2, "format_version": 2}', "\x00"]
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_plan(text.encode())


def test_a_tenant_with_nothing_in_it_makes_everything_stale(written: Written) -> None:
    """An empty store is no reason to crash, and none to say yes."""
    found = written.verify(Inputs.of(usage_days=pl.DataFrame()))
    assert {change.change for change in found.changes} >= {"gone"}
    assert len(found.changes) >= sum(len(read) for read in written.rests_on.values())


@pytest.mark.slow
def test_the_proposals_say_what_they_replace(written: Written) -> None:
    """The proofs speak of the assignments that the proposals take away, and of no other."""
    document = written.document
    gone = {one["replaces"][0] for one in document["proposals"] if one["kind"] != "keep"}
    assert {proof.role_assignment_id for proof in written.verify(_tenant()).proofs} == gone
    assert proposal_of(document, guid(104))["kind"] == "keep"
