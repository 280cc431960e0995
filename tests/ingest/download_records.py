"""Write calls as the portal's Activity Log and `Get-AzActivityLog` have them; invented rows in published forms.

Sources: downloads named QueryResult.csv in public repositories (amitap16/azurefundamentals, Zahbee/
COE_DE_week5_assignment); Azure/azure-powershell, PSEventData, PSEventDataAuthorization, PSDictionaryElement.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rightsize.ingest.entities.log_tables import PORTAL_COLUMNS
from tests.ingest.renderings import STATUSES, Call

SHOWN = "Create or Update Virtual Machine"
APPLICATION = "Databricks Resource Provider"


def portal_row(call: Call, shown: str = SHOWN) -> list[str]:
    """Return a row of "Download as CSV": milliseconds, and the display names of the operation and an application."""
    place = call.resource.split("/")
    time = call.time.isoformat(timespec="milliseconds") + "Z"
    status = STATUSES[call.status][0]
    caller = call.upn or APPLICATION
    kind = f"{place[6]}/{place[7]}" if len(place) > 7 else ""
    return [
        call.correlation, shown, status, call.category, "Informational", time, place[2], caller, kind, place[4],
        call.resource,
    ]  # fmt: skip


def table(columns: Iterable[str], rows: Iterable[Iterable[str]], delimiter: str = ",", quoting: Any = 1) -> bytes:
    """Return a CSV as Windows writes it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def portal_csv(calls: Sequence[Call], shown: str = SHOWN) -> bytes:
    """Return the download of calls."""
    return table(PORTAL_COLUMNS, [portal_row(call, shown) for call in calls])


def powershell_event(call: Call, *, windows: bool = False) -> dict[str, Any]:
    """Return an event of `Get-AzActivityLog -DetailedOutput | ConvertTo-Json -Depth 5`, of PowerShell 7 or 5.1."""
    status, _, _, name, code, _ = STATUSES[call.status]
    milliseconds = (call.time - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)
    return {
        "Authorization": {
            "Scope": call.resource,
            "Action": call.operation,
            "Role": "Subscription Admin",
            "Condition": None,
        },
        "Claims": {"Content": call.claims},
        "Caller": call.upn or call.oid,
        "Description": "",
        "Id": f"{call.resource}/events/{call.event_id}/ticks/638000000000000000",
        "EventDataId": call.event_id,
        "CorrelationId": call.correlation,
        "EventName": "End request",
        "Category": call.category,
        "HttpRequest": {"ClientId": None, "Method": "PUT", "Url": "", "ClientIpAddress": "203.0.113.7"},
        "Level": 4,
        "ResourceGroupName": "Rg-1",
        "ResourceId": call.resource,
        "OperationName": SHOWN,
        "Properties": {"Content": call.properties},
        "Status": status,
        "SubStatus": f"{name} (HTTP Status Code: {code})" if code else "",
        "EventTimestamp": f"/Date({milliseconds})/" if windows else call.stamp,
        "SubmissionTimestamp": f"/Date({milliseconds + 120_000})/" if windows else call.stamp,
    }


def _shown(value: Any) -> str:
    """Return what PowerShell puts into a table for an object."""
    if isinstance(value, Mapping) and "Content" in value:
        return "".join(f"\r\n{key:<15}: {text}" for key, text in value["Content"].items())
    if isinstance(value, Mapping):
        return "".join(f"\r\n{key:<10}: {'' if text is None else text}" for key, text in value.items())
    return str(value)


def powershell_csv(calls: Sequence[Call]) -> bytes:
    """Return `Get-AzActivityLog | Export-Csv` of Windows PowerShell, where times happen to be in ISO 8601."""
    events = [powershell_event(call) for call in calls]
    rows = [[_shown(value) for value in event.values()] for event in events]
    return b"#TYPE Microsoft.Azure.Commands.Insights.OutputClasses.PSEventData\r\n" + table(events[0], rows)


def provider(*operations: tuple[str, str]) -> dict[str, Any]:
    """Return operations with their display names, as `az provider operation list` has a provider."""
    return {
        "id": "/providers/Microsoft.Authorization/providerOperations/Microsoft.Compute",
        "name": "Microsoft.Compute",
        "type": "Microsoft.Authorization/providerOperations",
        "operations": [],
        "resourceTypes": [
            {
                "name": "virtualMachines",
                "operations": [
                    {"name": name, "displayName": shown, "isDataAction": False} for name, shown in operations
                ],
            }
        ],
    }


CATALOGUE = json.dumps(
    [
        provider(
            ("Microsoft.Compute/virtualMachines/read", "Get Virtual Machine"),
            ("Microsoft.Compute/virtualMachines/write", SHOWN),
            ("Microsoft.Compute/virtualMachines/delete", "Delete Virtual Machine"),
        )
    ]
).encode()
