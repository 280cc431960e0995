"""Find the resource types that a need writes: holders of one job share a role for these types."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.rbac.text import fold


@dataclass(slots=True)
class WrittenTypes:
    """The operations on the resource types that needs write; answers are cached by the writes of a need.

    A type is a provider with its first type (`microsoft.web/sites`), on one plane: to write data says nothing about the
    resource itself.

    Attributes:
        index: The operations.
    """

    index: OperationIndex
    _type_of: list[int] = field(default_factory=list)
    _operations: list[int] = field(default_factory=list)
    _writes: int = 0
    _found: dict[int, int] = field(default_factory=dict)

    def of(self, need: int) -> int:
        """Return all operations on the types of which a need has a write."""
        if not self._type_of:
            self._number()
        writes = need & self._writes
        if writes not in self._found:
            found = 0
            for number in {self._type_of[bit] for bit in bits_of(writes)}:
                found |= self._operations[number]
            self._found[writes] = found
        return self._found[writes]

    def _number(self) -> None:
        numbers: dict[tuple[str, str], int] = {}
        members: dict[int, list[int]] = defaultdict(list)
        writes = []
        for bit, (plane, name) in enumerate(self.index.names):
            parts = fold(name).split("/")
            number = numbers.setdefault((plane, "/".join(parts[:2])), len(numbers))
            self._type_of.append(number)
            members[number].append(bit)
            if parts[-1] == "write":
                writes.append(bit)
        self._operations = [self.index.mask_of_bits(members[number]) for number in range(len(numbers))]
        self._writes = self.index.mask_of_bits(writes)
