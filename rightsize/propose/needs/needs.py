"""Compute the needs of an assignment from verdicts and options: its use by scope, and operations that no log can show.

The result is a set of operations for each scope, and for every operation the word for the reason why it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rightsize.analyze.reasons import BY_EXISTENCE, OutOfCoverage, UnobservableReason, Unused, Verdict
from rightsize.propose.core.bitsets import FoldedKey, Interner, OperationIndex, bits_of, union
from rightsize.propose.core.options import PlanOptions, Reads, Unobservable
from rightsize.propose.core.read_patterns import READ, PatternPart, met, reading_parts
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.core.scopes import group_at_least
from rightsize.propose.needs.check_reader import CheckReader
from rightsize.propose.needs.granting_patterns import parts_granting, unlisted_parts
from rightsize.propose.needs.images import IMAGES
from rightsize.propose.needs.linked_checks import CheckEvidence, Writes
from rightsize.propose.needs.status_reads import Polls, type_of, types_around
from rightsize.rbac.text import Folded

USED = "used"
USED_BEFORE = OutOfCoverage.USED_BEFORE_WINDOW.value
USED_ELSEWHERE = "used_elsewhere"
"""The word for an operation that a holder of the role used under an assignment that the role does not replace."""
SIBLING_READ = "sibling_read"
NAMESPACE_READ = "namespace_read"
STATUS_READ = "status_read"
NOT_IN_CATALOGUE = "not_in_catalogue"
ONE_READING = "one_reading"
TOUCHED = "touched"
JOB = "job"
IMAGES_WORD = "images"
COMPANION = "companion"
ADOPTED = "adopted"
WHY = {
    USED: "it was used in the window",
    SIBLING_READ: "it reads a type that was used, a parent of it, or what it references",
    STATUS_READ: "inferred: the caller of a write that is kept reads with it how far the write has come",
    NAMESPACE_READ: "it reads a resource provider that was used",
    TOUCHED: "the holder used its resource type, and no log shows it",
    IMAGES_WORD: "the holder works where images are run, and no log shows that a registry was pushed to",
    JOB: "others with the same job used it",
    COMPANION: "it comes along with a change of the job, for others with the same job",
    ADOPTED: "the earlier plan gave it to this job, and a role that stays keeps its strings",
    ONE_READING: "Azure does not say whether `/*/` matches `/`; a need depends on it, so today's string is kept",
    NOT_IN_CATALOGUE: "it was used, and the catalogue lacks it, so the narrowest pattern that Azure accepts is kept",
}

_GROUP_READ = Folded("microsoft.resources/subscriptions/resourcegroups/read")


@dataclass(frozen=True, slots=True)
class Profile:
    """The verdicts on the unused operations of an assignment, as sets.

    `reads`, `linked` and `hidden` are unobservable (reads of Resource Manager, linked checks, all others), `open` is
    out of coverage, and `unused` is proved unused. `covered` is the part of `unused` that a log proves; a log shows
    calls, but no linked checks. `reasons` has the set of each (verdict, reason). `untouched` is the part of `hidden` on
    types of the control plane that the holder did not use (see `needs.touched_types`). `lacking` are
    operations on types of which there was no resource, whatever verdict they have. `untargeted` is the part of `linked`
    without a rule on such types (see `needs.unruled_checks`). `coverage` is how many days of the window the logs behind
    `unused` cover, and the days of the window; None where they cover all.
    """

    reads: int = 0
    linked: int = 0
    hidden: int = 0
    open: int = 0
    unused: int = 0
    covered: int = 0
    reasons: Mapping[tuple[str, str], int] = field(default_factory=dict)
    untouched: int = 0
    lacking: int = 0
    untargeted: int = 0
    coverage: tuple[int, int] | None = None

    @property
    def shown_in_part(self) -> int:
        """The operations that are unused by a log of a part of the window."""
        return self.reasons.get((Verdict.UNUSED, Unused.COVERED_IN_PART), 0)

    @property
    def absent(self) -> int:
        """The operations that are unused only for want of a resource."""
        return union(self.reasons.get((Verdict.UNUSED, reason), 0) for reason in BY_EXISTENCE)

    def kept_hidden(self, choice: Unobservable) -> int:
        """Return the part of `hidden` that stays by an option."""
        if choice is Unobservable.TOUCHED:
            return self.hidden & ~self.untouched
        return self.hidden if choice is Unobservable.KEEP else 0


@dataclass(frozen=True, slots=True)
class Use:
    """The use at one target scope: catalogue operations, and (plane, operation) that the catalogue lacks.

    `earlier` is the part of the operations that were used there only before the window, and still count. `unlisted` has
    the names of `unknown`, folded.
    """

    operations: int = 0
    unknown: tuple[tuple[str, str], ...] = ()
    earlier: int = 0
    unlisted: frozenset[FoldedKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """The need at each folded scope, and the operations for each reason word.

    `loose` are the linked checks beside kept writes that nothing ties to these writes: no rule, reference or refusal.
    `stays_at` are folded scopes where today's role stays whole, each with the reason. `through` are the existing roles
    that alone may grant the need at today's scope, each with its part: nobody was observed to use it.
    """

    by_scope: Mapping[Folded, Need]
    why: Mapping[str, int]
    loose: int = 0
    stays_at: Mapping[Folded, str] = field(default_factory=dict)
    through: tuple[tuple[Folded, Need], ...] = ()


@dataclass(slots=True)
class NeedReader:
    """A calculator of needs from verdicts and options.

    Attributes:
        book: The roles.
        options: The options that the person chose.
        evidence: The evidence on linked checks that no rule pairs with a write.
        checks: The reader of linked checks.
    """

    book: RoleBook
    options: PlanOptions
    evidence: CheckEvidence = field(default_factory=CheckEvidence)
    _sets: Interner = field(default_factory=Interner)
    _of_type: dict[Folded, int] = field(default_factory=dict)
    _images: int = field(init=False)
    checks: CheckReader = field(init=False)
    polls: Polls = field(init=False)

    def __post_init__(self) -> None:
        self.checks = CheckReader(self.index, self.evidence, self.options.unobservable is Unobservable.KEEP)
        self.polls = Polls(self.index)
        self._images = self.index.mask(("control", name) for name in IMAGES)

    @property
    def index(self) -> OperationIndex:
        """The index of operations."""
        return self.book.index

    def staying(self, profile: Profile, use: Mapping[Folded, Use]) -> Writes:
        """Return the used operations of one assignment, which may bring along linked checks and status reads.

        The arguments are those of `read`. `--unobservable keep` takes all that may have been used for used.
        """
        used = union(part.operations for part in use.values())
        if self.options.unobservable is Unobservable.KEEP:
            used |= profile.open | profile.hidden
        unknown = frozenset(name for part in use.values() for name in _control(part.unlisted))
        used &= ~self.evidence.elsewhere
        return Writes(used, unknown, self.polls.asked(used, unknown) & ~profile.reads)

    def read(
        self,
        role: KnownRole,
        scope: Folded,
        profile: Profile,
        use: Mapping[Folded, Use],
        around: Writes | None = None,
    ) -> Needs:
        """Return the needs of one assignment.

        Args:
            role: Its role.
            scope: Its folded scope.
            profile: The verdicts on its unused operations.
            use: The use, by the folded scope at which it has to be granted.
            around: The writes that the principals which reach it keep through any assignment.
        """
        used = union(self._sets[part.operations & ~part.earlier] for part in use.values())
        why = {USED: used, USED_BEFORE: union(part.earlier for part in use.values()) & ~used}
        # INVARIANT: use at one place proves nothing about other places if no log could have shown use there, or the
        # log has a gap. An operation that is not proved unused stays at today's scope, whether it was seen or not.
        hidden = profile.kept_hidden(self.options.unobservable)
        here = profile.open | hidden
        reads = _Reads()
        if self.options.unobservable is Unobservable.TOUCHED and profile.untouched:
            why[TOUCHED] = hidden & self.index.control & ~used
        staying = self.staying(profile, use)
        linked = self.checks.kept(scope, profile, staying, around or Writes())
        loose = self.checks.loose(profile, linked, staying)
        if self.options.reads is Reads.ALL:
            linked &= ~profile.reads
        here |= linked
        why[UnobservableReason.LINKED_CHECK] = linked
        by_scope = {target: part.operations for target, part in use.items()}
        if profile.reads:
            reads = self._reads(role, profile.reads, use, linked)
            why |= reads.why
        here |= reads.operations
        if profile.reads and self.options.reads is not Reads.ALL:
            why[STATUS_READ] = self._add_status_reads(scope, profile, use, around, by_scope)
        for target, extra in reads.by_scope.items():
            by_scope[target] = by_scope.get(target, 0) | extra
        images = self._images & here & ~used if use else 0
        if images and (place := self._place_of_images(scope)) != scope:
            here &= ~images
            by_scope[place] = by_scope.get(place, 0) | images
        why[IMAGES_WORD] = images
        by_scope[scope] = by_scope.get(scope, 0) | here
        for (_, reason), members in sorted(profile.reasons.items()):
            if kept := members & here & ~linked:
                why[reason] = why.get(reason, 0) | kept
        parts = {
            target: (
                *self._as_today(role, mask & role.doubtful),
                *(unlisted_parts(role, use[target].unknown, self.book) if target in use else ()),
            )
            for target, mask in by_scope.items()
        }
        parts[scope] = (*parts[scope], *reads.parts)
        by_scope = {target: mask & ~role.doubtful for target, mask in by_scope.items()}
        found = {word: self._sets[mask] for word, mask in why.items()}
        return Needs(self._without_repeats(scope, by_scope, parts), found, loose)

    def runs_in_the_dark(self, role: KnownRole, profile: Profile) -> bool:
        """Return whether a role works on endpoints of services alone, and nothing proves that it was not used.

        Without its log nothing shows a pull from a registry, and not each pull asks for a token, so sign-ins prove
        nothing here. `--unobservable drop` takes such roles away.
        """
        if self.options.unobservable is Unobservable.DROP or role.granted & ~self.evidence.on_endpoints:
            return False
        return bool(role.granted & (profile.hidden | profile.reasons.get((Verdict.UNUSED, Unused.NO_SIGN_IN), 0)))

    def status_reads(
        self, scope: Folded, profile: Profile, use: Mapping[Folded, Use], around: Writes | None = None
    ) -> dict[Folded, int]:
        """Return the unlogged status reads of today's grant that kept writes need, by place.

        The arguments are those of `read`. For used writes the place is their target, but no narrower than the resource
        group. For operations out of coverage, and for writes through other assignments of the same principals, it is
        today's scope.
        """
        beyond = self.evidence.elsewhere
        asked = [
            (group_at_least(target, scope), self.polls.asked(part.operations & ~beyond, _control(part.unlisted)))
            for target, part in use.items()
        ]
        asked.append((scope, self.polls.asked(profile.open & ~beyond) | (around.polls if around else 0)))
        found: dict[Folded, int] = {}
        for place, polls in asked:
            if kept := polls & profile.reads:
                found[place] = found.get(place, 0) | kept
        return found

    def _add_status_reads(
        self,
        scope: Folded,
        profile: Profile,
        use: Mapping[Folded, Use],
        around: Writes | None,
        by_scope: dict[Folded, int],
    ) -> int:
        found = self.status_reads(scope, profile, use, around)
        for place, polls in found.items():
            by_scope[place] = by_scope.get(place, 0) | polls
        return union(found.values())

    def companions(self, changes: int, among: int, checks: int) -> int:
        """Return which of some operations some changes bring along.

        They are the linked checks that the changes can cause, the status reads that they need, and whatever else acts
        on the very types that they change.

        Args:
            changes: The changes.
            among: The operations that may be brought along.
            checks: The linked checks.
        """
        found = (self.polls.asked(changes) | self._on_types(changes)) & among
        return found | self.checks.caused(changes, among & checks & ~found)

    def _place_of_images(self, scope: Folded) -> Folded:
        """Return the narrowest scope, resource or resource group, of all listed registries at or below a scope."""
        inside = [one for one in self.evidence.registries if one.startswith(f"{scope}/")]
        if len(inside) == 1:
            return inside[0]
        groups = {Folded("/".join(one.split("/")[:5])) for one in inside}
        return groups.pop() if len(groups) == 1 and scope.count("/") < 4 else scope

    def _on_types(self, changes: int) -> int:
        """Return all operations on the types of some changes."""
        if not self._of_type:
            grouped: dict[Folded, list[int]] = {}
            for bit, (_, name) in enumerate(self.index.keys):
                grouped.setdefault(type_of(name), []).append(bit)
            masks = {kind: self.index.mask_of_bits(bits) for kind, bits in grouped.items()}
            self._of_type.update(masks)
        whole = 0
        for kind in {type_of(self.index.keys[bit][1]) for bit in bits_of(changes)}:
            whole |= self._of_type[kind]
        return whole

    def _reads(self, role: KnownRole, reads: int, use: Mapping[Folded, Use], linked: int) -> _Reads:
        if self.options.reads is Reads.ALL:
            return self._as_granted(self._matching(reading_parts(role.blocks)), reads)
        if self.options.reads is Reads.NAMESPACE:
            providers = sorted({provider_of(name) for part in use.values() for _, name in self._names(part)})
            parts = tuple(
                part for name in providers for part in reading_parts(role.blocks, within=self._provider(name))
            )
            members = (key for key in self.index.folded_members(reads) if provider_of(key[1]) in providers)
            found = self._as_granted(self._matching(parts), self.index.mask(members))
            return _Reads(
                found.operations, found.parts, {}, {NAMESPACE_READ: self.book.mask(Need(found.operations, parts))}
            )
        if self.options.reads is Reads.SIBLING:
            by_scope = {
                target: self.index.mask(sibling_reads(self._names(part))) & reads for target, part in use.items()
            }
            here = self.index.mask(sibling_reads(self.index.folded_members(linked))) & reads if use else 0
            return _Reads(here, (), by_scope, {SIBLING_READ: here | union(by_scope.values())})
        return _Reads()

    def _as_granted(self, parts: tuple[PatternPart, ...], reads: int) -> _Reads:
        said = self.book.certain(Need(0, parts))
        return _Reads(reads & ~said, parts, {}, {UnobservableReason.ARM_READ: reads | self.book.mask(Need(0, parts))})

    def _matching(self, parts: Iterable[PatternPart]) -> tuple[PatternPart, ...]:
        """Return the reading parts without patterns that certainly match no operation of the catalogue."""
        found = []
        for part in parts:
            kept = tuple(text for text in part.patterns if self.book.certain_mask(PatternPart((text,), (), part.plane)))
            if kept:
                found.append(
                    part if kept == part.patterns else PatternPart(kept, met(part.not_patterns, kept), part.plane)
                )
        return tuple(sorted(found))

    def _as_today(self, role: KnownRole, doubtful: int) -> list[PatternPart]:
        """Return a role's strings that stay for operations which the role grants by only one reading of `/*/`."""
        names = sorted(self.index.members(doubtful))
        return [part for plane, name in names for part in parts_granting(role, plane, name)]

    def _names(self, part: Use) -> list[FoldedKey]:
        return [*self.index.folded_members(part.operations), *part.unlisted]

    def _provider(self, folded_name: Folded) -> str:
        """Return the name of a resource provider in the catalogue's spelling."""
        for (_, key), (_, name) in zip(self.index.keys, self.index.names, strict=True):
            if provider_of(key) == folded_name:
                return name.split("/", 1)[0]
        return folded_name

    def _without_repeats(
        self, scope: Folded, by_scope: Mapping[Folded, int], parts: Mapping[Folded, tuple[PatternPart, ...]]
    ) -> dict[Folded, Need]:
        """Return the needs without operations that a scope above, or a pattern at the same scope, grants anyway."""
        above: dict[Folded, int] = {}
        needs = {}
        for target in sorted({*by_scope, *parts}, key=lambda text: (text != scope, text.count("/"), text)):
            own = tuple(dict.fromkeys(parts.get(target, ())))
            said = self.book.certain(Need(0, own))
            inherited = union(mask for other, mask in above.items() if other == scope or target.startswith(other + "/"))
            operations = by_scope.get(target, 0) & ~inherited & ~said
            need = Need(self._sets[operations], own)
            above[target] = self.book.certain(need)
            if need:
                needs[target] = need
        return needs


@dataclass(frozen=True, slots=True)
class _Reads:
    operations: int = 0
    parts: tuple[PatternPart, ...] = ()
    by_scope: Mapping[Folded, int] = field(default_factory=dict)
    why: Mapping[str, int] = field(default_factory=dict)


def sibling_reads(names: Iterable[FoldedKey]) -> list[FoldedKey]:
    """Return the read operations of the types that operations name, of their parent types, and of resource groups."""
    found = {("control", _GROUP_READ)}
    for _, name in names:
        found |= {("control", Folded(kind + READ)) for kind in types_around(type_of(name))[1:]}
    return sorted(found)


def provider_of(name: Folded) -> Folded:
    """Return the folded resource provider of a folded operation."""
    return Folded(name.split("/", 1)[0])


def _control(unlisted: Iterable[FoldedKey]) -> list[Folded]:
    return [name for plane, name in unlisted if plane == "control"]
