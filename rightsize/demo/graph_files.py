"""Write the demo's Microsoft Graph data: a small permission map, the grants, AI agents, and the activity log.

The map is made up for the demo: permissions and paths are Graph's, and far fewer than there are.

Of what the principal of the agents' blueprint holds, agents inherit the application permissions and one of two
delegated ones. Planted: one permission of each kind that no agent uses, an agent that has its own permission, one
without owner and sponsor, and tokens that lack what should be inherited.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections.abc import Iterator
from typing import Any

from rightsize.demo.people import MICROSOFT_SERVICES, read_data
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder, below, guid, json_text

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
EXCHANGE_APP_ID = "00000002-0000-0ff1-ce00-000000000000"
_HOST = "https://graph.microsoft.com"
_CONTEXT = f"{_HOST}/v1.0/$metadata#"
_TABLE_DAYS = 20
_ACCESS = {"application": "Application", "delegated": "DelegatedWork"}


def write_graph(tenant: SampleTenant, folder: Folder) -> None:
    """Write Graph's permission map, the APIs, the grants and the log."""
    people = _people(tenant)
    _write_map(folder)
    _write_apis(tenant, folder)
    _write_grants(tenant, folder, people)
    _write_log(tenant, folder, people)


def graph_truth(tenant: SampleTenant) -> list[dict[str, Any]]:
    """Return the needs of each application: those that its requests show, and those that no log shows."""
    return list(_truth(_people(tenant)))


def _people(tenant: SampleTenant) -> dict[str, Principal]:
    """Return the cast by their keys in the data file; the cast comes first among the principals."""
    return dict(zip((row["key"] for row in _rows("principals.csv")), tenant.principals, strict=False))


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(read_data(name).splitlines()))


def permission_id(access: str, permission: str) -> str:
    """Return the id of a permission of Microsoft Graph."""
    return guid("graph permission", access, permission)


def _write_map(folder: Folder) -> None:
    permissions: dict[str, Any] = {}
    for row in _rows("graph_map.csv"):
        scheme = {"privilegeLevel": int(row["level"]), "requiresAdminConsent": row["permission"] != "User.Read"}
        entry = permissions.setdefault(row["permission"], {"schemes": {}, "pathSets": []})
        entry["schemes"] = dict.fromkeys(_ACCESS.values(), scheme)
        paths = dict.fromkeys(row["paths"].split(), "")
        entry["pathSets"].append(
            {"schemeKeys": list(_ACCESS.values()), "methods": row["methods"].split(), "paths": paths}
        )
    document = {"permissions": permissions}
    folder.write("catalogue/graph-permissions.json", json_text(document).encode(), records=1)


def _write_apis(tenant: SampleTenant, folder: Folder) -> None:
    names = sorted({row["permission"] for row in _rows("graph_map.csv")} | {"offline_access"})
    graph = _api(tenant, "Microsoft Graph", GRAPH_APP_ID) | {
        "appRoles": [
            {"id": permission_id("application", name), "value": name, "displayName": name, "isEnabled": True,
             "allowedMemberTypes": ["Application"]}
            for name in names if name != "offline_access"
        ],
        "oauth2PermissionScopes": [
            {"id": permission_id("delegated", name), "value": name, "adminConsentDisplayName": name, "isEnabled": True}
            for name in names
        ],
    }  # fmt: skip
    role = {"id": permission_id("application", "full_access_as_app"), "value": "full_access_as_app"}
    exchange = _api(tenant, "Office 365 Exchange Online", EXCHANGE_APP_ID) | {"appRoles": [role | {"isEnabled": True}]}
    page = {"@odata.context": f"{_CONTEXT}servicePrincipals/$entity"}
    for name, api in (("graph", graph), ("exchange", exchange)):
        folder.write(f"directory/servicePrincipal-{name}.json", json_text(page | api).encode(), records=1)


def _api(tenant: SampleTenant, name: str, app_id: str) -> dict[str, Any]:
    return {
        "id": guid(tenant.spec.seed, "api", app_id),
        "appId": app_id,
        "displayName": name,
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "appOwnerOrganizationId": MICROSOFT_SERVICES,
        "createdDateTime": "2019-05-02T08:30:00Z",
        "servicePrincipalNames": [app_id],
    }


def _write_grants(tenant: SampleTenant, folder: Folder, people: dict[str, Principal]) -> None:
    graph, exchange = (guid(tenant.spec.seed, "api", app_id) for app_id in (GRAPH_APP_ID, EXCHANGE_APP_ID))
    assigned: list[dict[str, Any]] = []
    delegated: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in _rows("graph_grants.csv"):
        client = people[row["app"]]
        if row["access"] == "application":
            assigned.append(_assignment(tenant, client, row["permission"], graph, "Microsoft Graph"))
            continue
        user = None if row["user"] == "*" else _first_user(people).principal_id
        new = consent(grant_id(tenant, client, user or "everybody"), client.principal_id, user, graph, "")
        grant = delegated.setdefault((client.principal_id, user), new)
        grant["scope"] = f"{grant['scope']} {row['permission']}"
    mail = _assignment(tenant, people["portal-api"], "full_access_as_app", exchange, "Office 365 Exchange Online")
    pages = (
        ("appRoleAssignedTo-graph", f"servicePrincipals('{graph}')/appRoleAssignedTo", assigned),
        ("appRoleAssignedTo-exchange", f"servicePrincipals('{exchange}')/appRoleAssignedTo", [mail]),
        ("oauth2PermissionGrants", "oauth2PermissionGrants", list(delegated.values())),
    )
    for name, context, records in pages:
        folder.write_graph(name, context, records)


def _assignment(tenant: SampleTenant, client: Principal, permission: str, api: str, api_name: str) -> dict[str, Any]:
    return {
        "id": grant_id(tenant, client, permission),
        "createdDateTime": "2025-02-03T10:00:00Z",
        "appRoleId": permission_id("application", permission),
        "principalDisplayName": client.name,
        "principalId": client.principal_id,
        "principalType": "ServicePrincipal",
        "resourceDisplayName": api_name,
        "resourceId": api,
    }


def consent(id_: str, client: str, user: str | None, api: str, scope: str) -> dict[str, Any]:
    """Return an oauth2PermissionGrant: a consent of a user, or of an administrator for everybody."""
    kind = "Principal" if user else "AllPrincipals"
    return {
        "id": id_, "clientId": client, "consentType": kind, "principalId": user, "resourceId": api, "scope": scope,
    }  # fmt: skip


def grant_id(tenant: SampleTenant, client: Principal, what: str) -> str:
    """Return an id in Graph's form: case-sensitive letters of both cases."""
    return guid(tenant.spec.seed, "grant", client.principal_id, what).replace("-", "Q").replace("a", "A") + "_w"


def _first_user(people: dict[str, Principal]) -> Principal:
    return next(person for person in people.values() if person.kind == "user" and not person.options)


def _write_log(tenant: SampleTenant, folder: Folder, people: dict[str, Principal]) -> None:
    """Write diagnostic settings' records in one file, and the last days as rows of Log Analytics, overlapping."""
    records = list(_requests(tenant, people))
    from_day = tenant.spec.day_ago(_TABLE_DAYS).isoformat()
    lines = [json.dumps(_diagnostic(tenant, one), separators=(",", ":")) for one in records]
    folder.write(
        "graph-activity/insights-logs-microsoftgraphactivitylogs.jsonl.gz",
        gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0), records=len(lines),
    )  # fmt: skip
    rows = [one for one in records if one["TimeGenerated"] >= from_day]
    text = json.dumps(rows, separators=(",", ":"))
    folder.write("graph-activity/MicrosoftGraphActivityLogs.json", text.encode(), records=len(rows))


def _requests(tenant: SampleTenant, people: dict[str, Principal]) -> Iterator[dict[str, Any]]:
    seed = tenant.spec.seed
    user = _first_user(people)
    for number, row in enumerate(_rows("graph_requests.csv")):
        client = people[row["app"]]
        for day in range(tenant.spec.days):
            for turn in range(int(row["a_day"])):
                second = below(86_400, seed, "graph", number, day, turn)
                at = dt.datetime.combine(tenant.spec.first_day, dt.time()) + dt.timedelta(days=day, seconds=second)
                thing = guid(seed, "graph thing", number, day % 7)
                uri = row["uri"].replace("{id}", thing).replace("{person}", user.user_principal_name)
                delegated = row["access"] == "delegated"
                yield {
                    "TimeGenerated": at.isoformat() + "Z",
                    "Type": "MicrosoftGraphActivityLogs",
                    "AppId": client.app_id,
                    "UserId": user.principal_id if delegated else "",
                    "ServicePrincipalId": "" if delegated else client.principal_id,
                    "RequestId": guid(seed, "graph request", number, day, turn),
                    "RequestMethod": row["method"],
                    "RequestUri": _HOST + uri.replace("{site}", "aldervalley.sharepoint.example," + thing),
                    "ResponseStatusCode": int(row["status"]),
                    "SignInActivityId": guid(seed, "token", number, day)[:22],
                    "IPAddress": "203.0.113.7",
                }


def _diagnostic(tenant: SampleTenant, one: dict[str, Any]) -> dict[str, Any]:
    names = ("AppId", "UserId", "ServicePrincipalId", "RequestId", "RequestMethod", "RequestUri",
             "ResponseStatusCode", "SignInActivityId")  # fmt: skip
    return {
        "time": one["TimeGenerated"],
        "resourceId": f"/TENANTS/{tenant.tenant_id}/PROVIDERS/MICROSOFT.AADIAM".upper(),
        "operationName": "Microsoft Graph Activity",
        "category": "MicrosoftGraphActivityLogs",
        "resultSignature": str(one["ResponseStatusCode"]),
        "callerIpAddress": one["IPAddress"],
        "properties": {name[0].lower() + name[1:]: one[name] for name in names},
    }


def _truth(people: dict[str, Principal]) -> Iterator[dict[str, Any]]:
    needs: dict[tuple[str, str], set[str]] = {}
    for row in _rows("graph_grants.csv"):
        found = needs.setdefault((row["app"], row["access"]), set())
        if row["need"]:
            found.add(row["permission"])
    for row in _rows("graph_requests.csv"):
        if row["need"]:
            needs.setdefault((row["app"], row["access"]), set()).add(row["need"])
    for (app, access), permissions in sorted(needs.items()):
        yield {"principal_id": people[app].principal_id, "access": access, "needs": sorted(permissions)}


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


def _agent_people(tenant: SampleTenant) -> list[Principal]:
    """Return the first users of the cast, who answer for the agents."""
    return [one for one in tenant.principals if one.kind == "user" and not one.options][:2]


def write_agents(tenant: SampleTenant, folder: Folder) -> None:
    """Write the blueprint, what its agents inherit, its principal, the agents and the agent user."""
    owner, sponsor = _agent_people(tenant)
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
    holder = _id(tenant, "principal")
    of_all = consent(_grant(tenant, "principal", "everybody"), holder, None, graph, _DELEGATED)
    folder.write_graph("appRoleAssignedTo-agents-graph", f"servicePrincipals('{graph}')/appRoleAssignedTo", assigned)
    folder.write_graph("oauth2PermissionGrants-agents-graph", "oauth2PermissionGrants", [of_all])
    rows = list(_agent_requests(tenant))
    folder.write("graph-activity/agents.json", json.dumps(rows, separators=(",", ":")).encode(), records=len(rows))


def _grant(tenant: SampleTenant, holder: str, what: str) -> str:
    return _id(tenant, f"grant {holder} {what}").replace("-", "Q").replace("a", "A") + "_w"


def _agent_requests(tenant: SampleTenant) -> Iterator[dict[str, Any]]:
    seed = tenant.spec.seed
    _, user = _agent_people(tenant)
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
