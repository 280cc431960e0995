"""Write the demo's Microsoft Graph data: a small permission map, the grants, and the activity log.

The map is made up for the demo: permissions and paths are Graph's, and far fewer than there are.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections.abc import Iterator
from typing import Any

from rightsize.demo.catalogue import read_data
from rightsize.demo.hashing import below, guid
from rightsize.demo.people import MICROSOFT_SERVICES
from rightsize.demo.templates import json_text
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder

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
        new = {
            "id": grant_id(tenant, client, user or "everybody"),
            "clientId": client.principal_id,
            "consentType": "Principal" if user else "AllPrincipals",
            "principalId": user,
            "resourceId": graph,
            "scope": "",
        }
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
