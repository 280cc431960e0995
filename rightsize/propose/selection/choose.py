"""Choose the roles of all units of a plan: roles of jobs, add-ons, roles of single holders, and existing roles.

1. Equal units become cases (`classes`).
2. `role_contents` says which new roles each case would take: those of its holder's jobs, add-ons for risky changes
   beside them, and one role of the holder's own for the rest.
3. A role that saves too little against the best existing roles is left out (`_Choice.leave_out`), the least first. Its
   holders take existing roles or keep what they have. The same order gives the curve of roles against excess.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from rightsize.analyze.scoping import ScopeTree
from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.azure_limits import RoleRoom
from rightsize.propose.core.role_catalog import (
    ChoiceKind,
    KnownRole,
    RoleBook,
    RoleChoice,
    RoleContent,
    RoleSaving,
    write_contents,
)
from rightsize.propose.jobs.jobs import Jobs
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.candidates import CandidateIndex, Existing
from rightsize.propose.selection.classes import Case, CaseKey, CaseReader, domain_of, is_narrow
from rightsize.propose.selection.fallback import Fallbacks, Grant
from rightsize.propose.selection.role_contents import ONLY_COMPANIONS, NewContent, RoleContents
from rightsize.propose.selection.worth import LEAST_WORTH, WHOLE, Prices, describe_saving
from rightsize.rbac.text import Folded

NOTHING_TO_NARROW = "nothing_to_narrow"
"""The word for a unit whose assignments of today grant nothing beyond its need, so that they are kept."""
NARROW_ALREADY = "narrow_already"
"""The word for a unit whose built-in role of today has hardly more than its need."""
NOT_WORTH = "not_worth_a_role"
"""The word for a unit whose new role would save too little."""
NOT_WRITTEN = "not_written"
"""The word for a unit whose new role may not be written, by the gate of new roles."""
CURVE_POINTS = 200
"""A curve with more points than this is thinned out."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a choice of roles: weights, limits, and roles held today.

    Attributes:
        jobs: The jobs of the tenant.
        companions: Returns which of some operations (the second argument) some changes (the first) bring along.
        exposure: The number of resource groups times people that one more operation reaches in a unit.
        held: (principal, folded place) to the roles that the principal has there today.
        tree: Management groups and subscriptions.
        room: The limit on new roles.
        prices: The prices of excess.
        role_worth: The live excess that a new role has to save; None for as many roles as the limit allows.
        narrow_stays: Whether a built-in role of today stays that has hardly more than the need.
        foreign: By the word for a part, the operations that no role for the part may grant.
        singled: By group, what single members get instead of it.
        above: For a unit, the operations that wider needs of its principal grant at its place anyway.
        previous: The new roles of an earlier plan.
        barred: The contents that no new role may have, each with the reason.
    """

    jobs: Jobs
    companions: Callable[[int, int], int]
    exposure: Callable[[GrantUnit], int]
    held: Mapping[tuple[Folded, Folded], frozenset[Folded]]
    tree: ScopeTree
    room: RoleRoom
    prices: Prices
    role_worth: int | None
    narrow_stays: bool = True
    foreign: Mapping[str, int] = field(default_factory=dict)
    singled: Mapping[Folded, int] = field(default_factory=dict)
    above: Mapping[GrantUnit, int] = field(default_factory=dict)
    previous: tuple[RoleDefinition, ...] = ()
    barred: Mapping[RoleContent, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Solution:
    """The chosen roles, the refused units, and the curve.

    Attributes:
        choices: The roles for each unit that can be granted.
        refused: For each other unit, the word for the reason of the refusal.
        curve: The excess for each number of new roles, as `plan.json` has it, most roles first.
    """

    choices: Mapping[GrantUnit, tuple[RoleChoice, ...]]
    refused: Mapping[GrantUnit, str]
    curve: tuple[Mapping[str, Any], ...] = ()


def choose(units: Sequence[GrantUnit], book: RoleBook, terms: Terms) -> Solution:
    """Return the roles for every unit.

    Args:
        units: The needs.
        book: The roles.
        terms: The terms of the choice.
    """
    atoms = Atoms.of((unit.need for unit in units), book)
    candidates = CandidateIndex(book, atoms, terms.tree)
    reader = CaseReader(candidates, terms.prices, terms.exposure, terms.narrow_stays)
    cases = reader.read(_keys(units, candidates, terms))
    forced = [case for case in cases if case.key.role_definition_id is not None]
    blocked = [case for case in cases if case.key.role_definition_id is None and case.blocked]
    free = [case for case in cases if case.key.role_definition_id is None and not case.blocked]
    fallbacks = Fallbacks(candidates, terms.prices)
    hopeless = {unit: case.blocked for case in blocked if not fallbacks.of(case, case.atoms) for unit in case.units}
    if hopeless:
        # Refused units are kept and the rest is chosen again, so there is nothing to choose now.
        return Solution({}, hopeless)
    narrow = [case for case in free if terms.narrow_stays and _is_narrow(case, book, terms.prices)]
    free = [case for case in free if case not in narrow]
    contents = RoleContents.of(free, atoms, terms.jobs, terms.companions, terms.previous, reader.part)
    served = (*contents.cases, *((case, ()) for case in narrow))
    choice = _Choice(served, contents, fallbacks, terms, book, frozenset(narrow))
    curve = choice.leave_out()
    choices: dict[GrantUnit, tuple[RoleChoice, ...]] = {}
    for case in forced:
        role = book.roles[case.key.role_definition_id or Folded("")]
        choices |= dict.fromkeys(case.units, (_existing_choice(role, case.key.ceiling),))
    for case in blocked:
        grant = fallbacks.of(case, case.atoms)
        found = tuple(_as_choice(one) for one in grant.existing) if grant else ()
        choices |= dict.fromkeys(case.units, found)
    granted, refused = choice.answers()
    return Solution(choices | granted, refused, tuple(_thinned(curve)))


def _is_narrow(case: Case, book: RoleBook, prices: Prices) -> bool:
    """Return whether today's one role has hardly more than the need."""
    roles = [book.roles[id_] for id_ in case.key.ceiling]
    return len(roles) == 1 and is_narrow(roles[0], case.needed, case.latent, book, prices)


def _keys(units: Iterable[GrantUnit], candidates: CandidateIndex, terms: Terms) -> dict[CaseKey, list[GrantUnit]]:
    """Return the units by the facts that decide their roles."""
    found: dict[CaseKey, list[GrantUnit]] = defaultdict(list)
    work = terms.jobs.work
    for unit in units:
        custom = tuple(
            id_
            for id_ in candidates.assignable_at(unit.place)
            if candidates.book.roles[id_].granted & candidates.book.mask(unit.need)
        )
        here = terms.held.get((unit.principal_id, unit.place), frozenset())
        key = CaseKey(
            need=unit.need,
            ceiling=unit.ceiling,
            custom=custom,
            held=tuple(id_ for id_ in unit.ceiling if id_ in here),
            domain=domain_of(unit.place),
            condition=unit.condition,
            role_definition_id=unit.role_definition_id,
            jobs=terms.jobs.of_holder(unit.principal_id),
            sort=work.sort_of(unit.principal_id),
            apart=unit.apart,
            foreign=terms.foreign.get(unit.apart, 0)
            | terms.singled.get(unit.principal_id, 0) & ~candidates.book.mask(unit.need),
            above=terms.above.get(unit, 0),
            is_single=unit.is_single,
        )
        found[key].append(unit)
    return found


def not_worth(price: int) -> str:
    """Return the reason (word and sentence) to keep an assignment of which new roles would take nearly nothing away."""
    return (
        f"{NOT_WORTH}: new roles would save {price / WHOLE:.2%} of the access that its holder has today, and "
        f"{LEAST_WORTH / WHOLE:.0%} is asked (what has no resource there counts a tenth)"
    )


@dataclass(slots=True)
class _Choice:
    """The choice of new roles, which begins with all of them and leaves out what is not worth a role.

    Attributes:
        cases: The cases that new roles may serve, each with the contents that it would take.
        contents: The new roles that could be made.
        fallbacks: The existing roles for what no new role grants.
        terms: The terms.
        book: The roles.
        narrow: The cases whose role of today has hardly more than the need.
    """

    cases: Sequence[tuple[Case, tuple[NewContent, ...]]]
    contents: RoleContents
    fallbacks: Fallbacks
    terms: Terms
    book: RoleBook
    narrow: Set[Case] = frozenset()
    _left_out: dict[NewContent, str] = field(default_factory=dict)
    _grants: list[Grant] = field(default_factory=list)
    _of_role: dict[NewContent, list[int]] = field(default_factory=lambda: defaultdict(list))
    _taken: Counter[NewContent] = field(default_factory=Counter)
    _saved: dict[int, dict[NewContent, tuple[int, int]]] = field(default_factory=dict)
    _sums: dict[NewContent, tuple[int, int]] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))
    _beside: Counter[NewContent] = field(default_factory=Counter)
    _excess: int = 0
    _assignments: int = 0

    def __post_init__(self) -> None:
        for number, (_, wanted) in enumerate(self.cases):
            for one in wanted:
                self._of_role[one].append(number)
                if not one.has_use:
                    self._left_out[one] = ONLY_COMPANIONS
                elif fault := self._fault_of(one):
                    self._left_out[one] = f"{NOT_WRITTEN}: a new role for it may not be written: {fault}"
        self._grants = [self._grant(number, frozenset()) for number in range(len(self.cases))]
        for number in range(len(self.cases)):
            self._count(number, 1)

    def _fault_of(self, one: NewContent) -> str:
        """Return what speaks against a new role, or an empty text."""
        barred = self.terms.barred
        written = write_contents(self.contents.atoms.need(one.atoms), self.book.index) if barred else ()
        return next((barred[content] for content in written if content in barred), "")

    def leave_out(self) -> list[dict[str, Any]]:
        """Leave out the roles that save too little, and return the curve from all roles to none.

        The curve goes on beyond the chosen number, in the same order.
        """
        points = [self._point()]
        chosen: tuple[list[Grant], dict[NewContent, str]] | None = None
        ranked = _Ranking()
        for one in self._taken:
            ranked.put(one, self._rank(one))
        while (role := ranked.take()) is not None:
            word = self._why_left_out(role, len(self._taken))
            if not word and chosen is None:
                chosen = list(self._grants), dict(self._left_out)
            for other in self._leave_out(role, word):
                ranked.put(other, self._rank(other) if other in self._taken else None)
            points.append(self._point())
        if chosen is not None:
            for number in range(len(self.cases)):
                self._count(number, -1)
            self._grants, self._left_out = chosen
            for number in range(len(self.cases)):
                self._count(number, 1)
        best: dict[int, dict[str, Any]] = {}
        for point in points:
            best.setdefault(point["custom_roles"], point)
        return [best[number] for number in sorted(best, reverse=True)]

    def answers(self) -> tuple[dict[GrantUnit, tuple[RoleChoice, ...]], dict[GrantUnit, str]]:
        """Return the roles of each unit, and for each unit that gets none the reason."""
        choices: dict[GrantUnit, tuple[RoleChoice, ...]] = {}
        refused: dict[GrantUnit, str] = {}
        saves = {one: None if self._comes_with_others(one) else self._described_saving(one) for one in self._made()}
        for (case, wanted), grant in zip(self.cases, self._grants, strict=True):
            if grant.is_kept:
                usual = NARROW_ALREADY if case in self.narrow else NOTHING_TO_NARROW
                word = next((self._left_out[one] for one in wanted if self._left_out.get(one)), usual)
                refused |= dict.fromkeys(case.units, word)
                continue
            found = [_as_choice(one) for one in grant.existing]
            for one in grant.new:
                found += list(self._new_choices(one, saves[one]))
            choices |= dict.fromkeys(case.units, tuple(found))
        return choices, refused

    def _rank(self, one: NewContent) -> _Rank:
        """Return the place of a role in the order: those that save too little first, then those that save least.

        Add-ons beside other new roles keep risk apart, so that they follow when all other roles are left out.
        """
        saves = self._described_saving(one)
        return self._comes_with_others(one), saves.is_enough, saves.live, saves.share, one

    def _described_saving(self, one: NewContent) -> RoleSaving:
        """Return what a role saves, beside what is asked of it."""
        live, price = self._sums[one]
        worth, half = self.terms.role_worth, 2 if one.is_adopted else 1
        if worth is None:
            return RoleSaving(live, price / WHOLE)
        return RoleSaving(live, price / WHOLE, worth // half, LEAST_WORTH / WHOLE / half)

    def _new_choices(self, one: NewContent, saves: RoleSaving | None) -> Iterator[RoleChoice]:
        need = self.contents.atoms.need(one.atoms)
        granted = self.book.mask(need)
        for written in write_contents(need, self.book.index):
            yield RoleChoice("custom", Folded(""), written, (written.block,), granted, one.job, one.is_add_on, saves)

    def _made(self) -> list[NewContent]:
        """Return the roles that at least one case takes."""
        return sorted({one for grant in self._grants for one in grant.new})

    def _comes_with_others(self, one: NewContent) -> bool:
        """Return whether a role is an add-on of a holder that takes another new role as well: it keeps risk apart."""
        return one.is_add_on and self._beside[one] > 0

    def _why_left_out(self, role: NewContent, made: int) -> str:
        """Return the reason to leave out the first of the ranked roles; empty where it is to be made."""
        saves = self._described_saving(role)
        if not saves.is_enough:
            holders = sum(len(self.cases[number][0].units) for number in self._of_role[role])
            return f"{NOT_WORTH}: {describe_saving(saves, holders)}"
        return self.terms.room.refusal(made) if made > self.terms.room.most else ""

    def _leave_out(self, role: NewContent, word: str) -> set[NewContent]:
        """Leave out a role; return the other roles of the cases that would take it."""
        self._left_out[role] = word
        near: set[NewContent] = set()
        for number in self._of_role[role]:
            near.update(self._grants[number].new)
            self._count(number, -1)
            if role in self._grants[number].new:
                self._grants[number] = self._grant(number, frozenset())
            self._count(number, 1)
            near.update(self._grants[number].new)
        return near - {role}

    def _count(self, number: int, times: int) -> None:
        """Add what a case takes, and what each of its roles saves there, to the sums (1), or take it away (-1)."""
        grant = self._grants[number]
        self._excess += times * grant.live
        self._assignments += times * len(self.cases[number][0].units) * (len(grant.existing) + len(grant.new))
        if times > 0:
            self._saved[number] = {one: self._saves_in(number, one) for one in grant.new}
        for one, (live, price) in self._saved[number].items():
            self._taken[one] += times
            self._beside[one] += times * (len(grant.new) > 1)
            self._sums[one] = self._sums[one][0] + times * live, self._sums[one][1] + times * price
            if not self._taken[one]:
                del self._taken[one]

    def _saves_in(self, number: int, one: NewContent) -> tuple[int, int]:
        """Return the live excess, and the price, that a role saves in a case against the best roles without it."""
        grant, other = self._grants[number], self._grant(number, frozenset((one,)))
        return other.live - grant.live, other.price - grant.price

    def _grant(self, number: int, without: frozenset[NewContent]) -> Grant:
        """Return how a case is granted by the roles that are made, without some more of them."""
        case, wanted = self.cases[number]
        new = tuple(one for one in wanted if one not in self._left_out and one not in without)
        return self.fallbacks.grant(case, new, is_whole=len(new) == len(wanted))

    def _point(self) -> dict[str, Any]:
        return {"custom_roles": len(self._taken), "excess": self._excess, "assignments": self._assignments}


_Rank = tuple[bool, bool, int, float, NewContent]


@dataclass(slots=True)
class _Ranking:
    """Roles in an order of which single places change."""

    _places: dict[NewContent, _Rank] = field(default_factory=dict)
    _heap: list[_Rank] = field(default_factory=list)

    def put(self, role: NewContent, place: _Rank | None) -> None:
        """Give a role its place, or another one, or none."""
        if place is None:
            self._places.pop(role, None)
        elif self._places.get(role) != place:
            self._places[role] = place
            heapq.heappush(self._heap, place)

    def take(self) -> NewContent | None:
        """Return the first role, which leaves the order; None if there is none."""
        while self._heap:
            place = heapq.heappop(self._heap)
            if self._places.get(place[-1]) == place:
                del self._places[place[-1]]
                return place[-1]
        return None


def _thinned(points: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield at most `CURVE_POINTS` of the points, the first and the last among them."""
    if len(points) <= CURVE_POINTS:
        yield from points
        return
    for number in range(CURVE_POINTS):
        yield points[number * (len(points) - 1) // (CURVE_POINTS - 1)]


def _existing_choice(role: KnownRole, ceiling: Sequence[Folded]) -> RoleChoice:
    own = role.role_definition_id in ceiling
    kind: ChoiceKind = "own" if own else "builtin" if role.is_builtin else "custom"
    return RoleChoice(kind, role.role_definition_id, None, role.blocks, role.granted)


def _as_choice(one: Existing) -> RoleChoice:
    return RoleChoice(one.kind, one.role.role_definition_id, None, one.role.blocks, one.role.granted)
