"""Separation: a principal over several layers gets a role a layer; guarding roles become eligible where possible."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan, Proposal
from rightsize.propose.core.role_patterns import AzureLimits
from rightsize.propose.needs.holders import WHY_ACTIVE
from rightsize.propose.verify.review import plan_of
from rightsize.rbac.algebra import contains, grants
from rightsize.render.plan import plan_document, plan_files
from rightsize.rules.operations import layers_of
from tests.examples import FEWEST
from tests.propose.needs.test_privileged import ASSIGN, START, VMS, licensed, policy
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    MG,
    NET,
    OPERATIONS,
    OWNER,
    SUB,
    SUB2,
    VM,
    SmallTenant,
    as_text,
    guid,
)
from tests.propose.written_plans import Written, named

LOGS = "Microsoft.Insights/diagnosticSettings/delete"
RULES = "Microsoft.Network/networkSecurityGroups/write"
BACKUP = "Microsoft.RecoveryServices/vaults/backupconfig/write"
ACCESS = "Microsoft.Authorization/policyAssignments/write"
CARDS = "Microsoft.Network/networkInterfaces/write"
CATALOGUE = {**OPERATIONS, LOGS: False, RULES: False, BACKUP: False, ACCESS: False}
LAYER = {
    RULES: "network_segmentation",
    CARDS: "network_segmentation",
    BACKUP: "data_protection",
    LOGS: "monitoring",
    ACCESS: "identity_control",
    ASSIGN: "identity_control",
    "Microsoft.Authorization/roleAssignments/delete": "identity_control",
}
WATCHED = guid(70)
"""A role of which all operations can be used; its holder works at the subscription."""
GUARDS = {"identity_control", "monitoring"}
LEAN: dict[str, Any] = {"unobservable": "drop", "reads": "none"}


def tenant_of(*used: str, kind: str = "User", role: str = OWNER, scope: str = SUB) -> tuple[SmallTenant, str, str]:
    """A tenant with a licence and policies, and one holder who used operations in a resource group of it."""
    tenant = SmallTenant(operations=dict(CATALOGUE))
    if role == WATCHED:
        watched = PermissionBlock(actions=("Microsoft.Network/networkSecurityGroups/*", LOGS, START))
        tenant.roles[WATCHED] = ("Watched Network", [watched])
    holder = tenant.principal(1, kind)
    stays = tenant.principal(2)
    tenant.assign(12, stays, OWNER, SUB)
    assignment = tenant.assign(11, holder, role, scope, principal_type=kind)
    where = f"{APP}/providers/Microsoft.Network/networkSecurityGroups/n" if role != WATCHED else SUB
    for operation in used:
        tenant.use(holder, operation, where, days=40)
    licensed(tenant)
    policy(tenant, role, scope)
    return tenant, holder, assignment


def planned(tenant: SmallTenant, limits: AzureLimits | None = None, **options: Any) -> Plan:
    return tenant.plan(limits, **({"separate_layers": True, "exclude": (guid(2),), **LEAN} | options))


def granted(plan: Plan, tenant: SmallTenant) -> dict[tuple[str, str, str], list[PermissionBlock]]:
    """What comes: the blocks of each role for each principal, state and scope."""
    roles = {one.definition.role_definition_id: list(one.definition.permissions) for one in plan.roles}
    roles |= {id_: blocks for id_, (_, blocks) in tenant.roles.items()}
    found: dict[tuple[str, str, str], list[PermissionBlock]] = defaultdict(list)
    for proposal in plan.proposals:
        for one in proposal.assignments:
            found[one.principal_id, one.scope, one.state].extend(roles[one.role])
    return found


def layers_in(plan: Plan, role: str, tenant: SmallTenant) -> set[str]:
    """The layers whose part a role of a plan holds: an operation that defeats a guard counts as that alone."""
    (found,) = [one for one in plan.roles if one.definition.role_definition_id == role]
    return {
        LAYER[name] for name in LAYER if grants(found.definition.permissions, name, "control") == "yes"
    }  # fmt: skip


def of(plan: Plan, assignment: str) -> list[Proposal]:
    return [one for one in plan.proposals if one.replaces == (assignment,)]


def placed(plan: Plan, assignment: str) -> Iterator[tuple[str, str]]:
    for proposal in of(plan, assignment):
        yield from ((one.role, one.state) for one in proposal.assignments)


def test_the_rules_say_what_these_tests_take_for_granted() -> None:
    """Each operation defeats the layer that is written down here, and no other."""
    import polars as pl  # noqa: PLC0415

    names = pl.DataFrame({"name": [name.lower() for name in LAYER], "plane": ["control"] * len(LAYER)})
    told = layers_of(names).group_by("name").agg(pl.col("layer"))
    assert dict(told.iter_rows()) == {name.lower(): [layer] for name, layer in LAYER.items()}


@pytest.mark.slow
def test_each_layer_gets_a_role_and_those_that_guard_sleep() -> None:
    """A role a layer, one for the rest, which defeats none; identity control and monitoring are eligible."""
    tenant, _, assignment = tenant_of(RULES, BACKUP, LOGS, ACCESS, START)
    plan = planned(tenant)
    found = {tuple(layers_in(plan, role, tenant)): state for role, state in placed(plan, assignment)}
    assert found == {
        (): "active",
        ("network_segmentation",): "active",
        ("data_protection",): "active",
        ("identity_control",): "eligible",
        ("monitoring",): "eligible",
    }
    assert {one.kind for one in of(plan, assignment)} == {"custom", "make_eligible"}
    assert plan.replay == {"allowed": 3, "denied": 0, "needs_activation": 2}
    # The owner who stays, and is excluded, is the other one.
    counts = plan.separation["violations"]
    assert (counts["unsplit"]["standing_with_guards"], counts["split"]["standing_with_guards"]) == (2, 1)
    assert (counts["split"]["standing"], counts["split"]["by_activation"]) == (2, 0)


@pytest.mark.nightly
def test_who_is_left_with_one_layer_violates_nothing_any_more_until_it_activates() -> None:
    tenant, holder, _ = tenant_of(RULES, LOGS)
    told = planned(tenant).separation
    assert [told["violations"][word]["standing"] for word in ("granted", "unsplit", "split")] == [2, 2, 1]
    assert told["violations"]["split"]["by_activation"] == 1
    (one,) = [one for one in told["identities"] if one["principal_id"] == holder]
    assert one == {
        "principal_id": holder,
        "scope": SUB,
        "unsplit": ["network_segmentation", "monitoring"],
        "standing": [],
        "by_activation": ["network_segmentation", "monitoring"],
    }
    assert told["cost"] == {"roles": 0, "assignments": -1, "eligible_assignments": 1}, "the delete is apart in any case"


@pytest.mark.nightly
def test_the_parts_together_are_what_the_need_was() -> None:
    """The split grants what the plan without it grants, for all strings, and nothing else."""
    tenant, _, _ = tenant_of(RULES, BACKUP, LOGS, ACCESS, START)
    both = []
    for plan in (planned(tenant, roles="max"), planned(tenant, roles="max", separate_layers=False)):
        whole: dict[str, list[PermissionBlock]] = defaultdict(list)
        for (who, _, _), blocks in granted(plan, tenant).items():
            whole[who].extend(blocks)
        both.append(whole)
    assert both[0].keys() == both[1].keys()
    for key, blocks in both[0].items():
        assert contains(blocks, both[1][key]) is None
        assert contains(both[1][key], blocks) is None


@pytest.mark.nightly
def test_it_is_off_by_default_and_then_says_nothing() -> None:
    """A plan without the option has not a byte of it, and one with it records it among its options."""
    tenant, _, _ = tenant_of(RULES, LOGS)
    off, on = (plan_document(tenant.plan(**LEAN, separate_layers=flag)) for flag in (False, True))
    assert off == plan_document(tenant.plan(**LEAN))
    assert "separation" not in off
    assert "separate_layers" not in off["generated_from"]["options"]
    assert on["generated_from"]["options"]["separate_layers"] is True
    assert plan_document(tenant.plan(**LEAN))["proposals"] == off["proposals"]


@pytest.mark.slow
def test_what_cannot_sleep_is_split_all_the_same_and_says_why() -> None:
    """A workload activates nothing: its parts stand in roles of their own, for an identity of its own to take."""
    tenant, holder, assignment = tenant_of(RULES, LOGS, kind="ServicePrincipal")
    plan = planned(tenant)
    assert {state for _, state in placed(plan, assignment)} == {"active"}
    assert {layer for role, _ in placed(plan, assignment) for layer in layers_in(plan, role, tenant)} == {
        "network_segmentation",
        "monitoring",
    }
    assert all(len(layers_in(plan, role, tenant)) < 2 for role, _ in placed(plan, assignment))
    (row,) = plan.separation["standing"]
    assert (row["principal_id"], row["layer"], row["why_active"]) == (holder, "monitoring", "workload_holder")
    assert [one.subject for one in plan.advice if WHY_ACTIVE["workload_holder"] in one.text] == [holder]
    (said,) = [one for one in of(plan, assignment)[0].evidence["separated"] if one["layer"] == "monitoring"]
    assert said["why_active"] == "workload_holder"
    assert plan.replay["needs_activation"] == 0


@pytest.mark.nightly
def test_without_a_licence_or_the_rules_of_activation_nothing_sleeps() -> None:
    for missing in ("role_management_policies", "role_assignments"):
        tenant, _, assignment = tenant_of(RULES, LOGS)
        if missing == "role_assignments":
            tenant.rows[missing] = [row for row in tenant.rows[missing] if row["state"] == "active"]
        else:
            del tenant.rows[missing]
        plan = planned(tenant)
        assert {state for _, state in placed(plan, assignment)} == {"active"}
        assert all(len(layers_in(plan, role, tenant)) < 2 for role, _ in placed(plan, assignment))


@pytest.mark.nightly
def test_who_defeats_one_layer_is_left_as_it_would_be() -> None:
    tenant, _, _ = tenant_of(LOGS, START)
    assert planned(tenant).proposals == planned(tenant, separate_layers=False).proposals
    assert planned(tenant).separation["cost"] == {"roles": 0, "assignments": 0, "eligible_assignments": 0}


def group_of(*, both: bool) -> tuple[SmallTenant, str]:
    """Two members of a group whose role switches logs off; both of them, or one, open the network besides."""
    tenant = SmallTenant(operations=dict(CATALOGUE))
    members = [tenant.principal(1), tenant.principal(3)]
    group = tenant.group(20, members)
    tenant.roles[guid(701)] = ("Logs", [PermissionBlock(actions=(LOGS, START, VMS))])
    assignment = tenant.assign(11, group, guid(701), SUB, principal_type="Group")
    tenant.assign(12, tenant.principal(2), OWNER, SUB)
    for member in members:
        tenant.use(member, LOGS, APP, days=40)
    for number, member in enumerate(members if both else members[:1]):
        tenant.assign(13 + number, member, CONTRIBUTOR, NET)
        tenant.use(member, RULES, f"{NET}/providers/Microsoft.Network/networkSecurityGroups/n", days=40)
    licensed(tenant)
    policy(tenant, guid(701), SUB)
    return tenant, assignment


@pytest.mark.nightly
def test_a_group_s_role_is_split_where_everybody_in_it_defeats_several_layers() -> None:
    tenant, assignment = group_of(both=True)
    assert [state for _, state in placed(planned(tenant), assignment)] == ["eligible"]


@pytest.mark.nightly
def test_nobody_has_to_activate_for_the_sake_of_another_member() -> None:
    """One member alone defeats two layers: what the group has stays as it would be for all."""
    tenant, assignment = group_of(both=False)
    apart, whole = planned(tenant), planned(tenant, separate_layers=False)
    assert of(apart, assignment) == of(whole, assignment)
    assert apart.replay["denied"] == 0


@pytest.mark.nightly
def test_a_group_with_a_workload_keeps_its_parts_standing() -> None:
    tenant, assignment = group_of(both=True)
    robot = tenant.principal(5, "ServicePrincipal")
    for table, row in (
        ("group_members", {"group_id": guid(20), "member_id": robot, "listing": "members", "member_type": "x"}),
        ("group_closure", {"group_id": guid(20), "member_id": robot, "depth": 1}),
    ):
        tenant.add(table, **row)
    tenant.assign(17, robot, CONTRIBUTOR, NET)
    tenant.use(robot, RULES, f"{NET}/providers/Microsoft.Network/networkSecurityGroups/n", days=40)
    plan = planned(tenant)
    assert {state for _, state in placed(plan, assignment)} == {"active"}
    assert {one["why_active"] for one in plan.separation["standing"]} == {"workload_holder", "workload_member"} - {
        "workload_holder"
    }


@pytest.mark.nightly
def test_a_role_that_is_needed_whole_is_split_as_it_was_granted() -> None:
    """All of it was used, so all of it stays: in parts that are the role together, for all strings."""
    tenant, holder, assignment = tenant_of(RULES, LOGS, START, role=WATCHED)
    plan = planned(tenant)
    blocks = [block for (who, _, _), found in granted(plan, tenant).items() if who == holder for block in found]
    assert contains(blocks, tenant.roles[WATCHED][1]) is None
    assert contains(tenant.roles[WATCHED][1], blocks) is None
    assert max(len(layers_in(plan, role, tenant)) for role, _ in placed(plan, assignment)) == 1
    asleep = [role for role, state in placed(plan, assignment) if state == "eligible"]
    assert {layer for role in asleep for layer in layers_in(plan, role, tenant)} == {"monitoring"}
    assert all(one.proof.holds for one in of(plan, assignment))
    (whole,) = of(planned(tenant, separate_layers=False), assignment)
    assert (whole.kind, whole.assignments) == ("keep", ())


@pytest.mark.slow
def test_a_role_of_which_no_log_tells_is_not_split() -> None:
    """It waits whole: what is in doubt becomes no string of a new role."""
    tenant, _, assignment = tenant_of(role=CONTRIBUTOR)
    tenant.covered = (SUB2, MG, "/")
    (waiting,) = of(planned(tenant, unobservable="keep"), assignment)
    assert waiting.kind == "keep"
    assert waiting.reason.startswith("waits: ")


@pytest.mark.nightly
def test_no_existing_role_joins_layers_again() -> None:
    """A role of the tenant that grants the whole need, and a little more, may be taken for no part of it."""
    tenant, _, assignment = tenant_of(RULES, LOGS, START)
    tenant.roles[guid(700)] = ("Both", [PermissionBlock(actions=(RULES, LOGS, START, CARDS))])
    tenant.custom_roles.add(guid(700))
    whole = planned(tenant, separate_layers=False)
    assert guid(700) in {role for role, _ in placed(whole, assignment)}
    apart = planned(tenant)
    assert guid(700) not in {role for role, _ in placed(apart, assignment)}
    assert all(len(layers_in(apart, role, tenant)) < 2 for role, _ in placed(apart, assignment))


@pytest.mark.nightly
@pytest.mark.parametrize("most", [0, 2])
def test_few_roles_never_join_layers(most: int) -> None:
    """Where there are not enough roles for the parts, the assignment stays whole, as it would be without the split."""
    tenant, _, assignment = tenant_of(RULES, BACKUP, LOGS)
    apart, whole = planned(tenant, roles=most), planned(tenant, roles=most, separate_layers=False)
    assert of(apart, assignment) == of(whole, assignment)
    assert [one["role_assignment_id"] for one in apart.separation["left_whole"]] == [assignment]


@pytest.mark.nightly
def test_a_subscription_without_room_for_the_parts_leaves_the_assignment_whole() -> None:
    tenant, _, assignment = tenant_of(RULES, BACKUP, START, kind="ServicePrincipal")
    limits = AzureLimits(assignments_per_subscription=4, headroom=0.0)
    apart, whole = planned(tenant, limits), planned(tenant, limits, separate_layers=False)
    assert of(apart, assignment) == of(whole, assignment)
    assert of(apart, assignment)[0].kind == "custom"
    assert apart.separation["left_whole"][0]["because"].startswith("assignment limit")


@pytest.mark.nightly
def test_what_a_condition_hedges_or_an_activation_gives_already_is_not_split() -> None:
    """A condition makes no violation, and what is eligible is activated together."""
    for changed in ({"condition": "@Resource[a] StringEquals 'b'"}, {"state": "eligible"}):
        tenant, holder, _ = tenant_of(RULES, LOGS)
        tenant.rows["role_assignments"] = [
            row | changed if row["principal_id"] == holder else row for row in tenant.rows["role_assignments"]
        ]
        assert planned(tenant).proposals == planned(tenant, separate_layers=False).proposals


@pytest.mark.nightly
def test_a_plan_that_is_split_is_verified_and_goes_stale_like_any_other() -> None:
    tenant, holder, _ = tenant_of(RULES, LOGS, START)
    written = Written.of(tenant, **LEAN, separate_layers=True, exclude=(guid(2),))
    found = written.verify(tenant)
    assert (found.changes, found.failed, found.replay["denied"]) == ((), (), 0)
    tenant.use(holder, BACKUP, APP, start=60)
    assert ("use", holder, "not_covered") in named(written.verify(tenant))


@pytest.mark.slow
def test_what_was_written_is_read_back_and_forgeries_are_refused() -> None:
    tenant, _, _ = tenant_of(RULES, LOGS, START)
    plan = planned(tenant)
    written = Written(plan_files(plan))
    assert plan_of(written.read()).separation == plan.separation
    forged = written.edit(lambda document: document["separation"]["violations"]["split"].update(standing="<script>"))
    with pytest.raises(InputError, match="separation"):
        forged.read()


@pytest.mark.nightly
def test_the_same_rows_in_any_order_give_the_same_plan() -> None:
    texts = []
    for seed in range(2):
        tenant, _, _ = tenant_of(RULES, BACKUP, LOGS, ACCESS, START)
        for rows in tenant.rows.values():
            random.Random(seed).shuffle(rows)  # noqa: S311  an order, no secret
        plan = planned(tenant)
        texts.append(as_text(plan) + repr(plan.separation))
    assert len(set(texts)) == 1


@pytest.mark.nightly
@settings(FEWEST, phases=(Phase.explicit, Phase.reuse, Phase.generate), suppress_health_check=[HealthCheck.too_slow])
@given(
    used=st.lists(
        st.tuples(
            st.integers(1, 3), st.sampled_from((*LAYER, START)), st.sampled_from((APP, DATA, NET, VM, SUB))
        ),
        min_size=2,
        max_size=10,
    ),
    roles=st.lists(st.sampled_from((OWNER, CONTRIBUTOR)), min_size=3, max_size=3),
    robot=st.booleans(),
)  # fmt: skip
def test_no_part_has_two_layers_and_only_guards_of_people_sleep(
    used: list[tuple[int, str, str]], roles: list[str], robot: bool
) -> None:
    """Whoever did what: nothing used is denied, every proof holds, and each new role defeats one layer at most."""
    tenant = SmallTenant(operations=dict(CATALOGUE))
    for number, role in enumerate(roles, start=1):
        kind = "ServicePrincipal" if robot and number == 1 else "User"
        tenant.assign(10 + number, tenant.principal(number, kind), role, SUB, principal_type=kind)
    licensed(tenant)
    for number, role in enumerate((OWNER, CONTRIBUTOR)):
        policy(tenant, role, SUB, 900 + number)
    for number, operation, place in used:
        tenant.use(guid(number), operation, place, days=40)
    plan = tenant.plan(separate_layers=True, **LEAN)
    assert plan.replay["denied"] == 0
    assert all(one.proof.holds for one in plan.proposals)
    violating = {one["principal_id"] for one in plan.separation["identities"]}
    whole = {one["role_assignment_id"] for one in plan.separation["left_whole"]}
    for proposal in plan.proposals:
        for one in proposal.assignments:
            if one.principal_id in violating and proposal.replaces[0] not in whole:
                assert len(layers_in(plan, one.role, tenant)) < 2
            if one.state == "eligible":
                assert not (robot and one.principal_id == guid(1))
                assert layers_in(plan, one.role, tenant) <= GUARDS
