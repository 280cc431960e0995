"""Gate changes of role definitions: no change grants more, and no role grants forbidden operations."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rightsize.iac.templates import Beside
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_given
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import fold
from rightsize.rbac.algebra import intersects, witnesses
from rightsize.workflow.roles.sources import (
    ENDINGS,
    RoleFiles,
    Variables,
    beside_file,
    defines_roles,
    read_file,
    read_folder,
    read_variables,
    recorded,
    roles_of_bytes,
)

_SHOWN = 20
"""The most witnesses for one role; each stands for a part of the difference, and a few are enough to refuse it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The result of a gate on roles: one row for each excessive operation that is shown, and notes for people.

    `refused` are the files that cannot be read: where there is one, the gate does not open.
    """

    rows: list[dict[str, Any]]
    remarks: tuple[str, ...]
    roles: int
    refused: tuple[InputError, ...] = ()


def no_new_access(old: Path, new: Path, *, allow_new_roles: bool = False, variables: Sequence[Path] = ()) -> Gate:
    """Return the gate's result: operations that the roles of a new file or folder grant beyond the old ones.

    Args:
        old: File or folder before the change.
        new: File or folder after it.
        allow_new_roles: Whether a role that did not exist before may grant something.
        variables: Files of variables of Terraform, for both sides.

    Raises:
        InputError: A side has no role, a file cannot be read, or only a deployment knows what a role grants.
    """
    given = read_variables(variables)
    return _compare(_roles_at(old, given), _roles_at(new, given), allow_new_roles)


def no_new_access_since(
    revision: str, paths: Sequence[Path], *, allow_new_roles: bool = False, variables: Sequence[Path] = ()
) -> Gate:
    """Return the gate's result: operations that files grant beyond their git revision; files without roles are skipped.

    A role file below the current folder that takes values from one of the files is compared, too. A file of variables
    is read as it was at the revision, where it was there.

    Raises:
        UsageError: There is no git, no repository, or no such revision.
        InputError: A file cannot be read.
    """
    _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", missing=f"git has no revision `{revision}`")
    given = read_variables(variables)
    earlier = [(str(path), _content_at(revision, path)) for path in variables]
    was_given = tuple((name, content) for name, content in earlier if content is not None)
    before, after = RoleFiles(), RoleFiles()
    for path in (*paths, *_readers_of(paths, given)):
        if not path.name.endswith(ENDINGS):
            continue
        content = read_given(path) if path.is_file() else b""
        was = _content_at(revision, path)
        if defines_roles(content, path.name):
            after.add(path, content, beside_file(path, given))
        if was is not None and defines_roles(was, path.name):
            before.add(path, was, replace(_beside_at(revision, path), variables=was_given))
    return _compare(before.without_modules(), after.without_modules(), allow_new_roles)


def not_granted(place: Path, operations: Sequence[str], plane: str, *, variables: Sequence[Path] = ()) -> Gate:
    """Return the gate's result: given operations that a role of a file or folder grants, conditions held to be true.

    Args:
        place: File or folder.
        operations: Operations, or patterns of them.
        plane: `control`, `data`, or `both`.
        variables: Files of variables of Terraform.

    Raises:
        InputError: There is no role, a file cannot be read, or only a deployment knows what a role grants.
        UsageError: There is no operation to ask for.
    """
    if not operations:
        raise UsageError("no operation is given", hint="add --operation OPERATION; it may be repeated")
    rows, remarks, count = [], [], 0
    found = _roles_at(place, read_variables(variables))
    for file, roles in found.roles.items():
        for role in roles:
            count += 1
            remarks.extend(_on_conditions(file, role))
            for operation in operations:
                for one in ("control", "data") if plane == "both" else (plane,):
                    if intersects(role.permissions, [_asking(operation, one)]):
                        rows.append(_row(file, role, operation, one, "granted"))
    return Gate(rows, tuple(remarks), count, tuple(found.refused.values()))


def _on_conditions(file: str, role: RoleDefinition) -> list[str]:
    if role.is_decided:
        return []
    return [f"conditions of `{file}` decide what role `{role.role_name}` grants: it counts with both sides of each"]


def _asking(operation: str, plane: str) -> PermissionBlock:
    if plane == "data":
        return PermissionBlock(data_actions=(operation,))
    return PermissionBlock(actions=(operation,))


def _roles_at(path: Path, variables: Variables) -> RoleFiles:
    """Return the roles of a file or folder by file; where there is none, raise InputError, so that no gate opens."""
    found = read_folder(path, variables) if path.is_dir() else RoleFiles({str(path): read_file(path, variables)})
    if not any(found.roles.values()):
        if found.refused:
            raise next(iter(found.refused.values()))
        raise InputError(f"`{path}` has no role definition", hint="name the file or folder that has the roles")
    return found


def _compare(older: RoleFiles, newer: RoleFiles, allow_new_roles: bool) -> Gate:
    before, after = older.roles, newer.roles
    by_id, by_name = _index(before.values())
    alone = _only(before), _only(after)
    rows, remarks, count = [], [], 0
    for file, roles in after.items():
        for role in roles:
            count += 1
            remarks.extend(_on_conditions(file, role))
            was = by_id.get(role.role_definition_id) or by_name.get(fold(role.role_name))
            if was is None and alone[0] is not None and alone[1] is role:
                was = alone[0]  # A file with one role before and after, under another name: the role was renamed.
            if was is None and allow_new_roles:
                remarks.append(f"role `{role.role_name}` of `{file}` is new")
                continue
            change = "new role" if was is None else "grants more"
            found = witnesses(was.permissions if was else (), role.permissions)
            for _, witness in zip(range(_SHOWN), found, strict=False):
                said = f"{change}, by one reading of `/*/`" if witness.depends_on_reading else change
                rows.append(_row(file, role, witness.operation, witness.plane, said))
            wider = set(map(fold, role.assignable_scopes)) - set(map(fold, was.assignable_scopes if was else ()))
            if was is not None and wider:
                remarks.append(f"role `{role.role_name}` of `{file}` may be assigned at more places: {min(wider)}")
    return Gate(rows, tuple(remarks), count, (*older.refused.values(), *newer.refused.values()))


def _index(
    groups: Iterable[tuple[RoleDefinition, ...]],
) -> tuple[dict[str, RoleDefinition], dict[str, RoleDefinition]]:
    by_id: dict[str, RoleDefinition] = {}
    by_name: dict[str, RoleDefinition] = {}
    for roles in groups:
        for role in roles:
            if role.role_definition_id:
                by_id[role.role_definition_id] = role
            if fold(role.role_name) in by_name:
                raise InputError(
                    f"two roles are called `{role.role_name}` before the change",
                    hint="role names are unique in a tenant",
                )
            by_name[fold(role.role_name)] = role
    return by_id, by_name


def _only(files: Mapping[str, tuple[RoleDefinition, ...]]) -> RoleDefinition | None:
    roles = [role for group in files.values() for role in group]
    return roles[0] if len(files) == len(roles) == 1 else None


def _row(file: str, role: RoleDefinition, operation: str, plane: str, change: str) -> dict[str, Any]:
    return {"role": role.role_name, "change": change, "operation": operation, "plane": plane, "file": file}


def _readers_of(paths: Sequence[Path], variables: Variables) -> Iterator[Path]:
    """Yield the other Terraform and Bicep files with roles in git that read one of the files, or its folder."""
    changed = {path.resolve() for path in paths}
    places = changed | {path.parent for path in changed}
    listed = _git("ls-files", "-z", "--", "*.tf", "*.tf.json", "*.bicep", missing="this is not a git repository")
    for path in map(Path, filter(None, listed.decode("utf-8", "surrogateescape").split("\0"))):
        if path.resolve() in changed or not path.is_file():
            continue
        content = read_given(path)
        if not defines_roles(content, path.name):
            continue
        read = {Path(name).resolve() for name, _ in variables}
        with suppress(InputError):
            roles_of_bytes(content, str(path), recorded(beside_file(path, variables), path, read))
        if read & places:
            yield path


def _content_at(revision: str, path: Path) -> bytes | None:
    done = subprocess.run(  # noqa: S603  a fixed command; the path is one argument
        ["git", "show", f"{revision}:./{path.as_posix()}"] if not path.is_absolute() else _from_root(revision, path),
        capture_output=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def _beside_at(revision: str, path: Path) -> Beside:
    """Return the files beside a file at a revision."""

    def read(name: str) -> bytes | None:
        return _content_at(revision, path.parent / name)

    def names(folder: str) -> list[str]:
        listed = _content_at(revision, path.parent / folder)  # git shows a folder as its name, and a line for each file
        lines = (listed or b"").decode("utf-8", "replace").splitlines()
        return lines[2:] if lines[:1] and lines[0].startswith("tree ") else []

    return Beside(read, names)


def _from_root(revision: str, path: Path) -> list[str]:
    root = Path(_git("rev-parse", "--show-toplevel", missing="this is not a git repository").decode().strip())
    try:
        return ["git", "show", f"{revision}:{path.resolve().relative_to(root.resolve()).as_posix()}"]
    except ValueError:
        raise UsageError(f"`{path}` is outside of the repository") from None


def _git(*arguments: str, missing: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        raise UsageError("git is not installed", hint="compare two files instead: OLD NEW") from None
    if done.returncode != 0:
        raise UsageError(missing)
    return done.stdout
