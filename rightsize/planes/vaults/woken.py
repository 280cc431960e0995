"""Find the role assignments with data actions of vaults: those that the switch of a vault to roles wakes up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from rightsize.analyze.inputs import folded
from rightsize.analyze.vaults import Vault
from rightsize.model.role_forms import permissions_from_json
from rightsize.planes.vaults.tables import VaultTables
from rightsize.rbac.permissions import is_granted, read_permissions
from rightsize.rbac.scopes import lineage, parse_scope
from rightsize.rules.vaults import is_metadata_read, spellings

_SHOWN = ("role_assignment_id", "principal_id", "scope", "state", "role")


def data_assignments(tables: VaultTables) -> list[dict[str, Any]]:
    """Return the assignments of roles with data actions of vaults beyond reads of metadata.

    Each has its folded `place`, and its folded `operations`.
    """
    roles = tables.roles.with_columns(role=folded(tables.roles["role_definition_id"]))
    described = {row["role"]: row for row in roles.select("role", "role_name", "permissions").iter_rows(named=True)}
    rows = tables.assignments.with_columns(
        place=folded(tables.assignments["scope"]).str.strip_suffix("/"),
        role=folded(tables.assignments["role_definition_id"]),
    ).filter(pl.col("state") != "activated")
    has: dict[str, frozenset[str]] = {}
    for role in rows["role"].drop_nulls().unique():
        blocks = read_permissions(permissions_from_json(described[role]["permissions"])) if role in described else None
        read = blocks.of_plane("data") if blocks is not None else ()
        has[role] = frozenset(one for one in spellings() if is_granted(read, one))
    return [
        {name: row[name] for name in ("role_assignment_id", "principal_id", "scope", "state", "place")}
        | {"role": described[row["role"]]["role_name"] or row["role"], "operations": has[row["role"]]}
        for row in rows.sort("role_assignment_id", "state").iter_rows(named=True)
        if any(not is_metadata_read(one) for one in has.get(row["role"], ()))
    ]


def at_vault(vault: Vault, held: Iterable[Mapping[str, Any]], tables: VaultTables) -> list[Mapping[str, Any]]:
    """Return the assignments that count in a vault, or at a part of it, once roles decide there."""
    above = {place.rstrip("/") for place in lineage(parse_scope(vault.scope), tables.tree)}
    return [row for row in held if row["place"] in above or row["place"].startswith(f"{vault.scope}/")]


def woken(vault: Vault, held: Iterable[Mapping[str, Any]], tables: VaultTables) -> list[dict[str, Any]]:
    """Return the role assignments whose data actions count in a vault only after its switch, for people."""
    return [
        {name: row[name] for name in _SHOWN} | {"operations": len(row["operations"])}
        for row in at_vault(vault, held, tables)
    ]


def is_allowed(held: Sequence[Mapping[str, Any]], who: Collection[str], operation: str, scope: str) -> bool:
    """Return whether one of the assignments at a vault allows an operation at a scope in it to one of some holders."""
    return any(
        row["state"] == "active"
        and row["principal_id"].lower() in who
        and operation in row["operations"]
        and f"{scope}/".startswith(f"{row['place']}/")
        for row in held
    )
