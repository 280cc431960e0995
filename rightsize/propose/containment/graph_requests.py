"""Write the Microsoft Graph requests that contain a principal beyond its Azure roles; only a person sends them.

Sources: Microsoft Graph REST reference v1.0: "Update user", "user: revokeSignInSessions", "Update servicePrincipal",
"Remove member", "Delete unifiedRoleAssignment", "Create roleEligibilityScheduleRequest", "Delete
appRoleAssignedTo", "Delete oAuth2PermissionGrant", "Remove owner",
"Remove directory role member".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.text import folded
from rightsize.model.tables.directory_roles import LISTED_MEMBER
from rightsize.rules.escalation import escalation_rules

_OBJECT = "https://graph.microsoft.com/v1.0/directoryObjects/"
_ELSEWHERE = "change a synced group in its own directory, and a dynamic group by its rule"
_ALWAYS = "2000-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Option:
    """One containment step that a person may take besides the plan.

    Attributes:
        name: Its name: block_sign_in, revoke_sessions, leave_group and so on.
        text: Its effect, in one clause.
        leads_on: Whether the access that it removes leads to further access by a rule of escalation.
        request: `method`, `path` below the version, `body` or None.
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


def _ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"method": method, "path": path, "body": dict(body) if body is not None else None}


def write_options(principal: str, kind: str, table_of: Callable[[str], pl.DataFrame]) -> tuple[Option, ...]:
    """Return the containment steps for a principal, with the request and the undo of each.

    Args:
        principal: Its folded id.
        kind: User, ServicePrincipal, ManagedIdentity or Group.
        table_of: A function that returns a table of the store by name, for example `Store.table`.
    """
    parts = (
        _sign_in(principal, kind, table_of),
        _groups(principal, table_of),
        _directory_roles(principal, table_of),
        (option for _, option in permission_options(principal, table_of)),
        _owned(principal, table_of),
    )
    return tuple(option for part in parts for option in part)


def _sign_in(principal: str, kind: str, table_of: Callable[[str], pl.DataFrame]) -> Iterator[Option]:
    if kind == "User":
        place = f"/users/{principal}"
        yield Option("block_sign_in", "blocks every new sign-in", True, _ask("PATCH", place, {"accountEnabled": False}),
                     _ask("PATCH", place, {"accountEnabled": True}))  # fmt: skip
        text = "ends all sessions: refresh tokens at once, access tokens when they expire, mostly within an hour"
        yield Option("revoke_sessions", text, True, _ask("POST", f"{place}/revokeSignInSessions"), None)
    elif kind == "ServicePrincipal" and not _is_managed(principal, table_of):
        place = f"/servicePrincipals/{principal}"
        yield Option("block_sign_in", "blocks every new token of the application", True,
                     _ask("PATCH", place, {"accountEnabled": False}), _ask("PATCH", place, {"accountEnabled": True}),
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
    for group in direct.filter(pl.col("member") == principal)["group"].unique().sort():
        above = {group, *closure.filter(pl.col("member") == group)["group"]}
        if not above & holders:
            continue
        member = f"/groups/{group}/members"
        text = f"removes it from the group {named.get(group) or group}; {_ELSEWHERE}"
        yield Option("leave_group", text, True, _ask("DELETE", f"{member}/{principal}/$ref"),
                     _ask("POST", f"{member}/$ref", {"@odata.id": _OBJECT + principal}))  # fmt: skip


def _directory_roles(principal: str, table_of: Callable[[str], pl.DataFrame]) -> Iterator[Option]:
    names = dict(table_of("directory_roles").select("directory_role_id", "role_name").iter_rows())
    held = table_of("directory_role_assignments").filter(folded(pl.col("principal_id")) == principal)
    for row in held.sort("role_assignment_id", "state").to_dicts():
        role, scope = row["directory_role_id"], row["scope"] or "/"
        about = {"principalId": principal, "roleDefinitionId": role, "directoryScopeId": scope}
        name = names.get(role) or role
        if row["state"] == "active" and row["member_type"] is None:
            place = "/roleManagement/directory/roleAssignments"
            assignment = row["role_assignment_id"]
            taken = _ask("DELETE", f"{place}/{assignment}")
            if assignment.startswith(LISTED_MEMBER):
                # The older listing has no ids of assignments.
                taken = _ask("DELETE", f"/directoryRoles(roleTemplateId='{role}')/members/{principal}/$ref")
            text = f"removes the directory role {name}"
            yield Option("remove_directory_role", text, True, taken, _ask("POST", place, about))
            continue
        word = "Eligibility" if row["state"] == "eligible" else "Assignment"
        place = f"/roleManagement/directory/role{word}ScheduleRequests"
        again = {"startDateTime": _ALWAYS, "expiration": {"type": "noExpiration"}}
        state = "eligibility" if row["state"] == "eligible" else "assignment"
        yield Option("remove_directory_role", f"ends the {state} for the directory role {name}", True,
                     _ask("POST", place, {"action": "adminRemove", **about, "justification": "containment"}),
                     _ask("POST", place, {"action": "adminAssign", **about, "justification": "end of containment",
                                          "scheduleInfo": again}))  # fmt: skip


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
                            str(name).lower() in rules, _ask("DELETE", f"{place}/{grant}"),
                            _ask("POST", place, about))  # fmt: skip
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
                            _ask("DELETE", f"/oauth2PermissionGrants/{grant}"),
                            _ask("POST", "/oauth2PermissionGrants", about))  # fmt: skip


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
                     _ask("DELETE", f"{place}/{principal}/$ref"),
                     _ask("POST", f"{place}/$ref", {"@odata.id": _OBJECT + principal}))  # fmt: skip
