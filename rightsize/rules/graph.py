"""Read the rules about Graph permissions: levels, partial access, twins, joint requirements, use in Microsoft 365."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from rightsize.model.text import fold
from rightsize.rules.tables import rows_of

UNKNOWN_LEVEL = 4
"""The level of a permission without a known one; it is chosen rather too high."""

_READS = re.compile(r"(^|\.)read(basic)?(\.|$)")
_READING = re.compile(r"\.read(?=\.|$)", re.IGNORECASE)
_WRITING = re.compile(r"\.readwrite(?=\.|$)", re.IGNORECASE)
_WITHOUT_TWIN = (".ownedby", ".selected", ".group")
"""Name endings with which the reading and the writing permission may concern different objects."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """A rule for requests that return only ids and types of objects without one of the given permissions."""

    kind: str
    permissions: tuple[str, ...]
    without: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """A narrower permission that works only on resources that a person chooses."""

    instead: str
    only: str


@cache
def partial_kind(permission: str, method: str, path: str) -> tuple[str, str] | None:
    """Return the kind of a permission that allows only a part of a request, and why; None if it allows all of it.

    The kinds are `body`, `foreign`, `limited` and `instance`.
    """
    for row in rows_of("graph_partial"):
        if (
            fnmatchcase(fold(permission), row["permission"])
            and row["method"] in ("*", method)
            and fnmatchcase(path, row["path"].replace("[", "[[]"))
        ):
            return row["kind"], row["why"]
    return None


def reading_twin(permission: str) -> str | None:
    """Return the name of the permission that only reads the objects which this one reads and writes.

    It has the same resource and the same constraint. None if the name has no such twin. Source: Microsoft Learn,
    "Overview of Microsoft Graph permissions", naming pattern {resource}.{operation}.{constraint}.
    """
    return _twin(permission, _WRITING, ".Read")


def writing_twin(permission: str) -> str | None:
    """Return the name of the permission that reads and writes the objects which this one reads; None without one."""
    return _twin(permission, _READING, ".ReadWrite")


def _twin(permission: str, operation: re.Pattern[str], other: str) -> str | None:
    named = operation.sub(other, permission)
    return None if named == permission or fold(permission).endswith(_WITHOUT_TWIN) else named


def only_reads(permission: str) -> bool:
    """Return whether a permission reads and does not write, by its name."""
    return _READS.search(fold(permission)) is not None


@cache
def changes(method: str, path: str) -> bool:
    """Return whether a request changes something: it is no GET, and no action that reads by POST."""
    if method != "POST":
        return method != "GET"
    action = path.rpartition("/")[2].rpartition(".")[2]
    return not any(fnmatchcase(action, row["action"]) for row in rows_of("graph_reading_actions"))


@cache
def joined(method: str, path: str, access: str) -> tuple[tuple[str, ...], ...]:
    """Return sets of permissions; a request needs one permission of every set."""
    return tuple(
        tuple(row["permissions"].split("|"))
        for row in rows_of("graph_joined")
        if row["method"] == method and fnmatchcase(path, row["path"]) and row["access"] in ("*", access)
    )


@cache
def added(access: str) -> tuple[tuple[str, str, str], ...]:
    """Return documented requests that the map lacks: permission, method and path."""
    return tuple(
        (permission, row["method"], row["path"])
        for row in rows_of("graph_added")
        if row["access"] in ("*", access)
        for permission in row["permissions"].split("|")
    )


def is_general(permission: str) -> bool:
    """Return whether a permission gives whole objects, not only basic properties or chosen resources."""
    found = partial_kind(permission, "GET", "/")
    return found is None


@cache
def correlations(method: str, path: str) -> tuple[Correlation, ...]:
    """Return the correlations of a request: the permissions with which it returns more."""
    return tuple(
        Correlation(row["kind"], tuple(row["permissions"].split("|")), row["without"])
        for row in rows_of("graph_correlated")
        if row["method"] == method and fnmatchcase(path, row["path"])
    )


@cache
def sign_in_scopes() -> frozenset[str]:
    """Return the folded delegated permissions that are used when tokens are issued, and not at Graph."""
    return frozenset(fold(row["permission"]) for row in rows_of("graph_sign_in_scopes"))


@cache
def blocked_for_agents() -> frozenset[tuple[str, str, str]]:
    """Return `(access, folded permission, permission)` of the permissions that cannot be granted to agents."""
    return frozenset(
        (row["access"], fold(row["permission"]), row["permission"]) for row in rows_of("agent_blocked_permissions")
    )


@cache
def alternatives(permission: str, access: str) -> tuple[Alternative, ...]:
    """Return the narrower permissions on chosen resources that might replace a permission."""
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
    """Return the privilege level, 1 to 5: that of the rules, else of the map, else `UNKNOWN_LEVEL`."""
    for row in rows_of("graph_privilege"):
        if fold(row["permission"]) == fold(permission) and row["access"] == access:
            return int(row["level"])
    return mapped if mapped is not None else UNKNOWN_LEVEL


def weight_of(permission: str, level: int) -> int:
    """Return the weight of one request that a permission allows: 4 to the power of its level, times 4 if it writes."""
    return int(4**level) * (1 if only_reads(permission) else 4)


@dataclass(frozen=True, slots=True)
class AuditedNeed:
    """One API through which an operation may have come, and the permissions of it of which one allows the operation."""

    api_app_id: str
    permissions: tuple[str, ...]


@cache
def audited_needs(operation: str) -> tuple[AuditedNeed, ...]:
    """Return the needs of an operation such as `Exchange/Send?api=GUID`, one an API; empty if no rule knows it.

    Where the record names the API, the others are left out. The first row that knows an operation and API counts.
    """
    path, _, query = fold(operation).partition("?")
    workload, _, name = path.partition("/")
    named = query.removeprefix("api=")
    found: dict[str, AuditedNeed] = {}
    for row in rows_of("m365_operations"):
        api = row["api_app_id"]
        is_known = workload in row["workloads"].split("|") and any(
            fnmatchcase(name, pattern) for pattern in row["operations"].split("|")
        )
        if is_known and named in ("", api) and api not in found:
            found[api] = AuditedNeed(api, tuple(row["permissions"].split("|")))
    return tuple(found.values())


@cache
def audited_workloads() -> tuple[str, ...]:
    """Return the folded workloads whose operations the rules know, sorted."""
    return tuple(sorted({name for row in rows_of("m365_operations") for name in row["workloads"].split("|")}))


@cache
def audited_apis() -> frozenset[str]:
    """Return the application ids of the APIs of which the log shows some use."""
    return frozenset(row["api_app_id"] for row in rows_of("m365_operations"))
