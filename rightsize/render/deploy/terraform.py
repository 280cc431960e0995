"""Write the roles and assignments of a plan as Terraform JSON (`.tf.json`) for the azurerm provider."""

from __future__ import annotations

from typing import Any

from rightsize.iac.terraform import terraform_roles
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.render.deploy.contents import DeployContents, Made, RoleFormat, json_text
from rightsize.render.escape import for_terraform

ROLE, ASSIGNMENT = "azurerm_role_definition", "azurerm_role_assignment"


def role_terraform(role: RoleDefinition) -> dict[str, Any]:
    """Return a document that makes a role.

    Raises:
        InputError: A block has a condition, which `azurerm_role_definition` cannot express.
    """
    if any(block.condition is not None or block.condition_version is not None for block in role.permissions):
        raise InputError(f"role `{role.role_name}` has a condition within it, which Terraform's azurerm cannot express")
    body = {
        "name": for_terraform(role.role_name),
        "role_definition_id": for_terraform(role.role_definition_id),
        "scope": for_terraform(role.assignable_scopes[0]) if role.assignable_scopes else "",
        "description": for_terraform(role.description),
        "permissions": [
            {
                "actions": [for_terraform(text) for text in block.actions],
                "not_actions": [for_terraform(text) for text in block.not_actions],
                "data_actions": [for_terraform(text) for text in block.data_actions],
                "not_data_actions": [for_terraform(text) for text in block.not_data_actions],
            }
            for block in role.permissions
        ],
        "assignable_scopes": [for_terraform(scope) for scope in role.assignable_scopes],
    }
    kept = {name: value for name, value in body.items() if value or name == "permissions"}
    return {"resource": {ROLE: {_label("role", role.role_definition_id): kept}}}


def assignments_terraform(contents: DeployContents) -> dict[str, Any]:
    """Return the document that makes the assignments; each waits for its role where that is new."""
    new = {role.definition.role_definition_id for role in contents.roles}
    bodies = {_label("assignment", one.id): _assignment(one, one.role in new) for one in contents.assignments}
    return {"resource": {ASSIGNMENT: bodies}} if bodies else {}


def _assignment(one: Made, waits: bool) -> dict[str, Any]:
    role = f"${{{ROLE}.{_label('role', one.role)}.role_definition_resource_id}}" if waits else one.role_path
    body = {
        "name": one.id,
        "scope": for_terraform(one.scope),
        "role_definition_id": role if waits else for_terraform(role),
        "principal_id": for_terraform(one.principal_id),
        "principal_type": for_terraform(one.principal_type),
        "description": for_terraform(one.description),
    }
    if one.condition:
        body |= {"condition": for_terraform(one.condition), "condition_version": "2.0"}
    return body


def _label(kind: str, identifier: str) -> str:
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in identifier)
    return f"rightsize_{kind}_{plain}" if plain else f"rightsize_{kind}"


def _plan_files(contents: DeployContents) -> dict[str, str]:
    roles = {f"{role.slug}.tf.json": json_text(role_terraform(role.definition)) for role in contents.roles}
    return {**roles, "assignments.tf.json": json_text(assignments_terraform(contents))}


TERRAFORM = RoleFormat(
    "terraform",
    write_role=lambda role: json_text(role_terraform(role)),
    write_plan=_plan_files,
    readers={".tf": terraform_roles},
)
