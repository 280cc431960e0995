"""Choose the roles that grant the needs of all units of a plan, within today's grants and Azure's limits.

Equal units become classes (`equivalence`), and classes share the fewest new roles without excess (`role_sharing`). If
these are too many, or weights prefer other plans, roles are joined at the price of excess (`merge_roles`). The answer
includes proved bounds (`bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.analyze.scoping import ScopeTree
from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.azure_limits import RoleRoom
from rightsize.propose.core.objective import Weights, rank
from rightsize.propose.core.role_catalog import ChoiceKind, KnownRole, RoleBook, RoleChoice, write_contents
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.optimize.role_sharing import set_apart, share
from rightsize.propose.selection.adopted import Adopted
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.bounds import bound_excess
from rightsize.propose.selection.candidates import CandidateIndex, Existing
from rightsize.propose.selection.equivalence import CaseReader, ClassCase, NeedClass, form_classes
from rightsize.propose.selection.fallback import Fallbacks
from rightsize.propose.selection.merge_roles import Joining
from rightsize.propose.selection.optimality import Judge, cost_of
from rightsize.propose.selection.spread_roles import spread
from rightsize.propose.selection.warm_start import Carried, Start, carry, no_answer, start_anew, start_from
from rightsize.propose.selection.worth import Prices, describe_price
from rightsize.rbac.text import Folded

NOTHING_TO_NARROW = "nothing_to_narrow"
"""The word for a unit whose assignments of today grant nothing beyond its need, so that they are kept."""
NOT_WORTH = "not_worth_a_role"
"""The word for a unit whose new role would cost more, by the weights, than the excess that it saves."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a choice of roles: weights, limits, and roles held today.

    Attributes:
        max_excess: Number of operations that an existing role may grant beyond a need without cost.
        weigh: The weight of a set of operations.
        exposure: The number of resource groups times people that one more operation reaches in a unit.
        held: (principal, folded place) to the roles that the principal has there today.
        tree: Management groups and subscriptions.
        room: The limit on new roles.
        weights: The weights of the four numbers; None to compare one number after the other.
        foreign: By the word for a part, the operations that no role for the part may grant.
        prices: The prices of excess.
        least_worth: The price that a new role has to save; None for as many roles as the limit allows.
        above: For a unit, the operations that wider needs of its principal grant at its place anyway.
        previous: The new roles of an earlier plan, which stay as long as they are worth half of a new one.
    """

    max_excess: int
    weigh: Callable[[int], int]
    exposure: Callable[[GrantUnit], int]
    held: Mapping[tuple[Folded, Folded], frozenset[Folded]]
    tree: ScopeTree
    room: RoleRoom
    prices: Prices
    weights: Weights | None = None
    foreign: Mapping[str, int] = field(default_factory=dict)
    least_worth: int | None = None
    above: Mapping[GrantUnit, int] = field(default_factory=dict)
    previous: tuple[RoleDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class Solution:
    """The chosen roles, the refused units, and the quality of the choice.

    Attributes:
        choices: The roles for each unit that can be granted.
        refused: For each other unit, the word for the reason of the refusal.
        optimum: The four numbers, the proved bound of each, and the gap, as `plan.json` has them.
        curve: The excess for smaller numbers of new roles, as `plan.json` has it, most roles first.
        carried: The roles with which the next choice begins, if units were refused because the plan leaves out new
            roles.
    """

    choices: Mapping[GrantUnit, tuple[RoleChoice, ...]]
    refused: Mapping[GrantUnit, str]
    optimum: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[Mapping[str, Any], ...] = ()
    carried: Carried | None = None


def choose(units: Sequence[GrantUnit], book: RoleBook, terms: Terms, carried: Carried | None = None) -> Solution:
    """Return the roles for every unit.

    Args:
        units: The needs.
        book: The roles.
        terms: The terms of the choice.
        carried: The roles of an earlier choice, of which a part was refused.
    """
    if carried and not {part for unit in units for part in unit.need.parts} <= set(carried.atoms.parts):
        # A pattern that a wider one covered is separate once the wider one is kept; the old numbering lacks it.
        carried = None
    atoms = carried.atoms if carried else Atoms.of((unit.need for unit in units), book)
    candidates = CandidateIndex(book, atoms, terms.tree)
    reader = CaseReader(candidates, terms.max_excess, terms.weigh)
    classes = form_classes(
        units, candidates, terms.exposure, terms.held, terms.max_excess, terms.foreign, terms.prices, terms.above
    )
    chooser = _Chooser(
        [one for one in classes if one.role_definition_id is not None],
        [reader.read(one) for one in classes if one.role_definition_id is None],
        book,
        atoms,
        terms,
        Fallbacks(candidates, terms.weigh, terms.prices),
        Adopted.of(terms.previous, atoms),
    )
    return chooser.choose(carried)


@dataclass(slots=True)
class _Chooser:
    forced: list[NeedClass]
    cases: list[ClassCase]
    book: RoleBook
    atoms: Atoms
    terms: Terms
    fallbacks: Fallbacks
    adopted: Adopted

    def choose(self, carried: Carried | None) -> Solution:
        blocked = [case for case in self.cases if case.blocked]
        self.cases = [case for case in self.cases if not case.blocked]
        hopeless = {
            unit: case.blocked for case in blocked if not self.fallbacks.of(case).roles for unit in case.whole.units
        }
        if hopeless:
            # Refused units are kept and the rest is chosen again, so there is nothing to choose now.
            return Solution({}, hopeless)
        if carried:
            start = start_from(self.cases, carried)
            state, refusal = self._fewer(start), carried.refusal
        else:
            start = self._start()
            state, refusal = self._best(start)
        choices, refused = self._write(state, blocked, refusal)
        if refused:
            # Only if the plan leaves out new roles does the next choice begin with these roles.
            return Solution(
                choices, refused, carried=carry(self.cases, state, self.atoms, refusal) if refusal else None
            )
        point = state.points[-1]
        # Steps have a fixed order, so the curve continues from the chosen plan.
        state.reduce_to(0)
        judge = Judge(
            self.cases,
            blocked,
            sum(len(one.units) for one in self.forced),
            bound_excess(self.cases, self.atoms, self.terms.weigh, self.fallbacks),
            start.fewest,
            self.fallbacks,
        )
        return Solution(choices, refused, judge.judge(point, self.terms.weights), judge.draw(state.points, point))

    def _start(self) -> Start:
        """Return the roles to begin with: one for each need and those adopted, or the fewest without excess."""
        least = self.terms.least_worth
        if least is None:
            return start_anew(self.cases, share, self.atoms)
        return self.adopted.start(self.cases, start_anew(self.cases, set_apart, self.atoms), self.terms.prices, least)

    def _best(self, start: Start) -> tuple[Joining, str]:
        """Return the best plan, and the reason (word and sentence) if it leaves out new roles, else an empty text."""
        room, weights = self.terms.room, self.terms.weights
        if weights is None:
            wanted = len(start.contents)
            return self._fewer(start), room.refusal(wanted) if wanted > room.most else ""
        starts = [start, start_anew(self.cases, set_apart, self.atoms)]
        points = [self._joined(one, 0).points for one in starts]
        ranked = sorted(
            (rank(cost_of(point), weights), number, point.custom_roles)
            for number, those in enumerate(points)
            for point in those
        )
        best = ranked[0]
        chosen = next(one for one in ranked if one[2] <= room.most)
        if chosen != best:
            return self._joined(starts[chosen[1]], chosen[2]), room.refusal(best[2])
        said = (
            f"{NOT_WORTH}: by `--weights` a plan with {best[2]:,} new roles costs {best[0][0]:,.0f}, "
            f"and one with all {len(start.contents):,} costs {weights.weigh(cost_of(points[0][0])):,.0f}"
        )
        return self._joined(starts[best[1]], best[2]), said

    def _fewer(self, start: Start) -> Joining:
        """Return the plan with as many new roles as the limit allows; without weights, also drop roles at no excess."""
        state = self._joined(start, self.terms.room.most)
        if self.terms.weights is None:
            state.reduce_worthless(self.terms.least_worth or 0)
            if self.terms.least_worth is not None:
                spread(state, self.terms.least_worth)
            state.leave_out_repeats()
        return state

    def _joined(self, start: Start, most: int) -> Joining:
        """Return the plan with at most `most` new roles."""
        state = Joining(
            self.cases,
            [set(new) for new in start.taken],
            list(start.beside),
            self.atoms,
            self.terms.prices,
            self.fallbacks,
            fallen=set(start.fallen),
            adopted=self.adopted.operations.keys(),
        )
        state.begin(start.contents)
        state.reduce_to(most)
        return state

    def _write(
        self, state: Joining, blocked: Sequence[ClassCase], refusal: str
    ) -> tuple[dict[GrantUnit, tuple[RoleChoice, ...]], dict[GrantUnit, str]]:
        """Return the choices and refusals of a plan; `refusal` is the reason why it has no more new roles.

        Raises:
            InternalError: No role grants the need of a class.
        """
        new = {number: tuple(self._new_choices(role.content)) for number, role in state.roles.items()}
        chosen: list[tuple[NeedClass, tuple[RoleChoice, ...], str]] = [
            (one, (_existing_choice(self.book.roles[one.role_definition_id or Folded("")], one.ceiling),), "")
            for one in self.forced
        ]
        for number, case in enumerate(self.cases):
            own = sorted(state.taken[number], key=lambda one: state.roles[one].content)
            beside = state.roles_beside(number)
            choices = [*(_as_choice(one) for one in beside), *(c for one in own for c in new[one])]
            missing = state.missing(number, beside, own)
            word = "" if choices else self._why_not(case, refusal)
            if missing and (choices or not word):
                raise no_answer(case, missing, self.atoms)
            chosen.append((case.whole, tuple(choices), word))
        for case in blocked:
            roles = self.fallbacks.of(case).roles
            chosen.append((case.whole, tuple(_as_choice(one) for one in roles), case.blocked))
        choices_of: dict[GrantUnit, tuple[RoleChoice, ...]] = {}
        refused: dict[GrantUnit, str] = {}
        for one, found, word in chosen:
            for unit in one.units:
                if found:
                    choices_of[unit] = found
                else:
                    refused[unit] = word
        return choices_of, refused

    def _why_not(self, case: ClassCase, refusal: str) -> str:
        """Return the reason why a class gets no role; `refusal` is the one of the limit, if the plan reached it."""
        fallback, whole = self.fallbacks.of(case), case.whole
        if not fallback.weight:
            return NOTHING_TO_NARROW
        if refusal:
            return refusal
        price = max(whole.stay, whole.price(fallback.spare, self.terms.prices))
        return not_worth(price, len(whole.units))

    def _new_choices(self, content: int) -> Iterator[RoleChoice]:
        need = self.atoms.need(content)
        granted = self.book.mask(need)
        for written in write_contents(need, self.book.index):
            yield RoleChoice("custom", Folded(""), written, (written.block,), granted)


def not_worth(price: int, holders: int) -> str:
    """Return the reason (word and sentence) why no new role is made that would save a price for some holders."""
    return f"{NOT_WORTH}: {describe_price(price, holders)}"


def _existing_choice(role: KnownRole, ceiling: Sequence[Folded]) -> RoleChoice:
    own = role.role_definition_id in ceiling
    kind: ChoiceKind = "own" if own else "builtin" if role.is_builtin else "custom"
    return RoleChoice(kind, role.role_definition_id, None, role.blocks, role.granted)


def _as_choice(one: Existing) -> RoleChoice:
    return RoleChoice(one.kind, one.role.role_definition_id, None, one.role.blocks, one.role.granted)
