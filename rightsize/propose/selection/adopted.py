"""Start a choice from the roles of an earlier plan, so that they stay as long as they are worth half of a new role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.role_catalog import Need, RoleContent, write_contents
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.optimize.rows import smallest_cover
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.equivalence import ClassCase, share_domain
from rightsize.propose.selection.warm_start import Start
from rightsize.propose.selection.worth import Prices
from rightsize.rbac.text import fold


@dataclass(frozen=True, slots=True)
class Adopted:
    """The roles of an earlier plan that this plan can write again, each with its domain.

    Attributes:
        operations: The operations of each role, by (domain, atoms).
    """

    operations: Mapping[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, roles: Iterable[RoleDefinition], atoms: Atoms) -> Adopted:
        """Return the roles as atoms; a role with an operation or pattern that no need names is left out."""
        found = {}
        for role in roles:
            content = _atoms_of(role, atoms)
            if content:
                found[_domain_of(role), content] = atoms.operations(content)
        return cls(found)

    def start(self, cases: Sequence[ClassCase], start: Start, prices: Prices, least: int) -> Start:
        """Return a start in which classes take adopted roles where a role of their own is not worth it."""
        if not self.operations:
            return start
        numbers: dict[tuple[str, int], int] = {}
        taken, beside = list(start.taken), list(start.beside)
        for number, case in enumerate(cases):
            found = self._cover(case, prices, least) if taken[number] else None
            if found is not None:
                beside[number] = found[0]
                taken[number] = {numbers.setdefault(one, len(numbers)) for one in found[1]}
            else:
                taken[number] = {numbers.setdefault(start.contents[one], len(numbers)) for one in taken[number]}
        return replace(start, contents=list(numbers), taken=taken, beside=beside)

    def _cover(
        self, case: ClassCase, prices: Prices, least: int
    ) -> tuple[tuple[int, ...], tuple[tuple[str, int], ...]] | None:
        """Return the existing roles (by position) and the adopted roles for a class; None if they do not fit."""
        own = []
        for domain, content in sorted(self.operations):
            fits = share_domain(domain, case.whole.domain) and not content & ~case.within and content & case.atoms
            if fits and not prices.is_foreign(prices.felt(content), case.atoms | case.needed, case.needed):
                own.append((domain, content))
        columns = [*(one.atoms for one in case.existing), *(content for _, content in own)]
        costs = [0] * len(case.existing) + [1 + (content & ~case.atoms).bit_count() for _, content in own]
        cover = smallest_cover(case.atoms, columns, costs, case.whole.most_roles)
        if cover is None:
            return None
        width = len(case.existing)
        chosen = tuple(own[one - width] for one in cover if one >= width)
        spare = reduce(or_, (self.operations[one] for one in chosen), 0) & ~case.needed
        if spare & prices.privileged or case.whole.price(spare, prices) >= least:
            return None
        return tuple(one for one in cover if one < width), chosen


def _domain_of(role: RoleDefinition) -> str:
    groups = (fold(scope) for scope in role.assignable_scopes)
    return next((scope for scope in groups if scope.startswith(MANAGEMENT_GROUP)), "")


def _atoms_of(role: RoleDefinition, atoms: Atoms) -> int:
    """Return the atoms of a role, or 0 where these would not give the same role again."""
    if len(role.permissions) != 1:
        return 0
    block = role.permissions[0]
    content = RoleContent(block.actions, block.not_actions, block.data_actions, block.not_data_actions)
    strings = {("control", text) for text in block.actions} | {("data", text) for text in block.data_actions}
    found = atoms.book.index.mask((plane, fold(text)) for plane, text in strings if "*" not in text)
    for part in atoms.parts:
        if all((part.plane, text) in strings for text in part.patterns):
            found |= atoms.of_need(Need(0, (part,)))
    return found if write_contents(atoms.need(found), atoms.book.index) == [content] else 0
