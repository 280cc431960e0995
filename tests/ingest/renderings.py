"""Write one abstract call in every shape in which the Activity Log is exported."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

_SUBSCRIPTION = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"
_OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_SCP = "http://schemas.microsoft.com/identity/claims/scope"

# (status in the SDK and REST, in diagnostic records, in Log Analytics, HTTP name, HTTP code, error code)
STATUSES = {
    "started": ("Started", "Start", "Start", "", 0, None),
    "accepted": ("Accepted", "Accept", "Accept", "Accepted", 202, None),
    "succeeded": ("Succeeded", "Success", "Success", "Created", 201, None),
    "failed": ("Failed", "Failure", "Failure", "Conflict", 409, "StorageAccountAlreadyTaken"),
    "denied": ("Failed", "Failure", "Failure", "Forbidden", 403, "AuthorizationFailed"),
    "policy": ("Failed", "Failure", "Failure", "Forbidden", 403, "RequestDisallowedByPolicy"),
}


@dataclass(frozen=True)
class Call:
    """One log record of a call, free of any shape."""

    number: int
    status: str = "succeeded"
    time: dt.datetime = dt.datetime(2025, 3, 4, 5, 6, 7, 890000)
    operation: str = "Microsoft.Compute/virtualMachines/write"
    resource: str = f"{_SUBSCRIPTION}/resourceGroups/Rg-1/providers/Microsoft.Compute/virtualMachines/vm1"
    is_user: bool = True
    category: str = "Administrative"
    has_evidence: bool = True
    body: str = ""

    @property
    def correlation(self) -> str:
        return str(uuid.UUID(int=1 << 100 | self.number))

    @property
    def event_id(self) -> str:
        return str(uuid.UUID(int=2 << 100 | self.number * 10 + list(STATUSES).index(self.status)))

    @property
    def oid(self) -> str:
        return str(uuid.UUID(int=3 << 100 | self.number % 7 << 1 | self.is_user))

    @property
    def upn(self) -> str | None:
        return f"user{self.number % 7}@contoso.example" if self.is_user else None

    @property
    def stamp(self) -> str:
        return self.time.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"

    @property
    def claims(self) -> dict[str, str]:
        claims = {
            "aud": "https://management.azure.com/",
            "appid": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            _OID: self.oid,
        }
        return claims | (
            {_UPN: self.upn, _SCP: "user_impersonation", "name": "Some Body"} if self.upn else {"idtyp": "app"}
        )

    @property
    def authorization(self) -> dict[str, Any]:
        evidence = {
            "role": "Contributor",
            "roleAssignmentScope": _SUBSCRIPTION,
            "roleAssignmentId": "123abc2a6c314b0ab03a891259123abc",
            "roleDefinitionId": "b24988ac618042a0ab8820f7382dd24c",
            "principalId": self.oid.replace("-", ""),
            "principalType": "User" if self.is_user else "ServicePrincipal",
        }
        plain = {"action": self.operation, "scope": self.resource}
        return plain | ({"evidence": evidence} if self.has_evidence else {})

    @property
    def properties(self) -> dict[str, str]:
        *_, name, _, code = STATUSES[self.status]
        properties = {"eventCategory": self.category, "entity": self.resource, "message": self.operation}
        if name:
            properties["statusCode"] = name
        if self.body:
            properties["requestbody"] = self.body
        if code:
            properties["statusMessage"] = json.dumps({"error": {"code": code, "message": "for some reason"}})
        return properties


def diagnostic(call: Call) -> dict[str, Any]:
    """Return the record of a diagnostic setting; resource ids are in capitals there."""
    _, status, _, name, _, _ = STATUSES[call.status]
    return {
        "time": call.stamp,
        "resourceId": call.resource.upper(),
        "operationName": call.operation.upper(),
        "category": "Write",
        "resultType": status,
        "resultSignature": f"{status}.{name}",
        "durationMs": "12",
        "callerIpAddress": "203.0.113.7",
        "correlationId": call.correlation,
        "identity": {"authorization": call.authorization, "claims": call.claims},
        "level": "Information",
        "location": "global",
        "properties": call.properties,
    }


def rest(call: Call) -> dict[str, Any]:
    """Return an event as REST and `az monitor activity-log list` have it."""
    status, _, _, name, code, _ = STATUSES[call.status]
    return {
        "authorization": call.authorization,
        "caller": call.upn or call.oid,
        "category": {"value": call.category, "localizedValue": "Verwaltung"},
        "claims": call.claims,
        "correlationId": call.correlation,
        "eventDataId": call.event_id,
        "eventName": {"value": "EndRequest", "localizedValue": "Anforderung beenden"},
        "eventTimestamp": call.stamp,
        "httpRequest": {"clientIpAddress": "203.0.113.7", "method": "PUT"},
        "operationId": call.correlation,
        "operationName": {"value": call.operation, "localizedValue": "Virtuellen Computer erstellen"},
        "properties": call.properties,
        "resourceId": call.resource,
        "status": {"value": status, "localizedValue": "Irgendwie"},
        "subStatus": {"value": name, "localizedValue": f"{name} (HTTP Status Code: {code})" if code else ""},
        "submissionTimestamp": (call.time + dt.timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def sdk(call: Call) -> dict[str, Any]:
    """Return an event as the Python SDK dumps it."""
    status, _, _, name, _, _ = STATUSES[call.status]
    return {
        "authorization": call.authorization,
        "claims": call.claims,
        "caller": call.upn or call.oid,
        "event_data_id": call.event_id,
        "correlation_id": call.correlation,
        "category": {"value": call.category, "localized_value": call.category},
        "http_request": {"client_ip_address": "203.0.113.7", "method": "PUT"},
        "resource_id": call.resource,
        "operation_name": {"value": call.operation, "localized_value": call.operation},
        "properties": call.properties,
        "status": {"value": status, "localized_value": status},
        "sub_status": {"value": name, "localized_value": name},
        "event_timestamp": call.stamp.replace("0Z", "Z"),
        "submission_timestamp": (call.time + dt.timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def table_row(call: Call) -> dict[str, Any]:
    """Return a row of AzureActivity, JSON inside its columns."""
    _, _, status, name, code, _ = STATUSES[call.status]
    return {
        "TenantId": "9bf6c7ea-0000-4000-8000-000000000000",
        "TimeGenerated": call.stamp,
        "OperationNameValue": call.operation.upper(),
        "OperationName": "Virtuellen Computer erstellen",
        "ActivityStatusValue": status,
        "ActivityStatus": "",
        "ActivitySubstatusValue": f"{name} (HTTP Status Code: {code})" if code else "",
        "Authorization": json.dumps(call.authorization, indent=1),
        "Authorization_d": json.dumps(call.authorization),
        "Caller": call.upn or call.oid,
        "CallerIpAddress": "203.0.113.7",
        "CategoryValue": call.category,
        "Claims": json.dumps(call.claims),
        "Claims_d": json.dumps(call.claims),
        "CorrelationId": call.correlation,
        "EventDataId": call.event_id,
        "EventSubmissionTimestamp": (call.time + dt.timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
        "HTTPRequest": json.dumps({"clientIpAddress": "203.0.113.7"}),
        "Properties": json.dumps(call.properties),
        "Properties_d": json.dumps(call.properties),
        "ResourceId": call.resource.upper(),
        "_ResourceId": call.resource.lower(),
        "SubscriptionId": "0b1f6471-1bf0-4dda-aec3-cb9272f09590",
        "Type": "AzureActivity",
    }


def legacy_row(call: Call) -> dict[str, Any]:
    """Return a row of AzureActivity with the columns that it had before 2021."""
    row = table_row(call)
    keep = {
        name: row[name]
        for name in (
            "TimeGenerated",
            "Authorization",
            "Caller",
            "CallerIpAddress",
            "CorrelationId",
            "EventDataId",
            "Properties",
        )
    }
    keep |= {"Claims": row["Claims"], "ResourceId": row["ResourceId"], "OperationName": "Virtuellen Computer erstellen"}
    return keep | {
        "ActivityStatus": STATUSES[call.status][0],
        "ActivitySubstatus": row["ActivitySubstatusValue"],
        "Category": call.category,
    }


def _lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _csv(rows: Sequence[dict[str, Any]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["TimeGenerated", "Type", "Caller"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _portal_csv(calls: Sequence[Call]) -> bytes:
    """Return what the portal's logs page exports: a byte-order mark, a zone in the header, American times."""
    rows = []
    for call in calls:
        row = table_row(call)
        clock = call.time.strftime("%I:%M:%S.%f").lstrip("0")[:-3]
        american = f"{call.time.month}/{call.time.day}/{call.time.year}, {clock} {call.time.strftime('%p')}"
        rows.append({"TimeGenerated [UTC]": american, **{k: v for k, v in row.items() if k != "TimeGenerated"}})
    return b"\xef\xbb\xbf" + _csv(rows).encode()


def _table_result(calls: Sequence[Call]) -> bytes:
    rows = [table_row(call) for call in calls]
    names = list(rows[0]) if rows else ["TimeGenerated", "Type", "Caller"]
    columns = [{"name": name, "type": "string"} for name in names]
    cells = [[row[name] for name in names] for row in rows]
    return json.dumps({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": cells}]}).encode()


def _parquet(calls: Sequence[Call]) -> bytes:
    rows = [table_row(call) | {"TimeGenerated": call.time.replace(tzinfo=dt.UTC)} for call in calls]
    out = io.BytesIO()
    pl.DataFrame(rows).write_parquet(out)
    return out.getvalue()


SHAPES: dict[str, Callable[[Sequence[Call]], bytes]] = {
    "diagnostic-lines": lambda calls: _lines([diagnostic(call) for call in calls]),
    "diagnostic-lines.gz": lambda calls: gzip.compress(_lines([diagnostic(call) for call in calls])),
    "event-hub": lambda calls: json.dumps({"records": [diagnostic(call) for call in calls]}).encode(),
    "event-hub-lines": lambda calls: _lines([{"records": [diagnostic(call)]} for call in calls]),
    "az-list": lambda calls: json.dumps([rest(call) for call in calls], indent=2).encode(),
    "rest-pages": lambda calls: json.dumps({"value": [rest(call) for call in calls], "nextLink": "https://x"}).encode(),
    "rest-pages-twice": lambda calls: b"".join(
        json.dumps({"value": [rest(call)]}, indent=1).encode() for call in calls
    ),
    "rest-lines": lambda calls: _lines([rest(call) for call in calls]),
    "sdk-lines": lambda calls: _lines([sdk(call) for call in calls]),
    "stringified": lambda calls: _lines(
        [
            diagnostic(call)
            | {"identity": json.dumps(diagnostic(call)["identity"]), "properties": json.dumps(call.properties)}
            for call in calls
        ]
    ),
    "small-letters": lambda calls: _lines([{k.lower(): v for k, v in diagnostic(call).items()} for call in calls]),
    "table-result": _table_result,
    "table-list": lambda calls: json.dumps([table_row(call) for call in calls]).encode(),
    "table-lines": lambda calls: _lines([table_row(call) for call in calls]),
    "legacy-lines": lambda calls: _lines([legacy_row(call) for call in calls]),
    "table-csv": lambda calls: _csv([table_row(call) for call in calls]).encode(),
    "table-tsv": lambda calls: _csv([table_row(call) for call in calls], "\t").encode(),
    "portal-csv": _portal_csv,
    "table-parquet": _parquet,
    "utf-16": lambda calls: json.dumps([rest(call) for call in calls]).encode("utf-16"),
}


def write(folder: Path, shape: str, calls: Sequence[Call]) -> Path:
    """Write the calls in a shape, under a name that says nothing about it."""
    path = folder / "export"
    path.write_bytes(SHAPES[shape](calls))
    return path
