"""Raw columns of log records whose texts two engines might read differently."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

_GUID = "12ab34CD-0000-4000-8000-00000000000f"
_IDS = (None, _GUID, _GUID.upper(), _GUID.replace("-", ""), "{" + _GUID + "}", "/x/" + _GUID, "/x/" + _GUID + "\n", "x")
_TIMES = (
    "2025-01-15T09:30:45.1234567Z", "2025-01-15T09:30:45Z", "2025-01-15 09:30:45", "2025-01-15T09:30:45.",
    "2025-01-15T09:30:45.Z", "2025-01-15T09:30:45.123456789+01:00", "2025-01-15T09:30:45.1234567",
    "2025-01-15T09:30:45+02:00", "2025-01-15T09:30:45.5 +0530", "2025-01-15T09:30:45 -0100",
    "2025-02-30T09:30:45Z", "2025-01-15T09:30:60Z", "2025-01-15T09:60:45Z", "2025-01-15T24:00:00Z",
    "2025-01-15T09:30:45+15:00", "2025-01-15T09:30:45-18:00", "2025-01-15T09:30:45+99:99", "2025-13-01T00:00:00Z",
    "2025-01-15T9:30:45+01:00", "2025-01-15T09:30+01:00", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.9999999Z",
    "20250115T093045Z", "2025-1-15T09:30:45Z", "2025-01-15T09:30:45.12.34+01:00", "2025-01-15T09::45.1+01:00", "",
)  # fmt: skip
_TOKENS = (None, "ab+c/d==", " abc ", "\u00a0abc", "a b", "", "=")
_SESSIONS = (None, "S1", " S1\u3000", "İX", "ΑΣ", "\u212a")
_ADDRESSES = (None, "1.2.3.4", "1.2.3.4:5", "[::1]:5", "::1", "[", "1.2.3.4\n", "x")
_LINKED = (
    "The client has permission to perform action 'a/b'; however, it does not have permission to perform action(s) "
    "'m/n/join/action' on the linked scope(s) '/subscriptions/z' "
)
_STORAGE = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Storage/storageAccounts/acc/blobServices/default"

EVENTS: dict[str, Sequence[str | None]] = {
    "time": _TIMES,
    "submitted": (None, "2025-01-15T09:20:45.1234567Z", "2025-01-15T09:20:45Z", "2025-02-30T09:20:45Z", "2025-01-15TZ",
                  "2025-01-15T09Z", "2025-01-15T09:20Z", "2025-01-15T9:20:1Z", "2025-01-15T 09:20:45Z"),
    "category": (None, "Administrative", "ADMINISTRATIVE\u00a0", "Write", "Policy", "", "StorageRead", "İ"),
    "operation_name": (None, "Microsoft.Compute/virtualMachines/write", "GetBlob", "\u00a0GetBlob", "",
                       "\u017fa/\u212a"),
    "resource_id": (None, _STORAGE, _STORAGE.upper(), "/subscriptions/s", " /subscriptions/s\u00a0", "/s\r/x"),
    "auth_action": (None, "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", " a/b/c ",
                    "\u00a0a/b/c\u2003", "", "/a/", "Ä/b"),
    "auth_scope": (None, "/subscriptions/s/resourceGroups/R", "/subscriptions/s///", "/", "\u00a0/subscriptions/s",
                   "\t/subscriptions/s", "/Ünder/x", ""),
    "claim_object_id": _IDS,
    "claim_app_id": _IDS,
    "role_assignment_id": _IDS,
    "role_definition_id": _IDS,
    "evidence_principal_id": (*_IDS, "\u0663" * 32),
    "evidence_principal_type": (None, "User", "ServicePrincipal", "Group"),
    "claim_upn": (None, "a@b", "İ@x"),
    "claim_token_type": (None, "user", "APP", "İ"),
    "claim_delegated_scope": (None, "user_impersonation"),
    "claim_token_id": _TOKENS,
    "claim_session_id": _SESSIONS,
    "caller": (None, _GUID, "a@b", _GUID[:-1] + "g"),
    "caller_ip": _ADDRESSES,
    "correlation_id": (None, "C1", "ÜC", "İ"),
    "event_id": (None, "E1", "\u017f"),
    "status": (None, "Success", "Failed", "Started", "Accepted", "AuthorizationFailure", "SUCCESS\u00a0", "İ"),
    "sub_status": (None, "", "Forbidden (HTTP Status Code: 403)", "Failed.Forbidden", "403", "OK", "\u0664\u0660\u0663",
                   "x 599 y", "Forbidden\n", "Forbidden (", "Ok "),
    "status_code": (None, "200", "403", "4e2", "1.6", "4_3", "0x9", "\u0664\u0660\u0663", " 40", "40 ", "+40", "-40",
                    "Forbidden", "4.0", "00a", "40\t", "1.e", ".40", "40."),
    "error_code": (None, "AuthorizationFailed", "LinkedAuthorizationFailed", "RequestDisallowedByPolicy"),
    "error_message": (None, _LINKED, "does not have authorization to perform action", "on the linked scope"),
    "authentication": (None, "OAuth", "SAS", "AccountKey", "Anonymous", "Kerberos", "o auth", "OAuth\u00a0", "\u212a"),
    "authorization_result": (None, "Denied", "Granted", "granted\u00a0", "İ"),
    "service": (None, "blob", "queue", "table", "file", "Queue "),
    "object_key": (None, "/acc/cont/x", '"/acc/c/b"', "/a", "x"),
    "operation_index": (None, "0", "1"),
    "uri": (None, "https://acc.blob.core.windows.net/c/b?x", "https://a.queue.core/", "x"),
}  # fmt: skip
"""By raw column of events, texts that it may have."""

SIGN_INS: dict[str, Sequence[str | None]] = {
    "time": _TIMES,
    "kind": (None, "interactive", "service_principal", "managed_identity"),
    "sign_in_id": (None, "S", "İ"),
    "user_id": _IDS,
    "service_principal_id": _IDS,
    "app_id": _IDS,
    "resource_app_id": _IDS,
    "result": (None, "0", " 0", "\u00a0success", "Success", "50126", "SUCCEEDED\u2003", "İ"),
    "network_number": (None, "123", " 8075 ", "1e3", "-5", "0", "+7", "0x1F", "1_0", "9.9", "\u0663", "9" * 20,
                       "12\u00a0", "007"),
    "country": (None, "de", " US ", "\u00a0FR", "d1", "İT", "DEU"),
    "caller_ip": _ADDRESSES,
    "token_id": _TOKENS,
    "session_id": _SESSIONS,
}  # fmt: skip
"""By raw column of sign-ins, texts that it may have."""

_STRANGE = (
    "\u00a0",
    " ",
    "\t",
    "\n",
    "\u2003",
    "\r",
    "\x0b",
    "İ",
    "\u212a",
    "\u017f",
    "ß",
    "\uff19",
    "\u0663",
    "{",
    '"',
    "\\",
)


def rows_of(texts: dict[str, Sequence[str | None]], count: int, seed: int) -> list[dict[str, str | None]]:
    """Return rows of such texts, a few with a letter more."""
    chance = random.Random(seed)  # noqa: S311  no secret

    def one(choice: Sequence[str | None]) -> str | None:
        text = chance.choice(choice)
        if text is None or chance.random() > 0.06:
            return text
        place = chance.randrange(len(text) + 1)
        return text[:place] + chance.choice(_STRANGE) + text[place:]

    return [{column: one(choice) for column, choice in texts.items()} for _ in range(count)]


def odd_values(record: Callable[..., dict[str, Any]]) -> list[str]:
    """Return lines that are all records, whose values are of other kinds, spellings and sizes than a schema expects.

    Args:
        record: Makes a plain record from a number and the members to change.
    """
    identity = record(0)["identity"]
    action = {**identity["authorization"], "action": "Microsoft.Web/sites/\u0130/write"}
    properties = {"eventCategory": "Administrative", "statusCode": "OK"}
    changes: list[dict[str, Any]] = [
        *({"properties": value} for value in (None, 5, True, "", "x", [], [properties], json.dumps(properties))),
        *({"properties": {"eventCategory": value}} for value in (None, 1, {"a": 1}, ["Policy"], "Policy", "")),
        *({"identity": value} for value in (None, 7, [identity], json.dumps(identity), "{", {})),
        {"identity": {**identity, "authorization": action}},
        {"identity": {**identity, "authorization": json.dumps(action)}},
        {"identity": {**identity, "authorization": [action]}},
        {"identity": {**identity, "claims": None}},
        {"identity": {**identity, "claims": {**identity["claims"], "appid": 10**400, "name": {"x": None}}}},
        {"identity": {**identity, "claims": {**identity["claims"], "appid": 1e300, "name": ["x"]}}},
        *({"resultType": value} for value in (0, 403, 1.50, False, {"value": "Failed"}, ["Success"])),
        *({"category": value} for value in ({"value": "Administrative"}, {"value": "Policy"}, 1)),
        *({"correlationId": value} for value in (12345678901234567890123, -0.0, {"id": 1}, True, "\u212a\ud83d\ude00")),
        *({"time": f"2025-03-04T05:06:07.{'1234567890'[:digits]}Z"} for digits in (1, 3, 6, 7, 9)),
        {"time": 1741064767},
        {"httpRequest": {"clientIpAddress": "198.51.100.7"}, "callerIpAddress": None},
        {"httpRequest": json.dumps({"clientIpAddress": "198.51.100.8"}), "callerIpAddress": None},
    ]
    lines = [json.dumps(record(5000 + number, **change)) for number, change in enumerate(changes)]
    return [
        *lines,
        # Keys in escaped letters, of an object and of a text.
        json.dumps(record(6001)).replace('"identity"', '"\\u0069dentity"'),
        json.dumps(record(6002, identity=json.dumps(identity))).replace('"identity"', '"\\u0069dentity"'),
        json.dumps(record(6003, correlationId="1e400")).replace('"1e400"', "1E400"),
        json.dumps(record(6004, resultType="x")).replace('"x"', "0.10000000000000000000000000000000001"),
        json.dumps({key.upper(): value for key, value in record(6005).items()}),
        json.dumps({key.lower(): value for key, value in record(6006).items()}),
    ]
