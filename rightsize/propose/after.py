"""What is assigned once a plan has been carried out, for whoever measures it as today's assignments are measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.layers import ASSIGNED_SCHEMA, today
from rightsize.analyze.tenant import Tenant, granted_by_patterns
from rightsize.analyze.text import folded
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import Plan, Proposal
from rightsize.rbac.scopes import parse_scope
from rightsize.rbac.text import fold

_PATTERNS: dict[str, Any] = {
    "role": pl.String(),
    "block": pl.Int64(),
    "kind": pl.String(),
    "pattern": pl.String(),
    "condition": pl.String(),
}


def assigned_after(plan: Plan, tenant: Tenant) -> pl.DataFrame:
    """Return the assignments under a plan as `analyze.layers.ASSIGNED_SCHEMA`."""
    ours = [one for one in plan.proposals if one.plane in ("control", "data") and one.kind != "keep"]
    gone = pl.DataFrame(
        sorted({(fold(id_), str(one.evidence["state"])) for one in ours for id_ in one.replaces}),
        schema={"id": pl.String, "state": pl.String},
        orient="row",
    )
    left = tenant.assignments.join(gone, on=["id", "state"], how="anti")
    return pl.concat([today(left), pl.DataFrame(list(_rows(ours)), schema=ASSIGNED_SCHEMA, orient="row")]).unique()


def _rows(proposals: Iterable[Proposal]) -> Iterator[tuple[str, str, str, str, str | None]]:
    for proposal in proposals:
        for one in proposal.assignments:
            place = parse_scope(one.scope).key
            yield fold(one.principal_id), place, fold(one.role), one.state, one.condition


def planned_grants(plan: Plan, inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return `(role, name, plane, conditional)` of the roles that only the plan assigns, new ones and built-in ones."""
    assigned = {fold(one.role) for proposal in plan.proposals for one in proposal.assignments}
    wanted = assigned - set(tenant.assignments["role"])
    new = [role.definition for role in plan.roles]
    table = inputs.role_permissions
    known = table.select(
        "block", "kind", "pattern", "condition", role=folded(table["role_definition_id"])
    ).filter(pl.col("role").is_in(list(wanted)))  # fmt: skip
    written = pl.DataFrame([row for role in new for row in _patterns(role)], schema=_PATTERNS, orient="row")
    patterns = pl.concat([known.select(pl.col(name).cast(type_) for name, type_ in _PATTERNS.items()), written])
    return granted_by_patterns(patterns, tenant.operations.select("name", "plane"))


def _patterns(role: RoleDefinition) -> Iterator[tuple[str, int, str, str, str | None]]:
    for index, block in enumerate(role.permissions):
        for kind, texts in _kinds(block):
            for text in texts:
                yield fold(role.role_definition_id), index, kind, text.strip(" "), block.condition


def _kinds(block: PermissionBlock) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "action", block.actions
    yield "not_action", block.not_actions
    yield "data_action", block.data_actions
    yield "not_data_action", block.not_data_actions
