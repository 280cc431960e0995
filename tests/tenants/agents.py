"""A tenant with two blueprints and nine agents, as the files that Microsoft Graph, Azure and their logs give.

`Claims` lets its agents inherit everything, `Research` its application permissions and a list of delegated ones.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GRAPH_APP = "00000003-0000-0000-c000-000000000000"
FIRST, DAYS = dt.date(2026, 6, 1), 90
COVERS = f"{FIRST}..{FIRST + dt.timedelta(days=DAYS - 1)}"
AS_OF = FIRST + dt.timedelta(days=DAYS)


def guid(number: int) -> str:
    return f"{number:08x}-aaaa-4aaa-8aaa-{number:012x}"


GRAPH, CLAIMS, RESEARCH = guid(1), guid(2), guid(3)
CLAIMS_APP, RESEARCH_APP = guid(0x12), guid(0x13)
CLAIMS_OBJECT, RESEARCH_OBJECT = guid(0x22), guid(0x23)
ANN, BOB, LEFT = guid(0x31), guid(0x32), guid(0x33)
SUB = f"/subscriptions/{guid(0x41)}"
RG = f"{SUB}/resourceGroups/pricing"
VM = f"{RG}/providers/Microsoft.Compute/virtualMachines/batch"
ROLE = guid(0x42)

AGENTS = {
    name: guid(0x50 + number)
    for number, name in enumerate(
        ("intake", "devices", "archive", "letters", "admin", "sites", "groups", "assistant", "pricing")
    )
}
OF_CLAIMS = ("intake", "devices", "archive", "letters", "admin")
PRICING_USER = guid(0x60)

PATHS: dict[str, tuple[int, dict[str, tuple[str, ...]]]] = {
    "User.Read.All": (3, {"GET": ("/users", "/users/{id}")}),
    "Device.Read.All": (3, {"GET": ("/devices",)}),
    "Group.Read.All": (3, {"GET": ("/groups", "/groups/{id}")}),
    "Contacts.Read": (3, {"GET": ("/users/{id}/contacts",)}),
    "Contacts.ReadWrite": (4, {"GET": ("/users/{id}/contacts",), "POST": ("/users/{id}/contacts",)}),
    "Mail.Send": (3, {"POST": ("/users/{id}/sendMail",)}),
    "Mail.Read": (3, {"GET": ("/me/messages",)}),
    "Sites.Read.All": (4, {"GET": ("/sites/{id}",)}),
    "Organization.Read.All": (3, {"GET": ("/organization",)}),
    "AppRoleAssignment.ReadWrite.All": (5, {"POST": ("/servicePrincipals/{id}/appRoleAssignments",)}),
}
HELD = (
    (CLAIMS, "User.Read.All"), (CLAIMS, "Device.Read.All"), (CLAIMS, "Contacts.ReadWrite"), (CLAIMS, "Mail.Send"),
    (AGENTS["letters"], "User.Read.All"), (AGENTS["admin"], "AppRoleAssignment.ReadWrite.All"),
    (RESEARCH, "Organization.Read.All"), (AGENTS["sites"], "Sites.Read.All"), (AGENTS["groups"], "Group.Read.All"),
)  # fmt: skip
CONSENTS = ((RESEARCH, "Mail.Read"),)
ASKED = (
    # who, method, path, and the user on whose behalf
    (AGENTS["intake"], "GET", "/users/{thing}", None),
    (AGENTS["intake"], "GET", "/users/{thing}/contacts", None),
    (AGENTS["devices"], "GET", "/devices", None),
    (AGENTS["letters"], "GET", "/users", None),
    (RESEARCH, "GET", "/organization", None),
    (AGENTS["sites"], "GET", "/sites/{thing}", None),
    (AGENTS["groups"], "GET", "/groups", None),
    (AGENTS["assistant"], "GET", "/me/messages", ANN),
)


def write_exports(folder: Path) -> None:
    """Write the exports below a folder: `exports` to load, and the map of Graph's permissions beside it."""
    for name, document in _documents():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")


def grant(holder: str, permission: str) -> str:
    return f"{holder}-{permission}"


def permission_id(access: str, permission: str) -> str:
    return guid(0x100 + 2 * sorted(PATHS).index(permission) + (access == "delegated"))


def _documents() -> Iterator[tuple[str, Any]]:
    yield "map.json", {"permissions": dict(_map())}
    yield "operations.json", [_provider()]
    yield "exports/users.json", _page("users", [
        {"id": ANN, "displayName": "Ann", "userPrincipalName": "ann@x.example", "accountEnabled": True},
        {"id": BOB, "displayName": "Bob", "userPrincipalName": "bob@x.example", "accountEnabled": True},
        {"id": LEFT, "displayName": "Left", "userPrincipalName": "left@x.example", "accountEnabled": False},
    ])  # fmt: skip
    yield "exports/agentUsers.json", _page("users/microsoft.graph.agentUser", [
        {"id": PRICING_USER, "displayName": "Pricing user", "userPrincipalName": "pricing@x.example",
         "accountEnabled": True, "identityParentId": AGENTS["pricing"]},
    ])  # fmt: skip
    yield "exports/servicePrincipals.json", _page("servicePrincipals", [_graph()])
    yield (
        "exports/blueprintPrincipals.json",
        _page(
            "servicePrincipals/microsoft.graph.agentIdentityBlueprintPrincipal",
            [_principal(CLAIMS, "Claims", appId=CLAIMS_APP), _principal(RESEARCH, "Research", appId=RESEARCH_APP)],
        ),
    )
    yield "exports/agents.json", _page(
        "servicePrincipals/microsoft.graph.agentIdentity(owners(),sponsors())",
        [
            _principal(id_, name.title(), servicePrincipalType="ServiceIdentity", owners=[],
                       agentIdentityBlueprintId=CLAIMS_APP if name in OF_CLAIMS else RESEARCH_APP,
                       sponsors=[{"id": LEFT if name == "archive" else BOB}])
            for name, id_ in AGENTS.items()
        ],
    )  # fmt: skip
    yield "exports/blueprints.json", _page("applications/microsoft.graph.agentIdentityBlueprint(owners(),sponsors())", [
        {"id": CLAIMS_OBJECT, "appId": CLAIMS_APP, "displayName": "Claims", "owners": [{"id": ANN}],
         "sponsors": [{"id": BOB}]},
        {"id": RESEARCH_OBJECT, "appId": RESEARCH_APP, "displayName": "Research", "owners": [],
         "sponsors": [{"id": BOB}]},
    ])  # fmt: skip
    for object_id, scopes, roles in (
        (CLAIMS_OBJECT, _pattern("allAllowed", "Scopes"), _pattern("allAllowed", "Roles")),
        (
            RESEARCH_OBJECT,
            _pattern("enumerated", "Scopes") | {"scopes": ["Mail.Read"]},
            _pattern("allAllowed", "Roles"),
        ),
    ):
        yield (
            f"exports/inheritable-{object_id}.json",
            _page(
                f"applications('{object_id}')/inheritablePermissions",
                [{"resourceAppId": GRAPH_APP, "inheritableScopes": scopes, "inheritableRoles": roles}],
            ),
        )
    yield "exports/appRoleAssignedTo.json", _page(f"servicePrincipals('{GRAPH}')/appRoleAssignedTo", [
        {"id": grant(holder, name), "appRoleId": permission_id("application", name), "principalId": holder,
         "principalType": "ServicePrincipal", "resourceId": GRAPH, "resourceDisplayName": "Microsoft Graph",
         "createdDateTime": "2025-02-01T08:00:00Z"}
        for holder, name in HELD
    ])  # fmt: skip
    yield "exports/oauth2PermissionGrants.json", _page("oauth2PermissionGrants", [
        {"id": grant(holder, name), "clientId": holder, "consentType": "AllPrincipals", "principalId": None,
         "resourceId": GRAPH, "scope": name}
        for holder, name in CONSENTS
    ])  # fmt: skip
    yield "exports/MicrosoftGraphActivityLogs.json", list(_requests())
    yield "exports/roleDefinitions.json", [_role()]
    yield "exports/roleAssignments.json", [_assignment()]
    yield "exports/activity.json", [_call()]


def _page(context: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{context}", "value": records}


def _pattern(kind: str, word: str) -> dict[str, Any]:
    return {"@odata.type": f"#microsoft.graph.{kind}{word}", "kind": kind}


def _principal(id_: str, name: str, **more: Any) -> dict[str, Any]:
    made = {"id": id_, "displayName": name, "accountEnabled": True, "servicePrincipalType": "Application"}
    return made | {"createdDateTime": "2025-01-01T08:00:00Z"} | more


def _graph() -> dict[str, Any]:
    roles = [{"id": permission_id("application", name), "value": name, "isEnabled": True,
              "allowedMemberTypes": ["Application"]} for name in PATHS]  # fmt: skip
    scopes = [{"id": permission_id("delegated", name), "value": name, "isEnabled": True} for name in PATHS]
    return _principal(GRAPH, "Microsoft Graph", appId=GRAPH_APP, appRoles=roles, oauth2PermissionScopes=scopes)


def _map() -> Iterator[tuple[str, Any]]:
    kinds = ["Application", "DelegatedWork"]
    for name, (level, methods) in PATHS.items():
        yield (
            name,
            {
                "schemes": {kind: {"privilegeLevel": level, "requiresAdminConsent": True} for kind in kinds},
                "pathSets": [
                    {"schemeKeys": kinds, "methods": [method], "paths": dict.fromkeys(paths, "")}
                    for method, paths in methods.items()
                ],
            },
        )


def _requests() -> Iterator[dict[str, Any]]:
    for number, (who, method, path, user) in enumerate(ASKED):
        for day in range(0, DAYS, 3):
            at = dt.datetime.combine(FIRST, dt.time(9, number)) + dt.timedelta(days=day)
            yield {
                "TimeGenerated": at.isoformat() + "Z",
                "Type": "MicrosoftGraphActivityLogs",
                "AppId": {CLAIMS: CLAIMS_APP, RESEARCH: RESEARCH_APP}.get(who, who),
                "UserId": user or "",
                "ServicePrincipalId": "" if user else who,
                "RequestId": guid(0x10000 + 100 * number + day),
                "RequestMethod": method,
                "RequestUri": f"https://graph.microsoft.com/v1.0{path.replace('{thing}', guid(0x70))}",
                "ResponseStatusCode": 200,
            }


_ACTIONS = tuple(f"Microsoft.Compute/virtualMachines/{verb}" for verb in ("start/action", "write", "runCommand/action"))


def _provider() -> dict[str, Any]:
    operations = [
        {"name": name, "isDataAction": False} for name in (*_ACTIONS, "Microsoft.Compute/virtualMachines/read")
    ]
    return {"name": "Microsoft.Compute", "operations": [],
            "resourceTypes": [{"name": "virtualMachines", "operations": operations}]}  # fmt: skip


def _role() -> dict[str, Any]:
    return {"id": f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}", "name": ROLE,
            "type": "Microsoft.Authorization/roleDefinitions", "roleName": "Batch Operator", "roleType": "CustomRole",
            "assignableScopes": [SUB],
            "permissions": [{"actions": list(_ACTIONS), "notActions": [], "dataActions": [], "notDataActions": []}],
            }  # fmt: skip


def _assignment() -> dict[str, Any]:
    name = guid(0x43)
    return {"id": f"{RG}/providers/Microsoft.Authorization/roleAssignments/{name}", "name": name, "scope": RG,
            "type": "Microsoft.Authorization/roleAssignments", "principalId": AGENTS["pricing"],
            "principalType": "ServicePrincipal", "createdOn": "2025-02-01T08:00:00Z",
            "roleDefinitionId": f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}"}  # fmt: skip


def _call() -> dict[str, Any]:
    oid = "http://schemas.microsoft.com/identity/claims/objectidentifier"
    return {
        "authorization": {"action": _ACTIONS[0], "scope": VM},
        "caller": AGENTS["pricing"],
        "claims": {oid: AGENTS["pricing"], "appid": AGENTS["pricing"]},
        "category": {"value": "Administrative"},
        "correlationId": guid(0x44),
        "eventDataId": guid(0x45),
        "eventTimestamp": f"{AS_OF - dt.timedelta(days=9)}T10:00:00Z",
        "operationName": {"value": _ACTIONS[0]},
        "resourceId": VM,
        "status": {"value": "Succeeded"},
        "subscriptionId": guid(0x41),
    }
