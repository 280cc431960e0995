"""Compute the assignments after a plan is carried out, in the form of today's, so that the same measures apply.

A vault that the plan switches is decided by roles afterwards: its policies grant nothing, and data roles that granted
nothing there count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.reach.escalation import Holdings
from rightsize.analyze.reach.layers import ASSIGNED_SCHEMA, today
from rightsize.analyze.tenant import Tenant, granted_by_patterns
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Plan, Proposal
from rightsize.model.role_forms import read_role_definitions
from rightsize.planes.federated.tables import grant_of_credential
from rightsize.rbac.scopes import parse_scope
from rightsize.rules.vaults import MODEL, ROLES

_TEXT = pl.String()
_PATTERNS = {"role": _TEXT, "block": pl.Int64(), "kind": _TEXT, "pattern": _TEXT, "condition": _TEXT}


def assigned_after(plan: Plan, tenant: Tenant) -> pl.DataFrame:
    """Return the Azure role assignments after a plan, as `analyze.reach.layers.ASSIGNED_SCHEMA`."""
    ours = [one for one in plan.proposals if one.plane in ("control", "data") and one.kind.changes]
    gone = pl.DataFrame(
        sorted({one.assignment for one in ours}),
        schema={"id": pl.String, "state": pl.String},
        orient="row",
    )
    left = tenant.assignments.join(gone, on=["id", "state"], how="anti")
    return pl.concat([today(left), pl.DataFrame(list(_rows(ours)), schema=ASSIGNED_SCHEMA, orient="row")]).unique()


def _rows(proposals: Iterable[Proposal]) -> Iterator[tuple[str, str, str, str, str | None]]:
    for proposal in proposals:
        for one in proposal.assignments:
            place = parse_scope(one.scope).key
            yield one.principal_id, place, one.role, one.state, one.condition


def holdings_after(plan: Plan, granted: Holdings, inputs: Inputs, tenant: Tenant) -> Holdings:
    """Return the holdings after a plan, with the roles that replace access policies.

    Args:
        plan: The plan.
        granted: The holdings of today.
        inputs: The tables.
        tenant: The assignments and operations of today.
    """
    in_vaults = pl.DataFrame(list(_rows(_switching(plan))), schema=ASSIGNED_SCHEMA, orient="row")
    assigned = pl.concat([assigned_after(plan, tenant), in_vaults]).unique()
    return Holdings(assigned, pl.concat([granted.grants, planned_grants(plan, inputs, tenant)]))


def _switching(plan: Plan) -> list[Proposal]:
    """Return the proposals for the policies of vaults that a plan switches to roles; a vault that waits stays."""
    return [one for one in plan.all_proposals if one.plane == "vault" and not one.evidence["vault"]["waits"]]


def planned_grants(plan: Plan, inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return `(role, name, plane, conditional)` for the roles, new or existing, that nothing assigns today."""
    in_vaults = _switching(plan)
    assigned = {one.role for proposal in (*plan.proposals, *in_vaults) for one in proposal.assignments}
    wanted = assigned - set(tenant.assignments["role"])
    of_vaults = {role["name"]: role for one in in_vaults for role in one.evidence["vault"]["new_roles"]}
    new = [*(role.definition for role in plan.roles), *read_role_definitions(list(of_vaults.values()))]
    table = inputs.role_permissions
    known = table.select(
        "block", "kind", "pattern", "condition", role=folded(table["role_definition_id"])
    ).filter(pl.col("role").is_in(list(wanted)))  # fmt: skip
    written = pl.DataFrame([row for role in new for row in _patterns(role)], schema=_PATTERNS, orient="row")
    patterns = pl.concat([known.select(pl.col(name).cast(type_) for name, type_ in _PATTERNS.items()), written])
    return granted_by_patterns(patterns, tenant.operations.select("name", "plane"))


def _patterns(role: RoleDefinition) -> Iterator[tuple[str, int, str, str, str | None]]:
    for index, block in enumerate(role.permissions):
        kinds = {
            "action": block.actions,
            "not_action": block.not_actions,
            "data_action": block.data_actions,
            "not_data_action": block.not_data_actions,
        }
        for kind, text in ((kind, text) for kind, texts in kinds.items() for text in texts):
            yield role.role_definition_id, index, kind, text.strip(" "), block.condition


def tables_after(plan: Plan, table_of: Callable[[str], pl.DataFrame]) -> Callable[[str], pl.DataFrame]:
    """Return a function like `table_of` that gives the tables beyond Azure roles as they are after the plan.

    Where a proposal assigns a role or permission that is not loaded, today's assignment stays in the table. So no
    access looks smaller than it is.
    """
    known = {
        "directory_role_assignments": ("directory", "role_assignment_id", "directory_role_id", "directory_roles"),
        "app_role_assignments": ("graph", "app_role_assignment_id", "app_role_id", "api_permissions"),
    }

    def read(name: str) -> pl.DataFrame:
        frame = table_of(name)
        if name == "permission_grants":
            return _delegated_after(frame, plan)
        if name == "inheritable_permissions":
            return _inherited_after(frame, table_of("agent_blueprints"), plan)
        if name == "federated_credentials":
            return _trust_after(frame, plan)
        if name in ("vaults", "resources"):
            return _vaults_after(frame, plan)
        if name not in known:
            return frame
        plane, key, role, described = known[name]
        ids = table_of(described)["permission_id" if plane == "graph" else role]
        changed = [
            one
            for one in plan.all_proposals
            if one.plane == plane and one.kind.changes and {new.role for new in one.assignments} <= _folded(ids)
        ]
        return _replaced(frame, changed, key, role)

    return read


def _vaults_after(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return the vaults, or the resources with their settings, as they are when the plan has switched some to roles."""
    switched = pl.col("scope").is_in(sorted({one.evidence["vault"]["scope"] for one in _switching(plan)}))
    if "model" in frame.columns:
        return frame.with_columns(model=pl.when(switched).then(pl.lit(ROLES)).otherwise("model"))
    settings = {
        scope: json.dumps({**json.loads(text or "{}"), MODEL: True})
        for scope, text in frame.filter(switched).select("scope", "settings").iter_rows()
    }
    after = pl.col("scope").replace_strict(settings, default=None, return_dtype=pl.String)
    return frame.with_columns(settings=pl.coalesce(after, "settings"))


def _delegated_after(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return the delegated grants with the permissions that stay or are added; a grant without any is left out."""
    left = [
        (id_, sorted({name for row in one.evidence["permissions"] for name in _names_after(row)}))
        for one in plan.all_proposals
        if one.plane == "graph" and one.kind.changes and one.evidence["access"] == "delegated"
        for id_ in one.replaces
    ]
    schema: dict[str, Any] = {"permission_grant_id": pl.String, "left": pl.List(pl.String)}
    after = frame.join(pl.DataFrame(left, schema=schema, orient="row"), on="permission_grant_id", how="left")
    kept = after.with_columns(permissions=pl.coalesce("left", "permissions")).select(frame.columns)
    return kept.filter(pl.col("permissions").list.len().fill_null(0) > 0)


def _inherited_after(frame: pl.DataFrame, blueprints: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return what blueprints let their agents inherit, with the entries that the plan narrows."""
    narrowed = [
        (said["blueprint_app_id"], one.evidence["api_app_id"], one.evidence["access"], said["after"], said["listed"])
        for one in plan.all_proposals
        if one.plane == "graph" and one.kind.changes and (said := one.evidence.get("inheritance"))
    ]
    if not narrowed:
        return frame
    schema: dict[str, Any] = {
        "app_id": pl.String, "api": pl.String, "access": pl.String, "after": pl.String, "listed": pl.List(pl.String),
    }  # fmt: skip
    apps = blueprints.select(id=folded(pl.col("object_id")), app_id=folded(pl.col("blueprint_app_id"))).drop_nulls()
    named = frame.with_columns(id=folded(pl.col("blueprint_id")), api=folded(pl.col("resource_app_id"))).join(
        apps.unique("id"), on="id", how="left"
    )
    after = named.with_columns(app_id=pl.coalesce("app_id", "id")).join(
        pl.DataFrame(narrowed, schema=schema, orient="row"), on=["app_id", "api", "access"], how="left"
    )
    return after.with_columns(
        mode=pl.coalesce("after", "mode"),
        permissions=pl.when(pl.col("after").is_not_null()).then("listed").otherwise("permissions"),
    ).select(frame.columns)


def _trust_after(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return the federated credentials: without those that go, and with one for each subject that stays trusted."""
    changed = [
        (one.replaces[0], one.id, list(one.evidence.get("comes") or ()))
        for one in plan.all_proposals
        if one.plane == "trust" and one.kind.changes
    ]
    planned = pl.DataFrame(
        changed, schema={"grant": pl.String, "id": pl.String, "comes": pl.List(pl.String)}, orient="row"
    )
    named = frame.with_columns(grant=grant_of_credential()).join(planned, on="grant", how="left", maintain_order="left")
    is_kept = pl.col("id").is_null()
    after = named.filter(is_kept | (pl.col("comes").list.len() > 0)).explode("comes")
    return after.with_columns(
        subject=pl.coalesce("comes", "subject"),
        is_expression=pl.when(is_kept).then("is_expression").otherwise(pl.lit(False)),
        name=pl.when(is_kept).then("name").otherwise(pl.format("{} {}", "id", "comes")),
    ).select(frame.columns)


def _names_after(row: Mapping[str, Any]) -> list[str]:
    if row["decision"] == "keep":
        return [row["permission"]]
    return list(row["instead"]) if row["decision"] == "swap" else []


def _folded(ids: pl.Series) -> set[str]:
    return set(folded(ids.drop_nulls()))


def _replaced(frame: pl.DataFrame, proposals: Sequence[Proposal], key: str, role: str) -> pl.DataFrame:
    """Return the rows without those that proposals replace, and with those that they assign.

    A new row copies its other columns from the row that it replaces.
    """
    rows = {row[key]: row for row in frame.sort(key).iter_rows(named=True)}
    has = set(frame.columns)
    new = [
        rows[one.replaces[0]]
        | {key: f"{one.id} {number}", role: given.role, "principal_id": given.principal_id}
        | {name: value for name, value in (("scope", given.scope), ("state", given.state)) if name in has}
        for one in proposals
        if one.replaces[0] in rows
        for number, given in enumerate(one.assignments)
    ]
    gone = [id_ for one in proposals for id_ in one.replaces]
    return pl.concat([frame.filter(~pl.col(key).is_in(gone)), pl.DataFrame(new, schema=frame.schema)])
