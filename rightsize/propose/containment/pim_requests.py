"""Write the requests that end eligible Azure roles and running activations which the plan of a containment leaves.

A plan narrows an eligible assignment only where the activation rules of its role are loaded, since the new role has to
get the same rules. Where they are not, the whole eligibility ends by a request, and so does each running activation.
Source: Microsoft Learn, REST reference of roleEligibilityScheduleRequests and roleAssignmentScheduleRequests
(2020-10-01), request types `AdminRemove` and `AdminAssign`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import polars as pl

from rightsize.analyze.text import folded
from rightsize.propose.containment.graph_requests import DONE, UNDONE, Option, ask
from rightsize.propose.needs.assignments import Key
from rightsize.rbac.assignment_ids import role_path

_VERSION = "api-version=2020-10-01"
_REQUESTS = uuid.UUID("6f0f3b52-6c1e-5d0b-9b5e-8f6a5d3c2e10")
_KINDS = {"eligible": ("end_eligibility", "roleEligibility", "eligibility"),
          "activated": ("end_activation", "roleAssignment", "running activation")}  # fmt: skip
"""By state: the name of the request, the kind of schedule, and the word for it."""


def eligible_options(
    principal: str, keys: Collection[Key], assignments: pl.DataFrame, names: Mapping[str, str], seed: str
) -> Iterator[Option]:
    """Yield the requests that end eligible assignments and activations of a principal, activations first.

    Args:
        principal: Its folded id.
        keys: Eligible and activated assignments that a request may end, of any principal.
        assignments: The table `role_assignments`.
        names: Names of roles and scopes, by id and by scope.
        seed: What decides the ids of the requests, which Azure takes once: the hash of the stored content.
    """
    own = assignments.filter(folded(pl.col("principal_id")) == principal).sort("state", "role_assignment_id")
    for row in own.to_dicts():
        if (row["role_assignment_id"], row["state"]) not in keys:
            continue
        name, schedule, word = _KINDS[row["state"]]
        role, scope = row["role_definition_id"], row["scope"]
        place = f"{scope.rstrip('/')}/providers/Microsoft.Authorization/{schedule}ScheduleRequests"
        about = {"principalId": row["principal_id"], "roleDefinitionId": role_path(scope, role)}
        taken = {"properties": {**about, "requestType": "AdminRemove", "justification": DONE}}
        given = {"properties": {**about, **_condition(row), "requestType": "AdminAssign", "justification": UNDONE,
                                "scheduleInfo": {"expiration": _expiration(row)}}}  # fmt: skip
        text = f"ends the {word} of {names.get(role) or row['role_name'] or role} at {names.get(scope, scope)}"
        yield Option(name, text, True, ask("PUT", f"{place}/{_id_of(row, seed, DONE)}?{_VERSION}", taken),
                     ask("PUT", f"{place}/{_id_of(row, seed, UNDONE)}?{_VERSION}", given))  # fmt: skip


def _id_of(row: Mapping[str, Any], seed: str, word: str) -> uuid.UUID:
    return uuid.uuid5(_REQUESTS, "|".join((row["role_assignment_id"], row["state"], seed, word)))


def _condition(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"condition": row["condition"], "conditionVersion": row["condition_version"]} if row["condition"] else {}


def _expiration(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["end_on"] is None:
        return {"type": "NoExpiration"}
    return {"type": "AfterDateTime", "endDateTime": f"{row['end_on'].isoformat()}Z"}
