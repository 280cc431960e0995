"""Find the resource types that a need writes: holders of one job share a role for these types."""

from __future__ import annotations

from dataclasses import dataclass, field

from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.propose.needs.touched_types import masks_by_type


@dataclass(slots=True)
class WrittenTypes:
    """The operations on the resource types that needs write; answers are cached by the writes of a need.

    A type is a top-level type (`microsoft.web/sites`) on one plane: to write data says nothing about the resource
    itself.

    Attributes:
        index: The operations.
    """

    index: OperationIndex
    _of_write: dict[int, int] = field(default_factory=dict)
    _writes: int = 0
    _found: dict[int, int] = field(default_factory=dict)

    def of(self, need: int) -> int:
        """Return all operations on the types of which a need has a write."""
        if not self._of_write:
            self._read()
        writes = need & self._writes
        if writes not in self._found:
            found = 0
            for bit in bits_of(writes):
                found |= self._of_write[bit]
            self._found[writes] = found
        return self._found[writes]

    def _read(self) -> None:
        names = enumerate(self.index.names)
        self._writes = self.index.mask_of_bits(bit for bit, (_, name) in names if name.lower().endswith("/write"))
        for operations in masks_by_type(self.index).values():
            for part in (operations & self.index.control, operations & ~self.index.control):
                self._of_write |= dict.fromkeys(bits_of(part & self._writes), part)
