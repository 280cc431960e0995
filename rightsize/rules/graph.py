"""What names and rule files say of Graph's permissions: how much they allow, where only a part, what goes together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of

UNKNOWN_LEVEL = 4
"""The level of a permission of which nothing says one: rather too high."""

_READS = re.compile(r"(^|\.)read(basic)?(\.|$)")
_READING = re.compile(r"\.read(?=\.|$)", re.IGNORECASE)
_WRITING = re.compile(r"\.readwrite(?=\.|$)", re.IGNORECASE)
_WITHOUT_TWIN = (".ownedby", ".selected", ".group")
"""Constraints under which the reading and the writing permission need not speak of the same objects."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Requests that return less without one of other permissions: their objects come with id and type alone."""

    kind: str
    permissions: tuple[str, ...]
    without: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """A narrower permission that works on chosen resources only, so that somebody has to choose them."""

    instead: str
    only: str


@cache
def partial_kind(permission: str, method: str, path: str) -> tuple[str, str] | None:
    """Return how a permission allows only a part of a request, and why: `body`, `foreign`, `limited` or `instance`."""
    for row in rows_of("graph_partial"):
        if (
            fnmatchcase(fold(permission), row["permission"])
            and row["method"] in ("*", method)
            and fnmatchcase(path, row["path"].replace("[", "[[]"))
        ):
            return row["kind"], row["why"]
    return None


def reading_twin(permission: str) -> str | None:
    """Return the name of the permission that reads what this one reads and writes: same resource, same constraint.

    None where the name has no such twin. Source: Microsoft Learn, "Overview of Microsoft Graph permissions", naming
    pattern {resource}.{operation}.{constraint}.
    """
    return _twin(permission, _WRITING, ".Read")


def writing_twin(permission: str) -> str | None:
    """Return the name of the permission that reads and writes what this one reads; None where it has no such twin."""
    return _twin(permission, _READING, ".ReadWrite")


def _twin(permission: str, operation: re.Pattern[str], other: str) -> str | None:
    named = operation.sub(other, permission)
    return None if named == permission or fold(permission).endswith(_WITHOUT_TWIN) else named


def only_reads(permission: str) -> bool:
    """Tell whether a permission reads and does not write, by its name."""
    return _READS.search(fold(permission)) is not None


@cache
def changes(method: str, path: str) -> bool:
    """Tell whether a request changes something: not a GET, and not an action that reads by POST."""
    if method != "POST":
        return method != "GET"
    action = path.rpartition("/")[2].rpartition(".")[2]
    return not any(fnmatchcase(action, row["action"]) for row in rows_of("graph_reading_actions"))


@cache
def joined(method: str, path: str, access: str) -> tuple[tuple[str, ...], ...]:
    """Return the sets of permissions of which a request needs one each, all of them together."""
    return tuple(
        tuple(row["permissions"].split("|"))
        for row in rows_of("graph_joined")
        if row["method"] == method and fnmatchcase(path, row["path"]) and row["access"] in ("*", access)
    )


def is_general(permission: str) -> bool:
    """Tell whether a permission gives whole objects, and not only basic properties or chosen resources."""
    found = partial_kind(permission, "GET", "/")
    return found is None


@cache
def correlations(method: str, path: str) -> tuple[Correlation, ...]:
    """Return which permissions a request returns more with."""
    return tuple(
        Correlation(row["kind"], tuple(row["permissions"].split("|")), row["without"])
        for row in rows_of("graph_correlated")
        if row["method"] == method and fnmatchcase(path, row["path"])
    )


@cache
def sign_in_scopes() -> frozenset[str]:
    """Return the delegated permissions, folded, that are used where tokens are issued."""
    return frozenset(fold(row["permission"]) for row in rows_of("graph_sign_in_scopes"))


@cache
def alternatives(permission: str, access: str) -> tuple[Alternative, ...]:
    """Return the narrower permissions on chosen resources that might do instead."""
    return tuple(
        Alternative(row["instead"], row["only"])
        for row in rows_of("graph_alternatives")
        if fold(row["permission"]) == fold(permission) and row["access"] in ("*", access)
    )


@cache
def properties() -> dict[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return, by folded property, the roots of paths where it needs a permission of its own, and these permissions."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for row in rows_of("graph_properties"):
        found.setdefault(row["property"], []).append((row["path"], tuple(row["permissions"].split("|"))))
    return {name: tuple(places) for name, places in found.items()}


@cache
def level_of(permission: str, access: str, mapped: int | None) -> int:
    """Return the privilege level, 1 to 5: of the rules, else of the map, else one that is rather too high."""
    for row in rows_of("graph_privilege"):
        if fold(row["permission"]) == fold(permission) and row["access"] == access:
            return int(row["level"])
    return mapped if mapped is not None else UNKNOWN_LEVEL


def weight_of(permission: str, level: int) -> int:
    """Return what one request that a permission allows weighs: four times as much a level, and again if it changes."""
    return int(4**level) * (1 if only_reads(permission) else 4)
