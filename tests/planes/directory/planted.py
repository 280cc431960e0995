"""Plant a tenant with the built-in roles that Microsoft publishes, and state for each case what an expert would do.

The experts' answers were written before any plan was made from the tenant, and where the plan differs the reason stands
beside it. `python -m tests.planes.directory.planted` prints
the table of `tests/golden/directory_cases.md`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rightsize.model.plan import PlanePart
from tests.planes.directory.world import World

UNIT = "/administrativeUnits/u1"
OPEN_UNIT = "/administrativeUnits/u2"
APP = "/app-7"


@dataclass(frozen=True)
class Case:
    """One holder of one role.

    Attributes:
        who: The holder, whose only role it is.
        role: The name of the role.
        did: What the logs show, for the table.
        expert: What an expert would do, for the table.
        comes: The assignments of the plan, as `role`, `role @ place` or `role (eligible)`; None for no change.
        says: A part of the reason on the page.
        differs: Why the plan differs from the expert, who may ask people first; empty where it does not.
    """

    who: str
    role: str
    did: str
    expert: str
    comes: tuple[str, ...] | None
    says: str
    differs: str = ""


READ = "Directory Readers"
LICENSED = (
    Case("ida", "Helpdesk Administrator", "nothing", "eligible, and ask", ("Helpdesk Administrator (eligible)",),
         "nobody was seen to use it"),
    Case("uma", "User Administrator", "resets passwords, all in one unit",
         "Password Administrator of the unit", (READ, "Password Administrator @ u1"), "inside one administrative unit"),
    Case("ulf", "User Administrator", "resets passwords in a unit whose members are not all listed",
         "keep: other administrators could be among them", None, "not do this to every account"),
    Case("gus", "Global Administrator", "changes Conditional Access, every other day",
         "Conditional Access Administrator and Global Reader; the rest eligible",
         ("Conditional Access Administrator", "Global Administrator (eligible)", "Global Reader"),
         "the rest can be activated"),
    Case("glass", "Global Administrator", "nothing; an emergency account", "keep", None, "emergency_access"),
    Case("abe", "Global Administrator", "nothing; one of the last two", "keep", None, "last_global_administrator"),
    Case("cleo", "Application Administrator", "gives consent",
         "Cloud Application Administrator", ("Cloud Application Administrator",), "has all 2 used actions"),
    Case("apu", "Application Administrator", "changes one application",
         "Cloud Application Administrator of that application", ("Cloud Application Administrator",),
         "Cloud Application Administrator has all 2 used actions",
         "at one application nobody reads the audit and provisioning logs; with `--reads none` it is narrowed"),
    Case("sol", "Security Administrator", "reads sign-ins and risks",
         "Security Reader", ("Security Administrator (eligible)", "Security Reader"), "the rest can be activated",
         "no loaded log shows what it changes in Defender, so that can be activated"),
    Case("pat", "Privileged Role Administrator", "assigns roles, every other day", "keep", None, "last_holder"),
    Case("gil", "Groups Administrator", "nothing; made three weeks ago", "keep: too young", None, "young"),
    Case("exa", "Exchange Administrator", "nothing in the directory",
         "keep: Exchange has logs of its own; ask", None, "other services"),
    Case("bo", "Cloud Device Administrator", "reads BitLocker keys",
         "a custom role that reads them, and the logs", (READ, "custom"), "custom role"),
    Case("art", "Authentication Administrator", "registers sign-in methods, resets passwords", "keep", None,
         "not do this to every account"),
    Case("rex", "Reports Reader", "nothing", "keep: no log shows reads", None, "only reads"),
    Case("eli", "Security Operator", "eligible, never activated", "remove", (), "nobody activated it"),
    Case("bot", "Directory Readers", "nothing; a service principal", "keep: no log shows reads", None, "only reads"),
    Case("job", "Directory Writers", "nothing; a service principal", "keep, and ask its owner", None,
         "service principal"),
    Case("greta", "User Administrator", "creates groups and adds members",
         "a custom role: Groups Administrator may do more", (READ, "custom"), "custom role"),
    Case("agent", "User Administrator", "creates groups and adds members; an agent",
         "keep: no custom role for agents", None, "agent"),
    Case("cai", "Conditional Access Administrator", "one change in 90 days", "eligible",
         ("Conditional Access Administrator (eligible)",), "a few hours a month"),
)  # fmt: skip
BARE = (
    Case("ida", "Helpdesk Administrator", "nothing", "remove it, let it read, and ask", (READ,), "reads"),
    Case("gus", "Global Administrator", "changes Conditional Access, every other day",
         "keep, and ask what else it does: no log shows Exchange and other services", None, "other services"),
    Case("sol", "Security Administrator", "reads sign-ins and risks", "Security Reader", None, "other services",
         "no loaded log shows what it changes in Defender: the plan asks; `--unobservable drop` gives Security Reader"),
)  # fmt: skip


@cache
def published(path: Path) -> tuple[dict[str, Any], ...]:
    """Return the rows of `directory_roles` that a published list of the built-in roles gives."""
    return tuple(
        {
            "directory_role_id": role["RoleId"],
            "role_name": role["RoleName"],
            "is_built_in": True,
            "is_enabled": True,
            "is_privileged": role["isPrivileged"],
            "inherits": role["InheritsPermissionsFrom"],
            "actions": sorted({one["AuthorizedResourceAction"] for one in role["RolePermissions"]} - {None}),
        }
        for role in json.loads(path.read_bytes())
    )


def tenant(shared_data: Path, *, licensed: bool) -> World:
    """Return the tenant of `LICENSED`, or the one of `BARE`, in which no export shows a licence."""
    roles = published(shared_data / "entra" / "directory-roles.json")
    ids = {role["role_name"]: role["directory_role_id"] for role in roles}
    world = World().cover()
    world.rows["directory_roles"] = list(roles)
    world.person("glass", display_name="Break glass 1").person("abe").holds("glass", ids["Global Administrator"])
    world.holds("abe", ids["Global Administrator"])
    for case in LICENSED if licensed else BARE:
        about: dict[str, Any] = {}
        if case.who in ("bot", "job", "agent"):
            about = {"kind": "ServicePrincipal", "object_type": "agentIdentity" if case.who == "agent" else None}
        if case.who not in ("glass", "abe"):
            world.person(case.who, **about)
            made = {"created_on": dt.datetime(2026, 3, 10)} if case.who == "gil" else {}
            world.holds(case.who, ids[case.role], "eligible" if case.who == "eli" else "active", **made)
    if licensed:
        _work(world)
    world.daily("gus", "conditionalAccessPolicies/basic/update").daily("gus", "conditionalAccessPolicies/create")
    _calls(world, "sol", "GET /auditLogs/signIns", "GET /identityProtection/riskyUsers")
    return world


def _work(world: World) -> None:
    for unit, members in ((UNIT, ("staff1", "staff2")), (OPEN_UNIT, ("staff3",))):
        name = unit.rpartition("/")[2]
        world.add("administrative_units", unit_id=name, display_name=name)
        for member in members:
            world.person(member)
            world.add("administrative_unit_members", unit_id=name, member_id=member, member_type="User")
    world.add("listings", listing="unitMembers", of="u1", complete=True)
    world.daily("uma", "users/password/update", scope=UNIT).daily("ulf", "users/password/update", scope=OPEN_UNIT)
    world.daily("cleo", "servicePrincipals/appRoleAssignedTo/update").daily("cleo", "oAuth2PermissionGrants/create")
    world.daily("apu", "applications/credentials/update", scope=APP).daily(
        "apu", "applications/basic/update", scope=APP
    )
    world.daily("pat", "roleAssignments/allProperties/allTasks")
    world.daily("bo", "bitlockerKeys/key/read")
    world.daily("art", "users/authenticationMethods/create").daily("art", "users/password/update")
    for who in ("greta", "agent"):
        world.daily(who, "groups/create").daily(who, "groups/members/update")
    world.did("cai", "conditionalAccessPolicies/basic/update")
    # Somebody activates another role, so activations are logged.
    world.person("ann").holds("ann", "c4e39bd9-1100-46d3-8c65-fb160da0071f", "eligible")
    world.activated("ann", "c4e39bd9-1100-46d3-8c65-fb160da0071f", dt.date(2026, 2, 3))


def _calls(world: World, who: str, *requests: str) -> None:
    for offset in range(0, 90, 2):
        day = dt.date(2026, 1, 1) + dt.timedelta(days=offset)
        seen = {"first_seen": dt.datetime.combine(day, dt.time(9)), "last_seen": dt.datetime.combine(day, dt.time(17))}
        counts = {"succeeded": 3, "failed": 0, "started": 0, "denied": 0, "suspect": 0}
        for request in requests:
            world.add("usage_days", principal_id=who, operation=request, scope="/", plane="graph", day=day, **seen,
                      **counts)  # fmt: skip


def comes(part: PlanePart, who: str) -> tuple[tuple[str, ...] | None, str]:
    """Return the assignments that come for a holder, as `Case.comes` has them, and the reasons of its proposals."""
    mine = [one for one in part.proposals if one.principal_ids == (who,)]
    new = {_named(part, each) for one in mine for each in one.assignments}
    changed = any(one.kind.changes for one in mine)
    return (tuple(sorted(new)) if changed else None), "; ".join(one.reason for one in mine)


def _named(part: PlanePart, one: Any) -> str:
    name = "custom" if f"directory/{one.role}.json" in part.files else part.names[one.role]
    place = "" if one.scope == "/" else f" @ {one.scope.rpartition('/')[2]}"
    return name + place + (" (eligible)" if one.state == "eligible" else "")


def table(parts: Mapping[bool, PlanePart]) -> Iterator[str]:
    """Yield the lines of the table of the docs, from the plans of the two tenants by whether a licence was seen."""
    yield "| role | what the logs show | an expert | the plan | why it differs |"
    yield "| --- | --- | --- | --- | --- |"
    for licensed, cases in ((True, LICENSED), (False, BARE)):
        for case in cases:
            new, _ = comes(parts[licensed], case.who)
            plan = "keep" if new is None else ", ".join(new) or "remove"
            did = case.did + ("" if licensed else "; no licence seen")
            yield f"| {case.role} | {did} | {case.expert} | {plan} | {case.differs} |"


if __name__ == "__main__":
    shared = Path(__file__).parents[4] / "shared" / "data"
    print("\n".join(table({licensed: tenant(shared, licensed=licensed).plan() for licensed in (True, False)})))
