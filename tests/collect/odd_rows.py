"""Log rows that differ in every field that decides the result of a reduction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

GUIDS = ("11111111-aaaa-4bbb-8ccc-00000000000a", "22222222-BBBB-4ccc-8ddd-00000000000b")
Choose = Callable[[Sequence[Any]], Any]
Maker = Callable[[Choose], dict[str, Any]]

_IDS = (
    None,
    "",
    "no id",
    GUIDS[0],
    GUIDS[1],
    GUIDS[0].replace("-", ""),
    f"{{{GUIDS[1]}}}",
    f"/providers/Microsoft.Authorization/roleAssignments/{GUIDS[0]}",
)
_NAMES = (None, "", "Anna@Example.org", "anna@example.org", "ÅSA@example.org", "åsa@example.org", GUIDS[1])
_LINKED = (
    "The client 'x' has permission to perform action 'Microsoft.Web/sites/write' on scope '/s'; however, it does not "
    "have permission to perform action(s) 'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked "
    "scope(s) '/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v' (respectively)."
)
_MESSAGES = (
    None,
    "",
    "plain text",
    "does not have authorization to perform action 'x'",
    _LINKED,
    "something on the linked scope that cannot be read",
    '{"error":{"code":"AuthorizationFailed","message":"no"}}',
    '{"error":{"code":"LinkedAuthorizationFailed","message":"' + _LINKED + '"}}',
    '{"error":{"code":"LinkedAccessCheckFailed","message":"The client does not have authorization to perform action '
    "'Microsoft.Compute/disks/write' over scope '/subscriptions/s/resourceGroups/r' or the scope is invalid.\"}}",
    '{"code":"ScopeLocked"}',
    '{"Code":"requestdisallowedbypolicy"}',
    '{"error": 7}',
    "{broken",
)
_SCOPES = (
    "/subscriptions/S/resourceGroups/G",
    "/subscriptions/s/resourcegroups/g/",
    "/subscriptions/s/resourceGroups/GÖ",
    "/subscriptions/s/resourceGroups/gö",
    " /subscriptions/s ",
    "/",
    "no scope",
    "",
    None,
)
_OPERATIONS = (
    "Microsoft.Web/sites/Write", "MICROSOFT.WEB/SITES/WRITE", " Microsoft.Web/sites/write", "nonsense", "", None
)  # fmt: skip
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"
_ACCOUNT = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/acct"


def _time(choose: Choose) -> dt.datetime:
    return dt.datetime(2026, 9, 7, 22) + dt.timedelta(minutes=choose(range(200)))


def _call(choose: Choose) -> str:
    return f"{choose('cC')}{choose(range(300))}"


def activity_row(choose: Choose) -> dict[str, Any]:
    """Return a row of AzureActivity."""
    holder_type = choose(["User", "Group", None])
    evidence = {"roleAssignmentId": choose(_IDS), "principalId": choose(_IDS), "principalType": holder_type}
    nested = {
        "Authorization": {
            "action": choose(_OPERATIONS),
            "scope": choose(_SCOPES),
            "evidence": choose([None, evidence]),
        },
        "Claims": {
            choose([_OBJECT_ID, "oid"]): choose(_IDS),
            choose([_UPN, "email", "unique_name", "name"]): choose(_NAMES),
            "appid": choose(_IDS),
            "idtyp": choose([None, "app", "User"]),
        },
        "Properties": {
            "eventCategory": choose([None, "Administrative", "Administrative", "Policy"]),
            "statusCode": choose([None, "", "OK", "Forbidden", "403", "Conflict"]),
            "statusMessage": choose(_MESSAGES),
        },
    }
    row: dict[str, Any] = {
        "TimeGenerated": _time(choose),
        "EventSubmissionTimestamp": choose([None, _time(choose)]),
        "CategoryValue": choose(["Administrative", "ADMINISTRATIVE", "Policy", "", None, "Write"]),
        "ActivityStatusValue": choose(["Success", "SUCCEEDED", "Start", "Failure", "Accept", "Strange", "", None]),
        "ActivitySubstatusValue": choose(
            [None, "", "OK", "Forbidden (HTTP Status Code: 403)", "Created", "Failed.Forbidden", "202", "Conflict"]
        ),
        "OperationNameValue": choose(_OPERATIONS),
        "_ResourceId": choose(_SCOPES),
        "Caller": choose(_NAMES),
        "CallerIpAddress": "192.0.2.1",
        "CorrelationId": choose([None, *(_call(choose) for _ in range(9))]),
        "EventDataId": choose([None, _call(choose)]),
    }
    for name, value in nested.items():
        row[name + choose(["_d", "_d", "_d", ""])] = value
    return row


def storage_row(choose: Choose) -> dict[str, Any]:
    """Return a row of StorageBlobLogs."""
    entry = {
        "action": choose([f"{_BLOBS}read", f"{_BLOBS}Write", "Microsoft.Storage/unknown/action", "", None]),
        "roleAssignmentId": choose(_IDS),
        "principals": choose([[], [{"id": GUIDS[0], "type": "User"}], [{"id": GUIDS[1], "type": "Group"}]]),
        "result": choose(["Granted", "Denied", "", None]),
    }
    way = choose(["OAuth", "OAuth", "Kerberos", "SAS", "Account Key", "Anonymous", "", None])
    several = [entry, entry | {"action": f"{_BLOBS}delete"}]
    return {
        "TimeGenerated": _time(choose),
        "AuthenticationType": way,
        "AuthorizationDetails": choose([None, [], [entry], several]),
        "Category": choose(["StorageRead", "StorageWrite"]),
        # A request is signed in one way only.
        "CorrelationId": f"{_call(choose)}{way in ('SAS', 'Account Key', 'Anonymous')}",
        "ObjectKey": choose(["/acct/box/a", '"/acct/box/b"', "/acct", "", None]),
        "OperationCount": choose([0, 1, None]),
        "OperationName": choose(["GetBlob", "getblob", "PutBlob", "ListContainers", "PutMessage", "Unheard"]),
        "RequesterObjectId": choose(_IDS),
        "RequesterAppId": choose(_IDS),
        "RequesterUpn": choose(_NAMES),
        "ServiceType": choose(["blob", "queue", "file", "", None]),
        "StatusCode": choose(["200", "403", "404", "", None]),
        "StatusText": choose(["Success", "AuthorizationPermissionMismatch", "ClientOtherError", "", None]),
        "Uri": choose(
            ["https://acct.blob.core.windows.net:443/box/a?x=1", "https://acct.queue.core.windows.net/q", None]
        ),
        "_ResourceId": choose([_ACCOUNT, _ACCOUNT.lower() + "/blobservices/default", "/subscriptions/s", None]),
        "Type": "StorageBlobLogs",
    }
