"""Write a log file as a broken pipe leaves it: some records whole, some damaged."""

from __future__ import annotations

from rightsize.demo.hashing import guid
from rightsize.demo.templates import json_text
from rightsize.demo.tenant import SampleTenant
from rightsize.demo.writing import Folder

PATH = "activity/damaged.jsonl"
DAMAGED_CALLS = 1
"""Number of calls in the good records that no habit made."""


def write_damaged(tenant: SampleTenant, folder: Folder) -> None:
    """Write three good records of one call of the nightly tagger, and four that must be rejected."""
    good = [_record(tenant, phase) for phase in ("Start", "Accept", "Success")]
    no_time = {key: value for key, value in good[0].items() if key != "time"}
    lines = [
        json_text(good[0]),
        json_text(good[1])[:-40],
        json_text(no_time),
        json_text(good[1]),
        json_text(good[0] | {"time": "yesterday evening"}),
        '"a string is no record"',
        json_text(good[2]),
    ]
    folder.write(PATH, "\n".join(lines).encode() + b"\n", records=len(lines), rejected=4)


def _record(tenant: SampleTenant, result: str) -> dict[str, object]:
    # The log of this subscription has no gap, so that the record adds no day.
    scope = [scope.scope for scope in tenant.scopes if scope.kind == "subscription"][3]
    action = "Microsoft.Resources/tags/write"
    tagger = next(principal for principal in tenant.principals if "tagger" in principal.options)
    second = {"Start": "05", "Accept": "06", "Success": "09"}[result]
    return {
        "time": f"{tenant.spec.day_ago(20).isoformat()}T04:40:{second}.1200340Z",
        "resourceId": scope.upper(),
        "operationName": action.upper(),
        "category": "Administrative",
        "resultType": result,
        "resultSignature": f"{result}.",
        "durationMs": "0",
        "callerIpAddress": "198.51.100.9",
        "correlationId": guid(tenant.spec.seed, "damaged"),
        "identity": {
            "authorization": {"action": action, "scope": scope},
            "claims": {
                "http://schemas.microsoft.com/identity/claims/objectidentifier": tagger.principal_id,
                "appid": tagger.app_id,
            },
        },
        "level": "Information",
        "properties": {"eventCategory": "Administrative", "entity": scope, "message": action},
    }
