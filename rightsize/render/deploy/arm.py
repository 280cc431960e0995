"""Write ARM templates: one for a single role, and one for a whole plan, with a nested deployment a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import to_arm
from rightsize.render.deploy.contents import (
    API,
    DeployContents,
    Made,
    RoleFormat,
    Target,
    by_target,
    home_of,
    json_text,
    outer_level,
    target_of,
)
from rightsize.render.escape import for_arm

_SCHEMAS = {
    "tenant": "2019-08-01/tenantDeploymentTemplate",
    "managementGroup": "2019-08-01/managementGroupDeploymentTemplate",
    "subscription": "2018-05-01/subscriptionDeploymentTemplate",
    "resourceGroup": "2019-04-01/deploymentTemplate",
}


def role_template(role: RoleDefinition) -> dict[str, Any]:
    """Return a template that makes a role, for a deployment at its first assignable scope."""
    level = target_of(role.assignable_scopes[0])[0].level if role.assignable_scopes else "subscription"
    return _template(level, [_arm_role(role)])


def plan_template(contents: DeployContents) -> dict[str, Any]:
    """Return the template that makes all roles, then all assignments."""
    resources: list[dict[str, Any]] = []
    waits: dict[str, str] = {}
    for role in contents.roles:
        name, home = f"rightsize-role-{role.definition.role_definition_id}", home_of(role)
        resources.append(_nested(name, home, [_arm_role(role.definition)]))
        waits[role.definition.role_definition_id] = f"{home.path}/providers/Microsoft.Resources/deployments/{name}"
    for target, made in by_target(contents).items():
        after = sorted({waits[one.role] for one in made if one.role in waits})
        resources.append(_nested(f"rightsize-{target.slug}", target, [_arm_assignment(one) for one in made], after))
    return _template(outer_level(contents), resources)


def _template(level: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "$schema": f"https://schema.management.azure.com/schemas/{_SCHEMAS[level]}.json#",
        "contentVersion": "1.0.0.0",
        "resources": resources,
    }


def _arm_role(role: RoleDefinition) -> dict[str, Any]:
    document = to_arm(role)
    made = {"type": "Microsoft.Authorization/roleDefinitions", "apiVersion": API}
    if role.role_definition_id:
        made["name"] = role.role_definition_id
    literal: dict[str, Any] = _literal(document["properties"])
    return {**made, "properties": literal}


def _arm_assignment(one: Made) -> dict[str, Any]:
    resources = target_of(one.scope)[1]
    made = {"type": "Microsoft.Authorization/roleAssignments", "apiVersion": API, "name": one.id}
    if resources:
        made["scope"] = for_arm("/providers/".join(_path(kind, name) for kind, name in resources))
    return {**made, "properties": _literal(one.properties())}


def _path(kind: str, name: str) -> str:
    provider, *types = kind.split("/")
    return "/".join((provider, *(part for pair in zip(types, name.split("/"), strict=True) for part in pair)))


def _nested(name: str, target: Target, resources: list[dict[str, Any]], after: Sequence[str] = ()) -> dict[str, Any]:
    """Return a nested deployment; only one at a resource group has no location of its own."""
    made: dict[str, Any] = {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": name}
    if target.subscription:
        made["subscriptionId"] = target.subscription
    else:
        made["scope"] = for_arm(f"Microsoft.Management/managementGroups/{target.group}") if target.group else "/"
    if target.resource_group:
        made["resourceGroup"] = for_arm(target.resource_group)
    else:
        made["location"] = "[deployment().location]"
    return {
        **made,
        **({"dependsOn": list(after)} if after else {}),
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "template": _template(target.level, resources),
        },
    }


def _literal(value: Any) -> Any:
    """Return a document whose strings a deployment does not evaluate."""
    if isinstance(value, str):
        return for_arm(value)
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return {name: _literal(item) for name, item in value.items()} if isinstance(value, dict) else value


JSON = RoleFormat("json", write_role=lambda role: json_text(to_arm(role)))
ARM = RoleFormat(
    "arm",
    write_role=lambda role: json_text(role_template(role)),
    write_plan=lambda contents: {"template.json": json_text(plan_template(contents))},
)
