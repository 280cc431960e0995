"""Compute the new roles from which merging starts: roles without excess, or those of an earlier choice.

If some assignments are kept because the plan leaves out new roles, the rest is chosen again, since kept assignments
grant a part of it. That choice starts from the roles chosen before. A fresh start would need more new roles than there
may be, and keep more assignments each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.analyze.scoping import ROOT
from rightsize.model.errors import InternalError
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.optimize.role_sharing import Sharing, UnansweredError
from rightsize.propose.optimize.rows import NeedRow, smallest_cover
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.equivalence import ClassCase
from rightsize.propose.selection.merge_roles import Joining

_NAMED = 3
"""Maximum number of operations that an error names."""

_Contents = tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Start:
    """The state from which merging starts.

    Attributes:
        contents: The new roles, each with its domain.
        taken: For each class, the positions of the new roles that it takes.
        beside: For each class, the positions of the existing roles that it takes.
        fallen: The classes that no new role serves.
        fewest: The proved lower bound on the number of new roles of any choice without excess.
    """

    contents: list[tuple[str, int]]
    taken: list[set[int]]
    beside: list[tuple[int, ...]]
    fallen: set[int] = field(default_factory=set)
    fewest: int = 0


@dataclass(frozen=True, slots=True)
class Carried:
    """The final roles of an earlier choice.

    Attributes:
        atoms: The numbering of operations and patterns.
        taken: By the key of a unit, the new roles that it took, each with its domain.
        refusal: The reason why not every need got a role: the word and the sentence.
    """

    atoms: Atoms
    taken: Mapping[tuple[object, ...], _Contents]
    refusal: str


def start_anew(cases: Sequence[ClassCase], method: Callable[[Sequence[NeedRow]], Sharing], atoms: Atoms) -> Start:
    """Return a start of new roles without excess.

    Raises:
        InternalError: No role grants the need of a class.
    """
    start = Start([], [set() for _ in cases], [() for _ in cases])
    bounds = []
    for members in _sharing(cases):
        rows = [cases[number].row for number in members]
        try:
            sharing = method(rows)
        except UnansweredError as error:
            case = cases[members[rows.index(error.row)]]
            raise no_answer(case, case.atoms & ~case.allowed or case.atoms, atoms) from error
        first = len(start.contents)
        domains = [""] * len(sharing.roles)
        bounds.append(sharing.lower_bound)
        for number, cover in zip(members, sharing.covers, strict=True):
            start.taken[number] = {first + one for one in cover if one >= 0}
            start.beside[number] = tuple(-1 - one for one in cover if one < 0)
            for one in cover:
                if one >= 0:
                    domains[one] = domains[one] or cases[number].whole.domain
        start.contents.extend(zip(domains, sharing.roles, strict=True))
    # A role of a further management group may also serve subscriptions, so the two bounds do not add up.
    start.fewest = max(bounds[0], sum(bounds[1:])) if bounds else 0
    return start


def _sharing(cases: Sequence[ClassCase]) -> Iterator[list[int]]:
    """Yield the classes that may share roles: those of subscriptions with those of one management group."""
    groups = sorted({case.whole.domain for case in cases} - {""}, key=lambda group: (group == ROOT, group))
    for alike in (("", *groups[:1]), *((group,) for group in groups[1:])):
        if members := [number for number, case in enumerate(cases) if case.whole.domain in alike]:
            yield members


def start_from(cases: Sequence[ClassCase], carried: Carried) -> Start:
    """Return a start from the roles of an earlier choice, as far as the classes may still take them."""
    start = Start([], [set() for _ in cases], [() for _ in cases])
    number_of: dict[tuple[str, int], int] = {}
    for number, case in enumerate(cases):
        before = dict.fromkeys(one for unit in case.whole.units for one in carried.taken.get(_slot(unit), ()))
        own = [one for one in before if not one[1] & ~case.within]
        columns = [*(one.atoms for one in case.existing), *(content for _, content in own)]
        cover = smallest_cover(case.atoms, columns, [0] * len(columns), case.whole.most_roles)
        if cover is None:
            start.fallen.add(number)
            continue
        width = len(case.existing)
        start.beside[number] = tuple(one for one in cover if one < width)
        for one in cover:
            if one >= width:
                start.taken[number].add(number_of.setdefault(own[one - width], len(number_of)))
    start.contents.extend(number_of)
    return start


def carry(cases: Sequence[ClassCase], state: Joining, atoms: Atoms, refusal: str) -> Carried:
    """Return the final roles of a choice, for the next one to start from."""
    taken = {}
    for number, case in enumerate(cases):
        roles = (state.roles[one] for one in state.taken[number])
        contents = tuple(sorted((role.domain, role.content) for role in roles))
        taken.update(dict.fromkeys(map(_slot, case.whole.units), contents) if contents else {})
    return Carried(atoms, taken, refusal)


def no_answer(case: ClassCase, missing: int, atoms: Atoms) -> InternalError:
    """Return the error for a need that no role grants, with its principal, its place and the missing operations."""
    unit = case.whole.units[0]
    need = atoms.need(missing)
    texts = [text for part in need.parts for text in part.patterns]
    texts += [name for _, name in atoms.book.index.members(need.operations)]
    more = f" and {len(texts) - _NAMED:,} more" if len(texts) > _NAMED else ""
    names = ", ".join(f"`{text}`" for text in texts[:_NAMED])
    return InternalError(
        f"no role answers the need of principal `{unit.principal_id}` at `{unit.place}`: {names}{more}"
    )


def _slot(unit: GrantUnit) -> tuple[object, ...]:
    return unit.principal_id, unit.place, unit.state, unit.condition, unit.end_on, unit.role_definition_id, unit.apart
