"""Look up the rules on deployments: types of Terraform, what one takes besides, and what a reference has checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from rightsize.rbac.patterns import parse_pattern
from rightsize.rbac.text import Folded, fold
from rightsize.rules.operations import privilege_patterns
from rightsize.rules.resource_types import names_a_write, rules_out
from rightsize.rules.tables import Row, rows_of

ENDPOINT, PERIMETER, NAMED = "endpoint", "perimeter", "named"
"""The kinds of checks: of who makes a private endpoint, of who associates with a perimeter, of named writes only."""
_ENDPOINTS = "microsoft.network/privateendpoints"
_ASSOCIATIONS = "microsoft.network/networksecurityperimeters/resourceassociations"


@cache
def _terraform() -> Mapping[str, Row]:
    return {row["terraform_type"]: row for row in rows_of("azurerm_types")}


def terraform_type(name: str) -> str:
    """Return the type in Azure that a type of Terraform writes; empty where none is known."""
    row = _terraform().get(name)
    return row["resource_type"] if row else ""


def is_removed_by_write(name: str) -> bool:
    """Return whether removing a resource of Terraform writes another one anew, as that of an association does."""
    row = _terraform().get(name)
    return row is not None and row["removed_by"] == "write"


@cache
def _extensions() -> tuple[str, ...]:
    return tuple(row["pattern"] for row in rows_of("extension_types"))


@lru_cache(maxsize=4096)
def extends_others(kind: str) -> bool:
    """Return whether resources of a type extend others or are made at any scope."""
    name = fold(kind)
    return any(parse_pattern(one).matches(name) for one in _extensions())


@cache
def _by_type() -> Mapping[str, Sequence[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of("deployment_needs"):
        found[fold(row["type"])].append(row)
    return found


def needs_besides(terraform: str, kind: str) -> list[Row]:
    """Return the rows on what a deployment of a type takes besides, without those whose refusal is tolerated.

    Args:
        terraform: The type in Terraform; empty for another language.
        kind: The type in Azure.
    """
    names = (terraform, f"terraform {kind}") if terraform else ()
    found = [row for name in (*names, kind) for row in _by_type().get(fold(name), ())]
    return [row for row in found if row["tolerated"] != "yes"]


def is_known_to_terraform(name: str) -> bool:
    """Return whether a rule says what a type of Terraform takes."""
    return bool(terraform_type(name)) or fold(name) in _by_type()


@cache
def _checked() -> Mapping[str, Sequence[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of("checked_operations"):
        found[fold(row["referenced_type"])].append(row)
    return found


@lru_cache(maxsize=8192)
def _named(write: Folded, checked: Folded) -> bool:
    """Return whether a rule on linked checks names a write and an operation."""
    return any(
        names_a_write(row["write"])
        and parse_pattern(row["write"]).matches(write)
        and parse_pattern(row["checked"]).matches(checked)
        for row in rows_of("linked_checks")
    )


@lru_cache(maxsize=8192)
def _excluded(write: Folded, checked: Folded) -> bool:
    return rules_out(checked, write) or any(
        parse_pattern(row["write"]).matches(write) and parse_pattern(row["checked"]).matches(checked)
        for row in rows_of("linkless_writes")
    )


@lru_cache(maxsize=8192)
def checks_of(writer: str, referenced: str) -> tuple[Row, ...]:
    """Return the rows on what Azure checks of who writes a type that refers to another type by its id."""
    kind, write = fold(writer), fold(f"{writer}/write")
    found = []
    for row in _checked().get(fold(referenced), ()):
        checked = fold(row["checked"])
        if row["kind"] == ENDPOINT:
            is_checked = kind == _ENDPOINTS
        elif row["kind"] == PERIMETER:
            is_checked = kind == _ASSOCIATIONS
        elif row["kind"] == NAMED:
            is_checked = _named(write, checked)
        else:
            is_checked = _named(write, checked) or not _excluded(write, checked)
        if is_checked:
            found.append(row)
    return tuple(found)


@cache
def _privilege() -> tuple[str, ...]:
    return privilege_patterns()


@lru_cache(maxsize=8192)
def gives_privilege(operation: str) -> bool:
    """Return whether an operation gives privilege."""
    name = fold(operation)
    return any(parse_pattern(one).matches(name) for one in _privilege())
