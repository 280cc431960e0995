"""Find the reads of Resource Manager that stay: by the option `--reads`, and to follow long-running operations.

Azure answers a long-running write with the address of a status. A client that may not read the status reports the
deployment as failed, although the write was allowed. No log shows these reads. The status is below the type that is
written, or at a location of its provider. The rule file `operation_polls` lists the reads of this kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from rightsize.analyze.reasons import UnobservableReason
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import FoldedKey, OperationIndex, bits_of, union
from rightsize.propose.core.options import Reads
from rightsize.propose.core.read_patterns import READ, PatternPart, met, reading_parts
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.needs.assignments import Use
from rightsize.rbac.text import Folded
from rightsize.rules.operations import status_reads

SIBLING_READ = "sibling_read"
NAMESPACE_READ = "namespace_read"
_GROUP_READ = Folded("microsoft.resources/subscriptions/resourcegroups/read")
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


def provider_of(name: Folded) -> Folded:
    """Return the folded resource provider of a folded operation."""
    return Folded(name.split("/", 1)[0])


def sibling_reads(names: Iterable[FoldedKey]) -> list[FoldedKey]:
    """Return the read operations of the types that operations name, of their parent types, and of resource groups."""
    found = {("control", _GROUP_READ)}
    for _, name in names:
        found |= {("control", Folded(kind + READ)) for kind in types_around(type_of(name))[1:]}
    return sorted(found)


@dataclass(frozen=True, slots=True)
class ReadsByOption:
    """The reads that an option keeps.

    Attributes:
        here: The operations that stay at the scope of the assignment.
        parts: The patterns that stay there.
        by_scope: The operations that stay where something was used.
        why: The operations for each reason word.
    """

    here: int = 0
    parts: tuple[PatternPart, ...] = ()
    by_scope: Mapping[Folded, int] = field(default_factory=dict)
    why: Mapping[str, int] = field(default_factory=dict)


def reads_by_option(
    choice: Reads, role: KnownRole, reads: int, use: Mapping[Folded, Use], linked: int, book: RoleBook
) -> ReadsByOption:
    """Return the unlogged reads of an assignment that an option keeps.

    Args:
        choice: The option.
        role: The role of today.
        reads: Its unlogged reads.
        use: The use, by the folded scope at which it has to be granted.
        linked: The linked checks that stay; their types are read as those of used operations.
        book: The roles.
    """
    index = book.index
    if choice is Reads.NONE:
        return ReadsByOption()
    if choice is Reads.ALL:
        return _as_granted(reading_parts(role.blocks), reads, UnobservableReason.ARM_READ, book)
    names = {target: [*index.folded_members(part.operations), *part.unlisted] for target, part in use.items()}
    if choice is Reads.SIBLING:
        by_scope = {target: index.mask(sibling_reads(named)) & reads for target, named in names.items()}
        here = index.mask(sibling_reads(index.folded_members(linked))) & reads if use else 0
        return ReadsByOption(here, (), by_scope, {SIBLING_READ: here | union(by_scope.values())})
    providers = sorted({provider_of(name) for named in names.values() for _, name in named})
    parts = [part for name in providers for part in reading_parts(role.blocks, within=_spelled(name, index))]
    near = index.mask(key for key in index.folded_members(reads) if provider_of(key[1]) in providers)
    return _as_granted(parts, near, NAMESPACE_READ, book)


def _as_granted(parts: Iterable[PatternPart], reads: int, word: str, book: RoleBook) -> ReadsByOption:
    """Return reads by the patterns that grant them, and as operations where no pattern does so for certain."""
    said = Need(0, _matching(parts, book))
    return ReadsByOption(reads & ~book.certain(said), said.parts, {}, {word: reads | book.mask(said)})


def _matching(parts: Iterable[PatternPart], book: RoleBook) -> tuple[PatternPart, ...]:
    """Return the reading parts without patterns that certainly match no operation of the catalogue."""
    found = []
    for part in parts:
        kept = tuple(text for text in part.patterns if book.certain_mask(PatternPart((text,), (), part.plane)))
        if kept:
            found.append(part if kept == part.patterns else PatternPart(kept, met(part.not_patterns, kept), part.plane))
    return tuple(sorted(found))


def _spelled(provider: Folded, index: OperationIndex) -> str:
    """Return the name of a resource provider in the catalogue's spelling."""
    named = zip(index.keys, index.names, strict=True)
    return next((name.split("/", 1)[0] for (_, key), (_, name) in named if provider_of(key) == provider), provider)


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
        return union(reads for asking, reads in self._pairs if asking & operations)

    def _reads(self, *patterns: str) -> int:
        return self._index.granted_by([PermissionBlock(actions=patterns)]) & self._index.reads
