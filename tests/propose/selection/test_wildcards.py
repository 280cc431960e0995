"""The option `--wildcards`: shorter roles that grant the same, and the plan's remarks on future operations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Growth, Plan
from rightsize.rbac.algebra import contains, grants
from tests.examples import FEWEST
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    OPERATIONS,
    READER,
    ROLES,
    SUB,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    proposal_for,
    strings,
)
from tests.propose.written_plans import Written

LEAN = {"reads": "none", "unobservable": "drop"}
BOXES = [f"Contoso.Boxes/boxes/{verb}" for verb in ("close/action", "delete", "lids/delete", "open/action")]
BOX = f"{APP}/providers/Contoso.Boxes/boxes/b"
CHANGES = [name for name, data in OPERATIONS.items() if not data and not name.endswith("/read")]


def _packer() -> tuple[SmallTenant, str]:
    """A user who does with boxes whatever can be done with them."""
    tenant = SmallTenant(operations=OPERATIONS | dict.fromkeys(BOXES, False))
    user = tenant.principal(1)
    for name in BOXES:
        tenant.use(user, name, BOX)
    return tenant, tenant.assign(101, user, CONTRIBUTOR, SUB)


def _strings(plan: Plan) -> list[str]:
    return sorted(text for role in plan.roles for text in strings(plan, role.definition.role_definition_id))


def test_wildcards_are_off_by_default() -> None:
    tenant, _ = _packer()
    assert _strings(tenant.plan(**LEAN)) == sorted(BOXES)


def test_a_pattern_stands_for_what_is_needed() -> None:
    tenant, assignment = _packer()
    plan = tenant.plan(wildcards=True, **LEAN)
    assert _strings(plan) == ["Contoso.Boxes/boxes/*"]
    proposal = proposal_for(plan, assignment)
    assert proposal.proof.holds
    assert proposal.proof.tomorrow == (Growth(plan.roles[0].definition.role_definition_id, "patterns"),)
    assert plan.replay == tenant.plan(**LEAN).replay
    assert plan.generated_from["options"]["wildcards"] is True


def test_the_evidence_says_what_a_pattern_stands_for_and_leaves_open() -> None:
    tenant, _ = _packer()
    (action,) = tenant.plan(wildcards=True, **LEAN).roles[0].evidence["actions"]
    assert action["why"] == "wildcard"
    assert action["operations"] == len(BOXES)
    assert sorted(one["action"] for one in action["stands_for"]) == sorted(BOXES)
    assert {one["why"] for one in action["stands_for"]} == {"used"}
    assert action["opens"] == "every operation that begins with `Contoso.Boxes/boxes/`"
    assert action["for_example"] == "Contoso.Boxes/boxes/added/action"


def test_the_page_of_a_role_lists_what_is_open() -> None:
    tenant, _ = _packer()
    files = Written.of(tenant, wildcards=True, **LEAN).files
    (page,) = [text for name, text in files.items() if name.startswith("evidence/") and name.endswith(".md")]
    assert "## What the role may grant later" in page
    assert page.count("(in Contoso.Boxes/boxes/\\*)") == len(BOXES)


def test_reads_that_stay_as_patterns_are_open_too() -> None:
    """They are there by another option, and say the same of tomorrow; what a built-in role grants is Microsoft's."""
    tenant = SmallTenant()
    tenant.operations["Microsoft.Compute/virtualMachines/extensions/read"] = False
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, VM_CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/write", VM)
    plan = tenant.plan(unobservable="drop")
    reading = [one for role in plan.roles for one in role.evidence["actions"] if "*" in one["action"]]
    assert {one["why"] for one in reading} == {"arm_read"}
    assert all(one["opens"].endswith("ends in `/read`") for one in reading)
    assert "patterns" in {one.because for one in proposal_for(plan, assignment).proof.tomorrow}
    other = tenant.principal(2)
    beside = tenant.assign(102, other, CONTRIBUTOR, SUB)
    tenant.use(other, "Microsoft.Compute/virtualMachines/write", VM)
    assert Growth(READER, "built_in") in proposal_for(tenant.plan(unobservable="drop"), beside).proof.tomorrow


def test_a_plan_without_patterns_or_built_in_roles_grows_by_nothing() -> None:
    tenant, assignment = _packer()
    assert proposal_for(tenant.plan(**LEAN), assignment).proof.tomorrow == ()


def test_a_role_that_two_share_stays_inside_what_each_has() -> None:
    """One holds the operations in full, so the shared role has no pattern, and stays one role."""
    tenant, _ = _packer()
    tenant.roles["00000000-0000-4000-8000-000000000077"] = (
        "In full",
        [PermissionBlock(actions=(*BOXES, "Microsoft.Compute/disks/write"))],
    )
    tenant.custom_roles.add("00000000-0000-4000-8000-000000000077")
    user = tenant.principal(2)
    tenant.assign(102, user, "00000000-0000-4000-8000-000000000077", SUB)
    for name in BOXES:
        tenant.use(user, name, BOX)
    plan = tenant.plan(wildcards=True, **LEAN)
    assert len(plan.roles) == 1
    assert _strings(plan) == sorted(BOXES)


@pytest.mark.parametrize("wildcards", [False, True])
def test_such_a_plan_is_verified(wildcards: bool) -> None:
    tenant, _ = _packer()
    found = Written.of(tenant, wildcards=wildcards).verify(tenant)
    assert (found.changes, found.failed) == ((), ())


@given(st.sets(st.sampled_from(CHANGES), min_size=1), st.sets(st.sampled_from(CHANGES)), st.sampled_from([{}, LEAN]))
@FEWEST
def test_the_option_changes_no_grant_of_today(first: set[str], second: set[str], options: dict[str, str]) -> None:
    """Same kinds, same places, the same operations of the catalogue at each; no more strings than before."""
    tenant = SmallTenant()
    people = [tenant.principal(number) for number in (1, 2)]
    places = {name: VM if name.startswith("Microsoft.Compute/") else f"{DATA}/providers/a.b/c/d" for name in CHANGES}
    for number, (person, used) in enumerate(zip(people, (first, second), strict=True), 101):
        tenant.assign(number, person, CONTRIBUTOR, SUB if number == 101 else APP)
        for name in sorted(used):
            tenant.use(person, name, places[name])
    off, on = tenant.plan(**options), tenant.plan(wildcards=True, **options)
    assert [one.kind for one in off.proposals] == [one.kind for one in on.proposals]
    assert all(one.proof.holds for one in on.proposals)
    assert _granted(off, tenant) == _granted(on, tenant)
    assert len(_strings(on)) <= len(_strings(off))
    today = tenant.roles[CONTRIBUTOR][1]
    assert all(contains(today, role.definition.permissions) is None for role in on.roles)


def _granted(plan: Plan, tenant: SmallTenant) -> set[tuple[str, str, str]]:
    blocks = {id_: tuple(role) for id_, (_, role) in ROLES.items()}
    blocks |= {role.definition.role_definition_id: role.definition.permissions for role in plan.roles}
    return {
        (one.principal_id, one.scope, name)
        for proposal in plan.proposals
        for one in proposal.assignments
        for name, data in tenant.operations.items()
        if grants(blocks[one.role], name, "data" if data else "control") == "yes"
    }


def test_a_read_pattern_that_matches_nothing_in_the_catalogue_is_left_out() -> None:
    """Today's role has such patterns for operations that Azure lists no more, or not yet."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, VM_CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/write", VM)
    strings = {one["action"] for role in tenant.plan(unobservable="drop").roles for one in role.evidence["actions"]}
    assert strings
    assert not any("*" in text for text in strings)
    tenant.operations["Microsoft.Compute/virtualMachines/extensions/read"] = False
    plan = tenant.plan(unobservable="drop")
    strings = {one["action"] for role in plan.roles for one in role.evidence["actions"]}
    assert {text for text in strings if "*" in text} == {"Microsoft.Compute/virtualMachines/*/read"}
