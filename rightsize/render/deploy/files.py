"""Write a plan as ARM templates and as scripts of az and PowerShell, and register all forms of roles.

`az role definition create` and `New-AzRoleDefinition` choose the id of a role themselves, and `New-AzRoleAssignment`
the id of an assignment. Where the id has to stay, the scripts therefore send the request to Resource Manager.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PlannedRole
from rightsize.model.role_forms import to_arm, to_blocks_input, to_flat_input
from rightsize.render.deploy.bicep import BICEP
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
from rightsize.render.deploy.terraform import TERRAFORM
from rightsize.render.escape import for_arm, for_powershell, for_shell

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
        made["scope"] = for_arm("/providers/".join(_typed(kind, name) for kind, name in resources))
    return {**made, "properties": _literal(one.properties())}


def _typed(kind: str, name: str) -> str:
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


def az_script(contents: DeployContents) -> str:
    """Return the script for bash; its folder is beside `roles`."""
    return "\n".join(_az_lines(contents)) + "\n"


def powershell_script(contents: DeployContents) -> str:
    """Return the script for PowerShell with Az.Accounts; its folder is beside `roles`."""
    return "\n".join(_powershell_lines(contents)) + "\n"


def _az_lines(contents: DeployContents) -> Iterator[str]:
    yield "#!/usr/bin/env bash"
    yield "# Makes new roles and assignments, each with its id; running it again changes nothing. It removes nothing."
    yield "set -euo pipefail"
    yield 'cd "$(dirname "${BASH_SOURCE[0]}")"'
    yield "put() {"
    yield "  local said"
    yield '  said=$(az rest --method put --url "$1" --body "$2" --output none 2>&1) ||'
    yield '    case $said in *RoleAssignmentExists*) ;; *) printf "%s\\n" "$said" >&2; return 1 ;; esac'
    yield "}"
    for role in contents.roles:
        yield f"put {for_shell(_role_url(role))} @../roles/{role.slug}.json"
    for one in contents.assignments:
        yield f"put {for_shell(_url(one))} {for_shell(json.dumps({'properties': one.properties()}))}"


def _powershell_lines(contents: DeployContents) -> Iterator[str]:
    yield "# Makes new roles and assignments, each with its id; running it again changes nothing. It removes nothing."
    yield "$ErrorActionPreference = 'Stop'"
    yield "function Send-Put([string] $Path, [string] $Payload) {"
    yield "    $answer = Invoke-AzRestMethod -Method PUT -Path $Path -Payload $Payload"
    yield "    if ($answer.StatusCode -ge 300 -and $answer.Content -notmatch '\"RoleAssignmentExists\"') {"
    yield "        throw $answer.Content"
    yield "    }"
    yield "}"
    for role in contents.roles:
        file = for_powershell(f"../roles/{role.slug}.json")
        body = f"(Get-Content -Raw -LiteralPath (Join-Path $PSScriptRoot {file}))"
        yield f"Send-Put {for_powershell(_role_url(role))} {body}"
    for one in contents.assignments:
        body = json.dumps({"properties": one.properties()})
        yield f"Send-Put {for_powershell(_url(one))} {for_powershell(body)}"


def _role_url(role: PlannedRole) -> str:
    definition = role.definition
    return _path(definition.assignable_scopes[0], "roleDefinitions", definition.role_definition_id)


def _url(one: Made) -> str:
    return _path(one.scope, "roleAssignments", one.id)


def _path(scope: str, kind: str, name: str) -> str:
    base = quote(scope.rstrip("/"), safe="/")
    return f"{base}/providers/Microsoft.Authorization/{kind}/{name}?api-version={API}"


def _flat(role: RoleDefinition) -> str:
    return json_text(to_flat_input(role))


def _with_blocks(role: RoleDefinition) -> str:
    return json_text(to_blocks_input(role))


def _az_files(contents: DeployContents) -> dict[str, str]:
    return {
        **{f"{role.slug}.json": _flat(role.definition) for role in contents.roles},
        "deploy.sh": az_script(contents),
    }


def _powershell_files(contents: DeployContents) -> dict[str, str]:
    files = {"deploy.ps1": powershell_script(contents)}
    for role in contents.roles:
        files[f"{role.slug}.json"] = _flat(role.definition)
        files[f"{role.slug}.permissions.json"] = _with_blocks(role.definition)
    return files


AZ = RoleFormat("az", write_role=_flat, write_plan=_az_files)
POWERSHELL = RoleFormat("powershell", write_role=_flat, write_plan=_powershell_files)
POWERSHELL_PERMISSIONS = RoleFormat("powershell-permissions", write_role=_with_blocks)


ROLE_FORMATS: Mapping[str, RoleFormat] = {
    form.name: form
    for form in (
        JSON,
        ARM,
        AZ,
        POWERSHELL,
        POWERSHELL_PERMISSIONS,
        BICEP,
        TERRAFORM,
    )
}
"""Every form of role definitions by its name."""

PLAN_FORMS = tuple(form.name for form in ROLE_FORMATS.values() if form.write_plan is not None)
"""The names of the forms of a plan, each in a folder of its name beside `roles`."""


def deploy_files(contents: DeployContents, forms: Collection[str]) -> dict[str, str]:
    """Return the files of a plan in the wanted forms, by name.

    Args:
        contents: The roles and assignments to make.
        forms: Names from `PLAN_FORMS`.

    Raises:
        InputError: A form cannot express a role or a scope.
    """
    files: dict[str, str] = {}
    for form in ROLE_FORMATS.values():
        if form.name in forms and form.write_plan is not None:
            files |= {f"{form.name}/{name}": text for name, text in form.write_plan(contents).items()}
    return files
