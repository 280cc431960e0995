"""The status words of each log shape for failed calls, and Resource Manager's own error texts."""

from __future__ import annotations

from dataclasses import dataclass

from rightsize.demo.calls import BAD_REQUEST, CONFLICT, DONE
from rightsize.demo.templates import json_text
from rightsize.demo.tenant import Habit, Principal

# Codes of a row's status: of finished calls, of failing habits, then of the rows before the end.
DENIED, LINKED, POLICY, LOCKED, BEGUN, ACCEPTED = 3, 4, 5, 6, 7, 8
HABIT_CODES = {"": DONE, "denied": DENIED, "linked": LINKED, "policy": POLICY, "locked": LOCKED}


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
    POLICY: FailureStatus("Failed", "Failure", "Failure", "Failed.Forbidden", "Forbidden"),
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
    if code == POLICY:
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
