"""Find for each class without a new role the existing role with the least excess beyond its need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rightsize.propose.selection.candidates import CandidateIndex, Existing
from rightsize.propose.selection.equivalence import ClassCase
from rightsize.propose.selection.worth import Prices


@dataclass(frozen=True, slots=True)
class Fallback:
    """The existing roles that a class takes if it gets no new role.

    Attributes:
        roles: The existing roles; empty if today's assignments stay.
        weight: The weight of the operations granted beyond the need, at one place for one person.
        spare: The operations granted beyond the need.
    """

    roles: tuple[Existing, ...]
    weight: int
    spare: int = 0


@dataclass(slots=True)
class Fallbacks:
    """A finder of fallbacks that caches its answers.

    Attributes:
        candidates: The existing roles.
        weigh: The weight of a set of operations.
        prices: The prices of excess, by which existing roles are compared.
    """

    candidates: CandidateIndex
    weigh: Callable[[int], int]
    prices: Prices
    _found: dict[int, tuple[ClassCase, Fallback]] = field(default_factory=dict)

    def of(self, case: ClassCase) -> Fallback:
        """Return the existing roles with the least excess: one, or one beside a fitting role; else an empty fallback.

        A role that the holder has at the same place is left out: to choose it would mean to keep the assignment.
        """
        key = id(case)
        if key not in self._found:
            # Keep the case too, so that no later object gets the same `id`.
            self._found[key] = case, self._search(case)
        return self._found[key][1]

    def bound(self, case: ClassCase, atoms: int) -> int:
        """Return the least weight of excess with which an existing role grants at least one of the atoms.

        Args:
            case: The class.
            atoms: Atoms that no existing role grants without excess that counts.
        """
        found = self.candidates.fitting(case.whole.ceiling, case.whole.custom, atoms, case.needed, None)
        return min((self.weigh(one.spare) for one in found), default=0)

    def _search(self, case: ClassCase) -> Fallback:
        whole = case.whole
        found = []
        for one in self.candidates.fitting(whole.ceiling, whole.custom, case.atoms, case.needed, None):
            left = case.atoms & ~one.atoms
            beside = [other for other in case.existing if not left & ~other.atoms] if left else [None]
            stays = one.kind == "own" and one.role.role_definition_id in whole.held
            if beside and not stays and not one.role.granted & whole.foreign:
                ranked = bool(one.spare & self.prices.privileged), self.prices.live(one.spare, whole.latent)
                found.append((*ranked, bool(left), one.kind != "own", one.role.role_definition_id, one))
        for *_, one in sorted(found, key=lambda item: item[:5]):
            if self.candidates.is_inside(one, whole.ceiling):
                left = case.atoms & ~one.atoms
                beside_it = next((other for other in case.existing if not left & ~other.atoms), None) if left else None
                roles = (one,) if beside_it is None else (one, beside_it)
                return Fallback(roles, self.weigh(one.spare), one.spare)
        granted = 0
        for id_ in whole.ceiling:
            granted |= self.candidates.book.roles[id_].granted
        return Fallback((), self.weigh(granted & ~case.needed), granted & ~case.needed)


def hard_atoms(case: ClassCase) -> int:
    """Return the atoms that no existing role grants without excess that counts."""
    left = case.atoms
    for one in case.existing:
        left &= ~one.atoms
    return left
