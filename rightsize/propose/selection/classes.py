"""Group units with equal needs, jobs, limits and existing roles into cases, which take the same roles.

The holder does not matter: needs are equal if the same roles may grant the same operations for them. So tens of
thousands of units usually form a few hundred cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from rightsize.analyze.scoping import ROOT
from rightsize.propose.core.bitsets import Interner, bits_of, union
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.jobs.jobs import Job
from rightsize.propose.jobs.work import Sort
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.optimize.covers import covers
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.candidates import CandidateIndex, Existing
from rightsize.propose.selection.worth import Prices
from rightsize.rbac.azure import CONTRIBUTOR
from rightsize.rbac.conditions import targets
from rightsize.rbac.text import Folded, fold

MOST_ROLES = 3
"""Maximum number of roles for one unit."""
NARROW = 50
"""A built-in role of a service stays if a Contributor has this many times what it has beyond the need."""


@dataclass(frozen=True, slots=True)
class CaseKey:
    """The facts in which all units of a case agree.

    Attributes:
        need: The operations and patterns to grant.
        ceiling: The roles of today; no chosen role may exceed their union.
        custom: The tenant's custom roles that may be assigned there.
        held: The roles of the ceiling that the holder has at the same place; to choose one means to keep it.
        domain: The management group of the assignment, the root, or the empty string below.
        condition: The condition of its assignments.
        role_definition_id: The one role that may grant it, if only one may.
        jobs: The jobs of its holder.
        sort: Whom its holder acts for.
        apart: The word for a part that was split off.
        foreign: The operations that no role for it may grant, even if today's roles do.
        above: The operations that wider needs of the same principal grant at its place anyway.
        is_single: Whether one role is to grant it.
    """

    need: Need
    ceiling: tuple[Folded, ...]
    custom: tuple[Folded, ...]
    held: tuple[Folded, ...]
    domain: str
    condition: str | None
    role_definition_id: Folded | None
    jobs: tuple[Job, ...]
    sort: Sort
    apart: str = ""
    foreign: int = 0
    above: int = 0
    is_single: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A case: equal units, with the facts that the choice of roles needs.

    Attributes:
        key: What the units agree in.
        units: The units, sorted.
        atoms: The atoms to grant.
        needed: The operations of the need, and those that wider needs grant anyway.
        within: The atoms that a new role for it may have at all: today's grant without what a new role must not have.
        existing: The existing roles that grant a part of it and nothing more, and those of today that have hardly more;
            the best first.
        blocked: The word for the reason why no new role can grant all of it, or the empty string.
        rate: The price of one unit of latent weight, summed over the units (see `worth`).
        exposure: The number of resource groups times people that one more operation reaches, summed over the units.
        latent: The operations on types of which there is no resource for any of the units.
    """

    key: CaseKey
    units: tuple[GrantUnit, ...]
    atoms: int
    needed: int
    within: int
    existing: tuple[Existing, ...]
    blocked: str
    rate: int
    exposure: int
    latent: int

    @property
    def most_roles(self) -> int:
        """The maximum number of roles: 1 under a condition, as each role needs an operation to which it applies."""
        return MOST_ROLES if self.key.condition is None and not self.key.is_single else 1


@dataclass(slots=True)
class CaseReader:
    """A reader of cases.

    Attributes:
        candidates: The existing roles.
        prices: The prices of excess.
        exposure: The number of resource groups times people that one more operation of a unit reaches.
        narrow_stays: Whether a built-in role of today stays that has hardly more than the need.
    """

    candidates: CandidateIndex
    prices: Prices
    exposure: Callable[[GrantUnit], int]
    narrow_stays: bool = True
    _decided: dict[str, int] = field(default_factory=dict)
    _sets: Interner = field(default_factory=Interner)
    _ceilings: dict[tuple[tuple[Folded, ...], int], int] = field(default_factory=dict)

    @property
    def atoms(self) -> Atoms:
        """The numbering of operations and patterns."""
        return self.candidates.atoms

    def read(self, keys: Mapping[CaseKey, Sequence[GrantUnit]]) -> list[Case]:
        """Return a case for each key with its units."""
        return [self._case(key, tuple(units)) for key, units in keys.items()]

    def part(self, case: Case, units: Sequence[GrantUnit]) -> Case:
        """Return a case for a part of its units."""
        return replace(
            case,
            units=tuple(units),
            rate=sum(self.prices.rate(unit) for unit in units),
            exposure=sum(self.exposure(unit) for unit in units),
            latent=self.prices.latent_of(units),
        )

    def _case(self, key: CaseKey, units: tuple[GrantUnit, ...]) -> Case:
        atoms = self._sets[self.atoms.of_need(key.need)]
        needed = self.atoms.operations(atoms) | key.above
        barred, word = self._barred(key, atoms)
        latent = self.prices.latent_of(units)
        existing = self._existing(key, atoms, needed, latent)
        columns = [role.atoms for role in existing]
        suffices = covers(atoms, columns, MOST_ROLES) or covers(atoms & barred, columns, MOST_ROLES - 1)
        return Case(
            key=key,
            units=units,
            atoms=atoms,
            needed=self._sets[needed],
            within=self._within(key.ceiling, barred),
            existing=existing,
            blocked="" if suffices else word,
            rate=sum(self.prices.rate(unit) for unit in units),
            exposure=sum(self.exposure(unit) for unit in units),
            latent=latent,
        )

    def _within(self, ceiling: tuple[Folded, ...], barred: int) -> int:
        """Return the atoms that a ceiling grants, without the barred ones."""
        key = ceiling, barred
        if key not in self._ceilings:
            book = self.candidates.book
            granted = union(book.roles[id_].granted for id_ in ceiling)
            doubtful = granted & ~union(book.roles[id_].certain for id_ in ceiling)
            whole = self.atoms.of_blocks(granted, doubtful, book.blocks(ceiling))
            self._ceilings[key] = whole & ~barred
        return self._ceilings[key]

    def _existing(self, key: CaseKey, atoms: int, needed: int, latent: int) -> tuple[Existing, ...]:
        """Return the undominated existing roles without excess, best first: none grants less than another.

        With them are roles that the holder has there today beside wider ones, if they have hardly more than it needs.
        """
        fitting = [*self.candidates.fitting(key.ceiling, key.custom, atoms, needed, is_exact=True)]
        if self.narrow_stays and len(key.ceiling) > 1:
            exact = {one.role.role_definition_id for one in fitting}
            today = takewhile(lambda one: one.kind == "own", self.candidates.fitting(key.ceiling, (), atoms, needed))
            fitting += [
                one
                for one in today
                if one.role.role_definition_id in {*key.held} - exact
                and is_narrow(one.role, needed, latent, self.candidates.book, self.prices)
            ]
        ranked = sorted(
            (role.kind != "own", role.role.role_definition_id, role)
            for role in fitting
            if not role.role.granted & key.foreign
            and (key.condition is None or role.role.granted & self._decided_by(key.condition))
        )
        kept: list[int] = []
        chosen: set[str] = set()
        for _, id_, role in sorted(ranked, key=lambda item: -(item[2].atoms & atoms).bit_count()):
            useful = role.atoms & atoms
            if all(useful & ~other for other in kept) and self.candidates.is_inside(role, key.ceiling):
                kept.append(useful)
                chosen.add(id_)
        return tuple(role for _, id_, role in ranked if id_ in chosen)

    def _decided_by(self, condition: str) -> int:
        """Return the operations to which a condition applies; Azure accepts it only on roles with one of them."""
        if condition not in self._decided:
            names = enumerate(self.candidates.book.index.names)
            bits = (bit for bit, (_, name) in names if targets(condition, name))
            self._decided[condition] = self.candidates.book.index.mask_of_bits(bits)
        return self._decided[condition]

    def _barred(self, key: CaseKey, atoms: int) -> tuple[int, str]:
        """Return the atoms that no new role for a case may have, and the word for the reason."""
        if key.domain == ROOT:
            return -1, "root"
        unwritable = atoms & self._unwritable(key) | self.atoms.granting(key.foreign)
        if key.domain:
            word = "data_at_management_group" if atoms & self.atoms.data else "role_refused"
            return self.atoms.data | unwritable, word
        return unwritable, "role_refused"

    def _unwritable(self, key: CaseKey) -> int:
        """Return the atoms whose strings Azure would refuse."""
        index = self.candidates.book.index
        inherited = frozenset().union(*(self.candidates.book.roles[id_].strings for id_ in key.ceiling))

        def refuses(plane: str, text: str) -> bool:
            if "*" in text:
                return text.count("*") > 1
            named = plane, fold(text)
            return not index.lists(*named) and named not in inherited

        found = index.mask_of_bits(
            bit for bit in bits_of(key.need.operations & ~index.listed) if refuses(*index.names[bit])
        )
        for part in key.need.parts:
            if any(refuses(part.plane, text) for text in (*part.patterns, *part.not_patterns)):
                found |= self.atoms.of_need(Need(0, (part,)))
        return found


def is_narrow(role: KnownRole, needed: int, latent: int, book: RoleBook, prices: Prices) -> bool:
    """Return whether a built-in role is a service's own, and hardly more than the need: then no new role replaces it.

    What it has beyond the need, reads apart, is less than a fiftieth of what a Contributor has there, and gives no
    privilege.
    """
    everything = book.roles.get(Folded(CONTRIBUTOR))
    if everything is None or not role.is_builtin:
        return False
    beyond = role.granted & ~needed & ~book.index.reads
    whole = prices.weigh(everything.granted & ~book.index.reads & ~latent)
    return not beyond & prices.privilege and NARROW * prices.weigh(beyond & ~latent) < whole


def domain_of(place: Folded) -> str:
    """Return the management group of a folded place, the root, or the empty string for all below."""
    return place if place == ROOT or place.startswith(MANAGEMENT_GROUP) else ""
