"""Mine roles from `user permission` pairs: the fewest roles that give everybody exactly what they have."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from rightsize.mining.biclique_kernel import bits, bitset
from rightsize.mining.role_mining import minimum_cover
from rightsize.model.errors import InputError
from rightsize.workflow.text_files import read_bytes


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
    rows = [bitset(position[name] for name in permissions_of[user]) for user in users]
    start = time.perf_counter()
    cover = minimum_cover(rows, len(permissions), solver_seconds=time_limit)
    seconds = time.perf_counter() - start
    roles = sorted(
        (tuple(permissions[i] for i in bits(role.columns)), tuple(users[i] for i in bits(role.rows)))
        for role in cover.roles
    )
    return MinedRoles(tuple(roles), cover.lower_bound, cover.optimal, seconds)


def _read_pairs(path: Path) -> dict[str, set[str]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
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
