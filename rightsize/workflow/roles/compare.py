"""Compare, expand and convert role definitions in files, and mine roles from `user permission` pairs.

The operations come from a catalogue in a file or in the store. Mining finds the fewest roles that give everybody
exactly what they have.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rightsize.mining.bitsets import bits_of, mask_of
from rightsize.mining.role_mining import minimum_cover
from rightsize.model.errors import EvidenceError, InputError
from rightsize.model.file_reading import read_given, read_json_lines
from rightsize.model.nouns import PLANES, GrantPlane, PermissionBlock, Planes, RoleDefinition, Witness
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.text import fold
from rightsize.rbac.algebra import contains, grants, grants_alike, witnesses
from rightsize.rbac.expand import Catalogue, GrantedOperation, doubtful_positions, expand_roles
from rightsize.rbac.permissions import Reading, read_permissions
from rightsize.render.deploy.files import ROLE_FORMATS
from rightsize.workflow.roles.sources import read_file, read_variables

Operations = Sequence[tuple[str, Planes]]
"""Names of operations and the planes that each is known to be on; no plane where no source says it."""

_LISTS = ("value", "resourceTypes", "operations")
"""Keys under which listings of operations are nested: in ARM pages, providers and resource types."""

_GUESSES = ("arm-api-map", "sibling-inferred")
"""Values of `is_data_action_source` that say that the plane was inferred."""


def read_operations(path: Path) -> Operations:
    """Return the operations of a file: CSV with `operation` and `is_data_action`, or JSON with names of operations.

    JSON may be the output of `az provider operation list`, an answer of ARM, or a plain list of names.

    Raises:
        InputError: The file cannot be read, or names no operation.
    """
    raw = read_given(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"`{path}` is not UTF-8 text") from None
    said = _from_json(load_json(text)) if text.lstrip()[:1] in ("[", "{") else _from_csv(text)
    from rightsize.rules.operations import planes_of  # noqa: PLC0415  it loads polars, and containment asks for none

    found = [(name, planes_of(name, is_data_action=is_data)) for name, is_data in said]
    if not found:
        raise InputError(
            f"`{path}` names no operation",
            hint="give a CSV with a column `operation`, or what `az provider operation list` prints",
        )
    return found


def stored_operations(db: Path) -> Operations:
    """Return the catalogue of a store; a guessed plane counts as unknown.

    Raises:
        EvidenceError: The store has no catalogue.
    """
    from rightsize.store.connection import open_store  # noqa: PLC0415  a file needs no engine

    with open_store(db, read_only=True) as store:
        frame = store.table("operations")
    rows = frame.sort("operation").select("operation", "is_data_action", "is_guess").iter_rows()
    from rightsize.rules.operations import planes_of  # noqa: PLC0415  as above

    found = [(name, planes_of(name, is_data_action=None if is_guess else is_data)) for name, is_data, is_guess in rows]
    if not found:
        raise EvidenceError(
            "the store has no catalogue of operations",
            hint="`rightsize catalog import FILE`, or give `--operations FILE`",
        )
    return found


def _from_csv(text: str) -> Iterator[tuple[str, bool | None]]:
    for row in csv.DictReader(io.StringIO(text)):
        operation = (row.get("operation") or "").strip(" ")
        said = {"true": True, "false": False}.get((row.get("is_data_action") or "").lower())
        if operation:
            yield operation, None if row.get("is_data_action_source") in _GUESSES else said


def _from_json(document: object) -> Iterator[tuple[str, bool | None]]:
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item, None
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, Mapping):
            name = item.get("operation") or item.get("name")
            if isinstance(name, str) and item.keys().isdisjoint(_LISTS):
                is_data = item.get("isDataAction", item.get("is_data_action"))
                yield name, is_data if isinstance(is_data, bool) else None
            waiting.extend(item[key] for key in _LISTS if isinstance(item.get(key), list))


def read_role(
    place: str, role_name: str | None = None, *, variables: Sequence[Path] = (), must_be_decided: bool = False
) -> RoleDefinition:
    """Return the one role at a place: a file, or `file#Role Name` where the file has several roles.

    Args:
        place: Path of a file in any form of `model.role_forms`, optionally followed by `#` and a role's name or GUID.
        role_name: The name or GUID, where it is given separately.
        variables: Files of variables of Terraform.
        must_be_decided: Whether a role is an error of which conditions of its file decide what it grants. Else it has
            what it grants with both sides of each.

    Raises:
        InputError: The file cannot be read, or does not have exactly one such role.
    """
    path, name = Path(place), role_name
    if "#" in place and not path.exists():
        file, _, fragment = place.rpartition("#")
        path, name = Path(file), name or fragment
    found = choose_role(read_roles(path, variables), name, str(path))
    return decided(found) if must_be_decided else found


def read_roles(path: Path, variables: Sequence[Path] = ()) -> tuple[RoleDefinition, ...]:
    """Return all roles of a file, templates included, or raise InputError."""
    return read_file(path, read_variables(variables))


def decided(role: RoleDefinition) -> RoleDefinition:
    """Return a role, or raise InputError where conditions of its file decide what it grants."""
    if not role.is_decided:
        raise InputError(
            f"what role `{role.role_name}` grants depends on conditions that its file does not decide",
            hint="give the compiled template, the plan, or the values (`--var-file` of Terraform)",
        )
    return role


def choose_role(roles: Sequence[RoleDefinition], name: str | None, where: str) -> RoleDefinition:
    """Return the only role of a name or GUID, or the only role where no name is given; else raise InputError."""
    if name is None:
        if len(roles) == 1:
            return roles[0]
        hint = f"name one: `{where}#{roles[0].role_name}`" if roles else None
        raise InputError(f"`{where}` holds {len(roles) or 'no'} roles, not one", hint=hint)
    wanted = fold(name)
    found = [role for role in roles if wanted in (fold(role.role_name), role.role_definition_id)]
    if len(found) > 1:
        raise InputError(f"`{where}` holds several roles called `{name}`", hint="give the role's GUID instead")
    if not found:
        first = ", ".join(f"`{role.role_name}`" for role in roles[:5])
        raise InputError(f"`{where}` holds no role called `{name}`", hint=f"it holds {len(roles)}: {first}")
    return found[0]


def contains_answer(big: Sequence[PermissionBlock], small: Sequence[PermissionBlock]) -> dict[str, Any]:
    """Return the JSON answer of `roles contains`: whether `big` grants all that `small` grants, by any reading.

    `depends_on_reading` is true where the witness is one only by one of the two readings of `/*/`.
    """
    witness = contains(big, small)
    return {"contains": witness is None, "witness": _document(witness) if witness else None}


def contains_pairs(path: Path, variables: Sequence[Path] = ()) -> Iterator[dict[str, Any]]:
    """Yield the answer for each line of a file of pairs, in order.

    A line is `{"big": …, "small": …}`; each side is a path as `read_role` takes it, a list of permission blocks, or a
    role definition. A path is looked up in the current folder, else beside the file of pairs.

    Raises:
        InputError: A line is not such a pair.
    """
    sides = _Sides(path.parent, variables)
    for number, pair in read_json_lines(path):
        try:
            if not {"big", "small"} <= pair.keys():
                raise InputError("it lacks `big` or `small`")
            big = sides.read(pair["big"], must_be_decided=True)
            yield contains_answer(big, sides.read(pair["small"]))
        except InputError as error:
            raise InputError(f"line {number} of `{path}`: {error.message}", hint=error.hint) from None


@dataclass(slots=True)
class _Sides:
    """Reads the sides of pairs, each file once."""

    folder: Path
    variables: Sequence[Path]
    _by_place: dict[str, RoleDefinition] = field(default_factory=dict)
    _by_file: dict[Path, tuple[RoleDefinition, ...]] = field(default_factory=dict)

    def read(self, side: object, *, must_be_decided: bool = False) -> tuple[PermissionBlock, ...]:
        if isinstance(side, str):
            if side not in self._by_place:
                self._by_place[side] = self._read_place(side)
            role = self._by_place[side]
            return (decided(role) if must_be_decided else role).permissions
        if side == []:
            return ()
        return choose_role(read_role_definitions(side), None, "it").permissions

    def _read_place(self, place: str) -> RoleDefinition:
        file, _, name = place.rpartition("#")
        for text, fragment in ((place, None), (file, name)):
            for path in (Path(text), self.folder / text):
                if text and path.is_file():
                    if path not in self._by_file:
                        self._by_file[path] = read_roles(path, self.variables)
                    return choose_role(self._by_file[path], fragment, text)
        raise InputError(f"there is no file `{place}`")


@dataclass(frozen=True, slots=True)
class OneSide:
    """The permissions that only one of two roles grants.

    `witnesses` are examples over all strings, one for each part that the other does not grant; `operations` those
    of a catalogue, None without one.
    """

    witnesses: tuple[Witness, ...]
    operations: tuple[Witness, ...] | None

    def document(self) -> dict[str, Any]:
        """Return them as plain values for JSON."""
        operations = self.operations
        return {
            "witnesses": [_document(witness) for witness in self.witnesses],
            "operations": None if operations is None else [_document(one) for one in operations],
        }


def diff_roles(
    one: Sequence[PermissionBlock], other: Sequence[PermissionBlock], operations: Operations | None
) -> tuple[OneSide, OneSide]:
    """Return the permissions that only the first role grants, and only the second; conditions as in containment."""
    either = sorted({(row.operation, row.plane) for row in expand_roles({"": [*one, *other]}, operations or ())})
    sides = []
    for ours, theirs in ((one, other), (other, one)):
        found = None if operations is None else tuple(_only(either, ours, theirs))
        sides.append(OneSide(tuple(dict.fromkeys(witnesses(theirs, ours))), found))
    return sides[0], sides[1]


def _only(
    names: Iterable[tuple[str, GrantPlane]], ours: Sequence[PermissionBlock], theirs: Sequence[PermissionBlock]
) -> Iterator[Witness]:
    """Yield the operations that only our side grants, by some reading, conditions held to be true."""
    for name, plane in names:
        most, least = (grants(ours, name, plane, reading) != "no" for reading in Reading)
        their_most, their_least = (grants(theirs, name, plane, reading) != "no" for reading in Reading)
        if least and not their_most:
            yield Witness(name, plane)
        elif most and not their_least and not grants_alike(theirs, ours, name, plane):
            yield Witness(name, plane, depends_on_reading=True)


def expand_role(role: RoleDefinition, operations: Operations) -> list[dict[str, Any]]:
    """Return the operations of a catalogue that a role may grant, sorted by plane and name.

    `depends_on_reading` says where Azure would have to read `/*/` in favour of the role (see `rbac.permissions`).
    """
    catalogue, read = Catalogue([name for name, _ in operations]), read_permissions(role.permissions)
    doubtful = {
        (plane, catalogue.operations[position])
        for plane in PLANES
        for position in doubtful_positions(read, plane, catalogue)
    }
    return [
        {
            "operation": row.operation,
            "plane": row.plane,
            "conditional": row.conditional,
            "depends_on_reading": (row.plane, row.operation) in doubtful,
        }
        for row in sorted(expand_roles({"": role.permissions}, operations), key=_by_plane)
    ]


def convert_role(role: RoleDefinition, form: str) -> str:
    """Return a role in a form of `ROLE_FORMATS`, or raise InputError where that cannot express it."""
    return ROLE_FORMATS[form].write_role(role)


def _by_plane(row: GrantedOperation) -> tuple[str, str, str]:
    return row.plane, fold(row.operation), row.operation


def _document(witness: Witness) -> dict[str, Any]:
    return {
        "operation": witness.operation,
        "plane": witness.plane,
        "depends_on_reading": witness.depends_on_reading,
    }


@dataclass(frozen=True, slots=True)
class MinedRoles:
    """The mined roles, as sorted names, with the proven lower bound."""

    roles: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    lower_bound: int
    optimal: bool
    seconds: float

    def answer(self) -> dict[str, object]:
        """Return the JSON answer of `mine`."""
        return {
            "roles": len(self.roles),
            "lower_bound": self.lower_bound,
            "optimal": self.optimal,
            "seconds": round(self.seconds, 3),
        }


def mine_roles(path: Path, *, time_limit: float) -> MinedRoles:
    """Read pairs from a file and return the fewest roles that cover exactly them.

    Raises:
        InputError: The file cannot be read, or a line is not a user and a permission.
    """
    permissions_of = _read_pairs(path)
    users = sorted(permissions_of)
    permissions = sorted({name for names in permissions_of.values() for name in names})
    position = {name: index for index, name in enumerate(permissions)}
    rows = [mask_of(position[name] for name in permissions_of[user]) for user in users]
    start = time.perf_counter()
    cover = minimum_cover(rows, len(permissions), solver_seconds=time_limit)
    seconds = time.perf_counter() - start
    roles = sorted(
        (tuple(permissions[i] for i in bits_of(role.columns)), tuple(users[i] for i in bits_of(role.rows)))
        for role in cover.roles
    )
    return MinedRoles(tuple(roles), cover.lower_bound, cover.optimal, seconds)


def _read_pairs(path: Path) -> dict[str, set[str]]:
    try:
        text = read_given(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read `{path}`: {error}") from error
    permissions_of: dict[str, set[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 2:
            raise InputError(
                f"line {number} of `{path}` is not a user and a permission: `{line[:80]}`",
                hint="write one pair a line, separated by a space or a tab",
            )
        permissions_of.setdefault(fields[0], set()).add(fields[1])
    return permissions_of


def write_roles(mined: MinedRoles, path: Path) -> None:
    """Write the roles to a file, one JSON object a role: its permissions and its users."""
    lines = (
        json.dumps({"permissions": permissions, "users": users}, ensure_ascii=False)
        for permissions, users in mined.roles
    )
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
