"""Register the forms of role definitions, and return the files of a plan in each.

Write the az and PowerShell scripts that make the roles and assignments of a plan.

`az role definition create` and `New-AzRoleDefinition` choose the id of a role themselves, and `New-AzRoleAssignment`
the id of an assignment. Where the id has to stay, the scripts therefore send the request to Resource Manager.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote

from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PlannedRole
from rightsize.model.role_forms import to_blocks_input, to_flat_input
from rightsize.render.deploy.arm import ARM, JSON
from rightsize.render.deploy.bicep import BICEP
from rightsize.render.deploy.contents import API, DeployContents, Made, RoleFormat, json_text
from rightsize.render.deploy.terraform import TERRAFORM
from rightsize.render.escape import for_powershell, for_shell


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
    for role in contents.roles:
        yield f"az rest --method put --url {for_shell(_role_url(role))} --body @../roles/{role.slug}.json --output none"
    for one in contents.assignments:
        # az takes a role's path at a management group for its name, and a condition with this sign for a file's name.
        if not one.role_path.startswith("/subscriptions/") or (one.condition or "").startswith("@"):
            body = json.dumps({"properties": one.properties()})
            yield f"az rest --method put --url {for_shell(_url(one))} --body {for_shell(body)} --output none"
            continue
        words = {
            "name": one.id,
            "role": one.role_path,
            "scope": one.scope,
            "assignee-object-id": one.principal_id,
            "assignee-principal-type": one.principal_type,
            "description": one.description,
        }
        if one.condition:
            words |= {"condition": one.condition, "condition-version": "2.0"}
        said = " ".join(f"--{name} {for_shell(text)}" for name, text in words.items())
        yield f"az role assignment create {said} --output none"


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
