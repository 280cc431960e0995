"""Write the cast's directory roles, their use, and the audit log that shows it, in three shapes.

The log is an export of Microsoft Graph for the oldest days, of a diagnostic setting for the days in the middle, and a
table of Log Analytics for the newest days. Neighbouring exports overlap, so many records are in two files.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder, below, guid, json_text

_ROLES = "roleManagement/directory"
_GRAPH_UNTIL, _TABLE_FROM, _OVERLAP = 75, 35, 4
_ACTIVATION = "Add member to role completed (PIM activation)"
# Activations: principal, days ago, and whether with a reason.
_ACTIVATIONS = (("priya-roles", 61, True), ("priya-roles", 27, False))
_HOURS = 4


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    text = files("rightsize.demo").joinpath("data", name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines(), strict=True))


@cache
def _defined() -> tuple[dict[str, Any], ...]:
    text = files("rightsize.demo").joinpath("data", "directory_roles.json").read_text(encoding="utf-8")
    return tuple(json.loads(text))


def write_directory_roles(tenant: SampleTenant, folder: Folder) -> None:
    """Write directory roles, their assignments, requests to activate them, and the audit log."""
    roles = [_role(role) for role in _defined()]
    folder.write_graph("directory-roles", f"{_ROLES}/roleDefinitions", roles)
    held = [_holding(tenant, row) for row in _rows("directory_assignments.csv")]
    active = [row for row in held if "startDateTime" not in row]
    folder.write_graph("directory-role-assignments", f"{_ROLES}/roleAssignments", active)
    eligible = [row for row in held if "startDateTime" in row]
    folder.write_graph("directory-role-eligibility", f"{_ROLES}/roleEligibilityScheduleInstances", eligible)
    requests = [_request(tenant, *one) for one in _ACTIVATIONS]
    folder.write_graph("directory-role-requests", f"{_ROLES}/roleAssignmentScheduleRequests", requests)
    _write_log(tenant, folder, sorted(_records(tenant), key=lambda one: (one["activityDateTime"], one["id"])))


def directory_truth(tenant: SampleTenant) -> dict[str, Any]:
    """Return the truth about directory roles: needs, the changes a plan should make, and activations."""
    people = people_of(tenant)
    needs = {
        (row["assignment"], people[row["actor"]].principal_id, row["action"], _place(tenant, row["unit"]))
        for row in _rows("directory_habits.csv")
        if row["assignment"] and int(row["last_ago"]) < 90
    }
    return {
        "assignments": [
            {
                "role_assignment_id": _id(tenant, row["key"]),
                "principal_id": people[row["holder"]].principal_id,
                "role_name": row["role"],
                "state": row["state"],
                "expected": row["expected"],
            }
            for row in _rows("directory_assignments.csv")
        ],
        "needs": [
            {"role_assignment_id": _id(tenant, key), "principal_id": who, "action": action, "scope": place}
            for key, who, action, place in sorted(needs)
        ],
        "activations": len(_ACTIVATIONS),
    }


def people_of(tenant: SampleTenant) -> Mapping[str, Principal]:
    """Return the cast by their keys in the data file."""
    keys = _rows("principals.csv")
    return {row["key"]: principal for row, principal in zip(keys, tenant.principals, strict=False)}


def _id(tenant: SampleTenant, key: str) -> str:
    # The directory's ids of assignments are case-sensitive text.
    plain = guid(tenant.spec.seed, "directory assignment", key).replace("-", "")
    return "".join(letter.upper() if number % 3 else letter for number, letter in enumerate(plain)) + "-1"


def unit_id(tenant: SampleTenant, unit: str) -> str:
    """Return the id of an administrative unit."""
    return guid(tenant.spec.seed, "unit", unit)


def _place(tenant: SampleTenant, unit: str) -> str:
    return f"/administrativeUnits/{unit_id(tenant, unit)}" if unit else "/"


def _role_id(name: str) -> str:
    return str(next(role["id"] for role in _defined() if role["displayName"] == name))


def _role(role: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": role["id"],
        "description": role["description"],
        "displayName": role["displayName"],
        "isBuiltIn": True,
        "isEnabled": True,
        "isPrivileged": role["isPrivileged"],
        "resourceScopes": ["/"],
        "templateId": role["id"],
        "version": "1",
        "rolePermissions": [{"allowedResourceActions": role["actions"], "condition": None}],
        "inheritsPermissionsFrom": [],
    }


def _holding(tenant: SampleTenant, row: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": _id(tenant, row["key"]),
        "principalId": people_of(tenant)[row["holder"]].principal_id,
        "roleDefinitionId": _role_id(row["role"]),
        "directoryScopeId": _place(tenant, row["scope"].strip("/")),
    }
    if row["state"] == "eligible":
        start = f"{tenant.spec.day_ago(int(row['days_old'])).isoformat()}T08:00:00Z"
        found |= {
            "appScopeId": None,
            "startDateTime": start,
            "endDateTime": None,
            "memberType": "Direct",
            "roleEligibilityScheduleId": guid(tenant.spec.seed, "directory schedule", row["key"]),
        }
    return found


def _request(tenant: SampleTenant, key: str, ago: int, reasoned: bool) -> dict[str, Any]:
    row = next(row for row in _rows("directory_assignments.csv") if row["key"] == key)
    principal = people_of(tenant)[row["holder"]].principal_id
    start = f"{tenant.spec.day_ago(ago).isoformat()}T09:05:00Z"
    return {
        "id": guid(tenant.spec.seed, "directory request", key, ago),
        "status": "Provisioned",
        "createdDateTime": start,
        "completedDateTime": start,
        "approvalId": None,
        "action": "selfActivate",
        "principalId": principal,
        "roleDefinitionId": _role_id(row["role"]),
        "directoryScopeId": row["scope"],
        "appScopeId": None,
        "justification": "New ward." if reasoned else None,
        "scheduleInfo": {
            "startDateTime": start,
            "recurrence": None,
            "expiration": {"type": "afterDuration", "endDateTime": None, "duration": f"PT{_HOURS}H"},
        },
    }


def _records(tenant: SampleTenant) -> Iterator[dict[str, Any]]:
    """Yield audit records in the form of Microsoft Graph; a service writes one every night, so every day has one."""
    days = tenant.spec.days
    for ago in range(days - 1, -1, -1):
        yield _record(tenant, ("nightly", ago), ago, 2, "Synchronization rule action", "Account Provisioning",
                      "ProvisioningManagement", {"app": {"displayName": "Azure AD Cloud Sync"}}, [])  # fmt: skip
    for number, row in enumerate(_rows("directory_habits.csv")):
        actor = people_of(tenant)[row["actor"]]
        for ago in range(min(int(row["first_ago"]), days - 1), int(row["last_ago"]) - 1, -int(row["every"])):
            target: dict[str, Any] = {"id": guid(tenant.spec.seed, "target", number, ago), "type": row["target"]}
            changed = [{"displayName": row["property"], "oldValue": None, "newValue": '"x"'}] if row["property"] else []
            target["modifiedProperties"] = changed
            if row["unit"]:
                target["administrativeUnits"] = [{"id": unit_id(tenant, row["unit"])}]
            yield _record(tenant, (number, ago), ago, int(row["hour"]), row["activity"], row["service"],
                          row["category"], _initiator(actor), [target])  # fmt: skip
    for key, ago, reasoned in _ACTIVATIONS:
        yield _activation(tenant, key, ago, reasoned)


def _initiator(actor: Principal) -> dict[str, Any]:
    if actor.kind in ("user", "guest"):
        names = {"displayName": actor.name, "userPrincipalName": actor.user_principal_name, "ipAddress": "198.51.100.7"}
        return {"user": {"id": actor.principal_id, **names}, "app": None}
    return {
        "user": None,
        "app": {"appId": actor.app_id, "displayName": actor.name, "servicePrincipalId": actor.principal_id},
    }


def _record(
    tenant: SampleTenant, name: tuple[object, ...], ago: int, hour: int, activity: str, service: str, category: str,
    initiator: dict[str, Any], targets: list[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    seed = tenant.spec.seed
    minute = below(3600, seed, "audit", *name)
    time = dt.datetime.combine(tenant.spec.day_ago(ago), dt.time(hour)) + dt.timedelta(seconds=minute)
    correlation = guid(seed, "audit", *name)
    return {
        "id": f"Directory_{correlation}_{minute}",
        "category": category,
        "correlationId": correlation,
        "result": "success",
        "resultReason": "",
        "activityDisplayName": activity,
        "activityDateTime": time.isoformat() + "Z",
        "loggedByService": service,
        "operationType": "Update",
        "initiatedBy": initiator,
        "targetResources": targets,
        "additionalDetails": [],
    }


def _activation(tenant: SampleTenant, key: str, ago: int, reasoned: bool) -> dict[str, Any]:
    row = next(row for row in _rows("directory_assignments.csv") if row["key"] == key)
    actor = people_of(tenant)[row["holder"]]
    start = dt.datetime.combine(tenant.spec.day_ago(ago), dt.time(9, 5))
    details = {
        "RoleDefinitionOriginId": _role_id(row["role"]),
        "StartTime": start.isoformat() + "Z",
        "ExpirationTime": (start + dt.timedelta(hours=_HOURS)).isoformat() + "Z",
        **({"Justification": "New ward."} if reasoned else {}),
    }
    targets = [
        {"id": _role_id(row["role"]), "type": "Role", "displayName": row["role"], "modifiedProperties": []},
        {"id": actor.principal_id, "type": "User", "modifiedProperties": []},
    ]
    record = _record(tenant, ("activation", key, ago), ago, 9, _ACTIVATION, "PIM", "RoleManagement",
                     _initiator(actor), targets)  # fmt: skip
    return record | {"additionalDetails": [{"key": name, "value": value} for name, value in details.items()]}


def _write_log(tenant: SampleTenant, folder: Folder, records: list[dict[str, Any]]) -> None:
    def between(first: int, last: int) -> list[dict[str, Any]]:
        """Return the records of the days from `first` to `last` days ago."""
        low, high = tenant.spec.day_ago(first).isoformat(), tenant.spec.day_ago(last).isoformat()
        return [one for one in records if low <= one["activityDateTime"][:10] <= high]

    oldest = between(10_000, _GRAPH_UNTIL)
    folder.write_graph("directory-audits", "auditLogs/directoryAudits", oldest)
    middle = [_diagnostic(tenant, one) for one in between(_GRAPH_UNTIL + _OVERLAP, _TABLE_FROM)]
    text = "".join(json_text(one) + "\n" for one in middle)
    folder.write("directory/insights-logs-auditlogs/PT1H.json", text.encode(), records=len(middle))
    newest = [_table_row(tenant, one) for one in between(_TABLE_FROM + _OVERLAP, 0)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(newest[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(newest)
    folder.write("directory/AuditLogs.csv", stream.getvalue().encode("utf-8-sig"), records=len(newest))


def _diagnostic(tenant: SampleTenant, record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "time": record["activityDateTime"],
        "resourceId": f"/tenants/{tenant.tenant_id}/providers/Microsoft.aadiam",
        "operationName": record["activityDisplayName"],
        "operationVersion": "1.0",
        "category": "AuditLogs",
        "tenantId": tenant.tenant_id,
        "resultSignature": "None",
        "durationMs": 0,
        "callerIpAddress": "198.51.100.7",
        "correlationId": record["correlationId"],
        "Level": 4,
        "properties": dict(record),
    }


def _table_row(tenant: SampleTenant, record: Mapping[str, Any]) -> dict[str, Any]:
    time = dt.datetime.fromisoformat(record["activityDateTime"].rstrip("Z"))
    clock = f"{time.month}/{time.day}/{time.year}, {time.hour % 12 or 12}:{time:%M:%S}.000 {time:%p}"
    return {
        "TimeGenerated [UTC]": clock,
        "TenantId": tenant.tenant_id,
        "Id": record["id"],
        "OperationName": record["activityDisplayName"],
        "Category": record["category"],
        "CorrelationId": record["correlationId"],
        "LoggedByService": record["loggedByService"],
        "Result": record["result"],
        "ResultReason": record["resultReason"],
        "InitiatedBy": json_text(record["initiatedBy"]),
        "TargetResources": json_text(record["targetResources"]),
        "AdditionalDetails": json_text(record["additionalDetails"]),
        "Type": "AuditLogs",
    }
