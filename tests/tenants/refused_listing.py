"""A tenant of two subscriptions, of which the listing of role assignments of the second was refused.

Ann and a group hold a role in the first subscription. Bob is in no group by what is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ANN, BOB, READER, TENANT = (f"{number}0000000-0000-4000-8000-000000000000" for number in "1239")
TEAM = "40000000-0000-4000-8000-000000000000"
WRITER = "70000000-0000-4000-8000-000000000000"
LISTED, REFUSED = (f"/subscriptions/6000000{number}-0000-4000-8000-000000000000" for number in "12")
WRITE = "Microsoft.Compute/virtualMachines/write"
AUTHORIZATION = "/providers/Microsoft.Authorization"
ERROR = "403 AuthorizationFailed"
COMMAND = f"az role assignment list --all --include-inherited --subscription {REFUSED.rpartition('/')[2]} -o json"


def assignment(number: int, principal: str, scope: str, kind: str = "User") -> dict[str, Any]:
    """A role assignment of the one role, as ARM lists it."""
    name = f"{number:08d}-aaaa-4000-8000-000000000000"
    return {
        "id": f"{scope}{AUTHORIZATION}/roleAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "principalId": principal,
            "principalType": kind,
            "roleDefinitionId": f"{AUTHORIZATION}/roleDefinitions/{WRITER}",
            "scope": scope,
        },
    }


def url(scope: str, kind: str = "roleAssignments") -> str:
    """The command that a script asked with, as a manifest has it."""
    return f"az rest --method get --url '{scope}{AUTHORIZATION}/{kind}?api-version=2022-04-01'"


def entry(path: str, kind: str, query: str, rows: int, error: str | None = None) -> dict[str, Any]:
    """An entry of a manifest."""
    return {"path": path, "kind": kind, "query": query, "subscriptions": "tenant", "complete": error is None,
            "rows": rows, "error": error}  # fmt: skip


def manifest(*entries: dict[str, Any]) -> dict[str, Any]:
    """A manifest of a folder of exports."""
    return {"format": "rightsize-exports/1", "tenant_id": TENANT, "reader": {"id": READER, "name": "r"},
            "started": "2026-09-01T00:00:00Z", "finished": "2026-09-01T01:00:00Z", "files": list(entries)}  # fmt: skip


def documents(*, members: bool = True, refused: bool = True) -> dict[str, Any]:
    """The files of the tenant, by path.

    Args:
        members: Whether the members of the group are listed.
        refused: Whether the second listing was refused; else it is there, and empty.
    """
    block = {"actions": ["Microsoft.Compute/*"], "notActions": [], "dataActions": [], "notDataActions": []}
    found: dict[str, Any] = {
        "role_assignments/one.json": {
            "value": [assignment(1, ANN, LISTED), assignment(2, TEAM, LISTED, "Group")],
        },
        "roles.json": [
            {"name": WRITER, "roleName": "Writer", "roleType": "CustomRole", "permissions": [block],
             "type": "Microsoft.Authorization/roleDefinitions", "assignableScopes": ["/"], "description": ""}
        ],
        "subscriptions.json": [
            {"id": scope, "subscriptionId": scope.rpartition("/")[2], "displayName": name, "state": "Enabled"}
            for scope, name in ((LISTED, "Listed"), (REFUSED, "Refused"))
        ],
        "users.json": {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users",
            "value": [
                {"id": ANN, "displayName": "Ann", "userPrincipalName": "ann@example.com"},
                {"id": BOB, "displayName": "Bob", "userPrincipalName": "bob@example.com"},
            ],
        },
    }  # fmt: skip
    entries = [entry("role_assignments/one.json", "role_assignments", url(LISTED), 2)]
    if refused:
        entries.append(entry("role_assignments/two.json", "role_assignments", url(REFUSED), 0, ERROR))
    else:
        found["role_assignments/two.json"] = []
        entries.append(entry("role_assignments/two.json", "role_assignments", url(REFUSED), 0))
    if members:
        context = f"https://graph.microsoft.com/v1.0/$metadata#groups('{TEAM}')/members"
        member = {"@odata.type": "#microsoft.graph.user", "id": ANN, "displayName": "Ann"}
        found["members.json"] = {"@odata.context": context, "value": [member]}
    return found | {"manifest.json": manifest(*entries)}


def write_files(folder: Path, files: dict[str, Any]) -> Path:
    """Write files into a folder, and return it."""
    for name, document in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(document))
    return folder
