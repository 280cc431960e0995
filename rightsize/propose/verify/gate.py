"""Judge the new roles of a written plan by the gate for new roles, from their evidence and the use in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.needs.needs import USED
from rightsize.propose.proof.role_gate import gate_faults
from rightsize.rbac.text import Folded, fold


@dataclass(frozen=True, slots=True)
class RoleFault:
    """What speaks against a new role of a plan: its folded id, and a clause."""

    role: Folded
    detail: str


def judge_roles(
    roles: Mapping[Folded, RoleDefinition], evidence: Mapping[Folded, Mapping[str, Any]], uses: pl.DataFrame
) -> tuple[RoleFault, ...]:
    """Return what speaks against the new roles; those of older plans, whose evidence names no holders, are left out.

    Args:
        roles: The new roles, from their files.
        evidence: By id, their evidence as it was written, which somebody may have changed.
        uses: The use that counts, as `distinct_uses` returns it.
    """
    seen = set(uses.select("plane", "operation").unique().iter_rows())
    return tuple(
        RoleFault(id_, fault)
        for id_, role in sorted(roles.items())
        if "holders" in evidence.get(id_, {})
        for fault in (*_string_faults(role, evidence[id_], seen), *_gate_faults(evidence[id_]))
    )


def _gate_faults(evidence: Mapping[str, Any]) -> Iterator[str]:
    try:
        yield from gate_faults(evidence)
    except (KeyError, TypeError, ValueError, AttributeError):
        yield "its evidence is not that of a role"


def _string_faults(role: RoleDefinition, evidence: Mapping[str, Any], seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the strings of a role without evidence, and those whose use the store does not have."""
    why = {(one["plane"], fold(one["action"])): one["why"] for one in evidence["actions"]}
    for block in role.permissions:
        planes = (("control", block.actions), ("data", block.data_actions))
        for key, text in (((plane, fold(text)), text) for plane, texts in planes for text in texts):
            if key not in why:
                yield f"`{text}` is not in its evidence"
            elif why[key] == USED and key not in seen and "*" not in text:
                yield f"`{text}` was not used, by the logs in the store"
