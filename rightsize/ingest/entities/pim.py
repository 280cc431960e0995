"""Read requests to Privileged Identity Management (PIM), and active or eligible memberships of groups that it governs.

Listings show an activation for hours, but its request for months.
Sources: Microsoft Learn, REST reference of roleAssignmentScheduleRequests and roleEligibilityScheduleRequests,
2020-10-01; Graph v1.0 resource types unifiedRoleAssignmentScheduleRequest,
privilegedAccessGroupAssignmentScheduleRequest and privilegedAccessGroupEligibilityScheduleInstance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.fields import Field, field, read_fields, utc_time
from rightsize.ingest.entities.look import Look, look_at
from rightsize.ingest.entities.shape import ColumnShape
from rightsize.ingest.shapes import Context
from rightsize.rbac.text import fold
from rightsize.store.sql import folded

_ASSIGNMENTS = "microsoft.authorization/roleassignmentschedulerequests"
_ELIGIBILITIES = "microsoft.authorization/roleeligibilityschedulerequests"


def _both(name: str) -> tuple[str, str]:
    return f"properties/{name}", name


_REQUEST = (
    field("request_id", "name", "id", kind="id", mandatory=True),
    field("principal_id", *_both("principalId"), kind="id", mandatory=True),
    field("request_type", *_both("requestType"), "action", mandatory=True),
    field("status", *_both("status")),
    field("requestor_id", *_both("requestorId"), "createdBy/user/id", kind="id"),
    field("eligibility_schedule_id", *_both("linkedRoleEligibilityScheduleId"), kind="id"),
    field("role_assignment_id", *_both("targetRoleAssignmentScheduleInstanceId"), kind="id"),
    field("requested_on", *_both("createdOn"), "createdDateTime", kind="time"),
    field("start_on", *_both("scheduleInfo/startDateTime"), kind="time"),
    field("end_text", *_both("scheduleInfo/expiration/endDateTime")),
    field("duration", *_both("scheduleInfo/expiration/duration")),
    field("justification", *_both("justification")),
    field("ticket", *_both("ticketInfo/ticketNumber")),
    field("approval_id", *_both("approvalId")),
)
_OF_ROLE = (
    field("role_definition_id", *_both("roleDefinitionId"), kind="id", mandatory=True),
    field("scope", *_both("scope"), "directoryScopeId", "appScopeId", mandatory=True),
)
_OF_GROUP = (
    field("role_definition_id", "accessId", mandatory=True, words=("member", "owner")),
    field("scope", "groupId", kind="id", mandatory=True),
)


# An ISO 8601 duration: P1DT8H, PT30M. Only durations that an activation can have are read.
_LASTS = (
    "CASE WHEN regexp_full_match(duration, 'P([0-9]{1,4}D)?(T([0-9]{1,4}H)?([0-9]{1,4}M)?([0-9]{1,5}S)?)?') THEN "
    "to_seconds(coalesce(TRY_CAST(regexp_extract(duration, '([0-9]+)D', 1) AS INTEGER), 0) * 86400 "
    "+ coalesce(TRY_CAST(regexp_extract(duration, 'T.*?([0-9]+)H', 1) AS INTEGER), 0) * 3600 "
    "+ coalesce(TRY_CAST(regexp_extract(duration, 'T.*?([0-9]+)M', 1) AS INTEGER), 0) * 60 "
    "+ coalesce(TRY_CAST(regexp_extract(duration, 'T.*?([0-9]+)S', 1) AS INTEGER), 0)) END"
)


def _insert(plane: str, asks_for: str, scope: str = "scope") -> str:
    return f"""
INSERT INTO stage_schedule_requests (file_id, line, request_id, plane, asks_for, request_type, status, principal_id,
    requestor_id, role_definition_id, scope, role_assignment_id, eligibility_schedule_id, requested_on, start_on,
    end_on, justified, ticketed, approval_id)
SELECT file_id, line, request_id, '{plane}', '{asks_for}', {folded("trim(request_type)")}, {folded("trim(status)")},
    principal_id, requestor_id, role_definition_id, {scope}, role_assignment_id, eligibility_schedule_id, requested_on,
    coalesce(start_on, requested_on), coalesce({utc_time("end_text")}, coalesce(start_on, requested_on) + {_LASTS}),
    coalesce(trim(justification), '') <> '', coalesce(trim(ticket), '') <> '', nullif(trim(approval_id), '')
FROM entity_rows"""


@dataclass(frozen=True, slots=True)
class RequestShape:
    """Requests of one kind; if the record does not show what it asks for, its page or file name does."""

    name: str
    plane: str
    asks_for: str
    fields: tuple[Field, ...]
    scope: str = "scope"

    @property
    def source(self) -> str:
        """Return the word for it in `loads`."""
        return self.name

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:
        """Return whether a record is a request of this kind."""
        look = look_at(record)
        if look.type:
            wanted = _ASSIGNMENTS if self.asks_for == "assignment" else _ELIGIBILITIES
            return self.plane == "control" and look.type == wanted
        if _plane_of(look) != self.plane:
            return False
        said = fold(f"{context.odata_context} {context.place.rpartition('/')[2]}")
        return ("eligib" in said) == (self.asks_for == "eligibility")

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        read_fields(con, relation, self.fields)
        con.execute(_insert(self.plane, self.asks_for, self.scope))


def _plane_of(look: Look) -> str:
    if look.has("principalid", "roledefinitionid", "requesttype"):
        return "control"
    if look.has("principalid", "action", "roledefinitionid"):
        return "directory"
    return "group" if look.has("principalid", "action", "groupid", "accessid") else ""


def _of_group(look: Look) -> bool:
    return not look.type and look.has("groupid", "accessid", "principalid", "startdatetime") and not look.has("action")


_MEMBERSHIP = (
    field("instance_id", "id", mandatory=True),
    field("principal_id", "principalId", kind="id", mandatory=True),
    field("group_id", "groupId", kind="id", mandatory=True),
    field("access", "accessId", mandatory=True, words=("member", "owner")),
    field("start_on", "startDateTime", kind="time"),
    field("end_on", "endDateTime", kind="end"),
    field("member_type", "memberType"),
    field("assignment_type", "assignmentType"),
)


def _insert_memberships(state: str) -> str:
    return f"""
INSERT INTO stage_group_schedule_instances (file_id, line, instance_id, state, principal_id, group_id, access, start_on,
    end_on, member_type)
SELECT file_id, line, trim(instance_id), {state}, principal_id, group_id, {folded("trim(access)")}, start_on, end_on,
    nullif(member_type, '')
FROM entity_rows"""


PIM_SHAPES = (
    RequestShape("role_assignment_requests", "control", "assignment", (*_REQUEST, *_OF_ROLE)),
    RequestShape("role_eligibility_requests", "control", "eligibility", (*_REQUEST, *_OF_ROLE)),
    RequestShape("directory_assignment_requests", "directory", "assignment", (*_REQUEST, *_OF_ROLE)),
    RequestShape("directory_eligibility_requests", "directory", "eligibility", (*_REQUEST, *_OF_ROLE)),
    RequestShape("group_assignment_requests", "group", "assignment", (*_REQUEST, *_OF_GROUP), "'/groups/' || scope"),
    RequestShape("group_eligibility_requests", "group", "eligibility", (*_REQUEST, *_OF_GROUP), "'/groups/' || scope"),
    ColumnShape(
        "group_assignment_instances",
        "group_assignment_instances",
        lambda look: _of_group(look) and look.has("assignmenttype"),
        _MEMBERSHIP,
        _insert_memberships(f"CASE {folded('assignment_type')} WHEN 'activated' THEN 'activated' ELSE 'active' END"),
    ),
    ColumnShape(
        "group_eligibility_instances",
        "group_eligibility_instances",
        lambda look: _of_group(look) and not look.has("assignmenttype"),
        _MEMBERSHIP,
        _insert_memberships("'eligible'"),
    ),
)
