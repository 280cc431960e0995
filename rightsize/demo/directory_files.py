"""Write the demo's directory as Microsoft Graph returns it, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from rightsize.demo.hashing import guid
from rightsize.demo.people import MICROSOFT_SERVICES
from rightsize.demo.sign_ins import INTERACTIVE, NON_INTERACTIVE
from rightsize.demo.templates import json_text
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder

_GRAPH = "https://graph.microsoft.com/v1.0"
_PAGE = 100
_TYPES = {"user": "user", "guest": "user", "group": "group", "app": "servicePrincipal", "identity": "servicePrincipal"}


def write_directory(tenant: SampleTenant, folder: Folder, sign_ins: pl.DataFrame) -> None:
    """Write users, groups, members, service principals and deleted items."""
    there = [principal for principal in tenant.principals if not principal.options & {"gone", "soft_deleted"}]
    last = _last_sign_ins(tenant, sign_ins)
    users = [_user(principal, last.get(principal.principal_id)) for principal in there if _is(principal, "user")]
    select = "id,displayName,userPrincipalName,mail,userType,accountEnabled,createdDateTime,jobTitle,signInActivity"
    _write_pages(folder, "users", f"$metadata#users({select})", users)
    _write_pages(folder, "groups", "$metadata#groups", [_group(p) for p in there if _is(p, "group")])
    apps = [_service_principal(tenant, principal) for principal in there if _is(principal, "servicePrincipal")]
    _write_pages(folder, "servicePrincipals", "$metadata#servicePrincipals", apps)
    for number, (group, members) in enumerate(sorted(tenant.members.items())):
        _write_members(tenant, folder, group, members, named_by_context=number % 2 == 0)
    deleted = [
        {"@odata.type": "#microsoft.graph.servicePrincipal", **_service_principal(tenant, principal)}
        | {"deletedDateTime": f"{tenant.spec.day_ago(11).isoformat()}T09:12:44Z"}
        for principal in tenant.principals
        if "soft_deleted" in principal.options
    ]
    context = "$metadata#directory/deletedItems/microsoft.graph.servicePrincipal"
    _write_pages(folder, "deletedItems-servicePrincipals", context, deleted)
    _write_pages(folder, "deletedItems-users", "$metadata#directory/deletedItems/microsoft.graph.user", [])


def _is(principal: Principal, kind: str) -> bool:
    return _TYPES[principal.kind] == kind


def _write_pages(folder: Folder, name: str, context: str, objects: Sequence[dict[str, Any]]) -> None:
    pages = [objects[start : start + _PAGE] for start in range(0, len(objects), _PAGE)] or [[]]
    for number, page in enumerate(pages, start=1):
        document: dict[str, Any] = {"@odata.context": f"{_GRAPH}/{context}"}
        if number < len(pages):
            document["@odata.nextLink"] = f"{_GRAPH}/{name}?$top={_PAGE}&$skiptoken=RFNwdAoAAQ{number:06d}"
        document["value"] = page
        path = f"directory/{name}-page-{number:03d}.json" if len(pages) > 1 else f"directory/{name}.json"
        folder.write(path, json_text(document).encode(), records=len(page))


def _write_members(
    tenant: SampleTenant, folder: Folder, group: str, members: Sequence[str], *, named_by_context: bool
) -> None:
    """Write the members of a group, named by the page's context (with selected properties) or only by the file name."""
    people = tenant.principals_by_id()
    objects = [_member(people[member]) for member in members]
    if named_by_context:
        context = f"$metadata#groups('{group}')/members(id,displayName,userPrincipalName)"
        _write_pages(folder, f"members/{guid(tenant.spec.seed, 'page', group)}", context, objects)
    else:
        _write_pages(folder, f"members/members-{group}", "$metadata#directoryObjects", objects)
    if any(people[member].kind == "group" for member in members):
        everybody = [_member(people[member]) for member in transitive_members(tenant, group)]
        context = f"$metadata#groups('{group}')/transitiveMembers(id,displayName,userPrincipalName)"
        _write_pages(folder, f"members/transitiveMembers-{group}", context, everybody)


def transitive_members(tenant: SampleTenant, group: str) -> list[str]:
    """Return the sorted transitive members of a group, groups included, without the group itself, also in cycles."""
    found: set[str] = set()
    waiting = [group]
    while waiting:
        for member in tenant.members.get(waiting.pop(), ()):
            if member not in found and member != group:
                found.add(member)
                waiting.append(member)
    return sorted(found)


def _member(principal: Principal) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "@odata.type": f"#microsoft.graph.{_TYPES[principal.kind]}",
        "id": principal.principal_id,
        "displayName": principal.name,
    }
    if principal.user_principal_name:
        entry["userPrincipalName"] = principal.user_principal_name
    return entry


def _user(principal: Principal, activity: dict[str, str] | None) -> dict[str, Any]:
    guest = principal.kind == "guest"
    user: dict[str, Any] = {
        "id": principal.principal_id,
        "displayName": principal.name,
        "userPrincipalName": principal.user_principal_name,
        "mail": None if guest or "emergency" in principal.options else principal.user_principal_name,
        "userType": "Guest" if guest else "Member",
        "accountEnabled": True,
        "createdDateTime": f"{principal.created_on.isoformat()}T08:30:00Z",
        "jobTitle": principal.title or None,
        "onPremisesSyncEnabled": None,
    }
    if activity:
        user["signInActivity"] = activity
    return user


def _last_sign_ins(tenant: SampleTenant, sign_ins: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Return signInActivity by user: the first two times count attempts, the third counts successes."""
    of_people = sign_ins.filter(pl.col("kind").is_in([INTERACTIVE, NON_INTERACTIVE]))
    worked = pl.col("error") == 0
    last = of_people.group_by("principal").agg(
        pl.col("time").filter(pl.col("kind") == INTERACTIVE).max().alias("lastSignInDateTime"),
        pl.col("time").filter(pl.col("kind") == NON_INTERACTIVE).max().alias("lastNonInteractiveSignInDateTime"),
        pl.col("time").filter(worked).max().alias("lastSuccessfulSignInDateTime"),
    )
    last = last.with_columns(pl.exclude("principal").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).sort("principal")
    return {
        tenant.principals[number].principal_id: dict(zip(last.columns[1:], times, strict=True))
        for number, *times in last.iter_rows()
    }


def _group(principal: Principal) -> dict[str, Any]:
    dynamic = "dynamic" in principal.options
    return {
        "id": principal.principal_id,
        "displayName": principal.name,
        "description": None,
        "createdDateTime": f"{principal.created_on.isoformat()}T08:30:00Z",
        "groupTypes": ["DynamicMembership"] if dynamic else [],
        "membershipRule": '(user.department -eq "Service Desk")' if dynamic else None,
        "isAssignableToRole": True if "role_assignable" in principal.options else None,
        "mailEnabled": False,
        "onPremisesSyncEnabled": True if "synced" in principal.options else None,
        "securityEnabled": True,
    }


def _service_principal(tenant: SampleTenant, principal: Principal) -> dict[str, Any]:
    identity = principal.kind == "identity"
    owner: str | None = tenant.tenant_id
    if "first_party" in principal.options:
        owner = MICROSOFT_SERVICES
    elif "foreign" in principal.options:
        owner = guid(tenant.spec.seed, "foreign tenant", principal.principal_id)
    elif identity:
        owner = None
    return {
        "id": principal.principal_id,
        "appId": principal.app_id,
        "displayName": principal.name,
        "servicePrincipalType": "ManagedIdentity" if identity else "Application",
        "accountEnabled": True,
        "appOwnerOrganizationId": owner,
        "alternativeNames": list(_alternative_names(principal)),
        "createdDateTime": f"{principal.created_on.isoformat()}T08:30:00Z",
        "servicePrincipalNames": [principal.app_id],
        "tags": [],
    }


def _alternative_names(principal: Principal) -> Iterable[str]:
    """Return the alternative names of a managed identity: whether it is user-assigned, and the id of its resource."""
    if principal.resource_id:
        yield f"isExplicit={'user_assigned' in principal.options}"
        yield principal.resource_id
