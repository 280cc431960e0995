"""Find custom roles in the tenant that differ from the applied plan that made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.state_snapshot import STANDING
from rightsize.analyze.text import folded
from rightsize.model.file_reading import folder_in, stands_in
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.propose.core.fingerprint import hash_of_blocks
from rightsize.propose.core.role_catalog import blocks_by_role
from rightsize.rbac.algebra import contains
from rightsize.rbac.text import Folded, fold
from rightsize.workflow.plan_folder import open_plan_folder
from rightsize.workflow.rollout import PLAN
from rightsize.workflow.signatures import ANYBODY, Signers


def read_applied(folders: Sequence[Path], signers: Signers = ANYBODY) -> dict[Folded, RoleDefinition]:
    """Return the roles of applied plans by folded id; where several plans have the same role, the last one counts.

    Args:
        folders: Plan folders, or folders of rollouts, which contain their plan.
        signers: Whose signature each plan must have.

    Raises:
        InputError: A folder has no plan, or its role files differ from the plan.
        GateError: A plan is not signed by a required signer.
    """
    roles: dict[Folded, RoleDefinition] = {}
    for given in folders:
        folder = folder_in(given, PLAN) if stands_in(given, f"{PLAN}/plan.json") else given
        roles |= open_plan_folder(folder, signers, with_pages=False).read.roles
    return roles


def drifted_roles(applied: dict[Folded, RoleDefinition], inputs: Inputs) -> pl.DataFrame:
    """Return the applied roles that listings show differently, as `STANDING`; unlisted roles are left out."""
    return pl.DataFrame(list(_drifts(applied, inputs)), schema=dict(STANDING))


def _drifts(applied: dict[Folded, RoleDefinition], inputs: Inputs) -> Iterator[dict[str, Any]]:
    table = inputs.role_definitions.filter(folded(pl.col("role_definition_id")).is_in(list(applied)))
    if table.is_empty():
        return
    strings = inputs.role_permissions.filter(folded(pl.col("role_definition_id")).is_in(list(applied)))
    blocks = blocks_by_role(strings)
    for spelt, name, scopes, updated in table.select(
        "role_definition_id", "role_name", "assignable_scopes", "updated_on"
    ).sort("role_definition_id").iter_rows():  # fmt: skip
        role = fold(spelt)
        ours, theirs = applied[role], tuple(blocks.get(role, ()))
        differences = _difference(ours.permissions, theirs)
        if {fold(scope) for scope in scopes or ()} != {fold(scope) for scope in ours.assignable_scopes}:
            differences.append("has other assignable scopes")
        if differences:
            yield dict.fromkeys(STANDING) | {
                "kind": "drift",
                "name": role,
                "value": hash_of_blocks(theirs) + " " + " ".join(sorted(fold(scope) for scope in scopes or ())),
                "severity": "high" if differences[0].startswith("grants") else "medium",
                "time": updated,
                "role": role,
                "what": f"({name}) differs from its applied version: it {' and '.join(differences)}",
            }


def _difference(ours: Sequence[PermissionBlock], theirs: Sequence[PermissionBlock]) -> list[str]:
    if hash_of_blocks(ours) == hash_of_blocks(theirs):
        return []
    differences = []
    for big, small, what in ((ours, theirs, "grants"), (theirs, ours, "no longer grants")):
        witness = contains(big, small)
        if witness is not None:
            differences.append(f"{what} {witness.operation}")
    return differences or ["has the same permissions in other words"]
