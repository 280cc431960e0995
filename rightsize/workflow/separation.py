"""Separations: of what is granted today, and of what a plan leaves, with the roles written out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.layers import LayerAnswer, measure_layers, today
from rightsize.analyze.naming import principal_names
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis, analyse
from rightsize.analyze.window import DEFAULT_DAYS, choose_window
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Plan
from rightsize.model.role_forms import to_arm
from rightsize.propose.after import assigned_after, planned_grants
from rightsize.propose.eligibility import WHY_ACTIVE, read_eligibility
from rightsize.propose.limits import refusals
from rightsize.propose.roles import blocks_by_role
from rightsize.propose.separation import Blocks, Separation, advise_separations, separate
from rightsize.rbac.text import fold
from rightsize.render.plan import write_folder
from rightsize.render.rows import write_json
from rightsize.rules.operations import is_emergency_name
from rightsize.store.connection import open_store


def show_separations(
    db: Path, out: Path | None = None, *, as_of: dt.date | None = None, min_window: int = DEFAULT_DAYS
) -> list[dict[str, Any]]:
    """Return the splits of what is granted today, one row an assignment, and write their roles into a folder.

    Raises:
        InputError: There is no store, or the folder cannot be written.
    """
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(store.table)
    analysis = analyse(inputs, choose_window(inputs, as_of, min_window))
    found = _separations(inputs, analysis, measure_layers(analysis), "granted")
    names = dict(principal_names(inputs).select("principal_id", "name").iter_rows())
    rows = [_row(one, names) for one in found]
    if out is not None:
        files = {f"roles/{fold(role.role_definition_id)}.json": write_json(to_arm(role)) for role in _roles(found)}
        write_folder({"separations.json": write_json(rows), **files}, out)
    return rows


def with_separations(plan: Plan, inputs: Inputs, analysis: Analysis, layers: LayerAnswer) -> Plan:
    """Return a plan with advice on those who alone defeat several layers once it is carried out."""
    found = _separations(inputs, analysis, layers, "proposed", plan)
    advice = {*plan.advice, *advise_separations(found)}
    return replace(plan, advice=tuple(sorted(advice, key=lambda one: (one.subject, one.text))))


def _separations(
    inputs: Inputs, analysis: Analysis, layers: LayerAnswer, basis: str, plan: Plan | None = None
) -> list[Separation]:
    tenant = analysis.tenant
    violating = layers.violations.filter((pl.col("basis") == basis) & (pl.col("state") == "active"))
    assigned, granted = today(tenant.assignments), tenant.grants
    blocks: dict[str, Blocks] = {fold(role): found for role, found in blocks_by_role(inputs.role_permissions).items()}
    named = inputs.role_definitions.select(folded(pl.col("role_definition_id")), pl.col("role_name").fill_null(""))
    roles = {role: (name or role, blocks[role]) for role, name in named.iter_rows() if role in blocks}
    if plan is not None:
        assigned = assigned_after(plan, tenant)
        granted = pl.concat([granted, planned_grants(plan, inputs, tenant).select(granted.columns)])
        for one in plan.roles:
            roles[fold(one.definition.role_definition_id)] = (one.definition.role_name, one.definition.permissions)
    scopes = inputs.role_assignments.select(place_of(pl.col("scope")), spelt="scope").unique("scope", keep="any")
    return separate(
        assigned,
        granted,
        set(violating["principal_id"]) - _last_ways_in(inputs),
        roles,
        tenant,
        read_eligibility(inputs),
        dict(scopes.sort("scope", "spelt").iter_rows()),
    )


def _last_ways_in(inputs: Inputs) -> set[str]:
    """Return the principals that look like emergency access accounts: nobody takes anything from them."""
    people = inputs.principals.select(folded(pl.col("principal_id")), "user_principal_name", "display_name")
    marks = [is_emergency_name(folded(pl.col(name))).fill_null(False) for name in people.columns[1:]]
    return set(people.filter(pl.any_horizontal(marks))["principal_id"])


def _row(one: Separation, names: Mapping[str, str]) -> dict[str, Any]:
    split = one.split
    refused = [why for role in (split.daily, split.apart) for why in refusals(role, _anything)]
    return {
        "principal_id": one.holder,
        "name": names.get(one.holder, one.holder),
        "scope": one.place,
        "at": one.place.rsplit("/", 1)[-1] or "/",
        "role": split.name,
        "apart": list(split.layers),
        "left": list(split.left),
        "operations": split.operations,
        "state": one.state,
        "because": WHY_ACTIVE[one.word] if one.word else None,
        "identities": len(one.principals),
        "daily_role": split.daily.role_definition_id,
        "apart_role": split.apart.role_definition_id,
        "proved": split.witness is None,
        "witness": split.witness,
        "refused": refused,
    }


def _anything(plane: str, operation: str) -> bool:
    """Take every operation for one of the catalogue: they come from it."""
    return bool(plane and operation)


def _roles(found: list[Separation]) -> list[RoleDefinition]:
    """Return each role once, with every scope where somebody would be assigned it."""
    roles: dict[str, RoleDefinition] = {}
    for one in found:
        for role in (one.split.daily, one.split.apart):
            known = roles.get(role.role_definition_id, role)
            scopes = tuple(sorted({*known.assignable_scopes, *role.assignable_scopes}))
            roles[role.role_definition_id] = replace(role, assignable_scopes=scopes)
    return [roles[id_] for id_ in sorted(roles)]
