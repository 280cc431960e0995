"""Who may get which replacement: administrators' accounts, units, agents, licences, and the last holders."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.model.plan import PlanePart
from rightsize.model.text import Folded
from rightsize.planes.planes import verify_directory
from rightsize.propose.verify.plan_reader import WrittenPart, WrittenProposal
from tests.planes.directory.world import DIRECTORY_READERS, GLOBAL, UNIT, USER_ADMIN, WINDOW, D, World

PASSWORDS = "966707d0-3269-4727-9be2-8c3a10f19b9d"
GROUPS = "fdd7a751-b60b-444a-984c-02652fe8fa1c"
PRIVILEGED_ROLES = "e8611ab8-c189-46e8-94e1-60213ab1f814"
EXCHANGE = "microsoft.office365.exchange/allEntities/basic/allTasks"


@pytest.fixture
def world() -> World:
    """Ada resets passwords every other day as a User Administrator."""
    world = World().person("ada").person("bob").cover()
    world.role(USER_ADMIN, f"{D}users/create", f"{D}users/password/update", role_name="User Administrator")
    world.role(PASSWORDS, f"{D}users/password/update", role_name="Password Administrator")
    return world.holds("ada", USER_ADMIN).daily("ada", "users/password/update")


@pytest.mark.slow
def test_a_smaller_role_resets_the_same_passwords_where_no_other_administrator_is_out_of_its_reach(
    world: World,
) -> None:
    proposal = world.proposal("ada-fe930b-active")
    assert [one.role for one in proposal.assignments] == [PASSWORDS]
    # A Password Administrator cannot reset the password of a Groups Administrator, a User Administrator can.
    world.role(GROUPS, f"{D}groups/delete").holds("bob", GROUPS, "eligible")
    assert world.proposal("ada-fe930b-active").kind == "keep"
    assert world.proposal("ada-fe930b-active", unobservable="drop").kind == "builtin"


@pytest.mark.slow
def test_a_unit_with_an_administrator_among_its_members_keeps_the_role(world: World) -> None:
    world.rows["usage_days"] = []
    world.daily("ada", "users/password/update", scope=UNIT).cover("sign_in_log")
    world.role(GROUPS, f"{D}groups/delete").holds("bob", GROUPS, "eligible")
    world.add("listings", listing="unitMembers", of="u1", complete=True)
    world.add("administrative_unit_members", unit_id="u1", member_id="eve")
    (one,) = world.proposal("ada-fe930b-active").assignments
    assert (one.role, one.scope) == (PASSWORDS, UNIT)
    world.add("administrative_unit_members", unit_id="u1", member_id="bob")
    assert world.proposal("ada-fe930b-active").kind == "keep"


@pytest.mark.slow
@pytest.mark.parametrize("about", [{"kind": "ServicePrincipal"}, {"user_type": "Guest"}])
def test_who_cannot_read_the_directory_gets_a_role_of_a_unit_only_beside_one_that_reads(about: dict[str, str]) -> None:
    world = World().cover().cover("sign_in_log").person("eve", **about)
    world.role(USER_ADMIN, f"{D}users/create", f"{D}users/delete", f"{D}users/standard/read")
    world.holds("eve", USER_ADMIN).daily("eve", "users/create", scope=UNIT)
    world.add("listings", listing="unitMembers", of="u1", complete=True)
    assert all(one.scope == "/" for one in world.proposal("eve-fe930b-active").assignments)
    world.role(DIRECTORY_READERS, f"{D}users/standard/read")
    comes = {(one.role, one.scope) for one in world.proposal("eve-fe930b-active").assignments}
    assert comes == {(USER_ADMIN, UNIT), (DIRECTORY_READERS, "/")}


def test_agents_never_get_a_custom_role() -> None:
    world = World().cover().cover("sign_in_log")
    world.role("apps", f"{D}applications/credentials/update", f"{D}applications/delete")
    agents = {"agent": "agentIdentity", "twin": "agentUser", "blue": "AGENTIDENTITYBLUEPRINTPRINCIPAL"}
    for who, kind in {"app": None, **agents}.items():
        world.person(who, "User" if kind == "agentUser" else "ServicePrincipal", object_type=kind)
        world.holds(who, "apps").daily(who, "applications/credentials/update")
    kinds = {one.principal_ids[0]: one for one in world.plan().proposals}
    assert kinds.pop("app").kind == "custom"
    assert {one.kind for one in kinds.values()} == {"keep"}
    assert all("agents" in one.reason for one in kinds.values())


@pytest.mark.slow
def test_the_last_holder_of_a_role_that_assigns_roles_stays() -> None:
    world = World().person("ada").person("bob").cover()
    world.role(PRIVILEGED_ROLES, f"{D}roleAssignments/allProperties/allTasks")
    world.holds("ada", PRIVILEGED_ROLES, "eligible").holds("bob", PRIVILEGED_ROLES)
    said = {one.principal_ids[0]: one.reason for one in world.plan().proposals}
    assert said["bob"].startswith("last_holder:") and not said["ada"].startswith("last_holder:")


@pytest.mark.slow
def test_a_workload_that_waits_for_a_failure_elsewhere_keeps_its_role_and_a_person_called_dr_does_not() -> None:
    world = World().person("job", "ServicePrincipal", display_name="tenant-failover").cover()
    world.person("anna", display_name="Dr. Anna Meyer").holds("job", "groups").holds("anna", "groups")
    assert world.proposal("job-groups-active").reason.startswith("recovery:")
    assert world.proposal("anna-groups-active").kind == "remove"


@pytest.mark.slow
def test_an_idle_role_of_another_service_is_kept_and_a_privileged_one_can_sleep() -> None:
    """How often somebody works in Exchange no loaded log shows; privileged roles are activated anyway."""
    world = World().person("ada").person("bob").cover().holds("bob", "reader", "eligible")
    for role, privileged in (("mail", False), ("everything", True)):
        world.role(role, f"{D}groups/create", EXCHANGE, is_privileged=privileged).holds("ada", role)
    assert world.proposal("ada-mail-active").kind == "keep"
    assert world.proposal("ada-everyt-active").kind == "make_eligible"
    asked = {one.subject: one.text for one in world.plan().advice}
    assert "office365.exchange" in asked["ada-mail-active"]


def split_world() -> World:
    world = World().person("ada").person("bob").cover().holds("bob", "reader", "eligible")
    actions = (f"{D}users/allProperties/allTasks", f"{D}groups/allProperties/allTasks", EXCHANGE)
    world.role(GLOBAL, *actions, f"{D}conditionalAccessPolicies/delete", is_privileged=True)
    for who in ("x1", "x2"):
        world.person(who, display_name="Break glass").holds(who, GLOBAL)
    return world.holds("ada", GLOBAL).daily("ada", "groups/create")


def written(part: PlanePart) -> WrittenPart:
    proposals = tuple(
        WrittenProposal(one.id, one.kind, tuple(map(Folded, one.replaces)), None, one.assignments)
        for one in part.proposals
    )
    return WrittenPart("directory", WINDOW, proposals, part.rests_on)


@pytest.mark.slow
def test_what_was_used_stays_active_and_the_rest_can_be_activated() -> None:
    world = split_world()
    part = world.plan()
    mine = [one for one in part.proposals if one.principal_ids == ("ada",)]
    assert {one.kind for one in mine} == {"builtin", "make_eligible"}
    assert {(each.role, each.state) for one in mine for each in one.assignments} == {
        ("groups", "active"), (GLOBAL, "eligible")}  # fmt: skip
    assert len({one.id for one in mine}) == 2 and all(one.proof.holds for one in mine)
    assert sum(one.excess_before for one in mine) > sum(one.excess_after for one in mine)
    assert part.replay == {"allowed": 1, "needs_activation": 0, "denied": 0, "unknown": 0}


@pytest.mark.slow
def test_verifying_a_plan_finds_use_that_the_new_roles_do_not_allow_and_nothing_else(world: World) -> None:
    plan = written(world.plan())
    assert verify_directory(plan, world.analyse()) == []
    world.did("ada", "users/create", dt.date(2026, 3, 30))
    (change,) = verify_directory(plan, world.analyse())
    assert (change.what, change.operation) == ("use", f"{D}users/create")


@pytest.mark.slow
def test_verifying_a_split_minds_no_use_that_can_be_activated() -> None:
    world = split_world()
    plan = written(world.plan())
    world.did("ada", "conditionalAccessPolicies/delete", dt.date(2026, 3, 30))
    assert verify_directory(plan, world.analyse()) == []
