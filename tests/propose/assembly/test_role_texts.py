"""Each new role of a plan has a name, a description and a summary that agree with its evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from rightsize.model.plan import Plan, PlannedRole
from rightsize.render.comment import write_comment
from rightsize.render.plan import plan_files
from rightsize.render.role_summary import (
    BACK,
    BREAKS,
    DID,
    ELSE,
    GOES,
    ONLY_HERE,
    UNSEEN,
    WHICH,
    WHO,
    summary_text,
)
from tests.propose.small_tenant import CONTRIBUTOR, NET, SUB, SUB2, VM, SmallTenant, guid, proposal_for

START, RESTART = (f"Microsoft.Compute/virtualMachines/{verb}/action" for verb in ("start", "restart"))
NIC = f"{NET}/providers/Microsoft.Network/networkInterfaces/nic1"
HOSTILE = "=cmd|'/c calc'!A1 ${7*7} </td><script>\u202e\n../x"


def _tenant() -> SmallTenant:
    tenant = SmallTenant()
    team = [tenant.principal(number, display_name=f"Mei {number}") for number in (1, 2)]
    group = tenant.group(3, team, display_name=HOSTILE)
    tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group")
    for user in team:
        tenant.use(user, START, VM, days=40)
        tenant.use(user, RESTART, VM, days=20)
    other = tenant.principal(4, display_name="net-ops", principal_type="ServicePrincipal")
    tenant.assign(104, other, CONTRIBUTOR, SUB, principal_type="ServicePrincipal")
    tenant.use(other, "Microsoft.Network/networkInterfaces/write", NIC, days=30)
    return tenant


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan for a team with a hostile name, and a workload."""
    return _tenant().plan(roles="max")


def _role(plan: Plan, assignment: int) -> PlannedRole:
    """Return the new role with the most use that the proposal for an assignment assigns."""
    roles = {role.definition.role_definition_id: role for role in plan.roles}
    made = [roles[one.role] for one in proposal_for(plan, guid(assignment)).assignments if one.role in roles]
    return max(made, key=lambda role: role.evidence["summary"]["used"])


def test_names_say_what_was_done_and_where(plan: Plan) -> None:
    """A group's name and a place are plain text in a name, and no name has a hash."""
    names = [role.definition.role_name for role in plan.roles]
    assert _role(plan, 101).definition.role_name.startswith("VM Operator")
    assert _role(plan, 104).definition.role_name.startswith("NIC Editor")
    assert len({name.casefold() for name in names}) == len(names)
    for role in plan.roles:
        name = role.definition.role_name
        assert len(name) <= 64 and re.fullmatch(r"[\w \u2013-]+", name), name
        assert role.definition.role_definition_id[:8] not in name + role.slug
        assert re.fullmatch(r"[a-z0-9-]+", role.slug)


@pytest.mark.nightly
def test_a_name_does_not_depend_on_what_else_the_plan_makes(plan: Plan) -> None:
    tenant = _tenant()
    more = tenant.principal(9, display_name="deploy", principal_type="ServicePrincipal")
    tenant.assign(109, more, CONTRIBUTOR, SUB2, principal_type="ServicePrincipal")
    tenant.use(more, "Microsoft.Network/virtualNetworks/write", f"{SUB2}/resourceGroups/x", days=9)
    again = tenant.plan(roles="max")
    before = {role.definition.role_definition_id: role.definition.role_name for role in plan.roles}
    after = {role.definition.role_definition_id: role.definition.role_name for role in again.roles}
    assert len(after) > len(before)
    assert {id_: after[id_] for id_ in before} == before


@pytest.mark.nightly
def test_a_name_of_the_tenant_is_never_taken(plan: Plan) -> None:
    """Another role may have the name, in any case: the new one is told apart, and its id stays."""
    role = _role(plan, 104).definition
    tenant = _tenant()
    tenant.roles[guid(88)] = (role.role_name.upper(), tenant.roles[CONTRIBUTOR][1])
    again = {one.definition.role_definition_id: one.definition.role_name for one in tenant.plan(roles="max").roles}
    assert again[role.role_definition_id].casefold() != role.role_name.casefold()


@pytest.mark.slow
def test_a_description_says_what_a_role_is_for_and_nothing_that_changes_by_itself(plan: Plan) -> None:
    """No dates, counts or people: the same role has the same description on another day."""
    for role in plan.roles:
        text = role.definition.description
        assert f"evidence/{role.slug}.json" in text
        assert len(text) <= 1_000 and text.isprintable()
        assert not set(text) & set("<>${}=|\u202e\n0123456789")
        assert not any(name in text for name in ("Mei", "net-ops", "calc"))
    assert _role(plan, 101).definition.description == (
        "For those who do the same job: VM (restart, start). By rightsize; the reason for each action is in "
        f"evidence/{_role(plan, 101).slug}.json."
    )


@pytest.mark.slow
def test_a_summary_agrees_with_the_plan(plan: Plan) -> None:
    role = _role(plan, 101)
    summary: Mapping[str, Any] = role.evidence["summary"]
    proposal = proposal_for(plan, guid(101))
    assert [one["of"] for one in summary["holders"]] == [proposal.principal_ids[0]]
    assert summary["used"] == 2
    assert [one["action"] for one in summary["most_used"]] == [START, RESTART]
    assert sum(one["actions"] for one in summary["kept_unseen"]) + summary["used"] == summary["actions"]
    assert {one["why"]: one["most"] for one in summary["removed"]} == dict(proposal.evidence["removed"])
    rows = [*summary["services"], summary["other_services"]]
    assert sum(row["today"] for row in rows) == proposal.evidence["granted"]
    assert sum(row["today"] - row["stays"] for row in rows) >= sum(proposal.evidence["removed"].values())
    assert all(row["used"] <= row["stays"] <= row["today"] and row["here"] <= row["today"] for row in rows)
    assert summary["breaks"] == proposal.break_probability_30d
    assert summary["breaks_bound"] == proposal.evidence["break_probability"]["bound"] > summary["breaks"]


@pytest.mark.slow
def test_who_gets_a_role_is_the_one_that_is_assigned_it() -> None:
    """A member who gets an assignment of its own is named, with the group whose assignment it had."""
    tenant = SmallTenant()
    members = [tenant.principal(number, display_name=f"Mei {number}") for number in range(1, 14)]
    group = tenant.group(30, members, display_name="Builders")
    tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group")
    for user in members:
        tenant.use(user, START, VM, days=40)
    tenant.use(members[0], "Microsoft.Network/networkInterfaces/write", NIC, days=30)
    plan = tenant.plan()
    holders = [one for role in plan.roles for one in role.evidence["summary"]["holders"]]
    assert {one["principal_id"] for one in holders if one["principal_id"] != one["of"]} == {members[0]}
    lines = [line for role in plan.roles for _, line in summary_text(role.evidence["summary"], plan.names).lines]
    assert any(line.startswith("Mei 1, at ") and line.endswith(" through Builders") for line in lines)


@pytest.mark.slow
def test_page_comment_and_words_say_the_same(plan: Plan) -> None:
    """Each line stands in the page of the role and in the comment, escaped; all questions are answered."""
    files, comment = plan_files(plan), write_comment(plan, plan.names)
    for role in plan.roles:
        text = summary_text(role.evidence["summary"], plan.names)
        wanted = [WHICH, WHO, ELSE, DID, UNSEEN, GOES, ONLY_HERE, BREAKS, BACK]
        wanted = [one for one in wanted if one != ELSE or role.evidence["job"]]
        wanted = [one for one in wanted if one != ONLY_HERE or role.evidence["summary"]["assignments"] > 1]
        assert [label for label, _ in text.lines if label] == wanted
        page = files[f"evidence/{role.slug}.md"]
        first = page.split("## The role and its assignments")[0]
        assert len(first.splitlines()) <= 45
        for _, line in text.lines:
            plain = [word for word in line.split() if word.isalnum()]
            assert all(word in first and word in comment for word in plain), line
        assert not re.search(r"(?<!\\)<script", page)
    assert "<script" not in comment


@pytest.mark.slow
def test_a_change_without_use_says_so() -> None:
    tenant = SmallTenant()
    user = tenant.principal(1, display_name="Mei")
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Network/networkInterfaces/write", NIC, days=30)
    plan = tenant.plan()
    unseen = [role for role in plan.roles if not role.evidence["summary"]["used"]]
    for role in unseen:
        lines = dict(summary_text(role.evidence["summary"], plan.names).lines)
        assert lines[DID] == "no log shows a use of its actions in the window"
