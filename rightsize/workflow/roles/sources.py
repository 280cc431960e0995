"""Read role definitions from files of every form: JSON, ARM templates, Bicep, Terraform, YAML, and folders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rightsize.iac.templates import NOTHING_BESIDE, ROLE_TYPE, TERRAFORM_TYPE, Beside, UnknownValueError
from rightsize.iac.terraform import read_yaml, template_roles, variables_of
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import is_found, read_found, read_given
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_relaxed_json, read_role_definitions
from rightsize.render.deploy.files import ROLE_FORMATS

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
# A file that calls a file or a folder beside it may make the roles of that.
_CALLS = {
    ".tf": re.compile(rb"""source\s*=\s*"\."""),
    ".tf.json": re.compile(rb"""source"\s*:\s*"\."""),
    ".bicep": re.compile(rb"^\s*(?:@[^\n]*)?module\s", re.MULTILINE),
}
_TERRAFORM = (".tf", ".tf.json")

Variables = tuple[tuple[str, bytes], ...]
"""Files of variables of Terraform, with their names and contents."""


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


def read_variables(paths: Sequence[Path]) -> Variables:
    """Return files of variables of Terraform, or raise InputError for one that cannot be read."""
    found = tuple((str(path), read_given(path)) for path in paths)
    for name, content in found:
        try:
            variables_of(name, content)
        except (InputError, UnicodeDecodeError) as error:
            raise InputError(f"`{name}`: {error}") from None
    return found


def read_file(path: Path, variables: Variables = ()) -> tuple[RoleDefinition, ...]:
    """Return the roles of a file, which may use the files of its folder.

    Raises:
        InputError: As `roles_of_bytes` does.
        UsageError: There are files of variables, and it is not of Terraform.
    """
    if variables and not path.name.endswith(_TERRAFORM):
        raise UsageError(f"`{path}` takes no file of variables", hint="only Terraform (.tf, .tf.json) does")
    return roles_of_bytes(read_given(path), str(path), beside_file(path, variables))


def defines_roles(content: bytes, name: str) -> bool:
    """Return whether a file may define roles at all, by itself or by a file or a folder beside it that it calls."""
    calls = next((pattern for ending, pattern in _CALLS.items() if name.endswith(ending)), None)
    if calls is not None and calls.search(content):
        return True
    if not _SIGNS.search(content):
        return False
    return not name.endswith(_JSON) or _LISTS.search(content) is not None


@dataclass(frozen=True, slots=True)
class RoleFiles:
    """The roles of several files by path, and why the others that define some are refused."""

    roles: dict[str, tuple[RoleDefinition, ...]] = field(default_factory=dict)
    refused: dict[str, InputError] = field(default_factory=dict)
    _called: set[Path] = field(default_factory=set)

    def add(self, path: Path, content: bytes, beside: Beside) -> None:
        """Read a file; one that cannot be read is refused by itself."""
        called: set[Path] = set()

        def calls(name: str) -> None:
            called.add((path.parent / name).resolve())

        try:
            self.roles[str(path)] = roles_of_bytes(content, str(path), replace(beside, calls=calls))
        except InputError as error:
            if not _is_other_json(content, path.name):
                self.refused[str(path)] = error
            return
        self._called.update(called)

    def without_modules(self) -> RoleFiles:
        """Return them without the files whose roles are those of a module that another one calls."""

        def is_called(path: str) -> bool:
            return Path(path).resolve() in self._called

        return RoleFiles(
            {path: roles for path, roles in self.roles.items() if not is_called(path)},
            {path: error for path, error in self.refused.items() if not is_called(path)},
        )


def read_folder(folder: Path, variables: Variables = ()) -> RoleFiles:
    """Return the roles of all files below a folder that define some; links are not followed."""
    found = RoleFiles()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.name.endswith(ENDINGS) or not is_found(folder, name):
            continue
        content = read_found(folder, name)
        if defines_roles(content, path.name):
            found.add(path, content, beside_file(path, variables))
    return found.without_modules()


def _is_other_json(content: bytes, name: str) -> bool:
    """Return whether a file is JSON that has no role and no list of permissions in any depth, such as a policy."""
    if not name.endswith(_JSON):
        return False
    try:
        waiting = [load_relaxed_json(content)]
    except InputError:
        return False
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        if not isinstance(one, Mapping):
            continue
        for key, value in one.items():
            if key.lower().startswith(_GRANTING) and not isinstance(value, Mapping):
                return False
            if key.lower() == "type" and isinstance(value, str) and value.lower().startswith(_ROLE_TYPES):
                return False
            waiting.append(value)
    return True


_GRANTING = ("permissions", "actions", "dataactions", "data_actions")
_ROLE_TYPES = (ROLE_TYPE, TERRAFORM_TYPE)


def beside_file(path: Path, variables: Variables = ()) -> Beside:
    """Return the files beside a file on disk, with further files of variables."""

    def read(name: str) -> bytes | None:
        place = path.parent / name
        return read_given(place) if _is_within(path, name) and place.is_file() else None

    def names(folder: str) -> list[str]:
        place = path.parent / folder
        return sorted(one.name for one in place.iterdir()) if _is_within(path, folder) and place.is_dir() else []

    return Beside(read, names, variables=variables)


def recorded(beside: Beside, path: Path, places: set[Path]) -> Beside:
    """Return the files beside a file, with each file or folder that is asked for added to the places."""

    def read(name: str) -> bytes | None:
        places.add((path.parent / name).resolve())
        return beside.read(name)

    def names(folder: str) -> list[str]:
        places.add((path.parent / folder).resolve())
        return beside.names(folder)

    return replace(beside, read=read, names=names)


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
