"""Effective access: groups, states, denies, conditions and blocks, by example and by property."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.nouns import Decision, DenyAssignment, PermissionBlock, RoleAssignment
from rightsize.rbac.access import EVERYBODY, STRENGTH, Access, AssignedRole, read_membership
from rightsize.rbac.permissions import read_permissions
from rightsize.rbac.scopes import parse_scope
from tests.examples import MANY
from tests.rbac.places import by_place

SUB = "/subscriptions/s"
RG = SUB + "/resourceGroups/rg"
VM = RG + "/providers/Microsoft.Compute/virtualMachines/vm"
MG = "/providers/Microsoft.Management/managementGroups/m"
TREE = {SUB: MG.lower()}
READ, WRITE = "Microsoft.Compute/virtualMachines/read", "Microsoft.Compute/virtualMachines/write"
STARRED = "Microsoft.Compute/virtualMachines/*/write"
"""Whether it matches `WRITE`, Azure does not say."""
ON_WRITE = f"((!(ActionMatches{{'{WRITE}'}})) OR (@Resource[a:b] StringEquals 'x'))"

ROLES = {
    "reader": [PermissionBlock(actions=("*/read",))],
    "writer": [PermissionBlock(actions=("*",), not_actions=("*/delete",))],
    "two": [PermissionBlock(actions=("*",), not_actions=("*/write",)), PermissionBlock(actions=(WRITE,))],
    "data": [PermissionBlock(data_actions=("*",))],
    "starred": [PermissionBlock(actions=(STARRED, "*/read"))],
    "spared": [PermissionBlock(actions=("*",), not_actions=(STARRED,))],
    "guarded": [PermissionBlock(actions=("*",), condition=ON_WRITE)],
}


def build(
    assignments: list[RoleAssignment],
    *,
    denies: tuple[DenyAssignment, ...] = (),
    members: tuple[tuple[str, str], ...] = (),
    transitive: tuple[tuple[str, str], ...] = (),
    eligible: tuple[tuple[str, str], ...] = (),
) -> Access:
    roles = {name: AssignedRole(name.title(), read_permissions(blocks)) for name, blocks in ROLES.items()}
    conditions = [one.condition for one in assignments if one.condition]
    membership = read_membership(members, transitive, eligible)
    return Access(roles, by_place(assignments), denies, membership, TREE, conditions)


def held(role: str, scope: str = RG, principal: str = "p", **more: Any) -> RoleAssignment:
    return RoleAssignment(more.pop("id", f"{role}@{scope}"), principal, role, scope, **more)


def ask(access: Access, operation: str = WRITE, scope: str = VM, plane: str = "control", who: str = "p") -> Decision:
    return access.decide(who, operation, plane, parse_scope(scope))


def deny(scope: str = RG, principals: tuple[str, ...] = (EVERYBODY,), **more: Any) -> DenyAssignment:
    return DenyAssignment(
        "d", scope, more.pop("permissions", (PermissionBlock(actions=("*/write",)),)), principals, **more
    )


def test_an_assignment_reaches_everything_below_its_scope_whatever_the_case() -> None:
    """From a management group down to a resource, and to nothing beside or above."""
    access = build([held("writer", MG.upper())])
    assert ask(access, WRITE.upper(), VM.upper()).allowed == "yes"
    assert ask(access, scope="/subscriptions/other").allowed == "no"
    assert ask(access, scope="/").allowed == "no"


def test_not_actions_subtract_from_their_block_and_deny_nothing() -> None:
    """Another block, or another role, may grant what one excludes."""
    assert ask(build([held("two")])).allowed == "yes"
    assert ask(build([held("two")]), "a/b/write").allowed == "no"
    assert ask(build([held("two"), held("writer")]), "a/b/write").because[0].role_name == "Writer"


def test_a_membership_that_has_to_be_activated_makes_what_the_group_holds_eligible() -> None:
    """Through groups within groups, and however the group holds it; what stands comes first."""
    access = build([held("writer", principal="outer")], members=(("outer", "inner"),), eligible=(("inner", "p"),))
    decision = ask(access)
    assert (decision.allowed, decision.because[0].via, decision.because[0].state) == (
        "eligible", ("inner", "outer"), "eligible"
    )  # fmt: skip
    assert ask(access, who="stranger").allowed == "no"
    assert "p" in access.holders(WRITE.lower(), "control", parse_scope(VM))
    both = build([held("writer", principal="g"), held("writer")], eligible=(("g", "p"),))
    assert ask(both).allowed == "yes"


def test_a_deny_for_the_group_refuses_what_its_activation_would_give() -> None:
    assignments, eligible = [held("writer", principal="g")], (("g", "p"),)
    assert ask(build(assignments, denies=(deny(principals=("g",)),), eligible=eligible)).allowed == "no"
    assert ask(build(assignments, denies=(deny(principals=("h",)),), eligible=eligible)).allowed == "eligible"


def test_a_star_in_actions_grants_no_data_action() -> None:
    """The planes are apart."""
    access = build([held("writer"), held("data")])
    assert [reason.role_name for reason in ask(access, plane="data").because] == ["Data"]
    assert [reason.role_name for reason in ask(access).because] == ["Writer"]


def test_the_chain_of_groups_is_the_shortest_and_cycles_end() -> None:
    """`via` lists the groups nearest first; the holder is the last."""
    members = (("g1", "p"), ("g2", "g1"), ("g1", "g2"), ("g3", "g2"), ("g3", "g9"), ("g9", "p"))
    decision = ask(build([held("writer", principal="g3")], members=members))
    assert decision.because[0].via == ("g9", "g3")


def test_a_transitive_listing_bridges_what_direct_ones_do_not_say() -> None:
    """Membership counts even where nobody knows the groups between."""
    access = build([held("writer", principal="g")], transitive=(("g", "p"),))
    assert ask(access).because[0].via == ("g",)


def test_every_deciding_assignment_is_named_nearest_first_and_once() -> None:
    """An activation stands in two listings under one id; direct assignments come before a group's."""
    assignments = [
        held("writer", principal="g", id="far"),
        held("writer", id="near"),
        held("writer", SUB, id="near", state="activated"),
        held("reader", id="beside"),
    ]
    assert [r.role_assignment_id for r in ask(build(assignments, members=(("g", "p"),))).because] == ["near", "far"]


def test_strongest_first_yes_conditional_eligible() -> None:
    """Conditional beats eligible, and neither hides a plain yes."""
    eligible, guarded = held("writer", state="eligible"), held("writer", SUB, condition=ON_WRITE)
    assert ask(build([eligible])).allowed == "eligible"
    both = ask(build([eligible, guarded]))
    assert (both.allowed, both.because[0].condition) == ("conditional", ON_WRITE)
    assert ask(build([eligible, guarded, held("two")])).allowed == "yes"


def test_a_condition_that_does_not_target_the_operation_does_not_matter() -> None:
    """On the assignment or inside the definition alike."""
    for assignment in (held("writer", condition=ON_WRITE), held("guarded")):
        assert ask(build([assignment]), READ).allowed == "yes"
        assert ask(build([assignment])).because[0].condition == ON_WRITE


def test_both_conditions_have_to_hold() -> None:
    """The condition of the answer joins that of the assignment and that of the definition."""
    other = "@Request[a:b] StringEquals 'c'"
    condition = ask(build([held("guarded", condition=other)])).because[0].condition
    assert condition == f"({other}) AND ({ON_WRITE})"


def test_a_deny_refuses_whatever_roles_say() -> None:
    """It names itself, and no assignment decides then."""
    assert ask(build([held("writer")], denies=(deny(),))) == Decision("no", (), ("d",))
    assert ask(build([held("writer")], denies=(deny(),)), READ).allowed == "yes"
    assert ask(build([held("writer")], denies=(deny(principals=("other",)),))).allowed == "yes"


def test_a_deny_spares_those_it_excludes_also_through_a_group() -> None:
    """Principals and exclusions match through groups."""
    members = (("in", "p"), ("out", "p"))
    assert ask(build([held("writer")], denies=(deny(principals=("in",)),), members=members)).allowed == "no"
    spared = deny(exclude_principal_ids=("OUT",))
    assert ask(build([held("writer")], denies=(spared,), members=members)).allowed == "yes"


def test_a_deny_may_hold_at_its_own_scope_only() -> None:
    """`doesNotApplyToChildScopes` spares everything below."""
    access = build([held("writer", SUB)], denies=(deny(does_not_apply_to_child_scopes=True),))
    assert ask(access, scope=RG.upper()).allowed == "no"
    assert ask(access, scope=VM).allowed == "yes"


def test_a_deny_has_not_actions_and_data_actions() -> None:
    """Its blocks mean what a role's mean."""
    block = PermissionBlock(actions=("*",), not_actions=("*/read",), data_actions=("*/delete",))
    access = build([held("writer"), held("data")], denies=(deny(permissions=(block,)),))
    assert [ask(access, o, plane=p).allowed for o, p in ((READ, "control"), (WRITE, "control"))] == ["yes", "no"]
    assert [ask(access, o, plane="data").allowed for o in ("a/delete", "a/read")] == ["no", "yes"]


def test_a_deny_with_an_open_condition_makes_a_yes_conditional() -> None:
    """Whether it refuses depends on the request, so the answer does."""
    decision = ask(build([held("writer")], denies=(deny(condition="@Request[a:b] StringEquals 'c'"),)))
    assert (decision.allowed, decision.denied_by) == ("conditional", ("d",))


def test_an_unknown_role_grants_nothing() -> None:
    """What nobody loaded grants nothing."""
    assert ask(build([held("nobody-loaded-it")])).allowed == "no"


def test_holders_are_groups_and_all_their_members() -> None:
    """Whom an assignment with the operation reaches, through any chain."""
    members = (("g", "h"), ("h", "q"), ("h", "g"))
    access = build([held("writer", SUB, "g"), held("reader", SUB, "z")], members=members)
    assert access.holders(WRITE, "control", parse_scope(VM)) == ["g", "h", "q"]


def test_the_answer_is_the_most_that_may_be_allowed_and_says_so() -> None:
    """An action may match by `/*/` for `/`, and a not-action or deny may not: both are read in favour of access."""
    for role in ("starred", "spared"):
        decision = ask(build([held(role)]))
        assert (decision.allowed, decision.depends_on_reading) == ("yes", True)
        assert ask(build([held(role), held("writer", SUB)])).depends_on_reading is False
        assert ask(build([held(role)]), READ).depends_on_reading is False
    refused = deny(permissions=(PermissionBlock(actions=(STARRED,)),))
    decision = ask(build([held("writer")], denies=(refused,)))
    assert (decision.allowed, decision.depends_on_reading) == ("yes", True)
    assert ask(build([held("starred")], denies=(deny(),))) == Decision("no", (), ("d",))
    assert "p" in build([held("starred")]).holders(WRITE.lower(), "control", parse_scope(VM))


def test_a_condition_that_may_target_the_operation_is_read_in_favour_of_access() -> None:
    decision = ask(build([held("writer", condition=ON_WRITE.replace(WRITE, STARRED))]))
    assert (decision.allowed, decision.depends_on_reading) == ("yes", True)


people = st.sampled_from(["p", "q", "g1", "g2", "g3"])
scopes = st.sampled_from(["/", MG, SUB, RG, VM])
assignments = st.lists(
    st.builds(
        RoleAssignment,
        role_assignment_id=st.uuids().map(str),
        principal_id=people,
        role_definition_id=st.sampled_from(sorted(ROLES)),
        scope=scopes,
        state=st.sampled_from(["active", "active", "eligible", "activated"]),
        condition=st.sampled_from([None, None, ON_WRITE]),
    ),
    max_size=6,
)
groups = st.lists(st.tuples(st.sampled_from(["g1", "g2", "g3"]), people), max_size=5).map(tuple)
questions = st.tuples(people, st.sampled_from([READ, WRITE, "a/delete"]), scopes, st.sampled_from(["control", "data"]))


@pytest.mark.slow
@given(assignments, assignments, groups, questions)
@MANY
def test_adding_an_assignment_never_removes_access(
    some: list[RoleAssignment],
    more: list[RoleAssignment],
    members: tuple[tuple[str, str], ...],
    question: tuple[str, str, str, str],
) -> None:
    """Roles only ever add up."""
    who, operation, scope, plane = question
    before = ask(build(some, members=members), operation, scope, plane, who)
    after = ask(build(some + more, members=members), operation, scope, plane, who)
    assert STRENGTH[after.allowed] >= STRENGTH[before.allowed]


@pytest.mark.slow
@given(assignments, groups, questions, st.randoms(use_true_random=False))
@MANY
def test_order_and_case_change_nothing(
    some: list[RoleAssignment], members: tuple[tuple[str, str], ...], question: tuple[str, str, str, str], random: Any
) -> None:
    """Shuffled rows in capitals give the same answer for the same reasons."""
    who, operation, scope, plane = question
    shuffled = [replace(one, principal_id=one.principal_id.upper()) for one in random.sample(some, len(some))]
    plain = ask(build(some, members=members), operation, scope, plane, who)
    members = tuple(random.sample(members, len(members)))
    assert ask(build(shuffled, members=members), operation.upper(), scope.lower(), plane, who.upper()) == plain


@given(assignments, groups, questions)
@MANY
def test_whoever_may_is_among_the_holders(
    some: list[RoleAssignment], members: tuple[tuple[str, str], ...], question: tuple[str, str, str, str]
) -> None:
    """`holders` leaves out nobody who may, and names nobody who may not, where nothing is denied."""
    _, operation, scope, plane = question
    access = build(some, members=members)
    holders = access.holders(operation, plane, parse_scope(scope))
    for who in ("p", "q", "g1", "g2", "g3"):
        assert (ask(access, operation, scope, plane, who).allowed != "no") == (who in holders)
