"""Choose the roles of all units of a plan: roles of jobs, add-ons, roles of single holders, and existing roles.

1. Equal units become cases (`cases`).
2. `role_contents` says which new roles each case would take: those of its holder's jobs, add-ons for risky changes
   beside them, and one role of the holder's own for the rest.
3. A role that saves too little against the best existing roles is left out (`_Choice.leave_out`), the least first. Its
   holders take existing roles or keep what they have. The same order gives the curve of roles against excess.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.model.options import MAX
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import ChoiceKind, KnownRole, RoleChoice, RoleSaving, write_contents
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.selection.cases import Case, CaseReader, Fallbacks, Grant, NewContent, is_narrow
from rightsize.propose.selection.role_contents import WantedBy, find_contents
from rightsize.propose.selection.worth import LEAST_WORTH, WHOLE, Terms, price_stays

ONLY_COMPANIONS = "only_companions"
"""The word for a need of which nothing was used: it would come along with changes made elsewhere."""
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


def choose(units: Sequence[GrantUnit], above: Mapping[GrantUnit, Sequence[GrantUnit]], cases: CaseReader) -> Solution:
    """Return the roles for every unit.

    Args:
        units: The needs.
        above: For a unit, the units of its principal at wider scopes whose grants hold at its place as well.
        cases: The reader of their cases.
    """
    terms, candidates = cases.terms, cases.candidates
    book = terms.book
    fallbacks = Fallbacks(candidates, terms, price_stays(units, terms))
    choices: dict[GrantUnit, tuple[RoleChoice, ...]] = {}
    hopeless: dict[GrantUnit, str] = {}
    narrow: list[Case] = []
    free: list[Case] = []
    for case in cases.read(units, above):
        if case.key.asked.role_definition_id is not None:
            role = book.roles[case.key.asked.role_definition_id]
            own: ChoiceKind = "builtin" if role.is_builtin else "custom"
            kind = "own" if role.role_definition_id in case.key.asked.ceiling else own
            choices |= dict.fromkeys(case.units, (_choice_of(kind, role),))
        elif not case.blocked and terms.options.roles != MAX and _is_narrow(case):
            narrow.append(case)
        elif not case.blocked:
            free.append(case)
        elif existing := fallbacks.existing(case, case.atoms):
            choices |= dict.fromkeys(case.units, tuple(_choice_of(one.kind, one.role) for one in existing))
        else:
            hopeless |= dict.fromkeys(case.units, case.blocked)
    if hopeless:
        # Refused units are kept and the rest is chosen again, so there is nothing to choose now.
        return Solution({}, hopeless)
    wanted = [*find_contents(free, candidates.atoms, terms), *((case, ()) for case in narrow)]
    granted, refused, curve = _Choice(wanted, fallbacks, terms).leave_out()
    usual = dict.fromkeys((unit for case in narrow for unit in case.units), NARROW_ALREADY)
    said = {unit: word or usual.get(unit, NOTHING_TO_NARROW) for unit, word in refused.items()}
    return Solution(choices | granted, said, tuple(_thinned(curve)))


def _is_narrow(case: Case) -> bool:
    """Return whether today's one role has hardly more than the need."""
    roles = [case.terms.book.roles[id_] for id_ in case.key.asked.ceiling]
    return len(roles) == 1 and is_narrow(roles[0], case.needed, case.terms)


def not_worth(price: int) -> str:
    """Return the reason (word and sentence) to keep an assignment of which new roles would take nearly nothing away."""
    return (
        f"{NOT_WORTH}: new roles would save {price / WHOLE:.2%} of the access that its holder has today, and "
        f"{LEAST_WORTH / WHOLE:.0%} is asked (what has no resource there counts a tenth)"
    )


_Answers = tuple[dict[GrantUnit, tuple[RoleChoice, ...]], dict[GrantUnit, str], list[dict[str, Any]]]
"""The roles of each unit, for each unit that gets none the reason or an empty text, and the curve."""
_Rank = tuple[bool, bool, int, float, NewContent]


@dataclass(slots=True)
class _Choice:
    """The choice of new roles, which begins with all of them and leaves out what is not worth a role.

    Attributes:
        cases: The cases that new roles may serve, each with the contents that it would take.
        fallbacks: The existing roles for what no new role grants.
        terms: What roles are chosen from.
        _others: For each case, the best grant without each of the new roles that it takes.
    """

    cases: Sequence[WantedBy]
    fallbacks: Fallbacks
    terms: Terms
    _left_out: dict[NewContent, str] = field(default_factory=dict)
    _grants: list[Grant] = field(default_factory=list)
    _of_role: dict[NewContent, list[int]] = field(default_factory=lambda: defaultdict(list))
    _taken: Counter[NewContent] = field(default_factory=Counter)
    _others: dict[int, dict[NewContent, Grant]] = field(default_factory=dict)
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
        self._grants = [self._grant(number) for number in range(len(self.cases))]
        for number in range(len(self.cases)):
            self._count(number, 1)

    def _fault_of(self, one: NewContent) -> str:
        """Return what speaks against a new role, or an empty text."""
        barred = self.terms.barred
        need = self.fallbacks.candidates.atoms.need(one.atoms)
        written = write_contents(need, self.terms.book.index) if barred else ()
        return next((barred[content] for content in written if content in barred), "")

    def leave_out(self) -> _Answers:
        """Leave out the roles that save too little; return what each unit gets, and the curve from all roles to none.

        The curve goes on beyond the chosen number, in the same order.
        """
        points = {len(self._taken): self._point()}
        places = {one: self._rank(one) for one in self._taken}
        # The place of a role changes while others are left out, so that some entries of the heap are outdated.
        heap = sorted(places.values())
        answers = None
        while heap:
            place = heapq.heappop(heap)
            role = place[-1]
            if places.get(role) != place:
                continue
            del places[role]
            word = self._why_left_out(role)
            if not word and answers is None:
                answers = self._answers()
            for other in self._leave_out(role, word):
                if other not in self._taken:
                    places.pop(other, None)
                elif places.get(other) != (place := self._rank(other)):
                    places[other] = place
                    heapq.heappush(heap, place)
            points.setdefault(len(self._taken), self._point())
        granted, refused = answers or self._answers()
        return granted, refused, [points[number] for number in sorted(points, reverse=True)]

    def _answers(self) -> tuple[dict[GrantUnit, tuple[RoleChoice, ...]], dict[GrantUnit, str]]:
        choices: dict[GrantUnit, tuple[RoleChoice, ...]] = {}
        refused: dict[GrantUnit, str] = {}
        made = {one: tuple(self._new_choices(one)) for one in self._taken}
        for (case, wanted), grant in zip(self.cases, self._grants, strict=True):
            if not grant.new and not grant.existing:
                word = next((self._left_out[one] for one in wanted if self._left_out.get(one)), "")
                refused |= dict.fromkeys(case.units, word)
                continue
            found = [_choice_of(one.kind, one.role) for one in grant.existing]
            for one in grant.new:
                found += made[one]
            choices |= dict.fromkeys(case.units, tuple(found))
        return choices, refused

    def _rank(self, one: NewContent) -> _Rank:
        """Return the place of a role in the order: those that save too little first, then those that save least.

        Add-ons beside other new roles keep risk apart, so that they follow when all other roles are left out.
        """
        saves = self._saving(one)
        return self._comes_with_others(one), saves.is_enough, saves.live, saves.share, one

    def _saving(self, one: NewContent) -> RoleSaving:
        """Return what a role saves, beside what is asked of it."""
        live, price = self._sums[one]
        worth, half = self.terms.role_worth, 2 if one.is_adopted else 1
        if worth is None:
            return RoleSaving(live, price / WHOLE)
        return RoleSaving(live, price / WHOLE, worth // half, LEAST_WORTH / WHOLE / half)

    def _new_choices(self, one: NewContent) -> Iterator[RoleChoice]:
        book, saves = self.terms.book, None if self._comes_with_others(one) else self._saving(one)
        need = self.fallbacks.candidates.atoms.need(one.atoms)
        granted = book.mask(need)
        for written in write_contents(need, book.index):
            yield RoleChoice("custom", Folded(""), written, (written.block,), granted, one.job, one.is_add_on, saves)

    def _comes_with_others(self, one: NewContent) -> bool:
        """Return whether a role is an add-on of a holder that takes another new role as well: it keeps risk apart."""
        return one.is_add_on and self._beside[one] > 0

    def _why_left_out(self, role: NewContent) -> str:
        """Return the reason to leave out the first of the ranked roles; empty where it is to be made."""
        saves, room = self._saving(role), self.terms.room
        if not saves.is_enough:
            holders = sum(len(self.cases[number][0].units) for number in self._of_role[role])
            return f"{NOT_WORTH}: {_describe_saving(saves, holders)}"
        return room.refusal(len(self._taken)) if len(self._taken) > room.most else ""

    def _leave_out(self, role: NewContent, word: str) -> set[NewContent]:
        """Leave out a role; return the other roles of the cases that would take it."""
        self._left_out[role] = word
        near: set[NewContent] = set()
        for number in self._of_role[role]:
            near.update(self._grants[number].new)
            self._count(number, -1)
            if role in self._grants[number].new:
                self._grants[number] = self._others[number][role]
            self._count(number, 1)
            near.update(self._grants[number].new)
        return near - {role}

    def _count(self, number: int, times: int) -> None:
        """Add what a case takes, and what each of its roles saves there, to the sums (1), or take it away (-1)."""
        grant = self._grants[number]
        self._excess += times * grant.live
        self._assignments += times * len(self.cases[number][0].units) * (len(grant.existing) + len(grant.new))
        if times > 0:
            self._others[number] = {one: self._grant(number, without=one) for one in grant.new}
        for one, other in self._others[number].items():
            live, price = self._sums[one]
            self._sums[one] = live + times * (other.live - grant.live), price + times * (other.price - grant.price)
            self._taken[one] += times
            self._beside[one] += times * (len(grant.new) > 1)
            if not self._taken[one]:
                del self._taken[one]

    def _grant(self, number: int, without: NewContent | None = None) -> Grant:
        """Return how a case is granted by the roles that are made, without one more of them."""
        case, wanted = self.cases[number]
        new = tuple(one for one in wanted if one not in self._left_out and one is not without)
        return self.fallbacks.grant(case, new, is_whole=len(new) == len(wanted))

    def _point(self) -> dict[str, Any]:
        return {"custom_roles": len(self._taken), "excess": self._excess, "assignments": self._assignments}


def _thinned(points: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield at most `CURVE_POINTS` of the points, the first and the last among them."""
    if len(points) <= CURVE_POINTS:
        yield from points
        return
    for number in range(CURVE_POINTS):
        yield points[number * (len(points) - 1) // (CURVE_POINTS - 1)]


def _choice_of(kind: ChoiceKind, role: KnownRole) -> RoleChoice:
    return RoleChoice(kind, role.role_definition_id, None, role.blocks, role.granted)


def _describe_saving(saves: RoleSaving, holders: int) -> str:
    """Return the clause that says what a new role would save for some holders together, and what is asked."""
    whose = "its holder has" if holders == 1 else f"one of {holders} holders has"
    return (
        f"a new role would save {saves.share:.2%} of the access that {whose} today, and {saves.live:,} of live excess; "
        f"it has to save {saves.least_share:.0%} and {saves.least_live:,}"
    )
