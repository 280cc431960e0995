"""Read role definitions from files of every form: JSON, ARM templates, Bicep, Terraform, and folders."""

from __future__ import annotations

import re
from pathlib import Path

from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.role_templates import template_roles
from rightsize.render.deploy.files import ROLE_FORMATS
from rightsize.workflow.text_files import read_bytes

_READERS = {ending: read for form in ROLE_FORMATS.values() for ending, read in form.readers.items()}
ENDINGS = (".json", *_READERS)
# A file in a folder that contains none of these words defines no role, whatever else is wrong with it.
_SIGNS = re.compile(rb"roledefinitions|azurerm_role_definition|assignable_?scopes", re.IGNORECASE)


def roles_of_bytes(content: bytes, name: str) -> tuple[RoleDefinition, ...]:
    """Return the roles of a file: Bicep or Terraform by its ending, else JSON of any form.

    Raises:
        InputError: The file cannot be read, or the permissions of a role are known only at its deployment.
        UsageError: The package that reads such files is not installed.
    """
    try:
        for ending, read_roles in _READERS.items():
            if name.endswith(ending):
                return tuple(read_roles(_text(content)))
        document = load_json(content)
        found = template_roles(document)
        return read_role_definitions(document) if found is None else found
    except InputError as error:
        raise InputError(f"`{name}`: {error.message}", hint=error.hint) from None


def defines_roles(content: bytes) -> bool:
    """Return whether a file may define roles at all."""
    return _SIGNS.search(content) is not None


def read_folder(folder: Path) -> dict[str, tuple[RoleDefinition, ...]]:
    """Return the roles of all files below a folder that define some, by path; links are not followed.

    Raises:
        InputError: A file that defines roles cannot be read.
    """
    found: dict[str, tuple[RoleDefinition, ...]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in ENDINGS or path.is_symlink() or not path.is_file():
            continue
        content = read_bytes(path)
        if defines_roles(content):
            found[str(path)] = roles_of_bytes(content, str(path))
    return found


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("it is not UTF-8") from None
