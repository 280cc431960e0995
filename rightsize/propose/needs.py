"""What an assignment is needed for: its use, each where it happened, and what no log could have shown.

A need is a set of operations for each scope, and for every operation the word that says why it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.reasons import Unobservable as UnobservableReason
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.dials import Dials, Reads, Unobservable
from rightsize.propose.linked import Writes
from rightsize.propose.operation_sets import Once, OperationIndex, bits_of
from rightsize.propose.polls import Polls, type_of, types_around
from rightsize.propose.reads import READ, PatternPart, reading_parts
from rightsize.propose.roles import KnownRole, Need, RoleBook
from rightsize.propose.scopes import group_at_least
from rightsize.rbac.algebra import contains, grants, intersects
from rightsize.rbac.text import fold
from rightsize.rules.operations import linked_writes, linkless_writes

USED = "used"
USED_BEFORE = OutOfCoverage.USED_BEFORE_WINDOW.value
LIFECYCLE = "lifecycle"
SIBLING_READ = "sibling_read"
NAMESPACE_READ = "namespace_read"
STATUS_READ = "status_read"
NOT_IN_CATALOGUE = "not_in_catalogue"
WILDCARD = "wildcard"
WHY = {
    USED: "it was used in the window",
    LIFECYCLE: "it updates or deletes what was created",
    SIBLING_READ: "it reads a type that was used, a parent of it, or what it references",
    STATUS_READ: "inferred: it reads how far a write that stays has come, which whoever started it has to be able to",
    NAMESPACE_READ: "it reads a resource provider that was used",
    WILDCARD: "it stands for operations that are all needed, and for nothing else of the catalogue",
    NOT_IN_CATALOGUE: "it was used, and the catalogue lacks it, so today's narrowest pattern that grants it stays",
}

LIFECYCLE_SIBLINGS = {
    "/write": ("/delete",),
    "/create/action": ("/update/action", "/delete"),
    "/add/action": ("/write", "/delete"),
}
"""What `--lifecycle` adds to each operation that creates something, by the ends of their names."""
_GROUP_READ = "microsoft.resources/subscriptions/resourcegroups/read"


@dataclass(frozen=True, slots=True)
class Profile:
    """How the unused operations of an assignment are judged, as sets.

    `reads`, `linked` and `hidden` are unobservable (reads of Resource Manager, linked checks, all else), `open` is
    out of coverage, `unused` is proved unused. `reasons` has the set of each (verdict, reason).
    """

    reads: int = 0
    linked: int = 0
    hidden: int = 0
    open: int = 0
    unused: int = 0
    reasons: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """What was used at one target scope: operations of the catalogue, and (plane, operation) that it lacks.

    `earlier` are those of the operations that were used there before the window only, and still count.
    """

    operations: int = 0
    unknown: tuple[tuple[str, str], ...] = ()
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Needs:
    """The need at each folded scope, and the operations that each word accounts for."""

    by_scope: Mapping[str, Need]
    why: Mapping[str, int]


@dataclass(slots=True)
class NeedReader:
    """Turns verdicts and dials into needs.

    Attributes:
        book: The roles.
        dials: What the person chose.
        elsewhere: Operations of the control plane that run on a service's own endpoint: Resource Manager, which
            checks linked actions, never sees them.
    """

    book: RoleBook
    dials: Dials
    elsewhere: int = 0
    _writes: dict[str, int] = field(default_factory=dict)
    _causes: dict[str, PermissionBlock] = field(default_factory=dict)
    _sets: Once = field(default_factory=Once)
    polls: Polls = field(init=False)

    def __post_init__(self) -> None:
        self.polls = Polls(self.index)

    @property
    def index(self) -> OperationIndex:
        """The catalogue."""
        return self.book.index

    def staying(self, profile: Profile, use: Mapping[str, Use]) -> Writes:
        """Return what stays of one assignment but for its reads and linked checks."""
        used = _union(part.operations for part in use.values())
        hidden = profile.hidden if self.dials.unobservable is Unobservable.KEEP else 0
        unknown = frozenset(name for part in use.values() for name in _control(part.unknown))
        polls = self.polls.asked((used | profile.open) & ~self.elsewhere, unknown) & ~profile.reads
        return Writes((used | profile.open | hidden) & ~self.elsewhere, unknown, polls)

    def read(
        self, role: KnownRole, scope: str, profile: Profile, use: Mapping[str, Use], around: Writes | None = None
    ) -> Needs:
        """Return the needs of one assignment.

        Args:
            role: Its role.
            scope: Its folded scope.
            profile: How what was not used is judged.
            use: What was used, by the folded scope where it has to be granted.
            around: What stays with the people who reach it, through any assignment.
        """
        used = _union(self._sets[part.operations & ~part.earlier] for part in use.values())
        why = {USED: used, USED_BEFORE: _union(part.earlier for part in use.values()) & ~used}
        # INVARIANT: use at one place proves nothing about the others where no log could have shown it, or the log has
        # a hole. What is not proved unused stays at today's scope, whether it was seen somewhere or not.
        here = profile.open
        reads = _Reads()
        if self.dials.unobservable is Unobservable.KEEP:
            here |= profile.hidden
        linked = self.linked(profile.linked, self.staying(profile, use) | (around or Writes()))
        here |= linked
        by_scope = {target: part.operations for target, part in use.items()}
        if self.dials.lifecycle:
            self._add_lifecycle(role, by_scope, why)
        if profile.reads:
            reads = self._reads(role, profile.reads, use, linked)
            why |= reads.why
        here |= reads.operations
        if profile.reads and self.dials.reads is not Reads.ALL:
            why[STATUS_READ] = self._add_status_reads(scope, profile, use, around, by_scope)
        for target, extra in reads.by_scope.items():
            by_scope[target] = by_scope.get(target, 0) | extra
        by_scope[scope] = by_scope.get(scope, 0) | here
        for (_, reason), members in sorted(profile.reasons.items()):
            if kept := members & here:
                why[reason] = why.get(reason, 0) | kept
        parts = {target: _unknown_parts(role, part.unknown) for target, part in use.items() if part.unknown}
        parts[scope] = (*parts.get(scope, ()), *reads.parts)
        found = {word: self._sets[mask] for word, mask in why.items()}
        return Needs(self._without_repeats(scope, by_scope, parts), found)

    def linked(self, linked: int, staying: Writes) -> int:
        """Return the linked checks that a kept write can cause; a dial does not take them from a write that stays."""
        unknown = sorted(staying.unknown)
        found = []
        for bit in bits_of(linked):
            name = self.index.names[bit][1]
            if name not in self._writes:
                block = PermissionBlock(actions=linked_writes(name), not_actions=linkless_writes(name))
                self._causes[name] = block
                self._writes[name] = self.index.granted_by([block])
            causes = [self._causes[name]] if unknown else []
            if self._writes[name] & staying.operations or any(
                grants(causes, write, "control") == "yes" for write in unknown
            ):
                found.append(bit)
        return self.index.mask_of_bits(found)

    def status_reads(
        self, scope: str, profile: Profile, use: Mapping[str, Use], around: Writes | None = None
    ) -> dict[str, int]:
        """Return the unlogged reads of today's grant by which writes that stay are followed, by their place.

        The arguments are those of `read`. For what was used the place is its target, but no narrower than the resource
        group; for what is out of coverage, and what other assignments let the same people write, it is today's scope.
        """
        asked = [
            (group_at_least(target, scope), self.polls.asked(part.operations & ~self.elsewhere, _control(part.unknown)))
            for target, part in use.items()
        ]
        asked.append((scope, self.polls.asked(profile.open & ~self.elsewhere) | (around.polls if around else 0)))
        found: dict[str, int] = {}
        for place, polls in asked:
            if kept := polls & profile.reads:
                found[place] = found.get(place, 0) | kept
        return found

    def _add_status_reads(
        self, scope: str, profile: Profile, use: Mapping[str, Use], around: Writes | None, by_scope: dict[str, int]
    ) -> int:
        found = self.status_reads(scope, profile, use, around)
        for place, polls in found.items():
            by_scope[place] = by_scope.get(place, 0) | polls
        return _union(found.values())

    def _add_lifecycle(self, role: KnownRole, by_scope: dict[str, int], why: dict[str, int]) -> None:
        for target, operations in by_scope.items():
            names = [
                (plane, name[: -len(made)] + sibling)
                for plane, name in self.index.members(operations)
                for made, siblings in LIFECYCLE_SIBLINGS.items()
                if fold(name).endswith(made)
                for sibling in siblings
            ]
            added = self.index.mask(names) & role.granted & ~operations
            by_scope[target] = operations | added
            why[LIFECYCLE] = why.get(LIFECYCLE, 0) | (added & ~why[USED] & ~why[USED_BEFORE])

    def _reads(self, role: KnownRole, reads: int, use: Mapping[str, Use], linked: int) -> _Reads:
        if self.dials.reads is Reads.ALL:
            return self._as_granted(reading_parts(role.blocks), reads)
        if self.dials.reads is Reads.NAMESPACE:
            providers = sorted({provider_of(name) for part in use.values() for _, name in self._names(part)})
            parts = tuple(
                part for name in providers for part in reading_parts(role.blocks, within=self._provider(name))
            )
            members = ((plane, name) for plane, name in self.index.members(reads) if provider_of(name) in providers)
            found = self._as_granted(parts, self.index.mask(members))
            return _Reads(
                found.operations, found.parts, {}, {NAMESPACE_READ: self.book.mask(Need(found.operations, parts))}
            )
        if self.dials.reads is Reads.SIBLING:
            by_scope = {
                target: self.index.mask(sibling_reads(self._names(part))) & reads for target, part in use.items()
            }
            here = self.index.mask(sibling_reads(self.index.members(linked))) & reads if use else 0
            return _Reads(here, (), by_scope, {SIBLING_READ: here | _union(by_scope.values())})
        return _Reads()

    def _as_granted(self, parts: tuple[PatternPart, ...], reads: int) -> _Reads:
        said = _union(self.book.part_mask(part) for part in parts)
        return _Reads(reads & ~said, parts, {}, {UnobservableReason.ARM_READ: reads | said})

    def _names(self, part: Use) -> list[tuple[str, str]]:
        return [*self.index.members(part.operations), *part.unknown]

    def _provider(self, folded_name: str) -> str:
        """Return a resource provider as the catalogue spells it."""
        for _, name in self.index.names:
            if provider_of(name) == folded_name:
                return name.split("/", 1)[0]
        return folded_name

    def _without_repeats(
        self, scope: str, by_scope: Mapping[str, int], parts: Mapping[str, tuple[PatternPart, ...]]
    ) -> dict[str, Need]:
        """Leave out at each scope what is granted at a scope above it anyway."""
        above: dict[str, int] = {}
        needs = {}
        for target in sorted({*by_scope, *parts}, key=lambda text: (text != scope, text.count("/"), text)):
            own = tuple(dict.fromkeys(parts.get(target, ())))
            said = _union(self.book.part_mask(part) for part in own)
            inherited = _union(
                mask for other, mask in above.items() if other == scope or target.startswith(other + "/")
            )
            operations = by_scope.get(target, 0) & ~inherited & ~said
            need = Need(self._sets[operations], own)
            above[target] = self.book.mask(need)
            if need:
                needs[target] = need
        return needs


@dataclass(frozen=True, slots=True)
class _Reads:
    operations: int = 0
    parts: tuple[PatternPart, ...] = ()
    by_scope: Mapping[str, int] = field(default_factory=dict)
    why: Mapping[str, int] = field(default_factory=dict)


def sibling_reads(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the read of each type that operations name, of the types above it, and of the resource group."""
    found = {("control", _GROUP_READ)}
    for _, name in names:
        found |= {("control", kind + READ) for kind in types_around(type_of(name))[1:]}
    return sorted(found)


def provider_of(name: str) -> str:
    """Return the folded resource provider of an operation."""
    return fold(name.split("/", 1)[0])


def _control(unknown: Iterable[tuple[str, str]]) -> list[str]:
    return [name for plane, name in unknown if plane == "control"]


def _unknown_parts(role: KnownRole, unknown: Iterable[tuple[str, str]]) -> tuple[PatternPart, ...]:
    """Return for each used operation that the catalogue lacks the narrowest pattern of the role that grants it."""
    return tuple(
        part for plane, operation in sorted(set(unknown)) if (part := _narrowest(role, plane, operation)) is not None
    )


def _narrowest(role: KnownRole, plane: str, operation: str) -> PatternPart | None:
    found: list[PatternPart] = []
    for block in role.blocks:
        patterns, taken = (
            (block.actions, block.not_actions) if plane == "control" else (block.data_actions, block.not_data_actions)
        )
        for pattern in patterns:
            single = PermissionBlock(actions=(pattern,))
            meets = tuple(sorted(text for text in taken if intersects([PermissionBlock(actions=(text,))], [single])))
            part = PatternPart((pattern.strip(),), meets, plane)
            if block.condition is None and grants([part.block], operation, plane) == "yes":
                found.append(part)
    narrowest = [part for part in found if not any(_is_strictly_within(other, part) for other in found)]
    return min(narrowest, key=lambda part: (-len(part.patterns[0]), part), default=None)


def _is_strictly_within(small: PatternPart, big: PatternPart) -> bool:
    return contains([big.block], [small.block]) is None and contains([small.block], [big.block]) is not None


def _union(masks: Iterable[int]) -> int:
    whole = 0
    for mask in masks:
        whole |= mask
    return whole
