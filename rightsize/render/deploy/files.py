"""Register the forms of role definitions, and return the files of a plan in each."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rightsize.render.deploy.arm import ARM, JSON
from rightsize.render.deploy.bicep import BICEP
from rightsize.render.deploy.contents import DeployContents, RoleFormat
from rightsize.render.deploy.scripts import AZ, POWERSHELL, POWERSHELL_PERMISSIONS
from rightsize.render.deploy.terraform import TERRAFORM

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
