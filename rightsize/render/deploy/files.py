"""Write a plan as ARM templates and as scripts of az and PowerShell, register all forms of roles, and write `ISSUE.md`.

`az role definition create` and `New-AzRoleDefinition` choose the id of a role themselves, and `New-AzRoleAssignment`
the id of an assignment. Where the id has to stay, the scripts therefore send the request to Resource Manager.

`ISSUE.md` says what a patch could not do in code, where it would be done, and what to do there by hand.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rightsize.iac.patch.grants import Change, Refused, Wanted
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
from rightsize.render.escape import for_arm, for_bicep, for_markdown, for_powershell, for_shell, for_terraform

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


@dataclass(frozen=True, slots=True)
class Open:
    """What is left to people.

    Attributes:
        refused: By owner, the changes that code makes and no edit is offered for.
        missing: The changes that no code was found for.
        deletes: The assignments that code no longer makes, but that no deployment deletes: their ids in Azure.
        notes: What to know before the patches are applied.
    """

    refused: Mapping[str, Sequence[Refused]]
    missing: Sequence[Change]
    deletes: Sequence[str]
    notes: Sequence[str]


def issue_page(found: Open) -> str:
    """Return the page as Markdown."""
    return "\n".join(_page(found)).rstrip("\n") + "\n"


def _page(found: Open) -> Iterator[str]:
    yield "# Access to change by hand\n"
    yield "The patches beside this page change what can be proved. The rest is here, with the reason.\n"
    if found.notes:
        yield "## Before the patches\n"
        yield from (f"- {for_markdown(note)}" for note in found.notes)
        yield ""
    for owner in sorted(found.refused):
        yield f"## For {for_markdown(owner)}\n"
        for one in found.refused[owner]:
            yield from _refused(one)
    if found.deletes:
        yield "## Assignments that a deployment leaves behind\n"
        yield "Bicep deletes nothing that left a file. Once `remove.patch` is deployed, delete them:\n"
        yield "```"
        yield from (f"az role assignment delete --ids {for_shell(one)}" for one in found.deletes)
        yield "```\n"
    if found.missing:
        yield "## No code was found\n"
        yield "No state, no output and no `guid()` says which code makes them. If code does, give its state.\n"
        yield from (f"- {for_markdown(one.said)} ({one.old})" for one in found.missing)


def _refused(one: Refused) -> Iterator[str]:
    yield f"### {for_markdown(f'{one.path}:{one.line}')}\n"
    yield f"{for_markdown(one.change.said)}.\n"
    yield f"Not edited: {for_markdown(one.why)}.\n"
    is_bicep = one.path.endswith((".bicep", ".bicepparam", ".json"))
    if one.change.wanted:
        yield "Add first, with the holder and the place as today where no other is named:\n"
        yield "```bicep" if is_bicep else "```terraform"
        for wanted in one.change.wanted:
            yield from _bicep(wanted) if is_bicep else _terraform(wanted)
        yield "```\n"
    if one.change.vault:
        vault = for_markdown(one.change.vault.rpartition("/")[2])
        yield f"Once all holders of {vault} have their roles, let roles decide in its code.\n"
    elif one.change.wanted:
        yield f"Once they are there, take out today's assignment `{one.change.old}`.\n"
    else:
        yield f"Take out today's assignment `{one.change.old}`.\n"


def _terraform(wanted: Wanted) -> Iterator[str]:
    kind = "azurerm_role_assignment" if wanted.grant.state == "active" else "azurerm_pim_eligible_role_assignment"
    yield f'resource "{kind}" "{wanted.word}" {{'
    yield f'  scope              = "{for_terraform(wanted.scope)}"'
    yield f'  role_definition_id = "{for_terraform(wanted.role_path)}"'
    yield f'  principal_id       = "{for_terraform(wanted.grant.principal_id)}"'
    yield "}"


def _bicep(wanted: Wanted) -> Iterator[str]:
    kind = "roleAssignments" if wanted.grant.state == "active" else "roleEligibilityScheduleRequests"
    yield f"resource {wanted.word} 'Microsoft.Authorization/{kind}@{API}' = {{"
    parts = (wanted.scope, wanted.grant.principal_id, wanted.role_path)
    yield f"  name: guid({', '.join(map(for_bicep, parts))})"
    yield "  properties: {"
    yield f"    roleDefinitionId: {for_bicep(wanted.role_path)}"
    yield f"    principalId: {for_bicep(wanted.grant.principal_id)}"
    yield "  }"
    yield "}"
