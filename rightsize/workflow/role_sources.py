"""Read role definitions from files of every form: JSON, ARM templates, Bicep, Terraform, YAML, and folders."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_relaxed_json, read_role_definitions
from rightsize.model.role_templates import NOTHING_BESIDE, Beside, UnknownValueError, template_roles
from rightsize.model.role_terraform import read_yaml
from rightsize.render.deploy.files import ROLE_FORMATS
from rightsize.workflow.text_files import read_bytes

_READERS = {ending: read for form in ROLE_FORMATS.values() for ending, read in form.readers.items()}
_YAML = (".yaml", ".yml")
# YAML is the form of many things: in a folder only the names of the Azure Landing Zones Library are roles.
_YAML_OF_FOLDERS = (".alz_role_definition.yaml", ".alz_role_definition.yml")
_JSON = (".json", ".jsonc", ".tfstate")
ENDINGS = (*_JSON, *_READERS, *_YAML_OF_FOLDERS)
# A file in a folder that contains none of these words defines no role, whatever else is wrong with it.
_SIGNS = re.compile(rb"roledefinitions|azurerm_role_definition|assignable_?scopes", re.IGNORECASE)
# JSON that names a role but lists no permission, such as a policy, defines none, unless it is a template.
# An escape could hide a key.
_LISTS = re.compile(rb'"(?:not_?)?(?:data_?)?actions"|"permissions[".]|"resources?"|\\u', re.IGNORECASE)


def roles_of_bytes(content: bytes, name: str, beside: Beside = NOTHING_BESIDE) -> tuple[RoleDefinition, ...]:
    """Return the roles of a file: Bicep, Terraform or YAML by its ending, else JSON of any form.

    Raises:
        InputError: The file cannot be read, or the permissions of a role are known only at its deployment.
        UsageError: The package that reads such files is not installed.
    """
    try:
        for ending, read_roles in _READERS.items():
            if name.endswith(ending):
                return tuple(read_roles(_text(content), beside))
        document = read_yaml(_text(content)) if name.endswith(_YAML) else load_relaxed_json(content)
        found = template_roles(document, beside)
        return read_role_definitions(document) if found is None else found
    except UnknownValueError as error:
        line = _line_of(content, error.expression)
        raise InputError(f"`{name}`{line}: {error.message}", hint=error.hint) from None
    except InputError as error:
        raise InputError(f"`{name}`: {error.message}", hint=error.hint) from None
    except RecursionError:
        raise InputError(f"`{name}`: it is nested deeper than any role definition") from None


def read_file(path: Path) -> tuple[RoleDefinition, ...]:
    """Return the roles of a file, which may use the files of its folder.

    Raises:
        InputError: As `roles_of_bytes` does.
    """
    return roles_of_bytes(read_bytes(path), str(path), beside_file(path))


def defines_roles(content: bytes, name: str) -> bool:
    """Return whether a file may define roles at all."""
    if not _SIGNS.search(content):
        return False
    return not name.endswith(_JSON) or _LISTS.search(content) is not None


def read_folder(folder: Path) -> dict[str, tuple[RoleDefinition, ...]]:
    """Return the roles of all files below a folder that define some, by path; links are not followed.

    Raises:
        InputError: A file that defines roles cannot be read.
    """
    found: dict[str, tuple[RoleDefinition, ...]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.name.endswith(ENDINGS) or path.is_symlink() or not path.is_file():
            continue
        content = read_bytes(path)
        if defines_roles(content, path.name):
            found[str(path)] = roles_of_bytes(content, str(path), beside_file(path))
    return found


def beside_file(path: Path) -> Beside:
    """Return the files beside a file on disk."""

    def read(name: str) -> bytes | None:
        place = path.parent / name
        return read_bytes(place) if _is_within(path, name) and place.is_file() else None

    def names(folder: str) -> list[str]:
        place = path.parent / folder
        return sorted(one.name for one in place.iterdir()) if _is_within(path, folder) and place.is_dir() else []

    return Beside(read, names)


def recorded(beside: Beside, path: Path, places: set[Path]) -> Beside:
    """Return the files beside a file, with each file or folder that is asked for added to the places."""

    def read(name: str) -> bytes | None:
        places.add((path.parent / name).resolve())
        return beside.read(name)

    def names(folder: str) -> list[str]:
        places.add((path.parent / folder).resolve())
        return beside.names(folder)

    return Beside(read, names)


def _is_within(path: Path, name: str) -> bool:
    """Return whether a path is relative; standard input has nothing beside it."""
    return str(path) != "-" and not Path(name).is_absolute() and "\0" not in name


def _line_of(content: bytes, expression: str) -> str:
    """Return where an expression stands in a file, or nothing where it is written otherwise there."""
    for written in (expression, json.dumps(expression)[1:-1]):
        found = re.search(rb"(?<!\w)" + re.escape(written.encode("utf-8", "surrogatepass")) + rb"(?!\w)", content)
        if found:
            line = content.count(b"\n", 0, found.start()) + 1
            return f", line {line}"
    return ""


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("it is not UTF-8") from None
