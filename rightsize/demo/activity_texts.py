"""Write the parts of Activity Log records that depend on habit or principal, once for each of them.

Failed calls have the status words of each log shape, and Resource Manager's own error texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.demo.calls import BAD_REQUEST, CONFLICT, DONE, address_of, claims_of
from rightsize.demo.tenant import Habit, Principal, SampleGrant, SampleTenant
from rightsize.demo.writing import indented, json_text

# Codes of a row's status: of finished calls, of failing habits, then of the rows before the end.
DENIED, LINKED, DENIED_BY_POLICY, LOCKED, BEGUN, ACCEPTED = 3, 4, 5, 6, 7, 8
HABIT_CODES = {"": DONE, "denied": DENIED, "linked": LINKED, "policy": DENIED_BY_POLICY, "locked": LOCKED}


@dataclass(frozen=True, slots=True)
class FailureStatus:
    """The words of one status in REST, Log Analytics and the diagnostic record, and its HTTP status."""

    rest: str
    log_analytics: str
    result_type: str
    signature: str
    http: str


STATUSES = {
    DONE: FailureStatus("Succeeded", "Success", "Success", "Succeeded.OK", "OK"),
    CONFLICT: FailureStatus("Failed", "Failure", "Failure", "Failed.Conflict", "Conflict"),
    BAD_REQUEST: FailureStatus("Failed", "Failure", "Failure", "Failed.BadRequest", "BadRequest"),
    DENIED: FailureStatus("Failed", "Failure", "Failure", "Failed.Forbidden", "Forbidden"),
    LINKED: FailureStatus("Failed", "Failure", "Failure", "Failed.Forbidden", "Forbidden"),
    DENIED_BY_POLICY: FailureStatus("Failed", "Failure", "Failure", "Failed.Forbidden", "Forbidden"),
    LOCKED: FailureStatus("Failed", "Failure", "Failure", "Failed.Conflict", "Conflict"),
    BEGUN: FailureStatus("Started", "Start", "Start", "Started.", ""),
    ACCEPTED: FailureStatus("Accepted", "Accept", "Accept", "Accepted.Created", "Created"),
}


def general_error(code: int) -> str:
    """Return the statusMessage of a status with a fixed text; empty where nothing failed."""
    if code == CONFLICT:
        return _error(
            "AnotherOperationInProgress",
            "Another operation on this or dependent resource is in progress. Please retry after it has completed.",
        )
    if code == BAD_REQUEST:
        return _error("InvalidRequestContent", "The request content was invalid and could not be deserialized.")
    return ""


def habit_error(code: int, habit: Habit, principal: Principal) -> str:
    """Return the statusMessage of a habit that always fails, or an empty string for other habits."""
    who = principal.caller, principal.principal_id
    if code == DENIED:
        return authorization_failed(*who, habit.operation, habit.scope)
    if code == LINKED:
        return linked_authorization_failed(
            *who, habit.operation, habit.scope, habit.linked_operation, habit.linked_scope
        )
    resource = habit.scope.rsplit("/", 1)[-1]
    if code == DENIED_BY_POLICY:
        return _error("RequestDisallowedByPolicy", f"Resource '{resource}' was disallowed by policy.")
    if code == LOCKED:
        return _error(
            "ScopeLocked",
            f"The scope '{habit.scope}' cannot perform delete operation because following scope(s) are locked: "
            f"'{habit.scope}'. Please remove the lock and try again.",
        )
    return ""


def authorization_failed(caller: str, object_id: str, operation: str, scope: str) -> str:
    """Return the statusMessage of a call that no assignment of its caller allows."""
    return _error(
        "AuthorizationFailed",
        f"The client '{caller}' with object id '{object_id}' does not have authorization to perform action "
        f"'{operation}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
        "your credentials.",
    )


def linked_authorization_failed(
    caller: str, object_id: str, operation: str, scope: str, linked: str, linked_scope: str
) -> str:
    """Return the statusMessage of a call that is allowed itself, and checks an operation that is not."""
    return _error(
        "LinkedAuthorizationFailed",
        f"The client '{caller}' with object id '{object_id}' has permission to perform action '{operation}' on scope "
        f"'{scope}'; however, it does not have permission to perform action(s) '{linked}' on the linked scope(s) "
        f"'{linked_scope}' (respectively) or the linked scope(s) are invalid.",
    )


def _error(code: str, message: str) -> str:
    return json_text({"error": {"code": code, "message": message}})


_METHODS = {"write": "PUT", "delete": "DELETE", "action": "POST"}


@dataclass(frozen=True, slots=True)
class ActivityTexts:
    """The texts of records in two frames, with one row a habit and one row a principal.

    Attributes:
        habits: Columns of JSON text, a row a habit; `principal` is an index into `principals`.
        principals: Columns of JSON text, a row a principal.
    """

    habits: pl.DataFrame
    principals: pl.DataFrame


def write_texts(tenant: SampleTenant) -> ActivityTexts:
    """Return the texts of a tenant's habits and principals."""
    index = {principal.principal_id: number for number, principal in enumerate(tenant.principals)}
    parents = {scope.scope: scope.parent for scope in tenant.scopes}
    rows = []
    for habit in tenant.habits:
        number = index[habit.principal_id]
        holder = tenant.principals[index[habit.grant.principal_id]] if habit.grant else None
        row = _habit_texts(tenant, habit, tenant.principals[number], holder, parents)
        rows.append(row | {"principal": number})
    return ActivityTexts(
        pl.DataFrame(rows, schema_overrides={"principal": pl.Int32, "code": pl.Int8}, infer_schema_length=None),
        pl.DataFrame([_principal_texts(tenant, principal) for principal in tenant.principals]),
    )


def log_scope(scope: str) -> str:
    """Return the subscription or management group whose Activity Log shows what happens at a scope."""
    parts = scope.split("/")
    if len(parts) > 2 and parts[1] == "subscriptions":
        return "/".join(parts[:3])
    return "/".join(parts[:5])


def hierarchy(tenant_id: str, scope: str, parents: Mapping[str, str]) -> str:
    """Return the path of management groups from the root to a scope's subscription, as the log has it."""
    names = []
    current = log_scope(scope)
    while current:
        names.append(current.rsplit("/", 1)[-1])
        current = parents.get(current, "")
    return "/".join(reversed(names)) or tenant_id


def _habit_texts(
    tenant: SampleTenant, habit: Habit, principal: Principal, holder: Principal | None, parents: Mapping[str, str]
) -> dict[str, str | int]:
    code = HABIT_CODES[habit.outcome]
    refused = code in (DENIED, LINKED)
    evidence = _evidence(habit.grant, holder) if habit.grant and holder and not refused else {}
    authorization = {"action": habit.operation, "scope": habit.scope}
    target = habit.scope.removeprefix(log_scope(habit.scope))
    group = target.split("/")[2] if target.startswith("/resourceGroups/") else ""
    resource_type = _resource_type(habit.operation)
    verb = habit.operation.rsplit("/", 1)[-1].lower()
    return {
        "code": code,
        "home": log_scope(habit.scope),
        "operation": json_text(habit.operation),
        "operation_upper": json_text(_upper(habit.operation)),
        "scope": json_text(habit.scope),
        "scope_text": json_text(habit.scope)[1:-1],
        "scope_upper": json_text(_upper(habit.scope)),
        "scope_raw": _lower(habit.scope),
        "authorization": json_text(authorization | ({"evidence": evidence} if evidence else {})),
        "authorization_plain": json_text(authorization),
        "authorization_indented": indented({"action": habit.operation, "role": None, "scope": habit.scope}, 2),
        "subscription": json_text(_subscription(habit.scope)),
        "group": json_text(group),
        "group_raw": _upper(group),
        "provider": json_text(resource_type.split("/")[0]),
        "provider_upper": json_text(_upper(resource_type.split("/")[0])),
        "resource_type": json_text(resource_type),
        "method": json_text(_METHODS.get(verb, "POST")),
        "verb": json_text(verb.capitalize() if verb in _METHODS else "Action"),
        "hierarchy": json_text(hierarchy(tenant.tenant_id, habit.scope, parents)),
        "error": json_text(habit_error(code, habit, principal)),
        "asked": json_text(_asked(habit)),
    }


def _asked(habit: Habit) -> str:
    """Return the body of the request that makes a role assignment, as text within the record."""
    if habit.assigned is None:
        return ""
    role, kind = habit.assigned
    roles = "/providers/Microsoft.Authorization/roleDefinitions"
    properties = {"PrincipalType": kind, "RoleDefinitionId": f"{roles}/{role}"}
    return json_text({"Id": habit.scope.rsplit("/", 1)[-1], "Properties": properties})


def _principal_texts(tenant: SampleTenant, principal: Principal) -> dict[str, str]:
    claims = claims_of(tenant, principal)
    return {
        "caller": json_text(principal.caller),
        "caller_raw": principal.caller,
        "claims": json_text(claims),
        "claims_indented": indented(claims, 2),
        "address": json_text(address_of(tenant, principal)),
    }


def _evidence(grant: SampleGrant, holder: Principal) -> dict[str, str]:
    """Return the evidence of the assignment that allowed a call; ids have no dashes, the holder may be a group."""
    return {
        "role": grant.role.role_name,
        "roleAssignmentScope": grant.scope,
        "roleAssignmentId": grant.grant_id.replace("-", ""),
        "roleDefinitionId": grant.role.role_definition_id.replace("-", ""),
        "principalId": grant.principal_id.replace("-", ""),
        "principalType": holder.arm_type,
    }


def _resource_type(operation: str) -> str:
    parts = operation.split("/")
    return "/".join(parts[: -2 if parts[-1].lower() == "action" else -1])


def _subscription(scope: str) -> str:
    parts = scope.split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "subscriptions" else ""


def _upper(text: str) -> str:
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
