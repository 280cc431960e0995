"""Translate needs and roles into sets of atoms: bits for catalogue operations and for patterns that stay as granted.

The lower bits of a set are those of the `OperationIndex`; each pattern part of a need has a bit above them. So needs,
roles and ceilings compare in one fast step, and the algebra of patterns is needed only to find which part contains
which.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rightsize.propose.core.read_patterns import PatternPart
from rightsize.propose.core.role_catalog import Blocks, Need, RoleBook
from rightsize.propose.needs.grant_requests import without_contained_parts


@dataclass(slots=True)
class Atoms:
    """The numbering of operations and pattern parts that translates between needs and sets of atoms.

    Attributes:
        book: The roles.
        parts: The pattern parts that occur in needs, sorted; part `i` has the bit `width + i`.
        width: The number of operations in the index.
    """

    book: RoleBook
    parts: tuple[PatternPart, ...]
    width: int
    _bits: dict[PatternPart, int] = field(default_factory=dict)
    _within: dict[Blocks, int] = field(default_factory=dict)

    @classmethod
    def of(cls, needs: Iterable[Need], book: RoleBook) -> Atoms:
        """Return the numbering for the pattern parts of all needs."""
        parts = tuple(sorted({part for need in needs for part in need.parts}))
        width = len(book.index.names)
        return cls(book, parts, width, {part: 1 << width + number for number, part in enumerate(parts)})

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
        return need.operations | sum(self._bits[part] for part in need.parts)

    def of_blocks(self, granted: int, doubtful: int, blocks: Blocks) -> int:
        """Return the atoms that blocks grant by every reading.

        Args:
            granted: The operations that the blocks may grant.
            doubtful: The part of `granted` that they grant by only one reading: these get no atom of their own.
            blocks: The blocks.
        """
        return granted & ~doubtful | self._parts_within(blocks)

    def operations(self, atoms: int) -> int:
        """Return the catalogue operations that a set of atoms may grant."""
        found = atoms & (1 << self.width) - 1
        for part in self._parts_of(atoms):
            found |= self.book.part_mask(part)
        return found

    def granting(self, operations: int) -> int:
        """Return the atoms that may grant at least one of the operations."""
        if not operations:
            return 0
        return operations | sum(bit for part, bit in self._bits.items() if self.book.part_mask(part) & operations)

    def granted(self, atoms: int) -> int:
        """Return all atoms that a set grants, including contained patterns and their operations."""
        parts = self._parts_of(atoms)
        if not parts:
            return atoms
        said = Need(atoms & (1 << self.width) - 1, parts)
        operations = self.book.mask(said)
        doubtful = operations & ~self.book.certain(said)
        return atoms | self.of_blocks(operations, doubtful, tuple(part.block for part in parts))

    def need(self, atoms: int) -> Need:
        """Return a set of atoms as a need, without what its patterns grant twice."""
        found = Need(atoms & (1 << self.width) - 1, self._parts_of(atoms))
        return without_contained_parts(found, self.book) if found.parts else found

    def _parts_of(self, atoms: int) -> tuple[PatternPart, ...]:
        high = atoms >> self.width
        return tuple(part for number, part in enumerate(self.parts) if high >> number & 1) if high else ()

    def _parts_within(self, blocks: Blocks) -> int:
        """Return the atoms of the pattern parts that blocks contain, for all strings; cached by the blocks."""
        if blocks not in self._within:
            granted = self.book.index.granted_by(blocks)
            self._within[blocks] = sum(
                bit
                for part, bit in self._bits.items()
                if not self.book.part_mask(part) & ~granted and self.book.grants_part(blocks, part)
            )
        return self._within[blocks]
