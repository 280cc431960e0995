"""Find the resource types that a need works on: holders of one job share a role for these types."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.rbac.text import fold


@dataclass(slots=True)
class WorkedTypes:
    """The operations on the resource types that needs work on; answers are cached by need.

    A type is a provider with its first type (`microsoft.web/sites`), on one plane: work on data says nothing about the
    resource itself.

    Attributes:
        index: The operations.
    """

    index: OperationIndex
    _type_of: list[int] = field(default_factory=list)
    _operations: list[int] = field(default_factory=list)
    _writes: int = 0
    _reads: int = 0
    _found: dict[tuple[int, bool], int] = field(default_factory=dict)

    def worked(self, need: int) -> int:
        """Return the operations on types of which a need has an operation that is not a read."""
        return self._answer(need, writes_only=False)

    def written(self, need: int) -> int:
        """Return the operations on types of which a need has a write."""
        return self._answer(need, writes_only=True)

    def _answer(self, need: int, *, writes_only: bool) -> int:
        if not self._type_of:
            self._number()
        own = need & self._writes if writes_only else need & ~self._reads
        own &= (1 << len(self._type_of)) - 1
        key = own, writes_only
        if key not in self._found:
            found = 0
            for number in {self._type_of[bit] for bit in bits_of(own)}:
                found |= self._operations[number]
            self._found[key] = found
        return self._found[key]

    def _number(self) -> None:
        numbers: dict[tuple[str, str], int] = {}
        members: dict[int, list[int]] = defaultdict(list)
        writes, reads = [], []
        for bit, (plane, name) in enumerate(self.index.names):
            parts = fold(name).split("/")
            number = numbers.setdefault((plane, "/".join(parts[:2])), len(numbers))
            self._type_of.append(number)
            members[number].append(bit)
            if parts[-1] == "write":
                writes.append(bit)
            elif parts[-1] == "read":
                reads.append(bit)
        self._operations = [self.index.mask_of_bits(members[number]) for number in range(len(numbers))]
        self._writes, self._reads = self.index.mask_of_bits(writes), self.index.mask_of_bits(reads)
