"""Return the deployment files of a role or of a whole plan, in each form."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import to_arm, to_blocks_input, to_flat_input
from rightsize.render.deploy.arm import plan_template, role_template
from rightsize.render.deploy.bicep import plan_bicep, role_bicep
from rightsize.render.deploy.contents import DeployContents
from rightsize.render.deploy.scripts import az_script, powershell_script
from rightsize.render.deploy.terraform import assignments_terraform, role_terraform


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=True, indent=2) + "\n"


ROLE_FORMS: Mapping[str, Callable[[RoleDefinition], str]] = {
    "json": lambda role: _json(to_arm(role)),
    "arm": lambda role: _json(role_template(role)),
    "az": lambda role: _json(to_flat_input(role)),
    "powershell": lambda role: _json(to_flat_input(role)),
    "powershell-permissions": lambda role: _json(to_blocks_input(role)),
    "bicep": role_bicep,
    "terraform": lambda role: _json(role_terraform(role)),
}
"""Forms that a role definition is written in."""

PLAN_FORMS = ("arm", "az", "powershell", "bicep", "terraform")
"""Forms that a plan is written in, each in a folder of its name beside `roles`."""


def deploy_files(contents: DeployContents, forms: Collection[str]) -> dict[str, str]:
    """Return the files of a plan in the wanted forms, by name.

    Args:
        contents: The roles and assignments to make.
        forms: Names from `PLAN_FORMS`.

    Raises:
        InputError: A form cannot express a role or a scope.
    """
    files: dict[str, str] = {}
    for form in PLAN_FORMS:
        if form in forms:
            files |= {f"{form}/{name}": text for name, text in _WRITERS[form](contents).items()}
    return files


def _arm(contents: DeployContents) -> dict[str, str]:
    return {"template.json": _json(plan_template(contents))}


def _az(contents: DeployContents) -> dict[str, str]:
    roles = {f"{role.slug}.json": ROLE_FORMS["az"](role.definition) for role in contents.roles}
    return {**roles, "deploy.sh": az_script(contents)}


def _powershell(contents: DeployContents) -> dict[str, str]:
    files = {"deploy.ps1": powershell_script(contents)}
    for role in contents.roles:
        files[f"{role.slug}.json"] = ROLE_FORMS["powershell"](role.definition)
        files[f"{role.slug}.permissions.json"] = ROLE_FORMS["powershell-permissions"](role.definition)
    return files


def _terraform(contents: DeployContents) -> dict[str, str]:
    roles = {f"{role.slug}.tf.json": ROLE_FORMS["terraform"](role.definition) for role in contents.roles}
    return {**roles, "assignments.tf.json": _json(assignments_terraform(contents))}


_WRITERS: Mapping[str, Callable[[DeployContents], dict[str, str]]] = {
    "arm": _arm,
    "az": _az,
    "powershell": _powershell,
    "bicep": plan_bicep,
    "terraform": _terraform,
}
