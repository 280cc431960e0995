"""Read the answer of Azure in place of a listing: an error, such as a refusal for want of a right.

    {"error": {"code": "AuthorizationFailed", "message": "The client … does not have authorization to perform action
        'Microsoft.Authorization/roleAssignments/read' over scope '/subscriptions/ID' …"}}

Source: Microsoft Learn, "Troubleshoot Azure RBAC"; "Microsoft Graph error responses and resource types".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.look import look_at
from rightsize.ingest.records import MAX_RAW_CHARACTERS
from rightsize.ingest.shapes import Context
from rightsize.rbac.text import fold

REFUSAL = "refusal"
"""The source of a file that has an error instead of a listing, as `load` prints it."""
REASON = "it is no listing: Azure answered with an error"

_ACTION = re.compile(
    r"action '+microsoft\.authorization/(?P<listed>[a-z]+)/read'+.{0,40}? over scope '+(?P<scope>/[^']*)'"
)
_LISTED = {
    "roleassignments": "role_assignments",
    "roledefinitions": "role_definitions",
    "denyassignments": "deny_assignments",
    "roleeligibilityscheduleinstances": "role_eligibility_instances",
}


@dataclass(frozen=True, slots=True)
class RefusalShape:
    """An error of Resource Manager or Microsoft Graph, alone in its file."""

    name: str = REFUSAL
    source: str = REFUSAL

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record is nothing but an error with a code and a message."""
        error = record.get("error")
        return len(record) == 1 and isinstance(error, Mapping) and look_at(error).has("code", "message")

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Reject each error, so that it is counted and shown."""
        con.execute(
            f"INSERT INTO stage_rejects (file_id, line, reason, raw) SELECT file_id, line, $reason, "
            f"left(CAST(record AS VARCHAR), {MAX_RAW_CHARACTERS}) FROM {relation}",
            {"reason": REASON},
        )


def refused_listing(text: str) -> tuple[str, str] | None:
    """Return the kind of listing that an error refuses, and its scope, from the message of Resource Manager."""
    found = _ACTION.search(fold(text))
    listed = _LISTED.get(found["listed"]) if found else None
    return (listed, found["scope"]) if found and listed else None
