"""Azure does not say whether `X/*/y` allows `X/y`: a need that depends on it keeps today's string."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.duplicates import find_duplicates
from rightsize.analyze.inputs import read_tree
from rightsize.analyze.tenant import read_tenant
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import Plan
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.text import fold
from rightsize.propose.core.role_catalog import KnownRole
from rightsize.propose.core.role_patterns import PatternPart
from rightsize.propose.needs.assignments import EVER
from rightsize.propose.needs.needs import parts_granting
from rightsize.propose.proof import Claim, ProvedGrant, prove
from rightsize.propose.replay import GRANTS_SCHEMA, Evaluator
from rightsize.rbac.algebra import grants, grants_alike
from rightsize.rbac.permissions import Reading
from tests.examples import FEW
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    OPERATIONS,
    SUB,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)
from tests.rbac import naive

WRITE = "Microsoft.Compute/virtualMachines/write"
START = "Microsoft.Compute/virtualMachines/start/action"
STARRED = "Microsoft.Compute/virtualMachines/*/start/action"
ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"
IDENTITY_OPERATOR = "f1a07417-d97a-45cb-824c-7a7467783830"
ROLE, OTHER = "00000000-0000-4000-9000-000000000001", "00000000-0000-4000-9000-000000000002"


def _tenant(**roles: tuple[str, ...]) -> SmallTenant:
    """Return a tenant with roles of these actions; what stands behind `NOT` is a not-action."""
    tenant = SmallTenant()
    for id_, texts in roles.items():
        actions = tuple(text for text in texts if not text.startswith("NOT "))
        nots = tuple(text.removeprefix("NOT ") for text in texts if text.startswith("NOT "))
        tenant.roles = tenant.roles | {id_: (id_, [PermissionBlock(actions=actions, not_actions=nots)])}
    return tenant


def _written(plan: Plan) -> set[str]:
    return {text for role in plan.roles for text in strings(plan, role.definition.role_definition_id)}


def _holds(plan: Plan) -> bool:
    return plan.replay["denied"] == 0 and all(proposal.proof.holds for proposal in plan.proposals)


@pytest.mark.slow
def test_use_that_only_a_star_may_grant_keeps_the_star() -> None:
    """Neither the operation by name, which would be new, nor nothing: the string as it stands today."""
    tenant = _tenant(**{ROLE: (STARRED, "Microsoft.Network/*")})
    tenant.silent()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, ROLE, SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan()
    assert proposal_for(plan, assignment).kind == "custom"
    assert STARRED in _written(plan)
    assert START not in _written(plan)
    assert _holds(plan)
    (said,) = [row for role in plan.roles for row in role.evidence["actions"] if row["action"] == STARRED]
    assert said["why"] == "one_reading"
    assert [(row["action"], row["why"]) for row in said["stands_for"]] == [(START, "used")]


@pytest.mark.slow
def test_use_that_a_not_action_may_take_out_keeps_string_and_not_action() -> None:
    tenant = _tenant(**{ROLE: ("Microsoft.Compute/*", "Microsoft.Storage/*", f"NOT {STARRED}")})
    tenant.silent()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, ROLE, SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan(unobservable="drop", reads="none")
    blocks = [role.definition.permissions[0] for role in plan.roles]
    assert proposal_for(plan, assignment).kind == "custom"
    assert any(block.actions == ("Microsoft.Compute/*",) and block.not_actions == (STARRED,) for block in blocks)
    assert not any("Microsoft.Storage" in text for text in _written(plan))
    assert _holds(plan)


@pytest.mark.slow
def test_a_role_that_grants_it_for_certain_answers_no_doubtful_need_by_name() -> None:
    """A built-in role that names the operation is more than is granted today, by one reading."""
    tenant = _tenant(**{ROLE: (STARRED, "Microsoft.Network/*"), OTHER: (START,)})
    tenant.silent()
    user = tenant.principal(1)
    tenant.assign(101, user, ROLE, SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan()
    assert OTHER not in {one.role for proposal in plan.proposals for one in proposal.assignments}
    assert STARRED in _written(plan)


@pytest.mark.nightly
@pytest.mark.parametrize("credited", [guid(101), guid(102)])
def test_a_certain_need_rests_on_no_star(credited: str) -> None:
    """The use is not left to a string that only may grant it, whichever assignment the log credits with it."""
    tenant = _tenant(**{ROLE: (STARRED,)})
    tenant.silent()
    user = tenant.principal(1)
    tenant.assign(101, user, ROLE, APP)
    tenant.assign(102, user, CONTRIBUTOR, SUB)
    tenant.use(user, START, VM, role_assignment_id=credited)
    plan = tenant.plan()
    assert START in _written(plan)
    assert _holds(plan)


@pytest.mark.slow
def test_a_duplicate_is_contained_by_any_reading() -> None:
    """A role that names the operation does not make superfluous the one that has the star, nor the other way round."""
    for small, big, is_inside in ((STARRED, START, False), (START, STARRED, False), (STARRED, STARRED.upper(), True)):
        tenant = _tenant(**{ROLE: (small,), OTHER: (big, WRITE)})
        user = tenant.principal(1)
        first = tenant.assign(101, user, ROLE, SUB)
        tenant.assign(102, user, OTHER, SUB)
        found = set(find_duplicates(read_tenant(tenant.inputs()))["role_assignment_id"])
        assert found == ({first} if is_inside else set())


def _proved(proposed: tuple[str, ...], today: tuple[str, ...], *also: tuple[str, ...]) -> tuple[bool, bool]:
    blocks = [(PermissionBlock(actions=texts),) for texts in (proposed, today, *also)]
    roles = dict(zip(("new", "old", "also"), blocks, strict=False))
    scope = fold(SUB)
    held = tuple(ProvedGrant(name, scope) for name in list(roles)[1:])
    uses = pl.DataFrame({"claim": ["c"], "principal_id": ["u"], "plane": ["control"], "operation": [fold(START)],
                         "place": [scope]})  # fmt: skip
    tree = read_tree(SmallTenant().inputs().scopes, pl.Series([scope]))
    claim = Claim("c", (ProvedGrant("new", scope),), (), held, replaces="old")
    proof = prove([claim], uses, roles, tree)["c"]
    return proof.used_subset, proof.granted_superset


@pytest.mark.slow
def test_what_is_proved_by_either_reading() -> None:
    """`used` inside the least of `proposed`, and the most of that inside the least of today, or the same string."""
    assert _proved((STARRED,), (STARRED.upper(), WRITE)) == (True, True)
    assert _proved((START,), (STARRED,)) == (True, False)
    assert _proved((STARRED,), ("Microsoft.Compute/*",)) == (False, True)
    assert _proved((STARRED,), (START, "Microsoft.Compute/virtualMachines/x/*")) == (False, False)


@pytest.mark.slow
def test_replay_asks_for_what_today_may_allow_of_what_is_left_for_certain() -> None:
    """A use that rests on several doubtful roles needs each of them to be answered."""
    blocks = {
        "starred": (PermissionBlock(actions=(STARRED,)),),
        "named": (PermissionBlock(actions=(START,)),),
        "rest": (PermissionBlock(actions=("*",), not_actions=(STARRED,)),),
        "both": (PermissionBlock(actions=(STARRED,)), PermissionBlock(actions=("*",), not_actions=(STARRED,))),
    }
    scope = fold(SUB)
    evaluator = Evaluator(blocks, read_tree(SmallTenant().inputs().scopes, pl.Series([scope])))
    uses = pl.DataFrame({"use": [1], "principal_id": ["u"], "holder": ["u"], "place": [scope], "plane": ["control"],
                         "operation": [fold(START)]})  # fmt: skip

    def is_kept(today: tuple[str, ...], after: tuple[str, ...]) -> bool:
        before, left = (
            pl.DataFrame(
                [("u", scope, role, "active", None, EVER) for role in roles], schema=GRANTS_SCHEMA, orient="row"
            )
            for roles in (today, after)
        )
        asked = uses.join(evaluator.today(uses, before), on="use")
        assert asked.height == 1
        return evaluator.kept(asked, left).height > 0

    assert is_kept(("starred",), ("starred",))
    assert is_kept(("starred",), ("named",))
    assert is_kept(("rest",), ("rest",))
    assert not is_kept(("starred",), ("rest",))
    assert not is_kept(("named",), ("starred",))
    assert not is_kept(("starred", "rest"), ("starred",))
    assert is_kept(("starred", "rest"), ("starred", "rest"))
    assert is_kept(("starred", "rest"), ("both",))
    assert not is_kept(("starred", "named"), ("starred",))


def test_the_narrowest_strings_that_grant_an_operation_whenever_the_role_does() -> None:
    """One that grants it for certain is enough; of those that may, each that is another chance."""

    def parts(*blocks: PermissionBlock) -> list[PatternPart]:
        return parts_granting(KnownRole("r", "r", blocks, 0, False, False), "control", "a/b/c/write")

    star, other = "a/*/b/c/write", "a/b/*/c/write"
    assert parts(PermissionBlock(actions=(star, "a/*"))) == [PatternPart(("a/*",))]
    assert parts(PermissionBlock(actions=(star,))) == [PatternPart((star,))]
    assert set(parts(PermissionBlock(actions=(star, other)))) == {PatternPart((star,)), PatternPart((other,))}
    assert parts(PermissionBlock(actions=("*", "a/b/*"), not_actions=(star,))) == [PatternPart(("a/b/*",), (star,))]


@pytest.fixture(scope="module")
def built_in(shared_data: Path) -> tuple[RoleDefinition, ...]:
    return read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))


@pytest.fixture(scope="module")
def whole(shared_data: Path, built_in: tuple[RoleDefinition, ...]) -> SmallTenant:
    """A tenant with all operations and built-in roles of Azure, in which nobody holds anything."""
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as stream:
        known = {"true": True, "false": False}
        operations = {row["operation"]: known.get(row["is_data_action"]) for row in csv.DictReader(stream)}
    roles = {role.role_definition_id: (role.role_name, list(role.permissions)) for role in built_in}
    return SmallTenant(operations=operations, roles=roles)


def _again(whole: SmallTenant) -> SmallTenant:
    return SmallTenant(operations=whole.operations, roles=whole.roles)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "options",
    [{}, {"reads": "none", "unobservable": "drop"}],
    ids=["default", "least"],
)
def test_who_writes_machines_keeps_the_string_by_which_identities_are_assigned(
    whole: SmallTenant, options: dict[str, Any]
) -> None:
    """Managed Identity Operator beside Virtual Machine Contributor: the check inside a machine's write is unlogged."""
    tenant = _again(whole)
    tenant.silent()
    user = tenant.principal(1)
    operator = tenant.assign(101, user, IDENTITY_OPERATOR, SUB)
    tenant.assign(102, user, VM_CONTRIBUTOR, SUB)
    tenant.use(user, WRITE, VM)
    plan = tenant.plan(**options)
    proposal = proposal_for(plan, operator)
    given = {one.role for one in proposal.assignments}
    assert proposal.kind.keeps or any(ASSIGN in strings(plan, role) for role in given)
    assert _holds(plan)


@pytest.mark.nightly
def test_whoever_uses_what_only_a_star_may_grant_keeps_it(
    whole: SmallTenant, built_in: tuple[RoleDefinition, ...]
) -> None:
    """Each of the built-in roles with such a string, held by somebody who used all that rests on it."""
    tenant = _again(whole)
    tenant.silent()
    names = {fold(name): name for name in tenant.operations}
    held: list[tuple[str, RoleDefinition, set[str]]] = []
    for role in built_in:
        own = {
            names[form]
            for block in role.permissions
            for text in block.actions
            if (form := fold(text).replace("/*/", "/")) in names and "*" in text
        }
        doubtful = {name for name in own if _is_doubtful(role, name)}
        if doubtful:
            user = tenant.principal(len(held) + 1)
            held.append((tenant.assign(1001 + len(held), user, role.role_definition_id, SUB), role, doubtful))
            for name in sorted(doubtful):
                tenant.use(user, name, APP, days=1)
    assert len(held) > 60
    plan = tenant.plan(reads="none", unobservable="drop")
    assert _holds(plan)
    known = {role.role_definition_id: role.permissions for role in built_in}
    known |= {role.definition.role_definition_id: role.definition.permissions for role in plan.roles}
    kinds = set()
    for assignment, role, doubtful in held:
        proposal = proposal_for(plan, assignment)
        kinds.add(proposal.kind)
        if proposal.kind != "keep":
            after = [block for one in proposal.assignments for block in known[one.role]]
            assert all(grants_alike(after, role.permissions, name, "control") for name in doubtful), role.role_name
            assert not any(grants(after, name, "control", Reading.LEAST) == "yes" for name in doubtful)
    assert "custom" in kinds


def _is_doubtful(role: RoleDefinition, name: str) -> bool:
    return (grants(role.permissions, name, "control"), grants(role.permissions, name, "control", Reading.LEAST)) == (
        "yes",
        "no",
    )


POOL: tuple[PermissionBlock, ...] = (
    PermissionBlock(actions=(STARRED,)),
    PermissionBlock(actions=(START, "Microsoft.Compute/*/virtualMachines/write")),
    PermissionBlock(actions=("Microsoft.Compute/*",), not_actions=(STARRED,)),
    PermissionBlock(actions=("*",), not_actions=("Microsoft.Compute/*/virtualMachines/write",)),
    PermissionBlock(actions=("Microsoft.Compute/*/read", "Microsoft.Compute/virtualMachines/*/restart/action")),
    PermissionBlock(actions=("Microsoft.Network/*", WRITE), not_actions=("Microsoft.Network/*/virtualNetworks/write",)),
    PermissionBlock(actions=("Microsoft.Compute/*/start/action",)),
    PermissionBlock(actions=("Microsoft.Compute/*/virtualMachines/*/start/action",)),
)
USABLE = (START, WRITE, "Microsoft.Compute/virtualMachines/restart/action", "Microsoft.Network/virtualNetworks/write")
blocks = st.lists(st.sampled_from(POOL), min_size=1, max_size=2, unique=True)
holdings = st.lists(st.tuples(blocks, st.sampled_from([SUB, APP])), min_size=1, max_size=3)


@pytest.mark.nightly
@given(
    holdings,
    st.lists(st.sampled_from(USABLE), min_size=1, max_size=3, unique=True),
    st.sampled_from(["", "first"]),
)
@FEW
def test_whatever_azure_means_a_plan_keeps_use_and_adds_nothing(
    held: list[tuple[list[PermissionBlock], str]], used: list[str], named: str
) -> None:
    """For every meaning of every string: what was used stays allowed where it was, and no operation is new."""
    tenant = SmallTenant()
    tenant.silent()
    user = tenant.principal(1)
    ids = []
    for number, (own, scope) in enumerate(held, start=1):
        role = f"00000000-0000-4000-9000-{number:012d}"
        tenant.roles = tenant.roles | {role: (f"role {number}", own)}
        ids.append(tenant.assign(100 + number, user, role, scope))
    for name in used:
        evidence: dict[str, Any] = {"role_assignment_id": ids[0]} if named else {}
        tenant.use(user, name, VM, **evidence)
    plan = tenant.plan()
    assert all(proposal.proof.holds for proposal in plan.proposals)
    known = {id_: tuple(own) for id_, (_, own) in tenant.roles.items()}
    known |= {role.definition.role_definition_id: role.definition.permissions for role in plan.roles}
    after: list[tuple[tuple[PermissionBlock, ...], str]] = []
    for id_, (own, scope) in zip(ids, held, strict=True):
        proposal = proposal_for(plan, id_)
        after += [(tuple(own), scope)] if proposal.kind == "keep" else []
        after += [(known[one.role], one.scope) for one in proposal.assignments]
    everything = [block for own, _ in (*held, *after) for block in own]
    for meaning in naive.meanings(everything):
        before = _allowed_at(VM, held, meaning)
        left = _allowed_at(VM, after, meaning)
        assert left <= before
        assert {name for name in used if fold(name) in before} <= {name for name in used if fold(name) in left}


def _allowed_at(place: str, held: Sequence[tuple[Sequence[PermissionBlock], str]], meaning: naive.Meaning) -> set[str]:
    """Return the operations of the catalogue that assignments allow at a place, by one meaning of their strings."""
    names = [fold(name) for name in OPERATIONS]
    return {
        name
        for own, scope in held
        if fold(place).startswith(fold(scope))
        for block in own
        for name in names
        if naive.grants_by(block, name, "control", meaning)
    }


@pytest.mark.nightly
def test_a_pattern_beside_the_operation_by_name_is_not_said_to_be_needed_for_the_reading() -> None:
    """`virtualMachines/*` becomes `virtualMachines/*/read` and `virtualMachines/read`, each for its plain reason."""
    tenant = _tenant(**{ROLE: ("Microsoft.Compute/virtualMachines/*",)})
    tenant.operations["Microsoft.Compute/virtualMachines/instanceView/read"] = False
    user = tenant.principal(1)
    tenant.assign(101, user, ROLE, SUB)
    tenant.use(user, START, VM)
    plan = tenant.plan()
    said = {row["action"]: row["why"] for role in plan.roles for row in role.evidence["actions"]}
    assert said["Microsoft.Compute/virtualMachines/*/read"] == "arm_read"
    assert said["Microsoft.Compute/virtualMachines/read"] == "arm_read"
