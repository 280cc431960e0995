"""Roles for all units of a plan at once: what grants each need, out of today's grants and inside Azure's limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.analyze.scoping import ScopeTree
from rightsize.propose.atoms import Atoms
from rightsize.propose.classes import MOST_ROLES, Case, CaseReader, form_classes
from rightsize.propose.existing import Existing, Shelf
from rightsize.propose.roles import Choice, ChoiceKind, KnownRole, RoleBook, write_contents
from rightsize.propose.sharing import Sharing, share
from rightsize.propose.units import Unit


@dataclass(frozen=True, slots=True)
class Terms:
    """What a choice is made by.

    Attributes:
        max_excess: Operations that an existing role may grant beyond a need without being charged.
        weigh: The weight of a set of operations.
        exposure: How many resource groups and people an operation more would reach in a unit.
        held: (principal, folded place) to the roles that it has there today.
        tree: Management groups and subscriptions.
    """

    max_excess: int
    weigh: Callable[[int], int]
    exposure: Callable[[Unit], int]
    held: Mapping[tuple[str, str], frozenset[str]]
    tree: ScopeTree


@dataclass(frozen=True, slots=True)
class Solution:
    """What was chosen.

    Attributes:
        choices: The roles for each unit that can be granted.
        refused: For each other unit the word that says why it cannot.
        roles: How many new roles that takes, and how many no choice can go below.
    """

    choices: Mapping[Unit, tuple[Choice, ...]]
    refused: Mapping[Unit, str]
    roles: tuple[int, int] = (0, 0)


def choose(units: Sequence[Unit], book: RoleBook, terms: Terms) -> Solution:
    """Return the roles for every unit.

    Args:
        units: The needs.
        book: The roles.
        terms: What the choice is made by.
    """
    atoms = Atoms.of((unit.need for unit in units), book)
    shelf = Shelf(book, atoms, terms.tree)
    reader = CaseReader(shelf, terms.max_excess, terms.weigh)
    classes = form_classes(units, shelf, terms.exposure, terms.held, terms.max_excess)
    forced = [one for one in classes if one.role_definition_id is not None]
    cases = [reader.read(one) for one in classes if one.role_definition_id is None]
    chooser = _Chooser(book, atoms, shelf, terms)
    for one in forced:
        chooser.settle(one.units, (_existing_choice(book.roles[str(one.role_definition_id)], one.ceiling),))
    by_domain: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.blocked:
            chooser.settle_blocked(case)
        else:
            by_domain[case.whole.domain].append(case)
    for _, members in sorted(by_domain.items()):
        chooser.settle_shared(members, share([case.row for case in members]))
    return Solution(chooser.choices, chooser.refused, (chooser.new_roles, chooser.bound))


@dataclass(slots=True)
class _Chooser:
    book: RoleBook
    atoms: Atoms
    shelf: Shelf
    terms: Terms
    choices: dict[Unit, tuple[Choice, ...]] = field(default_factory=dict)
    refused: dict[Unit, str] = field(default_factory=dict)
    new_roles: int = 0
    bound: int = 0

    def settle(self, units: Sequence[Unit], choices: tuple[Choice, ...]) -> None:
        for unit in units:
            self.choices[unit] = choices

    def settle_blocked(self, case: Case) -> None:
        """Take the existing role that grants least beyond the need, or leave today's assignments as they are."""
        found = cheapest_existing(case, self.shelf, self.terms)
        if found is None:
            self.refused.update(dict.fromkeys(case.whole.units, case.blocked))
        else:
            self.settle(case.whole.units, tuple(_as_choice(one) for one in found))

    def settle_shared(self, cases: Sequence[Case], sharing: Sharing) -> None:
        new = [tuple(self._new_choices(content)) for content in sharing.roles]
        self.new_roles += sum(len(choices) for choices in new)
        self.bound += sharing.lower_bound
        for case, cover in zip(cases, sharing.covers, strict=True):
            chosen: list[Choice] = []
            for one in cover:
                chosen.extend(new[one] if one >= 0 else (_as_choice(case.existing[-1 - one]),))
            self.settle(case.whole.units, tuple(chosen))

    def _new_choices(self, content: int) -> Iterator[Choice]:
        need = self.atoms.need(content)
        granted = self.book.mask(need)
        for written in write_contents(need, self.book.index):
            yield Choice("custom", "", written, (written.block,), granted)


def cheapest_existing(case: Case, shelf: Shelf, terms: Terms) -> tuple[Existing, ...] | None:
    """Return the existing roles that grant a need with least beyond it: one, or one beside a role that fits.

    A role that the holder has at this very place is left out: taking it would mean to keep the assignment.
    """
    whole = case.whole
    found = [
        one
        for one in shelf.inside(whole.ceiling, whole.custom, case.atoms, case.needed, None)
        if not (one.kind == "own" and one.role.role_definition_id in whole.held)
    ]
    best: tuple[tuple[object, ...], tuple[Existing, ...]] | None = None
    for one in found:
        left = case.atoms & ~one.atoms
        beside: list[tuple[Existing, ...]] = [()] if not left else []
        if left and MOST_ROLES > 1:
            beside = [(other,) for other in case.existing if not left & ~other.atoms and other.kind != "own"]
        for rest in beside:
            roles = (one, *rest)
            key = (
                terms.weigh(one.spare),
                len(roles),
                [role.kind != "own" for role in roles],
                [role.role.role_definition_id for role in roles],
            )
            if best is None or key < best[0]:
                best = (key, roles)
    return best[1] if best is not None else None


def _existing_choice(role: KnownRole, ceiling: Sequence[str]) -> Choice:
    own = role.role_definition_id in ceiling
    kind: ChoiceKind = "own" if own else "builtin" if role.is_builtin else "custom"
    return Choice(kind, role.role_definition_id, None, role.blocks, role.granted)


def _as_choice(one: Existing) -> Choice:
    return Choice(one.kind, one.role.role_definition_id, None, one.role.blocks, one.role.granted)
