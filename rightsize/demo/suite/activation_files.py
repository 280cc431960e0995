"""Write what Privileged Identity Management has of a suite tenant: eligible access, activations and their settings."""

from __future__ import annotations

from typing import Any

from rightsize.demo.hashing import guid
from rightsize.demo.suite.model import SuiteGrant, SuiteTenant, day_of
from rightsize.demo.writing import Folder

_AUTHORIZATION = "/providers/Microsoft.Authorization"
_RULES = (
    {
        "id": "Expiration_EndUser_Assignment",
        "ruleType": "RoleManagementPolicyExpirationRule",
        "isExpirationRequired": True,
        "maximumDuration": "PT8H",
    },
    {
        "id": "Enablement_EndUser_Assignment",
        "ruleType": "RoleManagementPolicyEnablementRule",
        "enabledRules": ["MultiFactorAuthentication", "Justification"],
    },
)


def write_activations(tenant: SuiteTenant, folder: Folder) -> None:
    """Write eligible assignments, each request that activated one in the seen days, and the settings."""
    eligible = [one for one in tenant.grants if one.state == "eligible"]
    types = {one.principal_id: one.arm_type for one in tenant.principals}
    listed = [_eligibility(one, types[one.principal_id]) for one in eligible]
    folder.write_json("access/eligible-assignments.json", {"value": listed}, records=len(listed))
    asked = [_request(one, day) for one in eligible for day in activated_days(tenant, one)]
    folder.write_json("access/activation-requests.json", {"value": asked}, records=len(asked))
    places = sorted({(one.scope, one.role.role_id) for one in eligible})
    settings = [_settings(scope, role) for scope, role in places]
    folder.write_json("access/activation-settings.json", {"value": settings}, records=len(settings))


def activated_days(tenant: SuiteTenant, grant: SuiteGrant) -> list[int]:
    """Return the seen days on which an eligible assignment was activated: for calls, or for a look around."""
    calls = (need for need in tenant.needs if need.principal_id == grant.principal_id and need.is_recorded)
    return sorted({*grant.activated, *(day for need in calls for day in need.seen)})


def activation_of(grant: SuiteGrant, day: int) -> dict[str, str]:
    """Return the evidence of a call that was allowed by an activation of a day, which no listing has any more."""
    return {
        "role": grant.role.name,
        "roleAssignmentScope": grant.scope,
        "roleAssignmentId": _made_by(grant, day).replace("-", ""),
        "roleDefinitionId": grant.role.role_id.replace("-", ""),
        "principalId": grant.principal_id.replace("-", ""),
        "principalType": "User",
    }


def _made_by(grant: SuiteGrant, day: int) -> str:
    return guid("suite activation", grant.grant_id, day)


def _role_of(grant: SuiteGrant) -> str:
    return f"{_AUTHORIZATION}/roleDefinitions/{grant.role.role_id}"


def _eligibility(grant: SuiteGrant, holder_type: str) -> dict[str, Any]:
    """Return a role eligibility schedule instance."""
    created = f"{grant.created_on.isoformat()}T07:45:10Z"
    schedule = guid("suite schedule", grant.grant_id)
    return {
        "id": f"{grant.scope}{_AUTHORIZATION}/RoleEligibilityScheduleInstances/{grant.grant_id}",
        "name": grant.grant_id,
        "type": "Microsoft.Authorization/RoleEligibilityScheduleInstances",
        "properties": {
            "scope": grant.scope,
            "roleDefinitionId": _role_of(grant),
            "principalId": grant.principal_id,
            "principalType": holder_type,
            "status": "Provisioned",
            "roleEligibilityScheduleId": f"{grant.scope}{_AUTHORIZATION}/RoleEligibilitySchedules/{schedule}",
            "startDateTime": created,
            "endDateTime": None,
            "memberType": "Direct",
            "createdOn": created,
            "condition": None,
            "conditionVersion": None,
        },
    }


def _request(grant: SuiteGrant, day: int) -> dict[str, Any]:
    """Return the request that activated an eligible assignment for a working day."""
    name = guid("suite activation request", grant.grant_id, day)
    start = f"{day_of(day).isoformat()}T06:41:07Z"
    return {
        "id": f"{grant.scope}{_AUTHORIZATION}/RoleAssignmentScheduleRequests/{name}",
        "name": name,
        "type": "Microsoft.Authorization/RoleAssignmentScheduleRequests",
        "properties": {
            "requestType": "SelfActivate",
            "status": "Provisioned",
            "scope": grant.scope,
            "roleDefinitionId": _role_of(grant),
            "principalId": grant.principal_id,
            "principalType": "User",
            "requestorId": grant.principal_id,
            "linkedRoleEligibilityScheduleId": guid("suite schedule", grant.grant_id),
            "targetRoleAssignmentScheduleInstanceId": _made_by(grant, day),
            "scheduleInfo": {
                "startDateTime": start,
                "expiration": {"type": "AfterDuration", "endDateTime": None, "duration": "PT10H"},
            },
            "justification": "Work of the day.",
            "approvalId": None,
            "createdOn": start,
            "condition": None,
            "conditionVersion": None,
        },
    }


def _settings(scope: str, role: str) -> dict[str, Any]:
    """Return the assignment of a role management policy, with its rules."""
    policy = guid("suite activation settings", scope, role)
    return {
        "id": f"{scope}{_AUTHORIZATION}/roleManagementPolicyAssignments/{policy}_{role}",
        "name": f"{policy}_{role}",
        "type": "Microsoft.Authorization/roleManagementPolicyAssignments",
        "properties": {
            "scope": scope,
            "roleDefinitionId": f"{scope}{_AUTHORIZATION}/roleDefinitions/{role}",
            "policyId": f"{scope}{_AUTHORIZATION}/roleManagementPolicies/{policy}",
            "effectiveRules": list(_RULES),
        },
    }
