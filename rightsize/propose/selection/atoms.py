"""What a role can be made of, as sets of numbers: operations of the catalogue, and patterns that stay as granted.

The lower bits of a set are those of the `OperationIndex`; each pattern part that occurs in a need has a bit above them.
So needs, roles and ceilings compare in one machine-speed step, and the algebra is asked only which part contains which.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rightsize.propose.core.read_patterns import PatternPart
from rightsize.propose.core.role_catalog import Blocks, Need, RoleBook
from rightsize.propose.needs.grant_requests import without_contained_parts


@dataclass(slots=True)
class Atoms:
    """Translates between needs and sets.

    Attributes:
        book: The roles.
        parts: The pattern parts that occur, sorted; part `i` has the bit `width + i`.
        width: How many operations the index has.
    """

    book: RoleBook
    parts: tuple[PatternPart, ...]
    width: int
    _bits: dict[PatternPart, int] = field(default_factory=dict)
    _within: dict[Blocks, int] = field(default_factory=dict)

    @classmethod
    def of(cls, needs: Iterable[Need], book: RoleBook) -> Atoms:
        """Number the parts of all needs."""
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
        """Return what has to be granted."""
        return need.operations | sum(self._bits[part] for part in need.parts)

    def of_blocks(self, granted: int, doubtful: int, blocks: Blocks) -> int:
        """Return what blocks grant by any reading.

        Args:
            granted: The operations that they may grant.
            doubtful: Those of them that they grant by one reading only: none of these stands for itself.
            blocks: The blocks.
        """
        return granted & ~doubtful | self._parts_within(blocks)

    def allowed(self, need: Need) -> int:
        """Return what a role may have without granting more than a need says."""
        blocks = tuple(part.block for part in need.parts)
        return self.book.certain(need) | self._parts_within(blocks)

    def operations(self, atoms: int) -> int:
        """Return the catalogue's operations that a set may grant."""
        found = atoms & (1 << self.width) - 1
        for part in self._parts_of(atoms):
            found |= self.book.part_mask(part)
        return found

    def granting(self, operations: int) -> int:
        """Return the atoms that may grant any of some operations."""
        if not operations:
            return 0
        return operations | sum(bit for part, bit in self._bits.items() if self.book.part_mask(part) & operations)

    def granted(self, atoms: int) -> int:
        """Return all atoms that a set grants, contained patterns and their operations among them."""
        parts = self._parts_of(atoms)
        if not parts:
            return atoms
        said = Need(atoms & (1 << self.width) - 1, parts)
        operations = self.book.mask(said)
        doubtful = operations & ~self.book.certain(said)
        return atoms | self.of_blocks(operations, doubtful, tuple(part.block for part in parts))

    def need(self, atoms: int) -> Need:
        """Return a set as a need, without what its patterns say twice."""
        found = Need(atoms & (1 << self.width) - 1, self._parts_of(atoms))
        return without_contained_parts(found, self.book) if found.parts else found

    def _parts_of(self, atoms: int) -> tuple[PatternPart, ...]:
        high = atoms >> self.width
        return tuple(part for number, part in enumerate(self.parts) if high >> number & 1) if high else ()

    def _parts_within(self, blocks: Blocks) -> int:
        """Return the parts that blocks grant, for all strings: a question of the blocks and of nothing else."""
        if blocks not in self._within:
            granted = self.book.index.granted_by(blocks)
            self._within[blocks] = sum(
                bit
                for part, bit in self._bits.items()
                if not self.book.part_mask(part) & ~granted and self.book.grants_part(blocks, part)
            )
        return self._within[blocks]
