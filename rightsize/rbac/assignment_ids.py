"""Compute the ids of planned role assignments from their content, so that every run and file has the same id."""

from __future__ import annotations

from uuid import UUID, uuid5

from rightsize.rbac.text import fold

_NAMESPACE = UUID("2f0a4c9e-6f0b-5d51-9c0e-5a7f0f6f7f21")


def assignment_id(scope: str, role: str, principal_id: str, condition: str | None) -> str:
    """Return the GUID of an assignment, made of its content; case matters only in the condition."""
    return str(uuid5(_NAMESPACE, "|".join((fold(scope), fold(role), fold(principal_id), condition or ""))))


def role_path(scope: str, role: str) -> str:
    """Return the role definition id for an assignment at a scope: below the subscription, if the scope is in one."""
    home = "/".join(scope.split("/")[:3]) if fold(scope).startswith("/subscriptions/") else ""
    return f"{home}/providers/Microsoft.Authorization/roleDefinitions/{role}"


def arm_principal_type(principal_type: str) -> str:
    """Return the principal type that Resource Manager uses: a managed identity is a `ServicePrincipal` there."""
    return "ServicePrincipal" if principal_type == "ManagedIdentity" else principal_type
