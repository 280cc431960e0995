"""Group units with equal needs, jobs, limits and existing roles into cases, and say how roles grant a case.

The holder does not matter: needs are equal if the same roles may grant the same operations for them. So tens of
thousands of units usually form a few hundred cases. A case is granted by new roles and existing ones: without excess,
else by the existing roles with the least excess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile

from rightsize.analyze.inputs import ROOT
from rightsize.mining.bitsets import bits_of, mask_of, union, without
from rightsize.mining.programs import covers, smallest_cover
from rightsize.model.options import MAX
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import Interner
from rightsize.propose.core.role_catalog import KnownRole, Need
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.jobs import Job, Sort
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.selection.candidates import Atoms, CandidateIndex, Existing
from rightsize.propose.selection.worth import Stays, Terms
from rightsize.rbac.assignments import CONTRIBUTOR

MOST_ROLES = 3
"""Maximum number of roles for each assignment that a unit replaces."""
NARROW = 50
"""A built-in role of a service stays if a Contributor has this many times what it has beyond the need."""


@dataclass(frozen=True, slots=True)
class CaseKey:
    """The facts in which all units of a case agree.

    Attributes:
        asked: A unit without its holder, place, state, end and assignments.
        custom: The tenant's custom roles that may be assigned there.
        held: The roles of the ceiling that the holder has at the same place; to choose one means to keep it.
        domain: The management group of the assignment, the root, or the empty string below.
        jobs: The jobs of its holder.
        sort: Whom its holder acts for.
        foreign: The operations that no role for it may grant, even if today's roles do.
        above: The operations that wider needs of the same principal grant at its place anyway.
        replaced: The number of today's assignments that it replaces.
    """

    asked: GrantUnit
    custom: tuple[Folded, ...]
    held: tuple[Folded, ...]
    domain: str
    jobs: tuple[Job, ...]
    sort: Sort
    foreign: int
    above: int
    replaced: int

    @property
    def most_roles(self) -> int:
        """The maximum number of roles: 1 under a condition, as each role needs an operation to which it applies."""
        if self.asked.condition is not None or self.asked.is_single:
            return 1
        return MOST_ROLES * self.replaced


@dataclass(frozen=True, eq=False)
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
        terms: What prices its excess.
        searched: The existing roles that `Fallbacks.existing` found for some atoms.
    """

    key: CaseKey
    units: tuple[GrantUnit, ...]
    atoms: int
    needed: int
    within: int
    existing: tuple[Existing, ...]
    blocked: str
    terms: Terms
    searched: dict[int, tuple[Existing, ...]] = field(default_factory=dict, init=False)

    @cached_property
    def rate(self) -> int:
        """The price of one unit of latent weight, summed over the units (see `worth`)."""
        return sum(self.terms.rate(unit) for unit in self.units)

    @cached_property
    def exposure(self) -> int:
        """The number of resource groups times people that one more operation reaches, summed over the units."""
        return sum(self.terms.exposure(unit) for unit in self.units)

    @cached_property
    def latent(self) -> int:
        """The operations on types of which there is no resource for any of the units."""
        return self.terms.latent_of(self.units)


@dataclass(slots=True)
class CaseReader:
    """Reads the cases of units, round after round: most of them have the same units as the round before.

    Attributes:
        candidates: The existing roles.
        terms: What roles are chosen from.
    """

    candidates: CandidateIndex
    terms: Terms
    _known: dict[CaseKey, Case] = field(default_factory=dict)
    # A mask takes kilobytes, and many cases have equal ones.
    _sets: Interner = field(default_factory=Interner)

    @classmethod
    def of(cls, units: Iterable[GrantUnit], terms: Terms, last: CaseReader | None) -> CaseReader:
        """Return a reader for the needs of units: the last one, if these have the same patterns."""
        atoms = Atoms.of((unit.need for unit in units), terms.book)
        if last is not None and last.candidates.atoms.parts == atoms.parts:
            return last
        return cls(CandidateIndex(terms.book, atoms, terms.tree, terms.never_spare), terms)

    def read(self, units: Iterable[GrantUnit], above: Mapping[GrantUnit, Sequence[GrantUnit]]) -> list[Case]:
        """Return the cases of units.

        Args:
            units: The needs.
            above: For a unit, the units of its principal at wider scopes whose grants hold at its place as well.
        """
        self._known = {key: self._case(key, tuple(own)) for key, own in self._by_key(units, above).items()}
        return [*self._known.values()]

    def _case(self, key: CaseKey, units: tuple[GrantUnit, ...]) -> Case:
        known = self._known.get(key)
        if known is None:
            return _read_case(key, units, self.candidates, self.terms, self._sets)
        return known if known.units == units else replace(known, units=units)

    def _by_key(
        self, units: Iterable[GrantUnit], above: Mapping[GrantUnit, Sequence[GrantUnit]]
    ) -> dict[CaseKey, list[GrantUnit]]:
        candidates, terms = self.candidates, self.terms
        foreign, singled, nobody = terms.demands.privilege.layers.foreign(), _singled_out(terms), Folded("")
        members: dict[CaseKey, list[GrantUnit]] = defaultdict(list)
        for unit in units:
            need, here = terms.book.mask(unit.need), terms.held.get((unit.principal_id, unit.place), ())
            wider = union(terms.book.certain(one.need) for one in above.get(unit, ()))
            key = CaseKey(
                asked=replace(unit, principal_id=nobody, place=nobody, state="active", end_on=None, subjects=()),
                custom=tuple(
                    id_ for id_ in candidates.assignable_at(unit.place) if terms.book.roles[id_].granted & need
                ),
                held=tuple(id_ for id_ in unit.ceiling if id_ in here),
                domain=unit.place if unit.place == ROOT or unit.place.startswith(MANAGEMENT_GROUP) else "",
                jobs=terms.jobs.of_holder(unit.principal_id),
                sort=terms.jobs.work.sort_of(unit.principal_id),
                foreign=foreign.get(unit.apart, 0) | singled.get(unit.principal_id, 0) & ~need,
                above=wider & union(terms.book.roles[id_].certain for id_ in unit.ceiling) if wider else 0,
                replaced=len(unit.subjects),
            )
            members[key].append(unit)
        return members


def _singled_out(terms: Terms) -> dict[Folded, int]:
    """Return by group what single members get instead of it."""
    found: dict[Folded, int] = defaultdict(int)
    for key, places in terms.demands.singled.by_place.items():
        if key in terms.subjects:
            found[terms.subjects[key].principal_id] |= union(mask for one in places.values() for mask in one.values())
    return found


def _read_case(
    key: CaseKey, units: tuple[GrantUnit, ...], candidates: CandidateIndex, terms: Terms, sets: Interner
) -> Case:
    book, numbering, ceiling = terms.book, candidates.atoms, key.asked.ceiling
    atoms = sets[numbering.of_need(key.asked.need)]
    needed = numbering.operations(atoms) | key.above
    barred, word = _barred(key, atoms, candidates)
    existing = _without_excess(key, atoms, needed, candidates, terms)
    columns = [role.atoms for role in existing]
    suffices = covers(atoms, columns, key.most_roles) or covers(atoms & barred, columns, key.most_roles - 1)
    granted = numbering.of_blocks(union(book.roles[id_].certain for id_ in ceiling), book.blocks(ceiling))
    return Case(
        key=key,
        units=units,
        atoms=atoms,
        needed=sets[needed],
        within=sets[granted & ~barred],
        existing=existing,
        blocked="" if suffices else word,
        terms=terms,
    )


def _without_excess(
    key: CaseKey, atoms: int, needed: int, candidates: CandidateIndex, terms: Terms
) -> tuple[Existing, ...]:
    """Return the undominated existing roles without excess, best first: none grants less than another.

    With them are roles that the holder has there today beside wider ones, if they have hardly more than it needs,
    whatever exists there: more evidence of absence must not make one of them stay.
    """
    asked = key.asked
    fitting = [*candidates.fitting(asked.ceiling, key.custom, atoms, needed, is_exact=True)]
    if terms.options.roles != MAX and len(asked.ceiling) > 1:
        exact = {one.role.role_definition_id for one in fitting}
        today = takewhile(lambda one: one.kind == "own", candidates.fitting(asked.ceiling, (), atoms, needed))
        fitting += [
            one
            for one in today
            if one.role.role_definition_id in {*key.held} - exact and is_narrow(one.role, needed, terms)
        ]
    ranked = sorted(
        (role.kind != "own", role.role.role_definition_id, role)
        for role in fitting
        if not role.role.granted & key.foreign
        and (asked.condition is None or role.role.granted & terms.decided_by(asked.condition))
    )
    kept: list[int] = []
    chosen: set[str] = set()
    for _, id_, role in sorted(ranked, key=lambda item: -(item[2].atoms & atoms).bit_count()):
        useful = role.atoms & atoms
        if all(useful & ~other for other in kept) and candidates.is_inside(role, asked.ceiling):
            kept.append(useful)
            chosen.add(id_)
    return tuple(role for _, id_, role in ranked if id_ in chosen)


def is_narrow(role: KnownRole, needed: int, terms: Terms) -> bool:
    """Return whether a built-in role is a service's own, and hardly more than the need: then no new role replaces it.

    What it has beyond the need, reads apart, is less than a fiftieth of what a Contributor has, whatever exists there,
    since more evidence of absence must not make it stay; and it gives no privilege.
    """
    everything, reads = terms.book.roles.get(Folded(CONTRIBUTOR)), terms.book.index.reads
    if everything is None or not role.is_builtin:
        return False
    beyond = role.granted & ~needed & ~reads
    whole = terms.weigh(everything.granted & ~reads)
    return not beyond & terms.demands.privilege.always and NARROW * terms.weigh(beyond) < whole


def _barred(key: CaseKey, atoms: int, candidates: CandidateIndex) -> tuple[int, str]:
    """Return the atoms that no new role for a case may have, and the word for the reason."""
    if key.domain == ROOT:
        return -1, "root"
    barred = atoms & _unwritable(key, candidates) | candidates.atoms.granting(key.foreign)
    if not key.domain:
        return barred, "role_refused"
    word = "data_at_management_group" if atoms & candidates.atoms.data else "role_refused"
    return candidates.atoms.data | barred, word


def _unwritable(key: CaseKey, candidates: CandidateIndex) -> int:
    """Return the atoms whose strings Azure would refuse."""
    index, need = candidates.book.index, key.asked.need
    inherited = frozenset().union(*(candidates.book.roles[id_].strings for id_ in key.asked.ceiling))

    def refuses(plane: str, text: str) -> bool:
        if "*" in text:
            return text.count("*") > 1
        named = plane, fold(text)
        return not index.lists(*named) and named not in inherited

    bits = (bit for bit in bits_of(need.operations & ~index.listed) if refuses(*index.names[bit]))
    parts = (
        part for part in need.parts if any(refuses(part.plane, text) for text in (*part.patterns, *part.not_patterns))
    )
    return candidates.atoms.of_need(Need(mask_of(bits), tuple(parts)))


@dataclass(frozen=True, slots=True, eq=False)
class NewContent:
    """The content of a new role, which is one object for all that take it; their order is that of their atoms.

    Attributes:
        atoms: The operations and patterns, as atoms.
        granted: All atoms that it grants.
        operations: The catalogue operations that it may grant.
        is_add_on: Whether it keeps risky changes apart from the jobs of those who take it.
        is_adopted: Whether it is a role of the earlier plan.
        has_use: Whether something in it was used; without that no new role is made.
        job: The key of the job whose role it is, or empty.
    """

    atoms: int
    granted: int
    operations: int
    is_add_on: bool
    is_adopted: bool
    has_use: bool
    job: str

    def __lt__(self, other: NewContent) -> bool:
        """Return whether it comes before another content."""
        return self.atoms < other.atoms


@dataclass(frozen=True, slots=True)
class Grant:
    """The roles that grant a case, or none where its assignments of today stay.

    Attributes:
        new: The new roles.
        existing: The existing roles.
        price: The price, for all units, of the operations that they grant beyond the need, as `worth` says.
        live: Their live excess for all units: the weight on types that exist, times the places and people reached.
    """

    new: tuple[NewContent, ...]
    existing: tuple[Existing, ...]
    price: int
    live: int


@dataclass(slots=True)
class Fallbacks:
    """A finder of grants: of the existing roles for a case, and of what it costs if its assignments stay.

    Attributes:
        candidates: The existing roles.
        terms: The prices of excess, by which existing roles are compared.
        stays: What the assignments of today cost if they stay.
    """

    candidates: CandidateIndex
    terms: Terms
    stays: Stays
    _stay: dict[Case, Grant] = field(default_factory=dict)

    def grant(self, case: Case, new: tuple[NewContent, ...], *, is_whole: bool) -> Grant:
        """Return how a case is granted by some new roles and the existing roles beside them.

        Args:
            case: The case.
            new: The new roles that are made for it.
            is_whole: Whether these are all that it wants: else existing roles may grant more than it needs.
        """
        left = without(case.atoms, union(one.granted for one in new))
        columns = [one.atoms for one in case.existing]
        cover = smallest_cover(left, columns, max(0, case.key.most_roles - len(new)))
        if cover is not None:
            return self._priced(case, new, tuple(case.existing[number] for number in cover))
        if is_whole and len(new) < case.key.most_roles and not without(left, union(columns)):
            # Too many existing roles beside the new ones: one with more than is needed grants the rest.
            new = new[: case.key.most_roles - 1]
        roles = self.existing(case, left) or self.existing(case, case.atoms)
        granted = union(one.atoms for one in roles)
        useful = tuple(one for one in new if without(one.granted & case.atoms, granted))
        if len(useful) + len(roles) > case.key.most_roles:
            useful, roles = (), self.existing(case, case.atoms)
        return self._priced(case, useful, roles) if roles else self._kept(case)

    def existing(self, case: Case, left: int) -> tuple[Existing, ...]:
        """Return the existing roles that grant some atoms of a case with the least excess; none if there are none.

        That is one role, or one beside a role without excess. A role that the holder has at the same place is left out:
        to choose it would mean to keep the assignment. So is another service's role that has nothing but linked checks
        for a holder: who stores secrets may join subnets, and is no database administrator for that.
        """
        if left not in case.searched:
            case.searched[left] = self._search(case, left)
        return case.searched[left]

    def _search(self, case: Case, atoms: int) -> tuple[Existing, ...]:
        key, found = case.key, []
        used = union(self.terms.jobs.work.used_by(unit.principal_id) for unit in case.units)
        asked = self.candidates.atoms.operations(atoms) & ~self.terms.book.index.reads
        checks = asked & self.terms.demands.checks if used else 0
        for one in self.candidates.fitting(key.asked.ceiling, key.custom, atoms, case.needed):
            left = without(atoms, one.atoms)
            beside = next((other for other in case.existing if left & other.atoms == left), None) if left else None
            stays = one.kind == "own" and one.role.role_definition_id in key.held
            is_alien = one.kind != "own" and checks and not one.role.granted & (used | asked & ~checks)
            if (left and beside is None) or stays or is_alien or one.role.granted & key.foreign:
                continue
            spare = without(one.role.granted, case.needed)
            ranked = bool(spare & self.terms.privileged), self.terms.live(spare, case.latent)
            found.append((*ranked, bool(left), one.kind != "own", one.role.role_definition_id, one, beside))
        for *_, one, beside in sorted(found, key=lambda item: item[:5]):
            if self.candidates.is_inside(one, key.asked.ceiling):
                return (one,) if beside is None else (one, beside)
        return ()

    def _priced(self, case: Case, new: tuple[NewContent, ...], existing: tuple[Existing, ...]) -> Grant:
        granted = union(one.operations for one in new) | union(one.role.granted for one in existing)
        return Grant(new, existing, *self._price(case, granted))

    def _kept(self, case: Case) -> Grant:
        if case not in self._stay:
            self._stay[case] = self._price_kept(case)
        return self._stay[case]

    def _price_kept(self, case: Case) -> Grant:
        price, live = self._price(case, union(self.terms.book.roles[id_].granted for id_ in case.key.asked.ceiling))
        stays = [self.stays[unit] for unit in case.units]
        return Grant((), (), max(price, sum(one for one, _ in stays)), max(live, sum(one for _, one in stays)))

    def _price(self, case: Case, granted: int) -> tuple[int, int]:
        spare = without(granted, case.needed)
        live = self.terms.weigh(without(spare, case.latent))
        return case.rate * self.terms.live(spare, case.latent), case.exposure * live
