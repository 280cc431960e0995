"""Write the requests that contain a principal or an agent beyond a plan; only a person sends them.

They end its sign-in, its eligible Azure roles and activations, its memberships, and its access in the directory and to
APIs. A plan narrows an eligible Azure role only where the activation rules of the role are loaded, since the new role
has to get the same rules. Where they are not, the whole eligibility ends by a request, and so does each running
activation.

Sources: Microsoft Graph REST reference v1.0: "Update user", "user: revokeSignInSessions", "Update servicePrincipal",
"Remove member", "Delete unifiedRoleAssignment", "Create roleEligibilityScheduleRequest", "Delete appRoleAssignedTo",
"Create eligibilityScheduleRequest" and "Create assignmentScheduleRequest" of groups, "Delete oAuth2PermissionGrant",
"Remove owner", "Remove directory role member". Microsoft Learn, REST reference of roleEligibilityScheduleRequests and
roleAssignmentScheduleRequests (2020-10-01), request types `AdminRemove` and `AdminAssign`.

An agent is contained with its user account, and a blueprint with all its agents and their user accounts. Sources:
Microsoft Learn, "Agent identity deletion" (disable versus delete); Graph v1.0 resource types agentIdentity,
agentIdentityBlueprintPrincipal and agentUser.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import polars as pl

from rightsize.analyze.agents import INHERITED, OWN, agent_identities, effective_permissions
from rightsize.analyze.graph_tables import GRANT_TABLES, GraphTables, held_permissions
from rightsize.analyze.inputs import folded
from rightsize.model.tables import LISTED_MEMBER
from rightsize.model.text import fold
from rightsize.propose.needs.assignments import Key
from rightsize.rbac.assignments import role_path
from rightsize.rules.attacks import escalation_rules

TableOf = Callable[[str], pl.DataFrame]
"""A function that returns a table of the store by name, for example `Store.table`."""

_OBJECT = "https://graph.microsoft.com/v1.0/directoryObjects/"
_ELSEWHERE = "change a synced group in its own directory, and a dynamic group by its rule"
_ALWAYS = "2000-01-01T00:00:00Z"
_DONE, _UNDONE = "containment", "end of containment"
"""The justifications of a request to Privileged Identity Management, and of the one that reverses it."""
_VERSION = "api-version=2020-10-01"
_REQUESTS = uuid.UUID("6f0f3b52-6c1e-5d0b-9b5e-8f6a5d3c2e10")
_KINDS = {"eligible": ("end_eligibility", "roleEligibility", "eligibility"),
          "activated": ("end_activation", "roleAssignment", "running activation")}  # fmt: skip
"""By state of an Azure role: the name of the request, the kind of schedule, and the word for it."""


@dataclass(frozen=True, slots=True)
class Option:
    """One containment step that a person may take besides the plan.

    Attributes:
        name: Its name: block_sign_in, revoke_sessions, leave_group and so on.
        text: Its effect, in one clause.
        leads_on: Whether the access that it removes leads to further access by a rule of escalation.
        request: `method`, `path`, `body` or None. A path with an `api-version` is one of Azure Resource Manager, every
            other is below the version of Microsoft Graph.
        undo: The request that reverses it, in the same form; None where there is none.
    """

    name: str
    text: str
    leads_on: bool
    request: Mapping[str, Any]
    undo: Mapping[str, Any] | None


def _ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a request as plain values."""
    return {"method": method, "path": path, "body": body}


_Pair = tuple[dict[str, Any], dict[str, Any]]
"""A request, and the one that reverses it."""


def _by_pim(path: str, about: Mapping[str, Any], end_on: dt.datetime | None) -> _Pair:
    """Return the requests to Privileged Identity Management for something that ends at a time, or never."""
    end = {"type": "afterDateTime", "endDateTime": f"{end_on.isoformat()}Z"} if end_on else {"type": "noExpiration"}
    given = {"action": "adminAssign", **about, "justification": _UNDONE,
             "scheduleInfo": {"startDateTime": _ALWAYS, "expiration": end}}  # fmt: skip
    return _ask("POST", path, {"action": "adminRemove", **about, "justification": _DONE}), _ask("POST", path, given)


def _by_reference(list_: str, principal: str) -> _Pair:
    """Return the requests that take a principal out of a list of members or owners."""
    return _ask("DELETE", f"{list_}/{principal}/$ref"), _ask(
        "POST", f"{list_}/$ref", {"@odata.id": _OBJECT + principal}
    )


def write_options(principal: str, kind: str, table_of: TableOf, eligible: Iterable[Option] = ()) -> tuple[Option, ...]:
    """Return the containment steps for a principal, with the request and the undo of each.

    Args:
        principal: Its folded id.
        kind: User, ServicePrincipal, ManagedIdentity or Group.
        table_of: A function that returns a table of the store by name.
        eligible: The requests that end its eligible Azure roles and activations, as `eligible_options` writes them.
    """
    return tuple(
        chain(
            _sign_in(principal, kind, table_of),
            eligible,
            _groups(principal, table_of),
            _directory_roles(principal, table_of),
            (option for _, option in permission_options(principal, table_of)),
            _owned(principal, table_of),
        )
    )


def _sign_in(principal: str, kind: str, table_of: TableOf) -> Iterator[Option]:
    place, text = f"/users/{principal}", "blocks every new sign-in"
    if kind == "ServicePrincipal" and not _is_managed(principal, table_of):
        place, text = f"/servicePrincipals/{principal}", "blocks every new token of the application"
    elif kind != "User":
        return
    block, undo = (_ask("PATCH", place, {"accountEnabled": is_on}) for is_on in (False, True))
    yield Option("block_sign_in", text, True, block, undo)
    if kind == "User":
        text = "ends all sessions: refresh tokens at once, access tokens when they expire, mostly within an hour"
        yield Option("revoke_sessions", text, True, _ask("POST", f"{place}/revokeSignInSessions"), None)


def _is_managed(principal: str, table_of: TableOf) -> bool:
    people = table_of("principals").filter(folded(pl.col("principal_id")) == principal)
    names = people.explode("alternative_names")["alternative_names"].drop_nulls()
    is_listed = (folded(table_of("resource_identities")["principal_id"].drop_nulls()) == principal).any()
    return is_listed or names.str.starts_with("/").any()


def eligible_options(
    principal: str, keys: Collection[Key], assignments: pl.DataFrame, names: Mapping[str, str], seed: str
) -> Iterator[Option]:
    """Yield the requests that end eligible assignments and activations of a principal, activations first.

    Args:
        principal: Its folded id.
        keys: Eligible and activated assignments that a request may end, of any principal.
        assignments: The table `role_assignments`.
        names: Names of roles and scopes, by id and by scope.
        seed: What decides the ids of the requests, which Azure takes once: the hash of the stored content.
    """
    own = assignments.filter(folded(pl.col("principal_id")) == principal).sort("state", "role_assignment_id")
    for row in own.to_dicts():
        if (row["role_assignment_id"], row["state"]) not in keys:
            continue
        name, schedule, word = _KINDS[row["state"]]
        role, scope, end_on = row["role_definition_id"], row["scope"], row["end_on"]
        about = {"principalId": row["principal_id"], "roleDefinitionId": role_path(scope, role)}
        condition = {"condition": row["condition"], "conditionVersion": row["condition_version"]}
        end = {"type": "AfterDateTime", "endDateTime": f"{end_on.isoformat()}Z"} if end_on else {"type": "NoExpiration"}
        taken = {**about, "requestType": "AdminRemove", "justification": _DONE}
        given = {**about, **(condition if row["condition"] else {}), "requestType": "AdminAssign",
                 "justification": _UNDONE, "scheduleInfo": {"expiration": end}}  # fmt: skip
        request, undo = (
            _ask("PUT", _path_of(row, schedule, seed, why), {"properties": body})
            for why, body in ((_DONE, taken), (_UNDONE, given))
        )
        text = f"ends the {word} of {names.get(role) or row['role_name'] or role} at {names.get(scope, scope)}"
        yield Option(name, text, True, request, undo)


def _path_of(row: Mapping[str, Any], schedule: str, seed: str, why: str) -> str:
    place = f"{row['scope'].rstrip('/')}/providers/Microsoft.Authorization/{schedule}ScheduleRequests"
    id_ = uuid.uuid5(_REQUESTS, "|".join((row["role_assignment_id"], row["state"], seed, why)))
    return f"{place}/{id_}?{_VERSION}"


def _groups(principal: str, table_of: TableOf) -> Iterator[Option]:
    people = table_of("principals")
    named = dict(people.select(folded(pl.col("principal_id")), "display_name").iter_rows())
    closure = table_of("group_closure").select(group=folded(pl.col("group_id")), member=folded(pl.col("member_id")))
    tables = (table_of(name) for name in ("role_assignments", "directory_role_assignments"))
    holders = {id_ for table in tables for id_ in folded(table["principal_id"].drop_nulls())}

    def has_access(group: str) -> bool:
        return not holders.isdisjoint({group, *closure.filter(pl.col("member") == group)["group"]})

    governed = table_of("group_schedule_instances").filter(folded(pl.col("principal_id")) == principal)
    for row in governed.filter(pl.col("state") != "active").sort("state", "instance_id").to_dicts():
        group = fold(row["group_id"])
        if has_access(group):
            yield _governed_membership(principal, row, named.get(group) or group)
    listed = table_of("group_members").filter(
        (pl.col("listing") == "members") & (folded(pl.col("member_id")) == principal)
    )
    mine = folded(listed["group_id"])
    # A member by an activation leaves by its end: the way back would make it a permanent member.
    activated = governed.filter((pl.col("state") == "activated") & (pl.col("access") == "member"))["group_id"]
    for group in mine.filter(~mine.is_in(folded(activated).implode())).unique().sort():
        if has_access(group):
            text = f"removes it from the group {named.get(group) or group}; {_ELSEWHERE}"
            yield Option("leave_group", text, True, *_by_reference(f"/groups/{group}/members", principal))


def _governed_membership(principal: str, row: Mapping[str, Any], group: str) -> Option:
    """Return the request that ends an eligible or activated membership or ownership of a group under PIM."""
    is_eligible = row["state"] == "eligible"
    name, kind = ("end_eligibility", "eligibility") if is_eligible else ("end_activation", "assignment")
    about = {"accessId": row["access"], "principalId": principal, "groupId": row["group_id"]}
    word = "ownership" if row["access"] == "owner" else "membership"
    path = f"/identityGovernance/privilegedAccess/group/{kind}ScheduleRequests"
    text = f"ends the {'eligible' if is_eligible else 'activated'} {word} of the group {group}"
    return Option(name, text, True, *_by_pim(path, about, row["end_on"]))


def _directory_roles(principal: str, table_of: TableOf) -> Iterator[Option]:
    names = dict(table_of("directory_roles").select("directory_role_id", "role_name").iter_rows())
    held = table_of("directory_role_assignments").filter(folded(pl.col("principal_id")) == principal)
    place_of_role = ["directory_role_id", "scope"]
    running = held.filter(pl.col("state") == "activated").select(place_of_role)
    # The plain listing has a running activation as an active assignment.
    is_twin = held.filter(pl.col("state") == "active").join(running, on=place_of_role, nulls_equal=True, how="semi")
    held = held.join(is_twin, on=["role_assignment_id", "state"], how="anti")
    for row in held.sort("role_assignment_id", "state").to_dicts():
        role, scope, assignment = row["directory_role_id"], row["scope"] or "/", row["role_assignment_id"]
        about = {"principalId": principal, "roleDefinitionId": role, "directoryScopeId": scope}
        place, name = "/roleManagement/directory/role", names.get(role) or role
        if row["state"] == "active" and row["member_type"] is None:
            # The older listing has no ids of assignments.
            is_older = assignment.startswith(LISTED_MEMBER)
            older = f"/directoryRoles(roleTemplateId='{role}')/members/{principal}/$ref"
            taken = _ask("DELETE", older if is_older else f"{place}Assignments/{assignment}")
            text, given = f"removes the directory role {name}", _ask("POST", f"{place}Assignments", about)
        else:
            word = "Eligibility" if row["state"] == "eligible" else "Assignment"
            what = {"eligible": "eligibility", "activated": "running activation"}.get(row["state"], "assignment")
            text = f"ends the {what} for the directory role {name}"
            taken, given = _by_pim(f"{place}{word}ScheduleRequests", about, row["end_on"])
        yield Option("remove_directory_role", text, True, taken, given)


def permission_options(principal: str, table_of: TableOf) -> Iterator[tuple[str, Option]]:
    """Yield the requests that remove the permissions of a principal, each with the id of its grant."""
    rules = set(escalation_rules("graph")["permission"])
    names = dict(
        table_of("api_permissions").filter(pl.col("access") == "application").select("permission_id", "permission")
        .drop_nulls().unique("permission_id", keep="first").iter_rows()
    )  # fmt: skip
    held = table_of("app_role_assignments").filter(folded(pl.col("principal_id")) == principal)
    for row in held.sort("app_role_assignment_id").to_dicts():
        name, grant = names.get(row["app_role_id"]) or row["app_role_id"], row["app_role_assignment_id"]
        place = f"/servicePrincipals/{row['resource_id']}/appRoleAssignedTo"
        about = {"principalId": principal, "resourceId": row["resource_id"], "appRoleId": row["app_role_id"]}
        text = f"removes the application permission {name} of {row['resource_name']}"
        taken, given = _ask("DELETE", f"{place}/{grant}"), _ask("POST", place, about)
        yield grant, Option("remove_permission", text, str(name).lower() in rules, taken, given)
    grants = table_of("permission_grants").filter(
        (folded(pl.col("client_id")) == principal) | (folded(pl.col("principal_id")) == principal)
    )
    for row in grants.sort("permission_grant_id").to_dicts():
        words, grant, place = row["permissions"] or [], row["permission_grant_id"], "/oauth2PermissionGrants"
        about = {
            "clientId": row["client_id"], "consentType": row["consent_type"], "principalId": row["principal_id"],
            "resourceId": row["resource_id"], "scope": " ".join(words),
        }  # fmt: skip
        text, leads_on = (
            f"removes the delegated permissions {', '.join(words)}",
            any(one.lower() in rules for one in words),
        )
        taken, given = _ask("DELETE", f"{place}/{grant}"), _ask("POST", place, about)
        yield grant, Option("remove_consent", text, leads_on, taken, given)


def _owned(principal: str, table_of: TableOf) -> Iterator[Option]:
    rows = table_of("principals").select(folded(pl.col("principal_id")), "display_name", "principal_type").iter_rows()
    known = {id_: (name, kind) for id_, name, kind in rows}
    owned = table_of("object_owners").filter(folded(pl.col("owner_id")) == principal)
    for thing, app in owned.select("object_id", "app_id").sort("object_id").iter_rows():
        name, kind = known.get(thing, (None, None))
        root = "groups" if kind == "Group" else "servicePrincipals" if kind else "applications"
        text = f"removes it from the owners of {name or app or thing}"
        yield Option("remove_owner", text, True, *_by_reference(f"/{root}/{thing}/owners", principal))


AGENT, BLUEPRINT = "agent", "blueprint"


@dataclass(frozen=True, slots=True)
class AgentGroup:
    """Who is contained together with a principal of Microsoft Entra Agent ID.

    Attributes:
        kind: `agent`, `blueprint`, or empty for every other principal.
        members: Whom the containment concerns, the named principal first: its agents, and their user accounts.
        siblings: Other agents of the same blueprint, which keep working.
        holder: The principal of the agent's blueprint, empty where no listing has it.
        identities: The agent identities among the members.
    """

    kind: str
    members: tuple[str, ...]
    siblings: tuple[str, ...] = ()
    holder: str = ""
    identities: frozenset[str] = frozenset()


def read_agent_group(principal: str, table_of: TableOf) -> AgentGroup:
    """Return whom the containment of a principal concerns.

    Args:
        principal: Its folded id.
        table_of: A function that returns a table of the store by name, for example `Store.table`.
    """
    people = table_of("principals")

    def users_of(agents: Collection[str]) -> tuple[str, ...]:
        found = people.filter(folded(pl.col("parent_id")).is_in(list(agents)) & pl.col("deleted_on").is_null())
        return tuple(folded(found["principal_id"]).sort())

    agents = agent_identities(_tables(table_of)).filter(~pl.col("deleted"))
    own = agents.filter(pl.col("agent_id") == principal)
    if not own.is_empty():
        row = own.row(0, named=True)
        of_blueprint = agents.filter(pl.col("blueprint_app_id") == row["blueprint_app_id"])
        beside = tuple(of_blueprint.filter(pl.col("agent_id") != principal)["agent_id"])
        members = (principal, *users_of([principal]))
        return AgentGroup(AGENT, members, beside, row["holder_id"] or "", frozenset({principal}))
    made = tuple(agents.filter(pl.col("holder_id") == principal)["agent_id"])
    typed = people.filter(folded(pl.col("principal_id")) == principal)["object_type"].drop_nulls()
    if made or "agentIdentityBlueprintPrincipal" in typed:
        return AgentGroup(BLUEPRINT, (principal, *made, *users_of(made)), identities=frozenset(made))
    return AgentGroup("", (principal,))


def _tables(table_of: TableOf) -> GraphTables:
    return GraphTables.of(**{name: table_of(name) for name in ("principals", *GRANT_TABLES)})


def inherited_options(group: AgentGroup, table_of: TableOf) -> Iterator[Option]:
    """Yield the requests that take an agent's inherited permissions from the principal of its blueprint.

    Each takes them from the other agents of the blueprint too, and says so.
    """
    if group.kind != AGENT or not group.holder:
        return
    tables = _tables(table_of)
    found = effective_permissions(held_permissions(tables), tables).filter(
        (pl.col("agent_id") == group.members[0]) & (pl.col("origin") != OWN)
    )
    inherited, sure = set(found["grant_id"]), set(found.filter(pl.col("origin") == INHERITED)["grant_id"])
    number = len(group.siblings)
    others = f"from {number} other agents of the blueprint too" if number else "from no other agent"
    for grant, option in permission_options(group.holder, table_of):
        if grant in inherited:
            how = "which it inherits" if grant in sure else "which it may inherit"
            text = f"{option.text} from the principal of the blueprint, {how}; this takes them {others}"
            yield replace(option, name=option.name.replace("remove_", "remove_inherited_"), text=text)
