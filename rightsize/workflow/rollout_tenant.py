"""Read from the store what a rollout needs: assignments, groups, people, custom roles and names."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.principals import able_principals
from rightsize.change.order import RolloutTenant
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import permissions_from_json
from rightsize.rbac.text import fold
from rightsize.store.connection import Store
from rightsize.workflow.deploy import types_of
from rightsize.workflow.names import read_names


def read_rollout_tenant(store: Store) -> RolloutTenant:
    """Return from a store the facts about the tenant that a rollout needs."""
    members: dict[str, set[str]] = {}
    for group, member in store.table("group_closure").select("group_id", "member_id").iter_rows():
        members.setdefault(fold(group), set()).add(fold(member))
    principals = store.table("principals")
    is_deleted = pl.col("deleted_on").is_not_null()
    barred = principals.filter(~pl.col("account_enabled").fill_null(True) | is_deleted)
    return RolloutTenant(
        assignments=store.table("role_assignments").sort("role_assignment_id", "state").to_dicts(),
        members={group: frozenset(found) for group, found in members.items()},
        types=types_of(principals),
        enabled=frozenset(able_principals(principals)),
        disabled=frozenset(map(fold, barred["principal_id"])),
        roles=_custom_roles(store),
        tree=read_tree(store),
        permissions={
            fold(id_): permissions_from_json(permissions)
            for id_, permissions in store.table("role_definitions")
            .select("role_definition_id", "permissions")
            .drop_nulls()
            .iter_rows()
        },
    )


def read_tree(store: Store) -> dict[str, str]:
    """Return the parent of each folded management group and subscription."""
    tree = store.frame(
        "SELECT scope, parent_scope FROM scopes WHERE kind IN ('management_group', 'subscription') ORDER BY ALL"
    )
    return {fold(scope): parent for scope, parent in tree.iter_rows() if parent}


def read_held_names(store: Store, tenant: RolloutTenant) -> dict[str, str]:
    """Return names by folded id: of principals and roles, and for each assignment its holder and role."""
    names, places = read_names(store)
    table = store.table("role_definitions").select("role_definition_id", "role_name")
    names |= {fold(id_): name for id_, name in table.iter_rows() if name}
    held = {
        fold(str(row["role_assignment_id"])): " as ".join(
            names.get(fold(str(row[key])), str(row[key])) for key in ("principal_id", "role_definition_id")
        )
        for row in tenant.assignments
    }
    return names | places | held


def _custom_roles(store: Store) -> dict[str, RoleDefinition]:
    table = store.table("role_definitions").filter(pl.col("role_type") == "CustomRole")
    return {
        fold(row["role_definition_id"]): RoleDefinition(
            fold(row["role_definition_id"]),
            row["role_name"] or "",
            permissions_from_json(row["permissions"]),
            "CustomRole",
            row["description"] or "",
            tuple(row["assignable_scopes"] or ()),
        )
        for row in table.sort("role_definition_id").iter_rows(named=True)
    }
