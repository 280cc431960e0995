"""Find the status reads that a caller needs to follow its long-running operations.

Azure answers such a write with the address of a status. A client that may not read the status reports the deployment as
failed, although the write was allowed. No log shows these reads. The status is below the type that is written, or at a
location of its provider. The rule file `operation_polls` lists the reads of this kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property, lru_cache

from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.propose.core.read_patterns import READ
from rightsize.rbac.text import Folded
from rightsize.rules.operations import status_reads

_LOCATIONS = "/locations"
_OF_TYPE = "type"


def type_of(name: Folded) -> Folded:
    """Return the resource type of a folded operation: the segments before its verb."""
    segments = name.split("/")
    return Folded("/".join(segments[:-2] if segments[-1] == "action" else segments[:-1]))


def types_around(kind: Folded) -> list[Folded]:
    """Return the provider of a type, its parent types and the type itself, from the top."""
    segments = kind.split("/")
    return [Folded("/".join(segments[:length])) for length in range(1, len(segments) + 1)]


class Polls:
    """An index of the status reads of a catalogue by the operations that need them."""

    def __init__(self, index: OperationIndex) -> None:
        self._index = index
        # A tenant has hundreds of thousands of assignments, but few distinct sets of used operations.
        self._asked_by = lru_cache(maxsize=4_096)(self._ask)

    @cached_property
    def _of_type(self) -> dict[str, int]:
        """The status reads of each folded type or provider."""
        patterns = [pattern for pattern, asked_by in status_reads() if asked_by == _OF_TYPE]
        found: dict[str, list[int]] = defaultdict(list)
        for bit in bits_of(self._reads(*patterns)):
            above = type_of(self._index.keys[bit][1]).rpartition("/")[0]
            found[above.removesuffix(_LOCATIONS)].append(bit)
        return {kind: self._index.mask_of_bits(bits) for kind, bits in found.items()}

    @cached_property
    def _pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs (operations, status reads): each of the operations needs all of the status reads."""
        changes = self._index.control & ~self._index.reads
        askers: dict[str, list[int]] = defaultdict(list)
        for bit in bits_of(changes):
            for kind in types_around(type_of(self._index.keys[bit][1])):
                if kind in self._of_type:
                    askers[kind].append(bit)
        pairs = [(self._index.mask_of_bits(bits), self._of_type[kind]) for kind, bits in sorted(askers.items())]
        for pattern, asked_by in status_reads():
            if asked_by != _OF_TYPE:
                asking = self._index.granted_by([PermissionBlock(actions=(asked_by,))])
                pairs.append((asking & changes, self._reads(pattern)))
        return tuple(pairs)

    def asked(self, operations: int, unknown: Iterable[Folded] = ()) -> int:
        """Return the status reads that operations need; read operations need none.

        Args:
            operations: Operations of the catalogue.
            unknown: Folded names of control-plane operations that the catalogue lacks; they need the status reads of
                their type and its parents.
        """
        found = self._asked_by(operations)
        for name in unknown:
            if not name.endswith(READ):
                for kind in types_around(type_of(name)):
                    found |= self._of_type.get(kind, 0)
        return found

    def _ask(self, operations: int) -> int:
        found = 0
        for asking, reads in self._pairs:
            if asking & operations:
                found |= reads
        return found

    def _reads(self, *patterns: str) -> int:
        return self._index.granted_by([PermissionBlock(actions=patterns)]) & self._index.reads
