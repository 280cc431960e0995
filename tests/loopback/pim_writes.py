"""Serve PIM writes in Resource Manager: requests for assignments, and the rules of roles.

Sources: Microsoft Learn, REST reference of roleEligibilityScheduleRequests, roleAssignmentScheduleRequests and
roleManagementPolicies, 2020-10-01; the rules a policy has from the start are those of "Rules in PIM - mapping guide".
"""

from __future__ import annotations

import copy
import datetime as dt
import re
import uuid
from typing import TYPE_CHECKING, Any

from tests.loopback.wire import Answer, RefusalError, Request, arm_error

if TYPE_CHECKING:
    from tests.loopback.content import Content, Document

_NAMESPACE = uuid.UUID("51f2c8a0-0000-5000-8000-000000000001")
_ENDED = re.compile(r"P(\d+)D")


def write_schedule(content: Content, request: Request, scope: str, kind: str, name: str) -> Answer:
    """Answer a PUT of `{scope}/providers/Microsoft.Authorization/{kind}/{name}`, a request with a name of its own."""
    if name.lower() in content.pim_requests:
        return arm_error(409, "Conflict", f"A request '{name}' exists.")
    asked: Document = request.json()["properties"]
    is_eligible = kind == "roleeligibilityschedulerequests"
    listing = content.eligibility_instances if is_eligible else content.assignment_instances
    same = [
        one for one in listing
        if one["properties"]["principalId"].lower() == asked["principalId"].lower()
        and one["properties"]["scope"].lower() == scope.lower()
        and _guid(one["properties"]["roleDefinitionId"]) == _guid(asked["roleDefinitionId"])
        and one["properties"].get("assignmentType", "Assigned") == "Assigned"
    ]  # fmt: skip
    if asked["requestType"] == "AdminRemove":
        if not same:
            return arm_error(400, "RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
        listing.remove(same[0])
        linked = same[0]["name"].lower()
        content.assignment_instances[:] = [
            one for one in content.assignment_instances
            if _guid(one["properties"].get("linkedRoleEligibilityScheduleInstanceId") or "-") != linked
        ]  # fmt: skip
        return _answer(content, scope, kind, name, asked, "Revoked")
    if same:
        return arm_error(400, "RoleAssignmentExists", "The Role assignment already exists.")
    role = [one for one in content.role_definitions if one["name"].lower() == _guid(asked["roleDefinitionId"])]
    if not role:
        return arm_error(404, "RoleDefinitionDoesNotExist", "The specified role definition does not exist.")
    made = _instance(content, scope, kind, name, asked, is_eligible)
    if content.needs_approval:
        return _answer(content, scope, kind, name, asked, "PendingApproval")
    listing.append(made)
    return _answer(content, scope, kind, name, asked, "Provisioned")


def _instance(content: Content, scope: str, kind: str, name: str, asked: Document, is_eligible: bool) -> dict[str, Any]:
    expiration = asked.get("scheduleInfo", {}).get("expiration") or {"type": "NoExpiration"}
    end = expiration.get("endDateTime")
    if expiration["type"] == "AfterDuration":
        end = "2027-10-01T00:00:00.387Z" if _ENDED.fullmatch(expiration["duration"]) else "2026-10-01T08:00:00.387Z"
    rule = rules_of(content, scope, asked["roleDefinitionId"])["properties"]["rules"]
    wanted = "Expiration_Admin_Eligibility" if is_eligible else "Expiration_Admin_Assignment"
    if end is None and next(one for one in rule if one["id"] == wanted)["isExpirationRequired"]:
        text = 'The following policy rules failed: ["ExpirationRule"]'
        raise RefusalError(arm_error(400, "RoleAssignmentRequestPolicyValidationFailed", text))
    if end is not None and expiration["type"] == "AfterDateTime":
        most = next(one for one in rule if one["id"] == wanted)["maximumDuration"]
        lasts = dt.datetime.fromisoformat(end) - dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
        if lasts > dt.timedelta(days=int(most[1:-1]) + 1):
            text = 'The following policy rules failed: ["ExpirationRule"]'
            raise RefusalError(arm_error(400, "RoleAssignmentRequestPolicyValidationFailed", text))
    _check_enabled(rule, wanted.replace("Expiration", "Enablement"))
    if not asked.get("justification"):
        text = 'The following policy rules failed: ["JustificationRule"]'
        raise RefusalError(arm_error(400, "RoleAssignmentRequestPolicyValidationFailed", text))
    properties = {
        "scope": scope, "roleDefinitionId": asked["roleDefinitionId"], "principalId": asked["principalId"],
        "principalType": "User", "status": "Provisioned", "memberType": "Direct",
        "startDateTime": "2026-10-01T00:00:00.387Z", "endDateTime": end,
        "condition": asked.get("condition"), "conditionVersion": asked.get("conditionVersion"),
    }  # fmt: skip
    if not is_eligible:
        properties["assignmentType"] = "Assigned"
    of = kind.replace("requests", "instances")
    return {"id": f"{scope}/providers/Microsoft.Authorization/{of}/{name}", "name": name, "properties": properties}


def _check_enabled(rules: list[Document], wanted: str) -> None:
    """Refuse what a request to this service never has: a second factor of the caller, and a ticket."""
    for one in (one for one in rules if one["id"] == wanted):
        for name, failed in (("MultiFactorAuthentication", "MfaRule"), ("Ticketing", "TicketingRule")):
            if name in one["enabledRules"]:
                text = f'The following policy rules failed: ["{failed}"]'
                raise RefusalError(arm_error(400, "RoleAssignmentRequestPolicyValidationFailed", text))


def _answer(content: Content, scope: str, kind: str, name: str, asked: Document, status: str) -> Answer:
    content.pim_requests.add(name.lower())
    path = f"{scope}/providers/Microsoft.Authorization/{kind}/{name}"
    return Answer(201, {"id": path, "name": name, "properties": {**asked, "status": status}})


def rules_of(content: Content, scope: str, role: str) -> Document:
    """Return the policy of a role at a scope; each role has one wherever it can be assigned."""
    key = (scope.lower(), _guid(role))
    if key not in content.pim_policies:
        name = str(uuid.uuid5(_NAMESPACE, "|".join(key)))
        properties = {"scope": scope, "rules": default_rules()}
        content.pim_policies[key] = {
            "id": f"{scope}/providers/Microsoft.Authorization/roleManagementPolicies/{name}",
            "name": name,
            "properties": properties,
        }
    return content.pim_policies[key]


def write_rules(content: Content, request: Request, name: str) -> Answer:
    """Answer a PATCH of a policy: rules are replaced by their ids, and the policy has another name afterwards."""
    found = [policy for policy in content.pim_policies.values() if policy["name"].lower() == name.lower()]
    if not found:
        return arm_error(404, "RoleManagementPolicyNotFound", f"'{name}' is not found.")
    (policy,) = found
    asked = {rule["id"]: rule for rule in request.json()["properties"]["rules"]}
    rules = policy["properties"]["rules"]
    policy["properties"]["rules"] = [asked.get(rule["id"], rule) for rule in rules]
    policy["name"] = str(uuid.uuid5(_NAMESPACE, policy["name"]))
    return Answer(document=policy)


def default_rules(*, approval: bool = False, eligible: str | None = None) -> list[Document]:
    """Return the rules that a policy starts with, or those of somebody who set an approval or an end."""
    target = {"caller": "Admin", "operations": ["All"], "level": "Eligibility", "targetObjects": None}
    setting = {"isApprovalRequired": approval, "approvalMode": "SingleStage"}
    return copy.deepcopy([
        {"id": "Expiration_Admin_Eligibility", "ruleType": "RoleManagementPolicyExpirationRule",
         "isExpirationRequired": eligible is not None, "maximumDuration": eligible or "P365D", "target": target},
        {"id": "Expiration_Admin_Assignment", "ruleType": "RoleManagementPolicyExpirationRule",
         "isExpirationRequired": True, "maximumDuration": "P180D", "target": target},
        {"id": "Enablement_Admin_Eligibility", "ruleType": "RoleManagementPolicyEnablementRule", "enabledRules": []},
        {"id": "Approval_EndUser_Assignment", "ruleType": "RoleManagementPolicyApprovalRule", "setting": setting},
        {"id": "Enablement_EndUser_Assignment", "ruleType": "RoleManagementPolicyEnablementRule",
         "enabledRules": ["Justification", *(["MultiFactorAuthentication"] if approval else [])]},
    ])  # fmt: skip


def filtered(listing: list[Document], text: str) -> list[Document]:
    """Return what a `$filter` on principal and role leaves, the one that instances take."""
    for field, value in re.findall(r"(principalId|roleDefinitionId) eq '([^']+)'", text):
        wanted = _guid(value)
        listing = [one for one in listing if _guid(one["properties"][field]) == wanted]
    return listing


def _guid(text: str) -> str:
    return text.rsplit("/", 1)[-1].lower()
