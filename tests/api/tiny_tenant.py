"""Exports of a tenant that fits on a page: two people, one subscription, and a quarter of its Activity Log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
SCOPE = f"/subscriptions/{SUBSCRIPTION}"
MEI, PAT = (f"{n}{n}{n}{n}{n}{n}{n}{n}-1111-4111-8111-000000000001" for n in "12")
MACHINE = f"{SCOPE}/resourceGroups/rg-app/providers/Microsoft.Compute/virtualMachines/vm1"
START = "Microsoft.Compute/virtualMachines/start/action"
CONTRIBUTOR, READER = "b24988ac-6180-42a0-ab88-20f7382dd24c", "acdd72a7-3385-48ef-bd42-f606fba81ae7"
COVERS = "2026-01-01..2026-03-31"

_ACTIONS = ("read", "write", "delete", "start/action", "restart/action")
_TYPES = {"virtualMachines": _ACTIONS, "disks": ("read", "write")}


def _role(guid: str, name: str, **actions: list[str]) -> dict[str, Any]:
    block = {"actions": [], "notActions": [], "dataActions": [], "notDataActions": []} | actions
    return {
        "name": guid,
        "id": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{guid}",
        "roleName": name,
        "roleType": "BuiltInRole",
        "type": "Microsoft.Authorization/roleDefinitions",
        "description": "",
        "permissions": [block],
        "assignableScopes": ["/"],
    }


def _assignment(number: int, principal: str, role: str) -> dict[str, Any]:
    name = f"{number:08d}-2222-4222-8222-222222222222"
    return {
        "id": f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "principalId": principal,
        "principalType": "User",
        "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role}",
        "scope": SCOPE,
        "createdOn": "2025-01-01T00:00:00Z",
    }


def _call(day: str) -> dict[str, Any]:
    number = f"{int(day.replace('-', '')):012d}"
    return {
        "authorization": {"action": START, "role": None, "scope": MACHINE},
        "caller": "mei@example.com",
        "category": {"localizedValue": "Administrative", "value": "Administrative"},
        "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": MEI},
        "correlationId": f"33333333-3333-4333-8333-{number}",
        "eventDataId": f"44444444-4444-4444-8444-{number}",
        "eventName": {"localizedValue": "End request", "value": "EndRequest"},
        "eventTimestamp": f"{day}T08:00:00Z",
        "id": f"{MACHINE}/events/44444444-4444-4444-8444-{number}/ticks/1",
        "operationName": {"localizedValue": START, "value": START},
        "resourceId": MACHINE,
        "status": {"localizedValue": "Succeeded", "value": "Succeeded"},
        "subStatus": {"localizedValue": "", "value": ""},
        "subscriptionId": SUBSCRIPTION,
    }


def write_exports(folder: Path) -> None:
    """Write the exports into a new folder."""
    operations = [
        {
            "name": "Microsoft.Compute",
            "displayName": "Microsoft Compute",
            "id": "/providers/Microsoft.Authorization/providerOperations/Microsoft.Compute",
            "operations": [],
            "resourceTypes": [
                {
                    "name": kind,
                    "displayName": kind,
                    "operations": [
                        {"name": f"Microsoft.Compute/{kind}/{action}", "displayName": action, "isDataAction": False}
                        for action in actions
                    ],
                }
                for kind, actions in _TYPES.items()
            ],
        }
    ]
    users = [
        {"id": id_, "displayName": name, "userPrincipalName": f"{name.lower()}@example.com", "userType": "Member",
         "createdDateTime": "2025-01-01T00:00:00Z"}
        for id_, name in ((MEI, "Mei"), (PAT, "Pat"))
    ]  # fmt: skip
    exclusions = ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"]
    files: dict[str, Any] = {
        "operations.json": operations,
        "roles.json": [
            _role(CONTRIBUTOR, "Contributor", actions=["*"], notActions=exclusions),
            _role(READER, "Reader", actions=["*/read"]),
        ],
        "assignments.json": [_assignment(1, MEI, CONTRIBUTOR), _assignment(2, PAT, READER)],
        "subscriptions.json": [
            {
                "cloudName": "AzureCloud",
                "id": SUBSCRIPTION,
                "isDefault": True,
                "name": "Production",
                "state": "Enabled",
                "tenantId": MEI,
            }
        ],
        "users.json": {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": users},
        "activity.json": [_call(day) for day in ("2026-01-10", "2026-02-10", "2026-03-30")],
    }
    folder.mkdir()
    for name, document in files.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
