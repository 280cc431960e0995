"""Grant a need with few existing roles of the tenant or of Azure, inside a role of today."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from rightsize.propose.core.role_catalog import Need
from rightsize.propose.selection.candidates import CandidateIndex, Existing
from rightsize.rbac.text import Folded


def cover_with_existing(
    need: Need, ceiling: Folded, place: Folded, candidates: CandidateIndex, weigh: Callable[[int], int], most: int
) -> tuple[tuple[Folded, Need], ...] | None:
    """Return the smallest existing roles that together grant a need, each with its part; None if too many are needed.

    Args:
        need: The need.
        ceiling: The role of today; it stays out, and no chosen role may exceed it.
        place: The folded scope.
        candidates: The existing roles.
        weigh: The weight of a set of operations.
        most: Maximum number of roles.
    """
    atoms = candidates.atoms
    left, granted = atoms.of_need(need), candidates.book.mask(need)
    custom = candidates.assignable_at(place)
    found = [
        one for one in candidates.fitting((ceiling,), custom, left, granted) if one.role.role_definition_id != ceiling
    ]
    chosen: list[tuple[Folded, Need]] = []
    while left and len(chosen) < most:
        best = _best(found, left, granted, ceiling, candidates, weigh)
        if best is None:
            return None
        chosen.append((best.role.role_definition_id, atoms.need(left & best.atoms)))
        left &= ~best.atoms
        granted |= best.role.granted
    return None if left else tuple(chosen)


def _best(
    found: list[Existing],
    left: int,
    granted: int,
    ceiling: Folded,
    candidates: CandidateIndex,
    weigh: Callable[[int], int],
) -> Existing | None:
    """Return the role that adds the least weight for each atom of the need that is left."""
    ranked = sorted(
        (
            Fraction(weigh(one.role.granted & ~granted), (one.atoms & left).bit_count()),
            -(one.atoms & left).bit_count(),
            one.role.granted.bit_count(),
            one.role.role_definition_id,
            number,
        )
        for number, one in enumerate(found)
        if one.atoms & left
    )
    inside = (found[item[-1]] for item in ranked)
    return next((one for one in inside if candidates.is_inside(one, (ceiling,))), None)
