"""Read what Privileged Identity Management (PIM) says: requests, memberships of groups, and policies of roles.

Listings show an activation for hours, but its request for months.
Sources: Microsoft Learn, REST reference of roleAssignmentScheduleRequests and roleEligibilityScheduleRequests,
2020-10-01; Graph v1.0 resource types unifiedRoleAssignmentScheduleRequest,
privilegedAccessGroupAssignmentScheduleRequest and privilegedAccessGroupEligibilityScheduleInstance.

ARM lists the policies of Azure roles. Graph lists those of directory roles, which apply to the whole tenant, and those
of members and owners of groups. A policy has its `rules`. Its assignment has the role and scope that it applies to, and
usually repeats the rules as `effectiveRules`, or contains the policy. Either may be loaded without the other: they are
joined by the policy's id.
Source: Microsoft Learn, REST reference of roleManagementPolicies and roleManagementPolicyAssignments, 2020-10-01;
Microsoft Graph's unifiedRoleManagementPolicy and unifiedRoleManagementPolicyAssignment; "Rules in PIM - mapping guide"
for the ids of the rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities import shape
from rightsize.ingest.entities.azure_roles import both, dashed, flag_of, text_of
from rightsize.model.errors import InputError
from rightsize.model.text import fold
from rightsize.store.sql import folded

_ASSIGNMENTS = "microsoft.authorization/roleassignmentschedulerequests"
_ELIGIBILITIES = "microsoft.authorization/roleeligibilityschedulerequests"


_REQUEST = (
    shape.field("request_id", "name", "id", kind="id", mandatory=True),
    shape.field("principal_id", *both("principalId"), kind="id", mandatory=True),
    shape.field("request_type", *both("requestType"), "action", mandatory=True),
    shape.field("status", *both("status")),
    shape.field("requestor_id", *both("requestorId"), "createdBy/user/id", kind="id"),
    shape.field("eligibility_schedule_id", *both("linkedRoleEligibilityScheduleId"), kind="id"),
    shape.field("role_assignment_id", *both("targetRoleAssignmentScheduleInstanceId"), kind="id"),
    shape.field("requested_on", *both("createdOn"), "createdDateTime", kind="time"),
    shape.field("start_on", *both("scheduleInfo/startDateTime"), kind="time"),
    shape.field("end_text", *both("scheduleInfo/expiration/endDateTime")),
    shape.field("duration", *both("scheduleInfo/expiration/duration")),
    shape.field("justification", *both("justification")),
    shape.field("ticket", *both("ticketInfo/ticketNumber")),
    shape.field("approval_id", *both("approvalId")),
)
_OF_ROLE = (
    shape.field("role_definition_id", *both("roleDefinitionId"), kind="id", mandatory=True),
    shape.field("scope", *both("scope"), "directoryScopeId", "appScopeId", mandatory=True),
)
_OF_GROUP = (
    shape.field("role_definition_id", "accessId", mandatory=True, words=("member", "owner")),
    shape.field("scope", "groupId", kind="id", mandatory=True),
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
    coalesce(start_on, requested_on),
    coalesce({shape.utc_time("end_text")}, coalesce(start_on, requested_on) + {_LASTS}),
    coalesce(trim(justification), '') <> '', coalesce(trim(ticket), '') <> '', nullif(trim(approval_id), '')
FROM entity_rows"""


@dataclass(frozen=True, slots=True)
class RequestShape:
    """Requests of one kind; if the record does not show what it asks for, its page or file name does."""

    name: str
    plane: str
    asks_for: str
    fields: tuple[shape.Field, ...]
    scope: str = "scope"

    @property
    def source(self) -> str:
        """Return the word for it in `loads`."""
        return self.name

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:
        """Return whether a record is a request of this kind."""
        if look.type:
            wanted = _ASSIGNMENTS if self.asks_for == "assignment" else _ELIGIBILITIES
            return self.plane == "control" and look.type == wanted
        if _plane_of(look) != self.plane:
            return False
        said = fold(f"{context.odata_context} {context.place.rpartition('/')[2]}")
        return ("eligib" in said) == (self.asks_for == "eligibility")

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        shape.read_fields(con, relation, self.fields)
        con.execute(_insert(self.plane, self.asks_for, self.scope))


def _plane_of(look: shape.Look) -> str:
    if look.has("principalid", "roledefinitionid", "requesttype"):
        return "control"
    if look.has("principalid", "action", "roledefinitionid"):
        return "directory"
    return "group" if look.has("principalid", "action", "groupid", "accessid") else ""


def _of_group(look: shape.Look) -> bool:
    return not look.type and look.has("groupid", "accessid", "principalid", "startdatetime") and not look.has("action")


_MEMBERSHIP = (
    shape.field("instance_id", "id", mandatory=True),
    shape.field("principal_id", "principalId", kind="id", mandatory=True),
    shape.field("group_id", "groupId", kind="id", mandatory=True),
    shape.field("access", "accessId", mandatory=True, words=("member", "owner")),
    shape.field("start_on", "startDateTime", kind="time"),
    shape.field("end_on", "endDateTime", kind="end"),
    shape.field("member_type", "memberType"),
    shape.field("assignment_type", "assignmentType"),
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
    shape.ColumnShape(
        "group_assignment_instances",
        "group_assignment_instances",
        lambda look: _of_group(look) and look.has("assignmenttype"),
        _MEMBERSHIP,
        _insert_memberships(f"CASE {folded('assignment_type')} WHEN 'activated' THEN 'activated' ELSE 'active' END"),
    ),
    shape.ColumnShape(
        "group_eligibility_instances",
        "group_eligibility_instances",
        lambda look: _of_group(look) and not look.has("assignmenttype"),
        _MEMBERSHIP,
        _insert_memberships("'eligible'"),
    ),
)


_AUTHORIZATION = "/providers/microsoft.authorization/"
_SUBSCRIPTION_PREFIX = "/providers/microsoft.subscription"
_TYPES = (
    "microsoft.authorization/rolemanagementpolicy",
    "microsoft.authorization/rolemanagementpolicies",
    "microsoft.authorization/rolemanagementpolicyassignment",
    "microsoft.authorization/rolemanagementpolicyassignments",
)


_GRAPH_SCOPES = ("directoryrole", "directory", "group")


def _is_policy(look: shape.Look) -> bool:
    if look.type:
        return look.type in _TYPES
    if fold(str(look.value("scopetype"))) in _GRAPH_SCOPES:
        return look.has("scopeid") and (look.has("policyid", "roledefinitionid") or look.has("rules"))
    return look.has("scope") and any(isinstance(look.value(key), list) for key in ("effectiverules", "rules"))


def _read_policy(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    look = shape.look_at(record)
    fields = {**look.outer, **look.inner}
    is_assignment = "policyid" in fields or "roledefinitionid" in fields
    policy_id = dashed(text_of(fields, "policyid") if is_assignment else _own_id(look))
    if not policy_id:
        raise InputError("it has no `policyId`" if is_assignment else "it has no `id`")
    role = dashed(text_of(fields, "roledefinitionid"))
    if is_assignment and not role:
        raise InputError("it has no `roleDefinitionId`")
    row: dict[str, Any] = {"policy_id": policy_id, "scope": _scope(look, fields), "role_definition_id": role or None}
    rules = _rules(fields) or _rules(shape.fold_keys(_mapping(fields, "policy")))
    if rules is not None:
        text = json.dumps(rules, sort_keys=True, separators=(",", ":"))
        # A row without rules gets no time, so that it does not make older rules look newer.
        row |= _settings(rules) | {"rules": text, "updated_on": _updated_on(fields)}
    yield row


def _own_id(look: shape.Look) -> str:
    return text_of(look.outer, "id") or text_of(look.outer, "name")


def _scope(look: shape.Look, fields: Mapping[str, Any]) -> str:
    """Return the scope of a policy: the part of its id before the provider, else its scope field."""
    if fold(text_of(fields, "scopetype")) in _GRAPH_SCOPES:
        place = text_of(fields, "scopeid").strip(" /")
        is_group = fold(text_of(fields, "scopetype")) == "group"
        return f"/groups/{fold(place)}" if is_group and place else "/"
    own = text_of(look.outer, "id").strip(" ")
    position = fold(own).find(_AUTHORIZATION)
    scope = own[:position] if position > 0 else text_of(fields, "scope").strip(" ")
    if fold(scope).startswith(_SUBSCRIPTION_PREFIX + "/subscriptions/"):
        scope = scope[len(_SUBSCRIPTION_PREFIX) :]
    if not scope.startswith("/"):
        raise InputError("`scope` is not a resource id" if scope else "it has no `scope`")
    return scope.rstrip("/") or "/"


def _rules(fields: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rules with folded keys, sorted; None if the record has none."""
    for key in ("effectiverules", "rules"):
        value = fields.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise InputError(f"`{key}` is not a list of rules")
        if value:
            return sorted((shape.fold_keys(item) for item in value), key=lambda rule: json.dumps(rule, sort_keys=True))
    return None


def _settings(rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the conditions for activating a role, and the maximum duration of an eligible assignment, if it ends."""
    by_id: dict[str, Mapping[str, Any]] = {fold(text_of(rule, "id")): rule for rule in rules}
    activation = by_id.get("expiration_enduser_assignment", {})
    eligibility = by_id.get("expiration_admin_eligibility", {})
    asked = {fold(word) for word in _texts(by_id.get("enablement_enduser_assignment", {}), "enabledrules")}
    context = by_id.get("authenticationcontext_enduser_assignment", {})
    setting = shape.fold_keys(_mapping(by_id.get("approval_enduser_assignment", {}), "setting"))
    return {
        "maximum_activation": text_of(activation, "maximumduration") or None,
        "requires_mfa": "multifactorauthentication" in asked,
        "requires_justification": "justification" in asked,
        "requires_ticket": "ticketing" in asked,
        "authentication_context": (text_of(context, "claimvalue") or None) if flag_of(context, "isenabled") else None,
        "requires_approval": flag_of(setting, "isapprovalrequired"),
        "approver_ids": _approvers(setting),
        "maximum_eligibility": (
            text_of(eligibility, "maximumduration") or None if flag_of(eligibility, "isexpirationrequired") else None
        ),
    }


def _approvers(setting: Mapping[str, Any]) -> list[str]:
    found: set[str] = set()
    for stage in _mappings(setting, "approvalstages"):
        for key in ("primaryapprovers", "escalationapprovers"):
            found.update(dashed(text_of(approver, "id")) for approver in _mappings(stage, key))
    return sorted(found - {""})


def _texts(fields: Mapping[str, Any], key: str) -> list[str]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"`{key}` is not a list of strings")
    return value


def _mapping(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"`{key}` is not an object")
    return value


def _mappings(fields: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InputError(f"`{key}` is not a list of objects")
    return [shape.fold_keys(item) for item in value]


def _updated_on(fields: Mapping[str, Any]) -> str:
    own = text_of(fields, "lastmodifieddatetime")
    if own:
        return own
    around = shape.fold_keys(_mapping(fields, "policyassignmentproperties"))
    return text_of(shape.fold_keys(_mapping(around, "policy")), "lastmodifieddatetime")


POLICY_SHAPES = (
    shape.ObjectShape(
        "role_management_policies", "role_management_policies", _is_policy, "role_management_policies", _read_policy
    ),
)
