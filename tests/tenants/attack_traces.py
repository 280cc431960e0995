"""Records of what an attacker leaves behind, in the shapes of Azure's own logs, for tests of containment."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

SUBSCRIPTION = "5ad0a5a4-0000-4000-8000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-Shop"


def guid(name: str) -> str:
    """Return a GUID made from a name."""
    return str(uuid5(NAMESPACE_URL, name))


def instant(time: dt.datetime) -> str:
    """Return a time as the logs write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z")


def activity(who: str, operation: str, scope: str, time: dt.datetime, **more: Any) -> dict[str, Any]:
    """Return a diagnostic record of the Activity Log; `body` is the body of its request."""
    body = {"requestbody": json.dumps(more["body"])} if "body" in more else {}
    return {
        "time": instant(time),
        "resourceId": scope.upper(),
        "operationName": operation.upper(),
        "category": "Administrative",
        "resultType": more.get("result", "Success"),
        "resultSignature": "Succeeded.",
        "callerIpAddress": more.get("ip", "192.0.2.7"),
        "correlationId": guid(f"{who}{operation}{scope}{time}"),
        "identity": {
            "authorization": {"scope": scope, "action": operation, "evidence": {"role": "Contributor"}},
            "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": who},
        },
        "properties": {"statusCode": "OK", "eventCategory": "Administrative"} | body,
    }


def target(kind: str, id_: str, name: str = "", **properties: str) -> dict[str, Any]:
    """Return an object of a change; a property is `new`, or `old → new`, and a dot in its name is written as `__`."""
    changed = []
    for word, value in properties.items():
        old, arrow, new = value.rpartition(" → ")
        changed.append({"displayName": word.replace("__", "."), "oldValue": old if arrow else None, "newValue": new})
    name_of = {"userPrincipalName": name} if kind == "User" else {"displayName": name}
    return {"id": id_, "type": kind, "modifiedProperties": changed, **name_of}


def audit(who: str, activity_: str, time: dt.datetime, *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a record of the directory audit log as Graph's `directoryAudits` has it."""
    name = guid(f"{who}{activity_}{time}{json.dumps(targets)}")
    return {
        "id": f"Directory_{name}",
        "category": more.get("category", "ApplicationManagement"),
        "correlationId": name,
        "result": more.get("result", "success"),
        "resultReason": "",
        "activityDisplayName": activity_,
        "activityDateTime": instant(time),
        "loggedByService": more.get("service", "Core Directory"),
        "initiatedBy": {"user": {"id": who, "userPrincipalName": None}, "app": None},
        "targetResources": list(targets),
        "additionalDetails": [],
    }


def graph_request(who: str, method: str, path: str, time: dt.datetime, status: int = 201) -> dict[str, Any]:
    """Return a diagnostic record of a request to Microsoft Graph by a user."""
    return {
        "time": instant(time),
        "category": "MicrosoftGraphActivityLogs",
        "operationName": "Microsoft Graph Activity",
        "properties": {
            "requestId": guid(f"{who}{method}{path}{time}"),
            "requestMethod": method,
            "requestUri": f"https://graph.microsoft.com/v1.0{path}",
            "responseStatusCode": status,
            "userId": who,
            "appId": guid("cli"),
            "C_Idtyp": "user",
            "timeGenerated": instant(time),
        },
    }
