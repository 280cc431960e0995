"""Judge by its evidence whether a new role may be written: what a platform lead would refuse is no role.

1. Something in it was used by a holder of it.
2. Every other string is used by others of its job, comes along with a used change by a rule that the evidence names,
   or stays undecided beside the holder's work, and says why.
3. Nothing is in it that only calls in quarantine used.
4. Against the best roles without it, it saves what is asked of a role; add-ons beside another new role keep risk apart.

The rules read the written evidence alone, so that `verify` asks the same of a plan that somebody else sends. Of such a
plan it also asks the logs in the store for each use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason
from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.read_patterns import strings_of
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.needs.needed_reads import NAMESPACE_READ, SIBLING_READ
from rightsize.propose.needs.needs import (
    ADOPTED,
    COMPANION,
    IMAGES_WORD,
    JOB,
    NOT_IN_CATALOGUE,
    ONE_READING,
    STATUS_READ,
    TOUCHED,
    USED,
    USED_BEFORE,
    USED_ELSEWHERE,
)
from rightsize.rbac.text import Folded, fold

_USED = frozenset({USED, USED_BEFORE, USED_ELSEWHERE, NOT_IN_CATALOGUE})
"""The words for use by a holder; a pattern stands for a used operation that the catalogue lacks."""
_COMPANIONS = frozenset(
    {SIBLING_READ, NAMESPACE_READ, STATUS_READ, TOUCHED, IMAGES_WORD, UnobservableReason.LINKED_CHECK.value}
)
"""The words that name the rule by which a string comes along with a used change."""
_UNDECIDED = frozenset(map(str, (*UnobservableReason, *OutOfCoverage))) - {OutOfCoverage.QUARANTINED.value}
"""The words for what stays undecided in part beside the work of a holder."""
_GIVEN = frozenset({JOB, COMPANION, ADOPTED, ONE_READING})
_CLOSE = 1e-6
"""How far two written shares may differ by rounding."""


def refused_roles(
    definitions: Mapping[Folded, RoleDefinition], evidence: Mapping[Folded, Mapping[str, Any]]
) -> dict[RoleContent, str]:
    """Return the contents of the new roles that may not be written, each with what speaks against it.

    Args:
        definitions: The roles, by id.
        evidence: Their evidence, by id.
    """
    found = {}
    for id_, role in sorted(definitions.items()):
        if fault := next(gate_faults(evidence[id_]), ""):
            found[RoleContent.of(role)] = fault
    return found


def gate_faults(evidence: Mapping[str, Any]) -> Iterator[str]:
    """Yield what speaks against a new role, as clauses, by its evidence as the plan has it."""
    actions: Sequence[Mapping[str, Any]] = evidence["actions"]
    if not any(_is_used(one) for one in actions):
        yield "nothing in it was used"
    present = {str(one["action"]): one for one in actions}
    for one in actions:
        fault = _fault_of(one, present)
        if fault:
            yield f"`{one['action']}` {fault}"
    yield from _worth_faults(evidence)


def _is_used(one: Mapping[str, Any]) -> bool:
    words = set(str(one["why"]).split())
    return bool(words & _USED) or any(_is_used(part) for part in one.get("stands_for", ()))


def _fault_of(one: Mapping[str, Any], present: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why a string may not be in a role, or an empty text."""
    words = set(str(one["why"]).split())
    if words & _USED:
        return ""
    if words == {OutOfCoverage.QUARANTINED.value}:
        return "was used by calls in quarantine only"
    if not words & (_COMPANIONS | _UNDECIDED | _GIVEN):
        return "has no reason"
    if not one.get("meaning"):
        return "does not say why it stays"
    if JOB in words and not one.get("principals"):
        return "names nobody with the same job who used it"
    if COMPANION in words:
        brings = present.get(str(one.get("with")))
        if not one.get("rule") or brings is None or COMPANION in str(brings["why"]).split():
            return "names no change of the role and no rule that brings it along"
    return ""


def _worth_faults(evidence: Mapping[str, Any]) -> Iterator[str]:
    saves = evidence.get("saves")
    if saves is None:
        if not evidence.get("is_add_on"):
            yield "it does not say what it saves"
        return
    if saves["live"] < saves["least_live"] or saves["share"] < saves["least_share"] - _CLOSE:
        yield (
            f"it saves {saves['live']:,} of live excess and {saves['share']:.2%} of what one of its holders has; "
            f"{saves['least_live']:,} and {saves['least_share']:.0%} are asked"
        )


@dataclass(frozen=True, slots=True)
class RoleFault:
    """What speaks against a new role of a plan: its folded id, and a clause."""

    role: Folded
    detail: str


def judge_roles(
    roles: Mapping[Folded, RoleDefinition], evidence: Mapping[Folded, Mapping[str, Any]], uses: pl.DataFrame
) -> tuple[RoleFault, ...]:
    """Return what speaks against the new roles; one without evidence is refused.

    Args:
        roles: The new roles, from their files.
        evidence: By id, their evidence as it was written, which somebody may have changed.
        uses: The use that counts, as `distinct_uses` returns it.
    """
    seen = set(uses.select("plane", "operation").unique().iter_rows())
    return tuple(
        RoleFault(id_, fault)
        for id_, role in sorted(roles.items())
        for fault in _faults_of_written(role, evidence.get(id_, {}), seen)
    )


def _faults_of_written(role: RoleDefinition, evidence: Mapping[str, Any], seen: set[tuple[str, str]]) -> Iterator[str]:
    try:
        yield from _string_faults(role, evidence, seen)
        yield from gate_faults(evidence)
    except (KeyError, TypeError, ValueError, AttributeError):
        yield "its evidence is not that of a role"


def _string_faults(role: RoleDefinition, evidence: Mapping[str, Any], seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the strings of a role without evidence, and those whose use the store does not have."""
    why = {(one["plane"], fold(one["action"])): one["why"] for one in evidence["actions"]}
    for one in (one for block in role.permissions for one in strings_of(block)):
        if one.key not in why:
            yield f"`{one.text}` is not in its evidence"
        elif why[one.key] == USED and one.key not in seen and "*" not in one.text:
            yield f"`{one.text}` was not used, by the logs in the store"
