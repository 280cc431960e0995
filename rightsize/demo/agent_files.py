"""Write the demo's AI agents: a blueprint, its principal, three agent identities and an agent user, with their use.

Of what the principal holds, agents inherit the application permissions and one of two delegated ones. Planted: one
permission of each kind that no agent uses, an agent that has its own permission, one without owner and sponsor, and
tokens that lack what should be inherited.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

from rightsize.demo.graph_files import GRAPH_APP_ID, permission_id
from rightsize.demo.hashing import below, guid
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder

_MADE = "2025-02-03T10:00:00Z"
_AGENTS = ("drafting", "scheduling", "archive")
_INHERITED = ("User.Read.All", "Sites.Read.All")
_DELEGATED = "Mail.Read Calendars.Read"
_CALLS = (
    ("drafting", "/v1.0/users?$top=20", False, "Sites.Read.All User.Read.All"),
    ("scheduling", "/v1.0/me/messages?$top=10", True, "Mail.Read"),
    ("archive", "/v1.0/drives/{id}/items/{id}/content", False, "Files.Read.All User.Read.All"),
)


def _id(tenant: SampleTenant, what: str) -> str:
    return guid(tenant.spec.seed, "agent", what)


def _people(tenant: SampleTenant) -> list[Principal]:
    """Return the first users of the cast, who answer for the agents."""
    return [one for one in tenant.principals if one.kind == "user" and not one.options][:2]


def write_agents(tenant: SampleTenant, folder: Folder) -> None:
    """Write the blueprint, what its agents inherit, its principal, the agents and the agent user."""
    owner, sponsor = _people(tenant)
    answering = {"owners": [{"id": owner.principal_id}], "sponsors": [{"id": sponsor.principal_id}]}
    blueprint = {
        "id": _id(tenant, "application"),
        "appId": _id(tenant, "app"),
        "displayName": "Patient letters",
        "createdDateTime": _MADE,
        "disabledByMicrosoftStatus": None,
        **answering,
    }
    inherits = {
        "resourceAppId": GRAPH_APP_ID,
        "inheritableScopes": {
            "@odata.type": "microsoft.graph.enumeratedScopes",
            "kind": "enumerated",
            "scopes": ["Mail.Read"],
        },
        "inheritableRoles": {"@odata.type": "microsoft.graph.allAllowedRoles", "kind": "allAllowed"},
    }
    principal = {
        "id": _id(tenant, "principal"),
        "appId": blueprint["appId"],
        "displayName": "Patient letters",
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "appOwnerOrganizationId": tenant.tenant_id,
        "createdDateTime": _MADE,
    }
    agents = [
        {
            "id": _id(tenant, name),
            "displayName": f"letters-{name}",
            "servicePrincipalType": "ServiceIdentity",
            "agentIdentityBlueprintId": blueprint["appId"],
            "accountEnabled": True,
            "createdDateTime": _MADE,
            **(answering if name != "archive" else {"owners": [], "sponsors": []}),
        }
        for name in _AGENTS
    ]
    user = {
        "id": _id(tenant, "user"),
        "displayName": "letters-scheduling",
        "userPrincipalName": f"letters.scheduling@{tenant.domain}",
        "accountEnabled": True,
        "createdDateTime": _MADE,
        "identityParentId": _id(tenant, "scheduling"),
    }
    cast = "microsoft.graph.agentIdentity"
    pages = (
        ("agentBlueprints", f"applications/{cast}Blueprint(owners(),sponsors())", [blueprint]),
        ("inheritablePermissions", f"applications('{blueprint['id']}')/inheritablePermissions", [inherits]),
        ("agentBlueprintPrincipals", f"servicePrincipals/{cast}BlueprintPrincipal", [principal]),
        ("agentIdentities", f"servicePrincipals/{cast}(owners(),sponsors())", agents),
        ("agentUsers", "users/microsoft.graph.agentUser", [user]),
    )
    for name, context, records in pages:
        folder.write_graph(name, context, records)


def write_agent_use(tenant: SampleTenant, folder: Folder) -> None:
    """Write the Graph permissions of the agents and their blueprint, and their requests with what the tokens held."""
    graph = guid(tenant.spec.seed, "api", GRAPH_APP_ID)
    held = [("principal", name) for name in _INHERITED] + [("archive", "Files.Read.All")]
    assigned = [
        {
            "id": _grant(tenant, holder, permission),
            "createdDateTime": _MADE,
            "appRoleId": permission_id("application", permission),
            "principalId": _id(tenant, holder),
            "principalType": "ServicePrincipal",
            "resourceDisplayName": "Microsoft Graph",
            "resourceId": graph,
        }
        for holder, permission in held
    ]
    consent = {
        "id": _grant(tenant, "principal", "everybody"),
        "clientId": _id(tenant, "principal"),
        "consentType": "AllPrincipals",
        "principalId": None,
        "resourceId": graph,
        "scope": _DELEGATED,
    }
    folder.write_graph("appRoleAssignedTo-agents-graph", f"servicePrincipals('{graph}')/appRoleAssignedTo", assigned)
    folder.write_graph("oauth2PermissionGrants-agents-graph", "oauth2PermissionGrants", [consent])
    rows = list(_requests(tenant))
    folder.write("graph-activity/agents.json", json.dumps(rows, separators=(",", ":")).encode(), records=len(rows))


def _grant(tenant: SampleTenant, holder: str, what: str) -> str:
    return _id(tenant, f"grant {holder} {what}").replace("-", "Q").replace("a", "A") + "_w"


def _requests(tenant: SampleTenant) -> Iterator[dict[str, Any]]:
    seed = tenant.spec.seed
    _, user = _people(tenant)
    for number, (agent, uri, delegated, permissions) in enumerate(_CALLS):
        for day in range(tenant.spec.days):
            second = below(86_400, seed, "agent call", number, day)
            at = dt.datetime.combine(tenant.spec.first_day, dt.time()) + dt.timedelta(days=day, seconds=second)
            yield {
                "TimeGenerated": at.isoformat() + "Z",
                "Type": "MicrosoftGraphActivityLogs",
                "AppId": _id(tenant, agent),
                "UserId": user.principal_id if delegated else "",
                "ServicePrincipalId": "" if delegated else _id(tenant, agent),
                "C_Idtyp": "user" if delegated else "app",
                "Roles": "" if delegated else permissions,
                "Scopes": permissions if delegated else "",
                "RequestId": _id(tenant, f"request {number} {day}"),
                "RequestMethod": "GET",
                "RequestUri": "https://graph.microsoft.com" + uri.replace("{id}", _id(tenant, f"thing {number}")),
                "ResponseStatusCode": 200,
                "SignInActivityId": _id(tenant, f"token {number} {day}")[:22],
                "IPAddress": "203.0.113.8",
            }


def agent_truth(tenant: SampleTenant) -> list[dict[str, Any]]:
    """Return the needs of the principal of the blueprint, whose agents use its permissions, and of the agents."""
    needs = (
        ("archive", "application", ["Files.Read.All"]),
        ("principal", "application", ["User.Read.All"]),
        ("principal", "delegated", ["Mail.Read"]),
    )
    return [{"principal_id": _id(tenant, who), "access": access, "needs": named} for who, access, named in needs]
