"""Roles for all units of a plan: what grants each need, out of today's grants and inside Azure's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.drafts import inherited_strings
from rightsize.propose.limits import Limits, refusals
from rightsize.propose.roles import Choice, Need, RoleBook, cheapest, options
from rightsize.propose.units import Unit

_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"


@dataclass(frozen=True, slots=True)
class Solution:
    """What was chosen.

    Attributes:
        choices: The roles for each unit that can be granted.
        refused: For each other unit the word that says why it cannot.
    """

    choices: Mapping[Unit, tuple[Choice, ...]]
    refused: Mapping[Unit, str]


def choose(units: Sequence[Unit], book: RoleBook, max_excess: int, limits: Limits) -> Solution:
    """Return the roles for every unit.

    Args:
        units: The needs.
        book: The roles.
        max_excess: Operations that an existing role may grant beyond a need.
        limits: What Azure allows.
    """
    chooser = _Chooser(book, max_excess, limits)
    choices: dict[Unit, tuple[Choice, ...]] = {}
    refused: dict[Unit, str] = {}
    for unit in units:
        found = chooser.choose(unit)
        if isinstance(found, str):
            refused[unit] = found
        else:
            choices[unit] = found
    return Solution(choices, refused)


@dataclass(slots=True)
class _Chooser:
    book: RoleBook
    max_excess: int
    limits: Limits
    _chosen: dict[tuple[Need, tuple[str, ...], str], tuple[Choice, ...] | str] = field(default_factory=dict)

    def choose(self, unit: Unit) -> tuple[Choice, ...] | str:
        place = unit.place
        kind = "/" if place == "/" else ("group" if place.startswith(_MANAGEMENT_GROUP) else "below")
        key = (unit.need, unit.ceiling, kind)
        if key not in self._chosen:
            self._chosen[key] = self._choose_anew(unit)
        return self._chosen[key]

    def _choose_anew(self, unit: Unit) -> tuple[Choice, ...] | str:
        blocked = why_no_custom(unit.need, unit.place, self.book)
        found = list(options(unit.need, unit.ceiling, self.book, max_excess=self.max_excess, custom=not blocked))
        inherited = frozenset().union(*(inherited_strings(self.book.roles[id_]) for id_ in unit.ceiling))
        accepted = [
            choices for choices in found if not any(self._is_refused(one, unit.place, inherited) for one in choices)
        ]
        chosen = cheapest(unit.need, accepted, self.book)
        if chosen is not None:
            return chosen
        return blocked or "role_refused"

    def _is_refused(self, choice: Choice, place: str, inherited: frozenset[tuple[str, str]]) -> bool:
        if choice.content is None:
            return False
        sample = RoleDefinition("", "x", (choice.content.block,), assignable_scopes=(place,))
        return bool(refusals(sample, self.book.index.lists, inherited, self.limits))


def why_no_custom(need: Need, place: str, book: RoleBook) -> str:
    """Return the word that says why no new role for a need may be assigned at a folded scope, or the empty string."""
    if place == "/":
        return "root"
    has_data = any(plane == "data" for plane, _ in book.index.members(book.mask(need)))
    if place.startswith(_MANAGEMENT_GROUP) and (has_data or any(part.plane == "data" for part in need.parts)):
        return "data_at_management_group"
    return ""
