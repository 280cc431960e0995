"""Tell what a JSON document with role definitions is: a template, a state, or Terraform's JSON; and read its roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rightsize.iac.arm import arm_roles
from rightsize.iac.templates import NOTHING_BESIDE, Beside
from rightsize.iac.terraform import terraform_json_roles
from rightsize.iac.terraform_state import state_roles
from rightsize.model.nouns import RoleDefinition


def template_roles(document: object, beside: Beside = NOTHING_BESIDE) -> tuple[RoleDefinition, ...] | None:
    """Return the roles that a JSON template, plan or state defines, or None where the document is none of these.

    Raises:
        InputError: What a role grants cannot be known before its deployment; the message names the place.
    """
    if not isinstance(document, Mapping):
        return None
    found: Iterator[RoleDefinition] | None = state_roles(document)
    if found is None and isinstance(document.get("resources"), (list, Mapping)) and "$schema" in document:
        found = arm_roles(document)
    if found is None and isinstance(document.get("resource"), (list, Mapping)):
        found = terraform_json_roles(document, beside)
    return None if found is None else tuple(found)
