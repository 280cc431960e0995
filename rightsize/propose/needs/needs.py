"""Compute the needs of an assignment from verdicts and options: its use by scope, and operations that no log can show.

The result is a set of operations for each scope, and for every operation the word for the reason why it is needed.

Some needed operations cannot be granted for certain by an explicit action, and take the narrowest pattern of today's
role instead. One is an operation that the catalogue lacks: Azure refuses an action that no provider lists. It accepts a
pattern under which a provider lists something (Microsoft Learn, "Azure custom roles"), so the pattern ends where the
catalogue ends: `Microsoft.Network/newThings/write` is granted by `Microsoft.Network/*`, and by
`Microsoft.Network/newThings/*` if the catalogue lists anything of that type. The other is an operation that today's
role grants by only one reading of `/*/`: it keeps today's string.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import polars as pl

from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Unused, Verdict
from rightsize.analyze.verdicts.absence import shown_types
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.mining.bitsets import bits_of, union
from rightsize.model.options import Reads, Unobservable
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import FoldedKey, Interner, OperationIndex
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.core.role_patterns import PatternPart, met
from rightsize.propose.core.scopes import group_at_least
from rightsize.propose.needs.assignments import Use
from rightsize.propose.needs.linked_checks import CheckEvidence, CheckReader, Writes
from rightsize.propose.needs.profiles import Profile
from rightsize.propose.needs.unlogged import (
    IMAGES,
    NAMESPACE_READ,
    SIBLING_READ,
    Polls,
    ReadsByOption,
    exact_type,
    masks_by_type,
    reads_by_option,
    type_of,
)
from rightsize.rbac.algebra import contains, grants, grants_alike
from rightsize.rbac.permissions import Reading
from rightsize.rules.tables import rows_of

USED = "used"
USED_BEFORE = OutOfCoverage.USED_BEFORE_WINDOW.value
DECLARED = OutOfCoverage.DECLARED.value
"""The word for an operation that loaded code of a holder declares, and that nobody used."""
USED_ELSEWHERE = "used_elsewhere"
"""The word for an operation that a holder of the role used under an assignment that the role does not replace."""
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
    DECLARED: "loaded code that the holder deploys declares it; nothing shows that it was used",
    SIBLING_READ: "it reads a type that was used, a parent of it, or what it references",
    STATUS_READ: "inferred: the caller of a write that is kept reads with it how far the write has come",
    NAMESPACE_READ: "it reads a resource provider that was used",
    TOUCHED: "the holder used its resource type, or got a token for its service, and no log shows it",
    IMAGES_WORD: "the holder works where images are run, and no log shows that a registry was pushed to",
    JOB: "others with the same job used it",
    COMPANION: "it comes along with a change of the job, for others with the same job",
    ADOPTED: "the earlier plan gave it to this job, and a role that stays keeps its strings",
    ONE_READING: "Azure does not document whether `/*/` matches `/`. A need depends on it, so today's string stays",
    NOT_IN_CATALOGUE: "it was used, and the catalogue lacks it, so the narrowest pattern that Azure accepts is kept",
}

_RESOURCE = 9
"""Number of segments in the id of a top-level resource of a resource group, with the empty one before the slash."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The need at each folded scope, and the operations for each reason word.

    `loose` are the linked checks beside kept writes that nothing ties to these writes: no rule, reference or refusal.
    `stays_at` are folded scopes where today's role stays whole, each with the reason. `through` are the existing roles
    that alone may grant the need at today's scope, each with its part: nobody was observed to use it.
    """

    by_scope: Mapping[Folded, Need] = field(default_factory=dict)
    why: Mapping[str, int] = field(default_factory=dict)
    loose: int = 0
    stays_at: Mapping[Folded, str] = field(default_factory=dict)
    through: tuple[tuple[Folded, Need], ...] = ()


class NeedReader:
    """A calculator of needs from verdicts and options.

    Args:
        book: The roles.
        options: The options that the person chose.
        evidence: The evidence on linked checks that no rule pairs with a write.
        linked: All linked checks that the writes of one assignment may make another one keep.
    """

    def __init__(self, book: RoleBook, options: PlanOptions, evidence: CheckEvidence, linked: int = 0) -> None:
        self.book, self.options, self._evidence = book, options, evidence
        self.index = book.index
        self._sets = Interner()
        self._images = self.index.mask(("control", name) for name in IMAGES)
        self.checks = CheckReader(self.index, evidence, options.unobservable is Unobservable.KEEP, linked)
        self.polls = Polls(self.index)
        # Thousands of holders have the same job, and its changes bring along the same for each of them.
        self._beside = lru_cache(maxsize=4_096)(self._on_types)

    def staying(self, profile: Profile, use: Mapping[Folded, Use]) -> Writes:
        """Return the used operations of one assignment, which may bring along linked checks and status reads.

        The arguments are those of `read`. `--unobservable keep` takes all that may have been used for used.
        """
        used = union(part.operations for part in use.values())
        if self.options.unobservable is Unobservable.KEEP:
            used |= profile.open | profile.hidden
        unknown = frozenset(name for part in use.values() for name in _control(part))
        used &= ~self._evidence.elsewhere
        return Writes(used, unknown, self.polls.asked(used, unknown) & ~profile.reads)

    def read(
        self, role: KnownRole, scope: Folded, profile: Profile, use: Mapping[Folded, Use], around: Writes
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
        before = union(part.earlier & ~part.declared for part in use.values()) & ~used
        declared = union(part.declared for part in use.values()) & ~used & ~before
        why = {USED: used, USED_BEFORE: before, DECLARED: declared}
        # INVARIANT: use at one place proves nothing about other places if no log could have shown use there, or the
        # log has a gap. An operation that is not proved unused stays at today's scope, whether it was seen or not.
        hidden = profile.kept_hidden(self.options.unobservable)
        if self.options.unobservable is Unobservable.TOUCHED and profile.untouched:
            why[TOUCHED] = hidden & self.index.control & ~used
        staying = self.staying(profile, use)
        linked = self.checks.kept(scope, profile, staying, around)
        loose = self.checks.loose(profile, linked, staying)
        if self.options.reads is Reads.ALL:
            linked &= ~profile.reads
        why[UnobservableReason.LINKED_CHECK] = linked
        reads, polls = ReadsByOption(), {}
        if profile.reads:
            reads = reads_by_option(self.options.reads, role, profile.reads, use, linked, self.book)
            why |= reads.why
            if self.options.reads is not Reads.ALL:
                polls = self.status_reads(scope, profile, use, around)
                why[STATUS_READ] = union(polls.values())
        by_scope = defaultdict(int, {target: part.operations for target, part in use.items()})
        for target, extra in (*reads.by_scope.items(), *polls.items()):
            by_scope[target] |= extra
        here = profile.open | hidden | linked | reads.here
        images = self._images & here & ~used if use else 0
        if images and (place := self._place_of_images(scope)) != scope:
            here &= ~images
            by_scope[place] |= images
        why[IMAGES_WORD] = images
        by_scope[scope] |= here
        for (_, reason), members in sorted(profile.reasons.items()):
            if kept := members & here & ~linked:
                why[reason] = why.get(reason, 0) | kept
        parts = {
            target: self._parts(role, mask & role.doubtful, use.get(target, Use())) for target, mask in by_scope.items()
        }
        parts[scope] += reads.parts
        certain = {target: mask & ~role.doubtful for target, mask in by_scope.items()}
        found = {word: self._sets[mask] for word, mask in why.items()}
        return Needs(self._without_repeats(scope, certain, parts), found, loose)

    def runs_in_the_dark(self, role: KnownRole, profile: Profile) -> bool:
        """Return whether a role works on endpoints of services alone, and nothing proves that it was not used.

        Without its log nothing shows a pull from a registry, and not each pull asks for a token, so sign-ins prove
        nothing here. `--unobservable drop` takes such roles away.
        """
        if self.options.unobservable is Unobservable.DROP or role.granted & ~self._evidence.on_endpoints:
            return False
        return bool(role.granted & (profile.hidden | profile.reasons.get((Verdict.UNUSED, Unused.NO_SIGN_IN), 0)))

    def status_reads(
        self, scope: Folded, profile: Profile, use: Mapping[Folded, Use], around: Writes
    ) -> dict[Folded, int]:
        """Return the unlogged status reads of today's grant that kept writes need, by place.

        The arguments are those of `read`. For used writes the place is their target, but no narrower than the resource
        group. For operations out of coverage, and for writes through other assignments of the same principals, it is
        today's scope.
        """
        beyond = self._evidence.elsewhere
        asked = [
            (group_at_least(target, scope), self.polls.asked(part.operations & ~beyond, _control(part)))
            for target, part in use.items()
        ]
        asked.append((scope, self.polls.asked(profile.open & ~beyond) | around.polls))
        found: dict[Folded, int] = defaultdict(int)
        for place, polls in asked:
            if kept := polls & profile.reads:
                found[place] |= kept
        return found

    def companions(self, changes: int, among: int) -> int:
        """Return which of some operations some changes bring along.

        They are the linked checks that the changes can cause, the status reads that they need, and whatever else acts
        on the very types that they change.

        Args:
            changes: The changes.
            among: The operations that may be brought along.
        """
        found = (self.polls.asked(changes) | self._beside(changes)) & among
        return found | self.checks.caused(changes, among & ~found)

    def touching(self, operation: int, changes: int) -> str:
        """Return the first of some changes, by name, on the type of an operation, else below it; empty for none."""
        kind = type_of(self.index.keys[operation][1])
        names = {self.index.keys[bit][1]: bit for bit in bits_of(changes)}
        below = (name for name in names if type_of(name).startswith(f"{kind}/"))
        first = min((name for name in names if type_of(name) == kind), default=None) or min(below, default=None)
        return self.index.names[names[first]][1] if first else ""

    def _on_types(self, changes: int) -> int:
        """Return all operations on the very types that some changes change."""
        kinds = {type_of(self.index.keys[bit][1]) for bit in bits_of(changes)}
        return union(self._of_type.get(kind, 0) for kind in kinds)

    @cached_property
    def _of_type(self) -> dict[str, int]:
        """The operations of each folded type."""
        return masks_by_type(self.index, exact_type(pl.col("name")))

    def _place_of_images(self, scope: Folded) -> Folded:
        """Return the narrowest scope, resource or resource group, of all listed registries at or below a scope."""
        inside = [one for one in self._evidence.registries if one.startswith(f"{scope}/")]
        if len(inside) == 1:
            return inside[0]
        groups = {Folded("/".join(one.split("/")[:5])) for one in inside}
        return groups.pop() if len(groups) == 1 and scope.count("/") < 4 else scope

    def _parts(self, role: KnownRole, doubtful: int, used: Use) -> tuple[PatternPart, ...]:
        """Return a role's strings that stay for operations by one reading only, and for what the catalogue lacks."""
        names = sorted(self.index.members(doubtful))
        today = (part for plane, name in names for part in parts_granting(role, plane, name))
        new = (part for plane, name in used.unknown for part in _narrowest(role, plane, name, self.index))
        return (*today, *dict.fromkeys(new))

    def _without_repeats(
        self, scope: Folded, by_scope: Mapping[Folded, int], parts: Mapping[Folded, tuple[PatternPart, ...]]
    ) -> dict[Folded, Need]:
        """Return the needs without operations that a scope above, or a pattern at the same scope, grants anyway."""
        above: dict[Folded, int] = {}
        needs = {}
        for target in sorted(by_scope, key=lambda text: (text != scope, text.count("/"), text)):
            own = tuple(dict.fromkeys(parts[target]))
            said = self.book.certain(Need(0, own))
            inherited = union(mask for other, mask in above.items() if other == scope or target.startswith(other + "/"))
            operations = by_scope[target] & ~inherited & ~said
            need = Need(self._sets[operations], own)
            above[target] = self.book.certain(need)
            if need:
                needs[target] = need
        return needs


def _control(used: Use) -> list[Folded]:
    return [name for plane, name in used.unlisted if plane == "control"]


def parts_granting(role: KnownRole, plane: str, operation: str) -> list[PatternPart]:
    """Return the narrowest strings of a role that together grant an operation by every reading by which the role does.

    Usually one string is enough. If none grants it for certain, several may be needed: it is not known which one
    grants it.
    """
    granting = list(_granting(role, plane, operation))
    by_any = [part for part in granting if grants([part.block], operation, plane, Reading.LEAST) == "yes"]
    granting = by_any or granting
    outside = [sum(_is_strictly_within(other, part) for other in granting) for part in granting]
    ranked = sorted(zip(outside, granting, strict=True), key=lambda it: (it[0], -len(it[1].patterns[0]), it[1]))
    kept: list[PatternPart] = []
    for _, part in ranked:
        if not grants_alike([one.block for one in kept], [part.block], operation, plane):
            kept.append(part)
    return kept


def _narrowest(role: KnownRole, plane: str, operation: str, index: OperationIndex) -> Sequence[PatternPart]:
    today = parts_granting(role, plane, operation)
    if len(today) != 1:
        return today
    for pattern in _accepted(plane, operation, index):
        part = PatternPart((pattern,), met(today[0].not_patterns, (pattern,)), plane)
        is_certain = grants([part.block], operation, plane, Reading.LEAST) == "yes"
        if is_certain and _is_strictly_within(part, today[0]):
            return (part,)
    return today


def _granting(role: KnownRole, plane: str, operation: str) -> Iterator[PatternPart]:
    """Yield the patterns of a role that may grant an operation without a condition, with their not-patterns."""
    for block in role.blocks:
        patterns, taken = (
            (block.actions, block.not_actions) if plane == "control" else (block.data_actions, block.not_data_actions)
        )
        for pattern in patterns if block.condition is None else ():
            part = PatternPart((pattern.strip(),), met(taken, (pattern,)), plane)
            if grants([part.block], operation, plane) == "yes":
                yield part


def _accepted(plane: str, operation: str, index: OperationIndex) -> Iterator[str]:
    """Yield the patterns above an operation that Azure accepts, the narrowest first, in the catalogue's spelling.

    If the catalogue lists nothing of the provider, the last pattern is that of the provider: the successful call shows
    that Azure has the provider.
    """
    segments = operation.split("/")
    for length in range(len(segments) - 1, 0, -1):
        pattern = "/".join(segments[:length]) + "/*"
        block = PatternPart((pattern,), (), plane).block
        listed = next(bits_of(index.granted_by([block]) & index.listed), None)
        if listed is not None:
            yield "/".join(index.names[listed][1].split("/")[:length]) + "/*"
        elif length == 1:
            yield pattern


def _is_strictly_within(small: PatternPart, big: PatternPart) -> bool:
    return contains([big.block], [small.block]) is None and contains([small.block], [big.block]) is not None


class UnobservedWork:
    """A reader of the needs of workloads without observed use: of what could not be excluded for what exists there.

    A pipeline may work on the endpoint of a service alone, of which no log is loaded. Of its assignment stay the reads,
    and the operations on types of which a resource exists there. For some types a rule says which operations a workload
    does on the endpoint (`rules/endpoint_work.csv`); for other types all of them stay.

    Args:
        analysis: The analysis; it has what existed where.
        index: The operations.
    """

    def __init__(self, analysis: Analysis, index: OperationIndex) -> None:
        self._there = shown_types(analysis.existence, analysis.absences)
        work: dict[str, list[FoldedKey]] = defaultdict(list)
        for row in rows_of("endpoint_work"):
            work[fold(row["resource_type"])].append((row["plane"], fold(row["operation"])))
        self._of_type = masks_by_type(index)
        self._of_type |= {kind: self._of_type.get(kind, 0) & index.mask(names) for kind, names in work.items()}

    def need(self, place: Folded, needs: Needs, profile: Profile) -> Need | None:
        """Return what stays of an assignment, or None if listings do not show what exists at its scope."""
        if profile.open or needs.by_scope.keys() != {place}:
            return None
        segments = place.split("/")
        kinds = {f"{segments[6]}/{segments[7]}"} if len(segments) >= _RESOURCE else self._there.get(place)
        if kinds is None:
            return None
        whole, asked = needs.by_scope[place], union(self._of_type.get(kind, 0) for kind in kinds)
        return Need(whole.operations & (asked | profile.reads), whole.parts)
