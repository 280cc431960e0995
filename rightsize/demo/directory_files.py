"""Write the demo's directory as Microsoft Graph returns it, page by page, with owners, trust and consent.

Owners, federated credentials, the administrative unit, eligible ownership and user consent each give more access than
any role assignment shows: a developer owns the application that deploys, a branch of a repository signs in as it, a pod
as a managed identity, a ward's coordinator resets the sign-ins of its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from rightsize.demo.calls import INTERACTIVE, NON_INTERACTIVE
from rightsize.demo.directory_roles import people_of, unit_id
from rightsize.demo.graph_files import consent, grant_id
from rightsize.demo.people import MICROSOFT_SERVICES
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder, guid, json_text

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


ARM_APP_ID = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
CLUSTER_ISSUER = "https://westeurope.oic.prod-aks.azure.com/4b1c6c0a-2f0e-4f3d-9a55-0d5a8a0f6a11/aks-portal/"
"""The issuer of the tokens of the cluster's service accounts."""

_METADATA = "https://graph.microsoft.com/v1.0/$metadata#"
_AUDIENCES = ["api://AzureADTokenExchange"]
_ELIGIBILITIES = "identityGovernance/privilegedAccess/group/eligibilityScheduleInstances"
_POD_TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
_GITHUB = "https://token.actions.githubusercontent.com"
_APPLICATIONS = ("github-portal-deploy", "terraform-connectivity", "hl7-bridge", "grafana")
_OWNERS = {"github-portal-deploy": ("chloe",), "g-frontend": ("martin",)}
_TRUST = {
    "github-portal-deploy": (
        ("main", "repo:aldervalley/patient-portal:ref:refs/heads/main"),
        ("pull-requests", "repo:aldervalley/patient-portal:pull_request"),
    ),
    "terraform-connectivity": (("any-run", "claims['sub'] matches 'repo:aldervalley/connectivity:*'"),),
}
"""The credentials of applications: the first one is used, and no run of the loaded days used another."""

_RUNS = ("terraform-connectivity", "repo:aldervalley/connectivity:environment:production")
"""The subject that all runs of an application have, which only the platform's own logs show."""

_POD = ("id-records-archiver", "archiver", "system:serviceaccount:records:archiver")
_UNIT, _MEMBERS = "cardiology", ("beatrice", "nadia", "g-stewards")
_TO_BE_OWNER = ("sara", "g-platform")
_CONSENT = ("grafana", "tomas")


def write_trust(tenant: SampleTenant, folder: Folder) -> None:
    """Write owners, federated credentials, an administrative unit, an eligible ownership, and a user's consent."""
    people = people_of(tenant)
    owners, trust = [], []
    for key in _APPLICATIONS:
        head = {"id": guid(tenant.spec.seed, "application", key), "appId": people[key].app_id}
        owners.append(
            head | {"owners": [_user_reference(people[owner].principal_id) for owner in _OWNERS.get(key, ())]}
        )
        held = [_credential(tenant, key, name, subject) for name, subject in _TRUST.get(key, ())]
        trust.append(head | {"signInAudience": "AzureADMyOrg", "federatedIdentityCredentials": held})
    groups = [
        {
            "id": group.principal_id,
            "owners": [_user_reference(people[owner].principal_id) for owner in _OWNERS.get(key, ())],
        }
        for key, group in people.items()
        if group.kind == "group"
    ]
    folder.write_graph("owners-applications", "applications(id,appId,owners(id))", owners)
    shown = "id,appId,signInAudience,federatedIdentityCredentials()"
    folder.write_graph("applications-trust", f"applications({shown})", trust)
    folder.write_graph("owners-groups", "groups(id,owners(id))", groups)
    unit = unit_id(tenant, _UNIT)
    place = {"id": unit, "displayName": _UNIT.title(), "isMemberManagementRestricted": False}
    folder.write_graph("administrativeUnits", "directory/administrativeUnits", [place])
    members = [
        {"@odata.type": f"#microsoft.graph.{'group' if key.startswith('g-') else 'user'}",
         "id": people[key].principal_id, "displayName": people[key].name}
        for key in _MEMBERS
    ]  # fmt: skip
    folder.write_graph(f"administrativeUnit-members-{unit}", "directoryObjects", members)
    folder.write_graph("group-eligibility-instances", _ELIGIBILITIES, [_eligibility(tenant)])
    _write_consent(tenant, folder)
    identity, name, subject = _POD
    below = f"{people[identity].resource_id}/federatedIdentityCredentials/{name}"
    pod = {"id": below, "name": name, "type": _POD_TYPE,
           "properties": {"issuer": CLUSTER_ISSUER, "subject": subject, "audiences": _AUDIENCES}}  # fmt: skip
    folder.write_json("inventory/federated-credentials.json", {"value": [pod]}, records=1)


def used_credentials(tenant: SampleTenant) -> dict[str, str]:
    """Return by principal id the federated credential that sign-ins name; other principals are left out."""
    people = people_of(tenant)
    return {people[key].principal_id: guid(tenant.spec.seed, "trust", key) for key in (*_TRUST, _POD[0])}


def pipeline_of(tenant: SampleTenant) -> Principal:
    """Return the application whose runs `write_runs` writes."""
    return people_of(tenant)[_RUNS[0]]


def write_runs(tenant: SampleTenant, folder: Folder, times: pl.Series) -> None:
    """Write the subject of each run of a pipeline, as its platform's logs say, from the times of its sign-ins."""
    who, subject = pipeline_of(tenant), _RUNS[1]
    run = "https://github.com/aldervalley/connectivity/actions/runs"
    lines = [f"{_GITHUB},{subject},{time},{who.app_id},{run}/{number}" for number, time in enumerate(times, 48_213)]
    text = "\n".join(["issuer,subject,time,app_id,run", *lines]) + "\n"
    folder.write("trust/subjects-of-runs.csv", text.encode(), records=len(lines))


def _credential(tenant: SampleTenant, key: str, name: str, subject: str) -> dict[str, Any]:
    is_first = name == _TRUST[key][0][0]
    said: dict[str, Any] = {
        "id": guid(tenant.spec.seed, "trust", key) if is_first else guid(tenant.spec.seed, "trust", key, name),
        "name": name,
        "issuer": _GITHUB,
        "subject": subject,
        "description": None,
        "audiences": _AUDIENCES,
    }
    if subject.startswith("claims["):
        said |= {"subject": None, "claimsMatchingExpression": {"value": subject, "languageVersion": 1}}
    return said


def _user_reference(principal_id: str) -> dict[str, str]:
    return {"@odata.type": "#microsoft.graph.user", "id": principal_id}


def _eligibility(tenant: SampleTenant) -> dict[str, Any]:
    who, group = (people_of(tenant)[key].principal_id for key in _TO_BE_OWNER)
    schedule = guid(tenant.spec.seed, "group eligibility", *_TO_BE_OWNER)
    return {
        "id": f"{group}_owner_{schedule}",
        "principalId": who,
        "groupId": group,
        "accessId": "owner",
        "startDateTime": f"{tenant.spec.day_ago(200).isoformat()}T08:00:00Z",
        "endDateTime": None,
        "memberType": "direct",
        "eligibilityScheduleId": f"{group}_owner_{schedule}",
    }


def _write_consent(tenant: SampleTenant, folder: Folder) -> None:
    """Write the consent of one user for an application to act in Azure as that user, and the API."""
    client, user = (people_of(tenant)[key] for key in _CONSENT)
    api = guid(tenant.spec.seed, "api", ARM_APP_ID)
    scope = {"id": guid("azure permission", "user_impersonation"), "value": "user_impersonation", "isEnabled": True}
    service = {
        "@odata.context": f"{_METADATA}servicePrincipals/$entity",
        "id": api,
        "appId": ARM_APP_ID,
        "displayName": "Windows Azure Service Management API",
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "servicePrincipalNames": [ARM_APP_ID],
        "appRoles": [],
        "oauth2PermissionScopes": [scope],
    }
    folder.write("directory/servicePrincipal-azure.json", json_text(service).encode(), records=1)
    id_ = grant_id(tenant, client, "azure")
    grant = consent(id_, client.principal_id, user.principal_id, api, "user_impersonation")
    folder.write_graph("oauth2PermissionGrants-azure", "oauth2PermissionGrants", [grant])
