"""Group units with equal needs, limits and candidate roles into classes, and compute the facts to choose roles by.

The holder does not matter: needs are equal if the same roles may grant the same operations for them. So tens of
thousands of units usually form a few hundred classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.analyze.scoping import ROOT
from rightsize.propose.core.bitsets import Interner, bits_of
from rightsize.propose.core.role_catalog import Need
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.optimize.rows import NeedRow, smallest_cover
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.candidates import CandidateIndex, Existing
from rightsize.propose.selection.worth import Prices
from rightsize.rbac.conditions import targets
from rightsize.rbac.text import Folded, fold

MOST_ROLES = 3
"""Maximum number of roles for one unit. More would save new roles, but a reviewer would read ten tiny roles a need."""


@dataclass(frozen=True, slots=True)
class NeedClass:
    """A class of units for which every choice of roles is equally good.

    Attributes:
        domain: The area in which a new role for it may be shared: the management group of the assignment, the root, or
            the empty string for subscriptions and below.
        need: The operations and patterns to grant.
        ceiling: The roles of today; no chosen role may exceed their union.
        custom: The tenant's custom roles that may be assigned and would fit.
        held: The roles of the ceiling that the holder has at the same place; to choose one means to keep it.
        condition: The condition of its assignments.
        role_definition_id: The one role that may grant it, if only one may.
        foreign: The operations that no role for it may grant, even if today's roles do.
        above: The operations that wider needs of the same principals grant at its place anyway.
        is_single: Whether one role is to grant it.
        units: The units, sorted.
        exposure: The number of resource groups times people that one more operation reaches, summed over the units.
        rate: The price of one unit of latent weight, summed over the units (see `worth`).
        latent: The operations on types of which there is no resource for any of the units.
        stay: The price of today's assignments of the units, if these stay whole.
    """

    domain: str
    need: Need
    ceiling: tuple[Folded, ...]
    custom: tuple[Folded, ...]
    held: tuple[Folded, ...]
    condition: str | None
    role_definition_id: Folded | None
    foreign: int = 0
    above: int = 0
    is_single: bool = False
    units: tuple[GrantUnit, ...] = ()
    exposure: int = 0
    rate: int = 0
    latent: int = 0
    stay: int = 0

    @property
    def most_roles(self) -> int:
        """The maximum number of roles: 1 under a condition, as each role needs an operation to which it applies.

        It is 1, too, where one role is to grant the need.
        """
        return MOST_ROLES if self.condition is None and not self.is_single else 1

    def price(self, operations: int, prices: Prices) -> int:
        """Return the price of operations that all units get beyond their need."""
        return self.rate * prices.live(operations, self.latent)


@dataclass(frozen=True, slots=True)
class ClassCase:
    """A class with the facts that the choice of roles needs.

    Attributes:
        whole: The class.
        atoms: The atoms to grant.
        allowed: The atoms that a new role for it may have without granting more than is needed.
        needed: The operations of the need, and those that wider needs grant anyway.
        within: The atoms that a new role for it may have at all: today's grant without what a new role must not have.
        common: The part of `allowed` that comes from patterns, which many classes share.
        existing: The existing roles that grant a part of it, and no more excess than is free; the best first.
        blocked: The word for the reason why no new role can grant all of it, or the empty string.
    """

    whole: NeedClass
    atoms: int
    allowed: int
    needed: int
    within: int
    existing: tuple[Existing, ...]
    blocked: str
    common: int = 0

    @property
    def is_apart(self) -> bool:
        """Whether it has a part that was split off: privilege, or secrets that were read on few days."""
        return any(unit.apart for unit in self.whole.units)

    @property
    def row(self) -> NeedRow:
        """The class as a row for `share`."""
        columns = tuple(one.atoms for one in self.existing)
        return NeedRow(self.atoms, self.allowed, columns, self.whole.most_roles, len(self.whole.units), self.common)


def form_classes(
    units: Iterable[GrantUnit],
    candidates: CandidateIndex,
    exposure: Callable[[GrantUnit], int],
    held: Mapping[tuple[Folded, Folded], frozenset[Folded]],
    max_excess: int,
    foreign: Mapping[str, int],
    prices: Prices,
    above: Mapping[GrantUnit, int],
) -> list[NeedClass]:
    """Return the classes of equal units.

    Args:
        units: The units.
        candidates: The existing roles.
        exposure: The number of resource groups times people that one more operation reaches.
        held: (principal, folded place) to the roles that the principal has there today.
        max_excess: Number of operations that an existing role may grant beyond a need.
        foreign: By the word for a part, the operations that no role for the part may grant.
        prices: The prices of excess.
        above: For a unit, the operations that wider needs of its principal grant at its place anyway.
    """
    fitting: dict[tuple[Need, tuple[Folded, ...]], tuple[Folded, ...]] = {}
    grouped: dict[NeedClass, list[GrantUnit]] = {}
    for unit in units:
        own = candidates.assignable_at(unit.place)
        asked = (unit.need, own)
        if asked not in fitting:
            fitting[asked] = tuple(_fitting(unit.need, own, candidates, max_excess)) if own else ()
        here = held.get((unit.principal_id, unit.place), frozenset())
        alike = NeedClass(
            domain_of(unit.place),
            unit.need,
            unit.ceiling,
            fitting[asked],
            tuple(id_ for id_ in unit.ceiling if id_ in here),
            unit.condition,
            unit.role_definition_id,
            foreign.get(unit.apart, 0),
            above.get(unit, 0),
            unit.is_single,
        )
        grouped.setdefault(alike, []).append(unit)
    return [
        replace(
            alike,
            units=tuple(members),
            exposure=sum(exposure(unit) for unit in members),
            rate=sum(prices.rate(unit) for unit in members),
            latent=prices.latent_of(members),
            stay=sum(prices.stay.get(unit, 0) for unit in members),
        )
        for alike, members in grouped.items()
    ]


def domain_of(place: Folded) -> str:
    """Return the area in which a new role for a folded place may be shared, as in `NeedClass.domain`."""
    return place if place == ROOT or place.startswith(MANAGEMENT_GROUP) else ""


def share_domain(first: str, second: str) -> bool:
    """Return whether one new role may serve two domains: Azure accepts one management group beside subscriptions.

    Source: learn.microsoft.com, role-based-access-control/custom-roles (one management group in AssignableScopes).
    """
    return first == second or not first or not second


def _fitting(need: Need, ids: Sequence[Folded], candidates: CandidateIndex, max_excess: int) -> Iterable[Folded]:
    needed = candidates.book.mask(need)
    for id_ in ids:
        role = candidates.book.roles[id_]
        if role.granted & needed and (role.granted & ~needed).bit_count() <= max_excess:
            yield id_


@dataclass(slots=True)
class CaseReader:
    """A reader that computes for each class the facts that the choice of roles needs.

    Attributes:
        candidates: The existing roles.
        max_excess: Number of operations that an existing role may grant beyond a need.
        weigh: The weight of a set of operations.
    """

    candidates: CandidateIndex
    max_excess: int
    weigh: Callable[[int], int]
    _decided: dict[str, int] = field(default_factory=dict)
    _sets: Interner = field(default_factory=Interner)
    _ceilings: dict[tuple[tuple[Folded, ...], int], int] = field(default_factory=dict)

    @property
    def atoms(self) -> Atoms:
        """The numbering of operations and patterns."""
        return self.candidates.atoms

    def read(self, one: NeedClass) -> ClassCase:
        """Return a class with the facts for the choice of roles."""
        atoms = self._sets[self.atoms.of_need(one.need)]
        needed = self.atoms.operations(atoms) | one.above
        barred, word = self._barred(one, atoms)
        if one.is_single and atoms & barred:
            # An existing role may have to grant what a new one must not have.
            one = replace(one, is_single=False)
        existing = self._existing(one, atoms, needed)
        columns = [role.atoms for role in existing]
        kept_out = barred | atoms & self.atoms.patterns
        # A new role gets a pattern only if existing roles cannot grant it and still leave room for a new role.
        most = one.most_roles
        suffices = _fit(atoms, columns, most) or _fit(atoms & kept_out, columns, most - 1)
        if not suffices:
            kept_out = barred
            suffices = _fit(atoms & barred, columns, most - 1)
        return ClassCase(
            whole=one,
            atoms=atoms,
            allowed=self._sets[self.atoms.allowed(one.need) & ~kept_out],
            needed=self._sets[needed],
            within=self._within(one.ceiling, barred),
            existing=existing,
            blocked="" if suffices else word,
            common=self._sets[self.atoms.allowed(Need(0, one.need.parts)) & ~kept_out] if one.need.parts else 0,
        )

    def _within(self, ceiling: tuple[Folded, ...], barred: int) -> int:
        """Return the atoms that a ceiling grants, without the barred ones."""
        key = ceiling, barred
        if key not in self._ceilings:
            book = self.candidates.book
            granted = _union(book.roles[id_].granted for id_ in ceiling)
            doubtful = granted & ~_union(book.roles[id_].certain for id_ in ceiling)
            whole = self.atoms.of_blocks(granted, doubtful, book.blocks(ceiling))
            self._ceilings[key] = whole & ~barred
        return self._ceilings[key]

    def _existing(self, one: NeedClass, atoms: int, needed: int) -> tuple[Existing, ...]:
        """Return the undominated existing roles, best first: no other grants as much at the same or less excess."""
        ranked = sorted(
            ((self.weigh(role.spare) if role.spare else 0), role.kind != "own", role.role.role_definition_id, role)
            for role in self.candidates.fitting(one.ceiling, one.custom, atoms, needed, self.max_excess)
            if not role.role.granted & one.foreign
            and (one.condition is None or role.role.granted & self._decided_by(one.condition))
        )
        kept: list[tuple[int, int, str]] = []
        for weight, _, id_, role in sorted(ranked, key=lambda item: -(item[3].atoms & atoms).bit_count()):
            useful = role.atoms & atoms
            is_dominated = any(not useful & ~other and price <= weight for price, other, _ in kept)
            if not is_dominated and self.candidates.is_inside(role, one.ceiling):
                kept.append((weight, useful, id_))
        chosen = {id_ for _, _, id_ in kept}
        return tuple(role for _, _, id_, role in ranked if id_ in chosen)

    def _decided_by(self, condition: str) -> int:
        """Return the operations to which a condition applies; Azure accepts it only on roles with one of them."""
        if condition not in self._decided:
            names = enumerate(self.candidates.book.index.names)
            bits = (bit for bit, (_, name) in names if targets(condition, name))
            self._decided[condition] = self.candidates.book.index.mask_of_bits(bits)
        return self._decided[condition]

    def _barred(self, one: NeedClass, atoms: int) -> tuple[int, str]:
        """Return the atoms that no new role for a class may have, and the word for the reason."""
        if one.domain == ROOT:
            return -1, "root"
        unwritable = atoms & self._unwritable(one) | self.atoms.granting(one.foreign)
        if one.domain:
            word = "data_at_management_group" if atoms & self.atoms.data else "role_refused"
            return self.atoms.data | unwritable, word
        return unwritable, "role_refused"

    def _unwritable(self, one: NeedClass) -> int:
        """Return the atoms whose strings Azure would refuse."""
        index = self.candidates.book.index
        inherited = frozenset().union(*(self.candidates.book.roles[id_].strings for id_ in one.ceiling))

        def refuses(plane: str, text: str) -> bool:
            if "*" in text:
                return text.count("*") > 1
            key = plane, fold(text)
            return not index.lists(*key) and key not in inherited

        found = index.mask_of_bits(
            bit for bit in bits_of(one.need.operations & ~index.listed) if refuses(*index.names[bit])
        )
        for part in one.need.parts:
            if any(refuses(part.plane, text) for text in (*part.patterns, *part.not_patterns)):
                found |= self.atoms.of_need(Need(0, (part,)))
        return found


def _fit(wanted: int, columns: Sequence[int], most: int) -> bool:
    return smallest_cover(wanted, columns, [0] * len(columns), most) is not None


def _union(masks: Iterable[int]) -> int:
    whole = 0
    for mask in masks:
        whole |= mask
    return whole
