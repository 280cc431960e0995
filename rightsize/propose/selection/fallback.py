"""Grant a case by new roles and existing ones: without excess, else by the existing roles with the least excess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rightsize.propose.core.bitsets import union
from rightsize.propose.optimize.covers import smallest_cover
from rightsize.propose.selection.candidates import CandidateIndex, Existing
from rightsize.propose.selection.classes import Case
from rightsize.propose.selection.role_contents import NewContent
from rightsize.propose.selection.worth import Prices


@dataclass(frozen=True, slots=True)
class Grant:
    """The roles that grant a case, or none where its assignments of today stay.

    Attributes:
        new: The new roles.
        existing: The existing roles.
        spare: The operations that they grant beyond the need.
        price: The price of these for all units, as `worth` says.
        live: Their live excess for all units: the weight on types that exist, times the places and people reached.
    """

    new: tuple[NewContent, ...]
    existing: tuple[Existing, ...]
    spare: int = 0
    price: int = 0
    live: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether no role grants it, so that the assignments of today stay."""
        return not self.new and not self.existing


@dataclass(slots=True)
class Fallbacks:
    """A finder of grants that caches its answers.

    Attributes:
        candidates: The existing roles.
        prices: The prices of excess, by which existing roles are compared.
    """

    candidates: CandidateIndex
    prices: Prices
    _found: dict[tuple[int, int], tuple[Case, tuple[Existing, ...]]] = field(default_factory=dict)

    def grant(self, case: Case, new: tuple[NewContent, ...], *, is_whole: bool) -> Grant:
        """Return how a case is granted by some new roles and the existing roles beside them.

        Args:
            case: The case.
            new: The new roles that are made for it.
            is_whole: Whether these are all that it wants: else existing roles may grant more than it needs.
        """
        left = case.atoms
        for one in new:
            left &= ~one.granted
        columns = [one.atoms for one in case.existing]
        cover = smallest_cover(left, columns, max(0, case.most_roles - len(new)))
        if cover is not None:
            return self._priced(case, new, tuple(case.existing[number] for number in cover))
        if is_whole and len(new) < case.most_roles and not left & ~union(columns):
            # Too many existing roles beside the new ones: one with more than is needed grants the rest.
            new = new[: max(0, case.most_roles - 1)]
        found = self.of(case, left)
        if found is None:
            found = self.of(case, case.atoms)
        if found is None:
            return self._kept(case)
        granted = union(one.atoms for one in found.existing)
        useful = tuple(one for one in new if one.granted & case.atoms & ~granted)
        if len(useful) + len(found.existing) > case.most_roles:
            alone = self.of(case, case.atoms)
            if alone is None:
                return self._kept(case)
            useful, found = (), alone
        return self._priced(case, useful, found.existing)

    def of(self, case: Case, left: int) -> Grant | None:
        """Return the existing roles that grant some atoms of a case with the least excess, or None.

        That is one role, or one beside a role without excess. A role that the holder has at the same place is left out:
        to choose it would mean to keep the assignment.
        """
        key = id(case), left
        if key not in self._found:
            # Keep the case too, so that no later object gets the same `id`.
            self._found[key] = case, self._search(case, left)
        roles = self._found[key][1]
        return self._priced(case, (), roles) if roles else None

    def _search(self, case: Case, atoms: int) -> tuple[Existing, ...]:
        key, found = case.key, []
        for one in self.candidates.fitting(key.ceiling, key.custom, atoms, case.needed):
            left = atoms & ~one.atoms
            beside = next((other for other in case.existing if not left & ~other.atoms), None) if left else None
            stays = one.kind == "own" and one.role.role_definition_id in key.held
            if (left and beside is None) or stays or one.role.granted & key.foreign:
                continue
            ranked = bool(one.spare & self.prices.privileged), self.prices.live(one.spare, case.latent)
            found.append((*ranked, bool(left), one.kind != "own", one.role.role_definition_id, one, beside))
        for *_, one, beside in sorted(found, key=lambda item: item[:5]):
            if self.candidates.is_inside(one, key.ceiling):
                return (one,) if beside is None else (one, beside)
        return ()

    def _priced(self, case: Case, new: tuple[NewContent, ...], existing: Sequence[Existing]) -> Grant:
        granted = union(one.operations for one in new) | union(one.role.granted for one in existing)
        return self._of_spare(case, new, tuple(existing), granted & ~case.needed)

    def _kept(self, case: Case) -> Grant:
        granted = union(self.candidates.book.roles[id_].granted for id_ in case.key.ceiling)
        grant = self._of_spare(case, (), (), granted & ~case.needed)
        stay = sum(self.prices.stay.get(unit, 0) for unit in case.units)
        live = sum(self.prices.stay_live.get(unit, 0) for unit in case.units)
        return Grant((), (), grant.spare, max(stay, grant.price), max(live, grant.live))

    def _of_spare(self, case: Case, new: tuple[NewContent, ...], existing: tuple[Existing, ...], spare: int) -> Grant:
        price = case.rate * self.prices.live(spare, case.latent) if spare else 0
        live = case.exposure * self.prices.weigh(spare & ~case.latent) if spare else 0
        return Grant(new, existing, spare, price, live)
