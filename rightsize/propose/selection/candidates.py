"""Find the existing roles that may grant a part of a need: today's roles, custom roles and built-in roles.

Built-in roles for a service of Azure (`rules/service_roles.csv`) are left out.

Needs and roles are compared as sets of *atoms*: bits for catalogue operations and for patterns that stay as granted.
The lower bits of a set are those of the `OperationIndex`; each pattern part of a need has a bit above them. So needs,
roles and ceilings compare in one fast step, and the algebra of patterns is needed only to find which part contains
which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rightsize.analyze.inputs import ROOT, ScopeTree
from rightsize.mining.bitsets import bits_of, mask_of, union, without
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import Blocks, ChoiceKind, KnownRole, Need, RoleBook
from rightsize.propose.core.role_patterns import PatternPart
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.needs.grant_requests import is_at_or_below, without_contained_parts


@dataclass(slots=True)
class Atoms:
    """The numbering of operations and pattern parts that translates between needs and sets of atoms.

    Attributes:
        parts: The pattern parts that occur in needs, sorted; part `i` has the bit `width + i`.
        width: The number of operations in the index.
    """

    book: RoleBook
    parts: tuple[PatternPart, ...]
    width: int
    _bits: dict[PatternPart, int] = field(default_factory=dict)
    _masks: list[tuple[PatternPart, int, int]] = field(default_factory=list)
    _within: dict[Blocks, int] = field(default_factory=dict)

    @classmethod
    def of(cls, needs: Iterable[Need], book: RoleBook) -> Atoms:
        """Return the numbering for the pattern parts of all needs."""
        parts = tuple(sorted({part for need in needs for part in need.parts}))
        width = len(book.index.names)
        bits = {part: 1 << width + number for number, part in enumerate(parts)}
        return cls(book, parts, width, bits, [(part, bit, book.part_mask(part)) for part, bit in bits.items()])

    @property
    def patterns(self) -> int:
        """The atoms that are patterns."""
        return (1 << len(self.parts)) - 1 << self.width

    @property
    def data(self) -> int:
        """The atoms of the data plane."""
        operations = (1 << self.width) - 1 & ~self.book.index.control
        return operations | sum(bit for part, bit in self._bits.items() if part.plane == "data")

    def of_need(self, need: Need) -> int:
        """Return the atoms of a need."""
        return need.operations | sum(self._bits[part] for part in need.parts) if need.parts else need.operations

    def of_blocks(self, certain: int, blocks: Blocks) -> int:
        """Return the atoms that blocks grant, for all strings; `certain` has what they grant by every reading."""
        if blocks not in self._within:
            granted = self.book.index.granted_by(blocks)
            self._within[blocks] = sum(
                bit for part, bit, mask in self._masks if not mask & ~granted and self.book.grants_part(blocks, part)
            )
        return certain | self._within[blocks]

    def operations(self, atoms: int) -> int:
        """Return the catalogue operations that a set of atoms may grant."""
        return self.book.mask(self._said(atoms))

    def granting(self, operations: int) -> int:
        """Return the atoms that may grant at least one of the operations."""
        if not operations:
            return 0
        return operations | sum(bit for _, bit, mask in self._masks if mask & operations)

    def granted(self, atoms: int) -> int:
        """Return all atoms that a set grants, including contained patterns and their operations."""
        said = self._said(atoms)
        if not said.parts:
            return atoms
        return atoms | self.of_blocks(self.book.certain(said), tuple(part.block for part in said.parts))

    def need(self, atoms: int) -> Need:
        """Return a set of atoms as a need, without what its patterns grant twice."""
        said = self._said(atoms)
        return without_contained_parts(said, self.book) if said.parts else said

    def _said(self, atoms: int) -> Need:
        high = atoms >> self.width
        parts = tuple(part for number, part in enumerate(self.parts) if high >> number & 1) if high else ()
        return Need(atoms & (1 << self.width) - 1, parts)


@dataclass(frozen=True, slots=True)
class Existing:
    """An existing role as a candidate for a need.

    Attributes:
        kind: `own` for one of the roles that are replaced, `builtin` or `custom` for another.
        atoms: The atoms that it grants.
    """

    kind: ChoiceKind
    role: KnownRole
    atoms: int


@dataclass(slots=True)
class CandidateIndex:
    """An index of candidate roles by scope and by the ceiling of today's roles.

    Attributes:
        atoms: The numbering of operations and patterns.
        tree: Management groups and subscriptions.
        never_spare: The operations that no existing role may grant beyond the need.
    """

    book: RoleBook
    atoms: Atoms
    tree: ScopeTree
    never_spare: int = 0
    _roles: list[KnownRole] = field(default_factory=list)
    _by_scope: dict[Folded, list[KnownRole]] = field(default_factory=dict)
    _at_place: dict[Folded, tuple[Folded, ...]] = field(default_factory=dict)
    _atoms_of: dict[Folded, int] = field(default_factory=dict)
    _custom: dict[Folded, int] = field(default_factory=dict)
    _inside: dict[tuple[Folded, ...], int] = field(default_factory=dict)
    _having: dict[int, int] = field(default_factory=dict)
    _found: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        builtin: list[KnownRole] = []
        custom: dict[Folded, KnownRole] = {}
        for role in self.book.roles.values():
            if role.is_conditional or not role.granted:
                continue
            # A role that Azure made for one of its services fits by chance, and nobody would give it to a person.
            if role.is_builtin and not role.is_for_service:
                builtin.append(role)
            for scope in () if role.is_builtin else role.assignable:
                self._by_scope.setdefault(scope, []).append(role)
                custom[role.role_definition_id] = role
        self._custom.update((id_, 1 << number) for number, id_ in enumerate(sorted(custom)))
        self._roles += [custom[id_] for id_ in self._custom]
        self._roles += sorted(builtin, key=lambda role: role.granted.bit_count())

    def assignable_at(self, place: Folded) -> tuple[Folded, ...]:
        """Return the ids of the tenant's custom roles that may be assigned at a folded scope, sorted.

        A role with data actions cannot be assigned at a management group.
        """
        if place == ROOT:
            return ()
        if place not in self._at_place:
            above = (roles for scope, roles in self._by_scope.items() if is_at_or_below(place, scope, self.tree))
            at_group = place.startswith(MANAGEMENT_GROUP)
            allowed = (
                role
                for roles in above
                for role in roles
                if not at_group or not any(block.data_actions for block in role.blocks)
            )
            self._at_place[place] = tuple(sorted({role.role_definition_id for role in allowed}))
        return self._at_place[place]

    def atoms_of(self, role: KnownRole) -> int:
        """Return the atoms that a role grants."""
        if role.role_definition_id not in self._atoms_of:
            self._atoms_of[role.role_definition_id] = self.atoms.of_blocks(role.certain, role.blocks)
        return self._atoms_of[role.role_definition_id]

    def fitting(
        self,
        ceiling: tuple[Folded, ...],
        custom: tuple[Folded, ...],
        wanted: int,
        needed: int,
        *,
        is_exact: bool = False,
    ) -> Iterator[Existing]:
        """Yield the roles that grant a wanted atom, and no catalogue operation that the ceiling does not grant.

        Args:
            ceiling: The roles of today that may be replaced.
            custom: The tenant's custom roles that may be assigned there.
            wanted: The atoms; a role has to grant at least one of them.
            needed: The operations that are needed.
            is_exact: Whether a role may grant nothing beyond the needed operations.
        """
        most = needed.bit_count() if is_exact else self.atoms.width
        for kind, role in self._within(ceiling, custom, wanted):
            if kind == "builtin" and role.granted.bit_count() > most:
                return
            atoms, spare = self.atoms_of(role), without(role.granted, needed)
            if atoms & wanted and not (is_exact and spare) and not spare & self.never_spare:
                yield Existing(kind, role, atoms)

    def is_inside(self, one: Existing, ceiling: tuple[Folded, ...]) -> bool:
        """Return whether a ceiling grants everything that a role grants, for all strings."""
        return one.kind == "own" or self.book.is_contained(one.role, ceiling)

    def _within(
        self, ceiling: tuple[Folded, ...], custom: tuple[Folded, ...], wanted: int
    ) -> Iterator[tuple[ChoiceKind, KnownRole]]:
        """Yield today's roles, then those others that grant a wanted atom and no operation beyond a ceiling.

        Custom roles come by id, and built-in ones last, by size.
        """
        for id_ in ceiling:
            if not self.book.roles[id_].is_conditional:
                yield "own", self.book.roles[id_]
        if ceiling not in self._inside:
            granted = union(self.book.roles[id_].granted for id_ in ceiling)
            inside = (not one.granted & ~granted and one.role_definition_id not in ceiling for one in self._roles)
            self._inside[ceiling] = mask_of(number for number, fits in enumerate(inside) if fits)
        assignable = -1 << len(self._custom) | sum(self._custom[id_] for id_ in custom)
        for number in bits_of(self._inside[ceiling] & self._granting(wanted) & assignable):
            yield "custom" if number < len(self._custom) else "builtin", self._roles[number]

    def _granting(self, wanted: int) -> int:
        """Return the numbers of the roles that grant a wanted atom; many needs are equal, so it is cached."""
        if not self._having:
            having: dict[int, list[int]] = defaultdict(list)
            for number, role in enumerate(self._roles):
                for atom in bits_of(self.atoms_of(role)):
                    having[atom].append(number)
            self._having.update((atom, mask_of(numbers)) for atom, numbers in having.items())
        if wanted not in self._found:
            self._found[wanted] = union(self._having.get(atom, 0) for atom in bits_of(wanted))
        return self._found[wanted]
