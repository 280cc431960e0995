"""Read role management policies of Privileged Identity Management: the conditions for activating a role.

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
from typing import Any

from rightsize.ingest.entities.definitions import dashed, text_of
from rightsize.ingest.entities.look import Look, fold_keys, look_at
from rightsize.ingest.entities.shape import ObjectShape, Row
from rightsize.model.errors import InputError
from rightsize.rbac.text import fold

_AUTHORIZATION = "/providers/microsoft.authorization/"
_SUBSCRIPTION_PREFIX = "/providers/microsoft.subscription"
_TYPES = (
    "microsoft.authorization/rolemanagementpolicy",
    "microsoft.authorization/rolemanagementpolicies",
    "microsoft.authorization/rolemanagementpolicyassignment",
    "microsoft.authorization/rolemanagementpolicyassignments",
)


_GRAPH_SCOPES = ("directoryrole", "directory", "group")


def _is_policy(look: Look) -> bool:
    if look.type:
        return look.type in _TYPES
    if fold(str(look.value("scopetype"))) in _GRAPH_SCOPES:
        return look.has("scopeid") and (look.has("policyid", "roledefinitionid") or look.has("rules"))
    return look.has("scope") and any(isinstance(look.value(key), list) for key in ("effectiverules", "rules"))


def _read_policy(record: Mapping[str, Any]) -> Iterator[Row]:
    look = look_at(record)
    fields = {**look.outer, **look.inner}
    is_assignment = "policyid" in fields or "roledefinitionid" in fields
    policy_id = dashed(text_of(fields, "policyid") if is_assignment else _own_id(look))
    if not policy_id:
        raise InputError("it has no `policyId`" if is_assignment else "it has no `id`")
    role = dashed(text_of(fields, "roledefinitionid"))
    if is_assignment and not role:
        raise InputError("it has no `roleDefinitionId`")
    row: dict[str, Any] = {"policy_id": policy_id, "scope": _scope(look, fields), "role_definition_id": role or None}
    rules = _rules(fields) or _rules(fold_keys(_mapping(fields, "policy")))
    if rules is not None:
        text = json.dumps(rules, sort_keys=True, separators=(",", ":"))
        # A row without rules gets no time, so that it does not make older rules look newer.
        row |= _settings(rules) | {"rules": text, "updated_on": _updated_on(fields)}
    yield row


def _own_id(look: Look) -> str:
    return text_of(look.outer, "id") or text_of(look.outer, "name")


def _scope(look: Look, fields: Mapping[str, Any]) -> str:
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
            return sorted((fold_keys(item) for item in value), key=lambda rule: json.dumps(rule, sort_keys=True))
    return None


def _settings(rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the conditions for activating a role, and the maximum duration of an eligible assignment, if it ends."""
    by_id: dict[str, Mapping[str, Any]] = {fold(text_of(rule, "id")): rule for rule in rules}
    activation = by_id.get("expiration_enduser_assignment", {})
    eligibility = by_id.get("expiration_admin_eligibility", {})
    asked = {fold(word) for word in _texts(by_id.get("enablement_enduser_assignment", {}), "enabledrules")}
    context = by_id.get("authenticationcontext_enduser_assignment", {})
    setting = fold_keys(_mapping(by_id.get("approval_enduser_assignment", {}), "setting"))
    return {
        "maximum_activation": text_of(activation, "maximumduration") or None,
        "requires_mfa": "multifactorauthentication" in asked,
        "requires_justification": "justification" in asked,
        "requires_ticket": "ticketing" in asked,
        "authentication_context": (text_of(context, "claimvalue") or None) if _true(context, "isenabled") else None,
        "requires_approval": _true(setting, "isapprovalrequired"),
        "approver_ids": _approvers(setting),
        "maximum_eligibility": (
            text_of(eligibility, "maximumduration") or None if _true(eligibility, "isexpirationrequired") else None
        ),
    }


def _approvers(setting: Mapping[str, Any]) -> list[str]:
    found: set[str] = set()
    for stage in _mappings(setting, "approvalstages"):
        for key in ("primaryapprovers", "escalationapprovers"):
            found.update(dashed(text_of(approver, "id")) for approver in _mappings(stage, key))
    return sorted(found - {""})


def _true(fields: Mapping[str, Any], key: str) -> bool:
    value = fields.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"`{key}` is not true or false")
    return bool(value)


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
    return [fold_keys(item) for item in value]


def _updated_on(fields: Mapping[str, Any]) -> str:
    own = text_of(fields, "lastmodifieddatetime")
    if own:
        return own
    around = fold_keys(_mapping(fields, "policyassignmentproperties"))
    return text_of(fold_keys(_mapping(around, "policy")), "lastmodifieddatetime")


POLICY_SHAPES = (
    ObjectShape(
        "role_management_policies", "role_management_policies", _is_policy, "role_management_policies", _read_policy
    ),
)
