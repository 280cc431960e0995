"""Find the existing roles that may grant a part of a need: today's roles, custom roles and built-in roles.

Built-in roles for a service of Azure (`rules/service_roles.csv`) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rightsize.analyze.scoping import ROOT, ScopeTree
from rightsize.propose.core.role_catalog import ChoiceKind, KnownRole, RoleBook
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.needs.grant_requests import is_at_or_below
from rightsize.propose.selection.atoms import Atoms
from rightsize.rbac.text import Folded

_Sized = tuple[int, ChoiceKind, KnownRole]


@dataclass(frozen=True, slots=True)
class Existing:
    """An existing role as a candidate for a need.

    Attributes:
        kind: `own` for one of the roles that are replaced, `builtin` or `custom` for another.
        role: The role.
        atoms: The atoms that it grants.
        spare: The operations that it grants beyond the need.
    """

    kind: ChoiceKind
    role: KnownRole
    atoms: int
    spare: int


@dataclass(slots=True)
class CandidateIndex:
    """An index of candidate roles by scope and by the ceiling of today's roles.

    Attributes:
        book: The roles.
        atoms: The numbering of operations and patterns.
        tree: Management groups and subscriptions.
    """

    book: RoleBook
    atoms: Atoms
    tree: ScopeTree
    _builtin: list[tuple[int, KnownRole]] = field(default_factory=list)
    _by_scope: dict[Folded, list[KnownRole]] = field(default_factory=dict)
    _at_place: dict[Folded, tuple[Folded, ...]] = field(default_factory=dict)
    _atoms_of: dict[Folded, int] = field(default_factory=dict)
    _inside: dict[tuple[tuple[Folded, ...], tuple[Folded, ...]], tuple[_Sized, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A role that Azure made for one of its services fits by chance, and nobody would give it to a person.
        for role in self.book.roles.values():
            if role.is_conditional or not role.granted:
                continue
            if role.is_builtin and not role.is_for_service:
                self._builtin.append((role.granted.bit_count(), role))
            for scope in () if role.is_builtin else role.assignable:
                self._by_scope.setdefault(scope, []).append(role)
        self._builtin.sort(key=lambda item: (item[0], item[1].role_definition_id))

    def assignable_at(self, place: Folded) -> tuple[Folded, ...]:
        """Return the ids of the tenant's custom roles that may be assigned at a folded scope, sorted.

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
        """Return the atoms that a role grants."""
        if role.role_definition_id not in self._atoms_of:
            self._atoms_of[role.role_definition_id] = self.atoms.of_blocks(role.granted, role.doubtful, role.blocks)
        return self._atoms_of[role.role_definition_id]

    def fitting(
        self, ceiling: tuple[Folded, ...], custom: Iterable[Folded], wanted: int, needed: int, *, is_exact: bool = False
    ) -> Iterator[Existing]:
        """Yield the roles that grant a wanted atom, and no catalogue operation that the ceiling does not grant.

        Args:
            ceiling: The roles of today that may be replaced.
            custom: The tenant's custom roles that may be assigned there.
            wanted: The atoms; a role has to grant at least one of them.
            needed: The operations that are needed.
            is_exact: Whether a role may grant nothing beyond the needed operations.
        """
        whole = (1 << self.atoms.width) - 1
        most = needed.bit_count() if is_exact else self.atoms.width
        for size, kind, role in self._within(ceiling, tuple(custom)):
            if size > most:
                return
            atoms = self.atoms_of(role)
            if not atoms & wanted:
                continue
            spare = role.granted & whole & ~needed
            if not spare or not is_exact:
                yield Existing(kind, role, atoms, spare)

    def is_inside(self, one: Existing, ceiling: tuple[Folded, ...]) -> bool:
        """Return whether a ceiling grants everything that a role grants, for all strings."""
        return one.kind == "own" or self.book.is_contained(one.role, ceiling)

    def _within(self, ceiling: tuple[Folded, ...], custom: tuple[Folded, ...]) -> tuple[_Sized, ...]:
        """Return the roles that grant no operation beyond a ceiling: today's, custom roles, and built-in roles.

        The first two get the size 0, whatever they grant; built-in roles are sorted by size. Many needs have the same
        ceiling, so the result is cached.
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
