"""The roles that exist already, as candidates for a need: built-in ones, the tenant's own, and today's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rightsize.analyze.scoping import ROOT, ScopeTree
from rightsize.propose.core.role_catalog import ChoiceKind, KnownRole, RoleBook
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.needs.grant_requests import is_at_or_below
from rightsize.propose.selection.atoms import Atoms

_Sized = tuple[int, ChoiceKind, KnownRole]


@dataclass(frozen=True, slots=True)
class Existing:
    """An existing role as it stands towards a need.

    Attributes:
        kind: `own` for one of the roles that are replaced, `builtin` or `custom` for another.
        role: The role.
        atoms: What it grants.
        spare: The operations that it grants beyond the need.
    """

    kind: ChoiceKind
    role: KnownRole
    atoms: int
    spare: int


@dataclass(slots=True)
class CandidateIndex:
    """Hands out existing roles.

    Attributes:
        book: The roles.
        atoms: The numbering of what they grant.
        tree: Management groups and subscriptions.
    """

    book: RoleBook
    atoms: Atoms
    tree: ScopeTree
    _builtin: list[tuple[int, KnownRole]] = field(default_factory=list)
    _by_scope: dict[str, list[KnownRole]] = field(default_factory=dict)
    _at_place: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _atoms_of: dict[str, int] = field(default_factory=dict)
    _inside: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[_Sized, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in self.book.roles.values():
            if role.is_conditional or not role.granted:
                continue
            if role.is_builtin:
                self._builtin.append((role.granted.bit_count(), role))
            for scope in () if role.is_builtin else role.assignable:
                self._by_scope.setdefault(scope, []).append(role)
        self._builtin.sort(key=lambda item: (item[0], item[1].role_definition_id))

    def assignable_at(self, place: str) -> tuple[str, ...]:
        """Return the tenant's own roles that may be assigned at a folded scope, sorted.

        A role with data actions cannot be assigned at a management group.
        """
        if place not in self._at_place:
            above = [scope for scope in self._by_scope if is_at_or_below(place, scope, self.tree)]
            at_group = place.startswith(MANAGEMENT_GROUP)
            self._at_place[place] = tuple(
                sorted(
                    {
                        role.role_definition_id
                        for scope in above
                        for role in self._by_scope[scope]
                        if place != ROOT and not (at_group and _has_data_actions(role))
                    }
                )
            )
        return self._at_place[place]

    def atoms_of(self, role: KnownRole) -> int:
        """Return what a role grants."""
        if role.role_definition_id not in self._atoms_of:
            self._atoms_of[role.role_definition_id] = self.atoms.of_blocks(role.granted, role.doubtful, role.blocks)
        return self._atoms_of[role.role_definition_id]

    def fitting(
        self, ceiling: tuple[str, ...], custom: Iterable[str], wanted: int, needed: int, max_excess: int | None
    ) -> Iterator[Existing]:
        """Yield the roles that grant something wanted and no operation of the catalogue that a ceiling does not grant.

        Args:
            ceiling: The roles of today that may be replaced.
            custom: The tenant's own roles that may be assigned there.
            wanted: The atoms of which one has to be granted.
            needed: The operations that are needed.
            max_excess: How many operations beyond these a role may grant; None for any number.
        """
        whole = (1 << self.atoms.width) - 1
        most = self.atoms.width if max_excess is None else needed.bit_count() + max_excess
        for size, kind, role in self._within(ceiling, tuple(custom)):
            if size > most:
                return
            atoms = self.atoms_of(role)
            if not atoms & wanted:
                continue
            spare = role.granted & whole & ~needed
            if not spare or max_excess is None or spare.bit_count() <= max_excess:
                yield Existing(kind, role, atoms, spare)

    def is_inside(self, one: Existing, ceiling: tuple[str, ...]) -> bool:
        """Return whether a ceiling grants all that a role does, for all strings."""
        return one.kind == "own" or self.book.is_contained(one.role, ceiling)

    def _within(self, ceiling: tuple[str, ...], custom: tuple[str, ...]) -> tuple[_Sized, ...]:
        """Return the roles that grant no operation beyond a ceiling: today's, the tenant's own, and built-in ones.

        The first two have the size 0, whatever they grant, and built-in ones stand by size. Many needs stand under the
        same ceiling, so it is asked once.
        """
        key = ceiling, custom
        if key not in self._inside:
            roles = self.book.roles
            granted = 0
            for id_ in ceiling:
                granted |= roles[id_].granted
            outside = (1 << self.atoms.width) - 1 & ~granted
            candidates: list[_Sized] = [
                *((0, "own", roles[id_]) for id_ in ceiling if not roles[id_].is_conditional),
                *((0, "custom", roles[id_]) for id_ in custom if id_ not in ceiling),
                *((size, "builtin", role) for size, role in self._builtin if role.role_definition_id not in ceiling),
            ]
            self._inside[key] = tuple(one for one in candidates if not one[2].granted & outside)
        return self._inside[key]


def _has_data_actions(role: KnownRole) -> bool:
    return any(block.data_actions for block in role.blocks)
