"""Find the resource types on which a need changes something: holders of one job share a role for these types."""

from __future__ import annotations

from dataclasses import dataclass, field

from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.propose.needs.touched_types import masks_by_type


@dataclass(slots=True)
class ChangedTypes:
    """The operations on the resource types that needs change; answers are cached by the changes of a need.

    A type is a top-level type (`microsoft.web/sites`) on one plane: to change data says nothing about the resource
    itself.

    Attributes:
        index: The operations.
        idle: The operations that change nothing, beside reads: secrets, and what Azure checks inside another write.
    """

    index: OperationIndex
    idle: int = 0
    _of_change: dict[int, int] = field(default_factory=dict)
    _changes: int = 0
    _found: dict[int, int] = field(default_factory=dict)

    def of(self, need: int) -> int:
        """Return all operations on the types on which a need has a change."""
        if not self._of_change:
            self._read()
        changes = need & self._changes
        if changes not in self._found:
            found = 0
            for bit in bits_of(changes):
                found |= self._of_change[bit]
            self._found[changes] = found
        return self._found[changes]

    def _read(self) -> None:
        names = enumerate(self.index.names)
        reads = self.index.mask_of_bits(bit for bit, (_, name) in names if name.lower().endswith("/read"))
        self._changes = (1 << len(self.index.names)) - 1 & ~reads & ~self.idle
        for operations in masks_by_type(self.index).values():
            for part in (operations & self.index.control, operations & ~self.index.control):
                self._of_change |= dict.fromkeys(bits_of(part & self._changes), part)
