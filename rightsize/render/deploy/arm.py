"""Write a plan in the languages of Resource Manager: ARM templates and Bicep.

Write ARM templates: one for a single role, and one for a whole plan, with a nested deployment a target.

Write Bicep: one file a role, one a target of assignments, and `main.bicep`, which deploys them in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rightsize.iac.bicep import bicep_roles
from rightsize.model.nouns import PermissionBlock, RoleDefinition
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
from rightsize.render.escape import for_arm, for_bicep, for_terminal

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


# Bicep requires an API version for an existing resource, but sends no request with it: only the id is used.
_EXISTING = "2021-04-01"


def role_bicep(role: RoleDefinition) -> str:
    """Return a file that makes a role, for a deployment at its first assignable scope."""
    level = target_of(role.assignable_scopes[0])[0].level if role.assignable_scopes else "subscription"
    blocks = "".join(_block(block) for block in role.permissions)
    name = f"  name: {for_bicep(role.role_definition_id)}\n" if role.role_definition_id else ""
    return (
        f"targetScope = '{level}'\n\n"
        f"resource role 'Microsoft.Authorization/roleDefinitions@{API}' = {{\n{name}"
        "  properties: {\n"
        f"    roleName: {for_bicep(role.role_name)}\n"
        f"    description: {for_bicep(role.description)}\n"
        f"    type: {for_bicep(role.role_type)}\n"
        f"    permissions: {_listed(blocks, 4)}\n"
        f"    assignableScopes: {_strings(role.assignable_scopes, 4)}\n"
        "  }\n}\n"
    )


def plan_bicep(contents: DeployContents) -> dict[str, str]:
    """Return the files of a plan by name; `main.bicep` is the one to deploy."""
    files = {f"{role.slug}.bicep": role_bicep(role.definition) for role in contents.roles}
    places = by_target(contents)
    files |= {f"{target.slug}.bicep": _place(target, made) for target, made in places.items()}
    return files | {"main.bicep": "\n".join(_bicep_main(contents, places))}


def _bicep_main(contents: DeployContents, places: dict[Target, list[Made]]) -> Iterator[str]:
    yield f"targetScope = '{outer_level(contents)}'\n"
    symbols: dict[str, str] = {}
    for role in contents.roles:
        identifier = role.definition.role_definition_id
        symbols[identifier] = f"role_{identifier.replace('-', '_')}"
        yield _bicep_module(
            symbols[identifier], f"{role.slug}.bicep", f"rightsize-role-{identifier}", home_of(role), ()
        )
    for target, made in places.items():
        after = sorted({symbols[one.role] for one in made if one.role in symbols})
        yield _bicep_module(
            target.slug.replace("-", "_"), f"{target.slug}.bicep", f"rightsize-{target.slug}", target, after
        )


def _bicep_module(symbol: str, file: str, name: str, target: Target, after: Sequence[str]) -> str:
    lines = "".join(f"    {one}\n" for one in after)
    waits = f"  dependsOn: {_listed(lines, 2)}\n" if after else ""
    return f"module {symbol} {for_bicep(file)} = {{\n  name: {for_bicep(name)}\n  scope: {_scope(target)}\n{waits}}}\n"


def _scope(target: Target) -> str:
    arguments = (target.group, target.subscription, target.resource_group)
    return f"{target.level}({', '.join(for_bicep(one) for one in arguments if one)})"


def _place(target: Target, made: Sequence[Made]) -> str:
    parts = [f"// {for_terminal(target.path or '/')}\ntargetScope = '{target.level}'\n"]
    symbols: dict[tuple[tuple[str, str], ...], str] = {}
    for one in made:
        way = tuple(target_of(one.scope)[1])
        for length in range(1, len(way) + 1):
            if way[:length] not in symbols:
                symbols[way[:length]] = f"resource_{len(symbols) + 1}"
                parts.append(_existing(way[:length], symbols))
        parts.append(_bicep_assignment(one, symbols.get(way)))
    return "\n".join(parts)


def _existing(way: tuple[tuple[str, str], ...], symbols: dict[tuple[tuple[str, str], ...], str]) -> str:
    kind, name = way[-1]
    scope = f"  scope: {symbols[way[:-1]]}\n" if len(way) > 1 else ""
    resource = for_bicep(f"{kind}@{_EXISTING}")
    return f"resource {symbols[way]} {resource} existing = {{\n  name: {for_bicep(name)}\n{scope}}}\n"


def _bicep_assignment(one: Made, resource: str | None) -> str:
    scope = f"  scope: {resource}\n" if resource else ""
    lines = "".join(f"    {name}: {for_bicep(text)}\n" for name, text in one.properties().items())
    return (
        f"resource assignment_{one.id.replace('-', '_')} 'Microsoft.Authorization/roleAssignments@{API}' = {{\n"
        f"  name: {for_bicep(one.id)}\n{scope}  properties: {{\n{lines}  }}\n}}\n"
    )


def _block(block: PermissionBlock) -> str:
    texts = {
        "actions": block.actions,
        "notActions": block.not_actions,
        "dataActions": block.data_actions,
        "notDataActions": block.not_data_actions,
    }
    lines = [f"        {name}: {_strings(found, 8)}\n" for name, found in texts.items()]
    for name, text in (("condition", block.condition), ("conditionVersion", block.condition_version)):
        if text is not None:
            lines.append(f"        {name}: {for_bicep(text)}\n")
    return "      {\n" + "".join(lines) + "      }\n"


def _strings(texts: Iterable[str], indent: int) -> str:
    return _listed("".join(" " * (indent + 2) + for_bicep(text) + "\n" for text in texts), indent)


def _listed(lines: str, indent: int) -> str:
    return f"[\n{lines}{' ' * indent}]" if lines else "[]"


BICEP = RoleFormat("bicep", write_role=role_bicep, write_plan=plan_bicep, readers={".bicep": bicep_roles})
