"""Write the requests that contain a principal beyond a plan for its Azure roles; only a person sends them.

Sources: Microsoft Graph REST reference v1.0: "Update user", "user: revokeSignInSessions", "Update servicePrincipal",
"Remove member", "Delete unifiedRoleAssignment", "Create roleEligibilityScheduleRequest", "Delete appRoleAssignedTo",
"Create eligibilityScheduleRequest" and "Create assignmentScheduleRequest" of groups, "Delete oAuth2PermissionGrant",
"Remove owner", "Remove directory role member".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.text import folded
from rightsize.model.tables.directory_roles import LISTED_MEMBER
from rightsize.rbac.text import fold
from rightsize.rules.escalation import escalation_rules

_OBJECT = "https://graph.microsoft.com/v1.0/directoryObjects/"
_ELSEWHERE = "change a synced group in its own directory, and a dynamic group by its rule"
_ALWAYS = "2000-01-01T00:00:00Z"
DONE, UNDONE = "containment", "end of containment"
"""The justifications of a request to Privileged Identity Management, and of the one that reverses it."""


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

    def as_json(self) -> dict[str, Any]:
        """Return the option as plain values."""
        return {"name": self.name, "text": self.text, "leads_on": self.leads_on, "request": dict(self.request),
                "undo": dict(self.undo) if self.undo else None}  # fmt: skip


def ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a request as plain values."""
    return {"method": method, "path": path, "body": dict(body) if body is not None else None}


def write_options(
    principal: str, kind: str, table_of: Callable[[str], pl.DataFrame], eligible: Iterable[Option] = ()
) -> tuple[Option, ...]:
    """Return the containment steps for a principal, with the request and the undo of each.

    Args:
        principal: Its folded id.
        kind: User, ServicePrincipal, ManagedIdentity or Group.
        table_of: A function that returns a table of the store by name, for example `Store.table`.
        eligible: The requests that end its eligible Azure roles and activations, as `pim_requests` writes them.
    """
    parts = (
        _sign_in(principal, kind, table_of),
        eligible,
        _groups(principal, table_of),
        _directory_roles(principal, table_of),
        (option for _, option in permission_options(principal, table_of)),
        _owned(principal, table_of),
    )
    return tuple(option for part in parts for option in part)


def _sign_in(principal: str, kind: str, table_of: Callable[[str], pl.DataFrame]) -> Iterator[Option]:
    if kind == "User":
        place = f"/users/{principal}"
        yield Option("block_sign_in", "blocks every new sign-in", True, ask("PATCH", place, {"accountEnabled": False}),
                     ask("PATCH", place, {"accountEnabled": True}))  # fmt: skip
        text = "ends all sessions: refresh tokens at once, access tokens when they expire, mostly within an hour"
        yield Option("revoke_sessions", text, True, ask("POST", f"{place}/revokeSignInSessions"), None)
    elif kind == "ServicePrincipal" and not _is_managed(principal, table_of):
        place = f"/servicePrincipals/{principal}"
        yield Option("block_sign_in", "blocks every new token of the application", True,
                     ask("PATCH", place, {"accountEnabled": False}), ask("PATCH", place, {"accountEnabled": True}),
                     )  # fmt: skip


def _is_managed(principal: str, table_of: Callable[[str], pl.DataFrame]) -> bool:
    people = table_of("principals").filter(folded(pl.col("principal_id")) == principal)
    names = people.explode("alternative_names")["alternative_names"].drop_nulls()
    is_listed = (folded(table_of("resource_identities")["principal_id"].drop_nulls()) == principal).any()
    return is_listed or names.str.starts_with("/").any()


def _groups(principal: str, table_of: Callable[[str], pl.DataFrame]) -> Iterator[Option]:
    people = table_of("principals")
    named = dict(people.select(folded(pl.col("principal_id")), "display_name").iter_rows())
    closure = table_of("group_closure").select(group=folded(pl.col("group_id")), member=folded(pl.col("member_id")))
    holders = set(folded(table_of("role_assignments")["principal_id"].drop_nulls()))
    holders |= set(folded(table_of("directory_role_assignments")["principal_id"].drop_nulls()))
    listed = table_of("group_members").filter(pl.col("listing") == "members")
    direct = listed.select(group=folded(pl.col("group_id")), member=folded(pl.col("member_id")))
    mine = direct.filter(pl.col("member") == principal)["group"]
    governed = table_of("group_schedule_instances").filter(folded(pl.col("principal_id")) == principal)
    for row in governed.filter(pl.col("state") != "active").sort("state", "instance_id").to_dicts():
        above = {group := fold(row["group_id"]), *closure.filter(pl.col("member") == fold(row["group_id"]))["group"]}
        if above & holders:
            yield _governed_membership(principal, row, named.get(group) or group)
    # A member by an activation leaves by its end: the way back would make it a permanent member.
    activated = governed.filter((pl.col("state") == "activated") & (pl.col("access") == "member"))["group_id"]
    for group in mine.filter(~mine.is_in(folded(activated).implode())).unique().sort():
        above = {group, *closure.filter(pl.col("member") == group)["group"]}
        if not above & holders:
            continue
        member = f"/groups/{group}/members"
        text = f"removes it from the group {named.get(group) or group}; {_ELSEWHERE}"
        yield Option("leave_group", text, True, ask("DELETE", f"{member}/{principal}/$ref"),
                     ask("POST", f"{member}/$ref", {"@odata.id": _OBJECT + principal}))  # fmt: skip


def _governed_membership(principal: str, row: Mapping[str, Any], group: str) -> Option:
    """Return the request that ends an eligible or activated membership or ownership of a group under PIM."""
    is_eligible = row["state"] == "eligible"
    place = "/identityGovernance/privilegedAccess/group/" + ("eligibility" if is_eligible else "assignment")
    about = {"accessId": row["access"], "principalId": principal, "groupId": row["group_id"]}
    word = "ownership" if row["access"] == "owner" else "membership"
    text = f"ends the {'eligible' if is_eligible else 'activated'} {word} of the group {group}"
    return Option("end_eligibility" if is_eligible else "end_activation", text, True,
                  ask("POST", f"{place}ScheduleRequests", {"action": "adminRemove", **about, "justification": DONE}),
                  ask("POST", f"{place}ScheduleRequests", {"action": "adminAssign", **about, "justification": UNDONE,
                                                           "scheduleInfo": schedule(row["end_on"])}))  # fmt: skip


def schedule(end_on: dt.datetime | None) -> dict[str, Any]:
    """Return the schedule of an assignment that ends at a time, or never."""
    if end_on is None:
        return {"startDateTime": _ALWAYS, "expiration": {"type": "noExpiration"}}
    return {"startDateTime": _ALWAYS, "expiration": {"type": "afterDateTime", "endDateTime": f"{end_on.isoformat()}Z"}}


def _directory_roles(principal: str, table_of: Callable[[str], pl.DataFrame]) -> Iterator[Option]:
    names = dict(table_of("directory_roles").select("directory_role_id", "role_name").iter_rows())
    held = table_of("directory_role_assignments").filter(folded(pl.col("principal_id")) == principal)
    place_of_role = ["directory_role_id", "scope"]
    running = held.filter(pl.col("state") == "activated").select(place_of_role)
    # The plain listing has a running activation as an active assignment.
    is_twin = held.filter(pl.col("state") == "active").join(running, on=place_of_role, nulls_equal=True, how="semi")
    held = held.join(is_twin, on=["role_assignment_id", "state"], how="anti")
    for row in held.sort("role_assignment_id", "state").to_dicts():
        role, scope = row["directory_role_id"], row["scope"] or "/"
        about = {"principalId": principal, "roleDefinitionId": role, "directoryScopeId": scope}
        name = names.get(role) or role
        if row["state"] == "active" and row["member_type"] is None:
            place = "/roleManagement/directory/roleAssignments"
            assignment = row["role_assignment_id"]
            taken = ask("DELETE", f"{place}/{assignment}")
            if assignment.startswith(LISTED_MEMBER):
                # The older listing has no ids of assignments.
                taken = ask("DELETE", f"/directoryRoles(roleTemplateId='{role}')/members/{principal}/$ref")
            text = f"removes the directory role {name}"
            yield Option("remove_directory_role", text, True, taken, ask("POST", place, about))
            continue
        word = "Eligibility" if row["state"] == "eligible" else "Assignment"
        place = f"/roleManagement/directory/role{word}ScheduleRequests"
        what = {"eligible": "eligibility", "activated": "running activation"}.get(row["state"], "assignment")
        yield Option("remove_directory_role", f"ends the {what} for the directory role {name}", True,
                     ask("POST", place, {"action": "adminRemove", **about, "justification": DONE}),
                     ask("POST", place, {"action": "adminAssign", **about, "justification": UNDONE,
                                         "scheduleInfo": schedule(row["end_on"])}))  # fmt: skip


def permission_options(principal: str, table_of: Callable[[str], pl.DataFrame]) -> Iterator[tuple[str, Option]]:
    """Yield the requests that remove the permissions of a principal, each with the id of its grant."""
    rules = set(escalation_rules("graph")["permission"])
    names = dict(
        table_of("api_permissions").filter(pl.col("access") == "application").select("permission_id", "permission")
        .drop_nulls().unique("permission_id", keep="first").iter_rows()
    )  # fmt: skip
    held = table_of("app_role_assignments").filter(folded(pl.col("principal_id")) == principal)
    for row in held.sort("app_role_assignment_id").to_dicts():
        name = names.get(row["app_role_id"]) or row["app_role_id"]
        place = f"/servicePrincipals/{row['resource_id']}/appRoleAssignedTo"
        about = {"principalId": principal, "resourceId": row["resource_id"], "appRoleId": row["app_role_id"]}
        grant = row["app_role_assignment_id"]
        yield grant, Option("remove_permission", f"removes the application permission {name} of {row['resource_name']}",
                            str(name).lower() in rules, ask("DELETE", f"{place}/{grant}"),
                            ask("POST", place, about))  # fmt: skip
    grants = table_of("permission_grants").filter(
        (folded(pl.col("client_id")) == principal) | (folded(pl.col("principal_id")) == principal)
    )
    for row in grants.sort("permission_grant_id").to_dicts():
        words = row["permissions"] or []
        about = {
            "clientId": row["client_id"], "consentType": row["consent_type"], "principalId": row["principal_id"],
            "resourceId": row["resource_id"], "scope": " ".join(words),
        }  # fmt: skip
        grant = row["permission_grant_id"]
        yield grant, Option("remove_consent", f"removes the delegated permissions {', '.join(words)}",
                            any(word.lower() in rules for word in words),
                            ask("DELETE", f"/oauth2PermissionGrants/{grant}"),
                            ask("POST", "/oauth2PermissionGrants", about))  # fmt: skip


def _owned(principal: str, table_of: Callable[[str], pl.DataFrame]) -> Iterator[Option]:
    people = table_of("principals")
    known = {
        id_: (name, kind)
        for id_, name, kind in people.select(
            folded(pl.col("principal_id")), "display_name", "principal_type"
        ).iter_rows()
    }
    owned = table_of("object_owners").filter(folded(pl.col("owner_id")) == principal)
    for thing, app in owned.select("object_id", "app_id").sort("object_id").iter_rows():
        name, kind = known.get(thing, (None, None))
        root = "groups" if kind == "Group" else "servicePrincipals" if kind else "applications"
        place = f"/{root}/{thing}/owners"
        yield Option("remove_owner", f"removes it from the owners of {name or app or thing}", True,
                     ask("DELETE", f"{place}/{principal}/$ref"),
                     ask("POST", f"{place}/$ref", {"@odata.id": _OBJECT + principal}))  # fmt: skip
