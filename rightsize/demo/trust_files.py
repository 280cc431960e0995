"""Write the demo's owners, federated credentials, administrative unit, eligible ownership and user consent.

Each gives more access than any role assignment shows: a developer owns the application that deploys, a branch of a
repository signs in as it, a pod as a managed identity, a ward's coordinator resets the sign-ins of its members.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from rightsize.demo.directory_roles import people_of, unit_id
from rightsize.demo.graph_files import grant_id
from rightsize.demo.hashing import guid
from rightsize.demo.templates import json_text
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder

ARM_APP_ID = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
CLUSTER_ISSUER = "https://westeurope.oic.prod-aks.azure.com/4b1c6c0a-2f0e-4f3d-9a55-0d5a8a0f6a11/aks-portal/"
"""The issuer of the tokens of the cluster's service accounts."""

_GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"
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
        owners.append(head | {"owners": [_user(people[owner].principal_id) for owner in _OWNERS.get(key, ())]})
        held = [_credential(tenant, key, name, subject) for name, subject in _TRUST.get(key, ())]
        trust.append(head | {"signInAudience": "AzureADMyOrg", "federatedIdentityCredentials": held})
    groups = [
        {"id": group.principal_id, "owners": [_user(people[owner].principal_id) for owner in _OWNERS.get(key, ())]}
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


def _user(principal_id: str) -> dict[str, str]:
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
        "@odata.context": f"{_GRAPH}servicePrincipals/$entity",
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
    grant = {
        "id": grant_id(tenant, client, "azure"),
        "clientId": client.principal_id,
        "consentType": "Principal",
        "principalId": user.principal_id,
        "resourceId": api,
        "scope": "user_impersonation",
    }
    folder.write_graph("oauth2PermissionGrants-azure", "oauth2PermissionGrants", [grant])
