"""Decide from its evidence whether each assignment is kept, removed or replaced, as a draft of a proposal.

A draft begins as a decision on one assignment alone. Then all drafts become one plan: `selection.assign` chooses roles
for the open ones, and `selection.reconcile` settles conflicts between drafts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict, covered_of
from rightsize.analyze.verdicts.profiles import MOST_NODES
from rightsize.mining.bitsets import union
from rightsize.model.nouns import AssignmentState
from rightsize.model.plan import BUILTIN, CUSTOM, KEEP, NARROW_SCOPE, REMOVE, REMOVE_ORPHAN, ProposalKind
from rightsize.model.progress import through
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook, RoleChoice
from rightsize.propose.drafts.keep_rules import LeftAlone
from rightsize.propose.drafts.reading import AssignmentEvidence
from rightsize.propose.drafts.reasons import count_causes, describe_causes, describe_tells, keep_reason
from rightsize.propose.needs.assignments import Key, Subject, describe_end
from rightsize.propose.needs.linked_checks import Writes, writes_within_reach
from rightsize.propose.needs.needs import DECLARED, USED, USED_BEFORE, NeedReader, Needs
from rightsize.propose.needs.privileged import Privilege, may_split, opened_by_layer
from rightsize.propose.needs.profiles import Part, Profile

TOO_MANY_PARTS = "too_many_parts"
"""The word for an assignment that would take too many assignments if it were decided in parts."""
UNOBSERVED = (
    "; no log shows a use of it, and existing roles grant what could not be excluded for what exists "
    "there: ask its owner what it is for"
)
"""The clause in the reason of a workload's assignment that ends in existing roles without observed use."""
LATER_COST = "A subscription that joins the group later gets only what stays at the group"
"""The cost that a proposal states if an assignment at a management group is decided in parts."""
_PART = 10
"""An assignment waits where the logs do not decide on one in this number of the changes that its role allows."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A new assignment of a role to a principal at a folded scope.

    `counted` is the set of operations that count for this draft if several drafts share the assignment.
    """

    place: Folded
    choice: RoleChoice
    principal_id: Folded
    state: AssignmentState = "active"
    condition: str | None = None
    end_on: str | None = None
    counted: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """The draft of a proposal for one assignment.

    Attributes:
        subject: The assignment.
        kind: The kind of the proposal, as in the plan.
        reason: One sentence.
        placements: The assignments that replace it, including those shared with other assignments of its holder.
        needs: The needs behind it; empty if they were not computed.
        profile: The verdicts on its unused operations; None if they were not computed.
        rests_on: Assignments of today, kept by the same plan, that grant a part of the need.
        together_with: Assignments of today whose proposals grant a part of the need, or share an assignment with this.
        open: Whether roles still have to be chosen for its need.
    """

    subject: Subject
    kind: ProposalKind
    reason: str
    placements: tuple[Placement, ...] = ()
    needs: Needs = field(default_factory=Needs)
    profile: Profile | None = None
    rests_on: tuple[Folded, ...] = ()
    together_with: tuple[Folded, ...] = ()
    open: bool = False

    def kept(self, word: str) -> Draft:
        """Return the draft as a `keep` with the given reason word."""
        return replace(
            self, kind=KEEP, reason=keep_reason(word), placements=(), rests_on=(), together_with=(), open=False
        )


@dataclass(frozen=True, slots=True)
class StayingInput:
    """What decides which operations stay with whom.

    Attributes:
        subjects: Today's assignments.
        left_alone: Those that are not narrowed.
        reader: The reader of needs by the options.
    """

    subjects: Sequence[Subject]
    left_alone: LeftAlone
    evidence: AssignmentEvidence
    reader: NeedReader


def decide(
    asked: StayingInput, orphans: Set[Key], parts: Mapping[Key, Part], privilege: Privilege, membership: pl.DataFrame
) -> dict[Key, Draft]:
    """Return a draft for each assignment, decided without regard to the other drafts.

    Args:
        asked: The assignments with their evidence, and the reader of needs.
        orphans: Assignments whose holder is proved to be deleted.
        parts: The assignments that are decided in parts.
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
        membership: `(principal_id, holder)`: who reaches the assignments of a holder, now or by an activation.
    """
    around = stays_within_reach(asked, membership)
    subjects = through(asked.subjects, "deciding what each assignment needs", "assignments")
    return {
        one.key: _left_alone(one, asked, orphans)
        or _decided(one, asked, parts.get(one.key), privilege, around[one.principal_id])
        for one in subjects
    }


def stays_within_reach(asked: StayingInput, membership: pl.DataFrame) -> Mapping[Folded, Writes]:
    """Return for each folded holder the writes that stay with all principals who reach its assignments.

    A running activation adds no writes: it ends, and use under it counts for the eligible assignment behind it.
    `membership` is that of `decide`.
    """
    ending = {one.role_assignment_id for one in asked.subjects if one.state == "activated"}
    staying = (one for one in asked.subjects if one.role_assignment_id not in ending)
    return writes_within_reach(((subject.principal_id, _staying(subject, asked)) for subject in staying), membership)


def _staying(subject: Subject, asked: StayingInput) -> Writes:
    """Return the used operations of an assignment; all operations where its role is not known."""
    reader, evidence, key = asked.reader, asked.evidence, subject.key
    if subject.role_definition_id not in reader.book.roles:
        everything = (1 << len(reader.index.names)) - 1
        return Writes(everything, polls=reader.polls.asked(everything))
    writes = reader.staying(evidence.profiles.get(key, Profile()), evidence.uses.get(key, {}))
    return replace(writes, checks=reader.checks.elsewhere(writes.operations))


def _left_alone(subject: Subject, asked: StayingInput, orphans: Set[Key]) -> Draft | None:
    """Return the draft of an assignment on whose needs nothing depends; None for all others."""
    key, left_alone = subject.key, asked.left_alone
    if key not in left_alone.untouched and key in orphans:
        return Draft(subject, REMOVE_ORPHAN, "its holder no longer exists")
    word = left_alone.untouched.get(key) or left_alone.undecided.get(key)
    if word is None and key not in asked.evidence.profiles:
        word = "not_analysed"
    return Draft(subject, KEEP, keep_reason(word)) if word is not None else None


def _decided(subject: Subject, asked: StayingInput, part: Part | None, privilege: Privilege, around: Writes) -> Draft:
    """Return the draft of an assignment that the plan may change, from its own needs alone."""
    reader, evidence, key = asked.reader, asked.evidence, subject.key
    role = reader.book.roles[subject.role_definition_id]
    profile, uses, nodes = evidence.profiles[key], evidence.uses.get(key, {}), {}
    if part is not None:
        profile, uses, nodes = part.profile, part.uses, dict(part.nodes)
    undecided = profile.open & role.granted & ~union(use.operations for use in uses.values())
    quarantined = undecided & profile.quarantined
    held = _held_at(subject.place, quarantined, evidence.quarantined.get(key, {}))
    rest = undecided & ~quarantined
    if held is None or (rest and _PART * rest.bit_count() >= (role.granted & ~reader.index.reads).bit_count()):
        return Draft(subject, KEEP, _waits_reason(role, profile, undecided), profile=profile)
    # What only calls in quarantine used is no need of a new role.
    needs = reader.read(role, subject.place, replace(profile, open=profile.open & ~quarantined), uses, around)
    needs = replace(needs, stays_at=dict.fromkeys(held, OutOfCoverage.QUARANTINED.value) | nodes)
    by_layer = opened_by_layer(subject, role, needs, privilege, reader.index)
    opened = by_layer is None and may_split(subject, profile, needs, privilege, reader.index.reads)
    base = Draft(subject, KEEP, "", needs=needs, profile=profile)
    draft = _first_draft(base, role, profile, reader, may_split=opened)
    if by_layer is not None and draft.kind.keeps:
        draft = _first_draft(replace(base, needs=by_layer), role, profile, reader, may_split=True)
    if draft.open and subject.state == "eligible" and not privilege.eligibility.knows(subject):
        return draft.kept("activation_rules_unknown")
    return draft


def _held_at(place: Folded, quarantined: int, at: Mapping[Folded, int]) -> Set[Folded] | None:
    """Return the scopes below where an assignment waits for what only calls in quarantine used; None for all of it.

    What they used is neither learnt nor taken away until a person decides.

    Args:
        place: The folded scope of the assignment.
        quarantined: What only such calls used.
        at: What such calls used under it, by folded scope.
    """
    nodes = {one for one, mask in at.items() if mask & quarantined}
    if len(nodes) > 1:
        nodes = {Folded("/".join(one.split("/")[:5])) for one in nodes}
    known = union(mask for one, mask in at.items() if one != place)
    if quarantined & ~known or any(len(one) <= len(place) for one in nodes) or len(nodes) > MOST_NODES:
        return None
    return nodes


def _first_draft(base: Draft, role: KnownRole, profile: Profile, reader: NeedReader, *, may_split: bool) -> Draft:
    """Return the first draft for one assignment.

    Args:
        base: The draft with its needs.
        role: Its role.
        profile: The verdicts on its unused operations.
        reader: The reader of needs.
        may_split: Whether a part of it can become eligible, so that it is not kept although all of it is needed.
    """
    book, needs = reader.book, base.needs
    if not role.granted:
        return base.kept("nothing_known")
    # A role that names a provider without operations in the catalogue cannot be judged.
    if any("*" not in provider and provider not in book.index.providers for provider in role.providers):
        return base.kept("unknown_provider")
    if not needs.by_scope and not needs.stays_at:
        if reader.runs_in_the_dark(role, profile):
            return base.kept("endpoint_only")
        return replace(base, kind=REMOVE, reason=_unused_reason(role, profile))
    here = needs.by_scope.get(base.subject.place, Need(0))
    if not role.granted & ~book.mask(here) and not may_split:
        return replace(base, reason=_whole_reason(role, profile, needs))
    return replace(base, kind=CUSTOM, open=True)


def with_roles(
    draft: Draft,
    placements: Iterable[Placement],
    rests_on: Iterable[Folded],
    together_with: Iterable[Folded],
    places: int,
    book: RoleBook,
) -> Draft:
    """Return an open draft closed with the roles chosen for its need; `places` is the number of scopes of the need."""
    chosen = tuple(dict.fromkeys(placements))
    done = replace(
        draft,
        rests_on=tuple(sorted({*draft.rests_on, *rests_on})),
        together_with=tuple(sorted({*together_with} - {draft.subject.role_assignment_id})),
        open=False,
    )
    if chosen:
        return replace(done, kind=_kind(chosen), reason=_narrow_reason(done, places, book), placements=chosen)
    others = [*done.rests_on, *done.together_with]
    return replace(
        done, kind=REMOVE, reason=f"what stays of it is granted by {', '.join(others)} or by what replaces these"
    )


def _kind(placements: Sequence[Placement]) -> ProposalKind:
    kinds = {placement.choice.kind for placement in placements}
    if "custom" in kinds:
        return CUSTOM
    return BUILTIN if "builtin" in kinds else NARROW_SCOPE


def _unused_reason(role: KnownRole, profile: Profile) -> str:
    unseen, absent = (role.granted & ~profile.unused).bit_count(), (role.granted & profile.absent).bit_count()
    days = _covered_days(profile, role.granted)
    if not unseen and not absent:
        return f"none of its operations was used, and the logs would have shown it{days}"
    shown = role.granted.bit_count() - unseen - absent
    said = f"no log shows a use of it: {shown} operations would have been logged{days}"
    said += f", {absent} had no resource there" if absent else ""
    said += f", and no log can show {unseen}" if unseen else ""
    return f"{said}: ask its owner whether it waits for something" if absent else said


def _covered_days(profile: Profile | None, gone: int) -> str:
    """Return the clause for the days that the logs cover, if removed operations rest on a part of the window."""
    if profile is None or profile.coverage is None or not gone & profile.shown_in_part:
        return ""
    return f" ({covered_of(*profile.coverage)})"


def _waits_reason(role: KnownRole, profile: Profile, waiting: int) -> str:
    """Return the reason of an assignment that stays since the logs that could show its use do not decide."""
    causes = count_causes(profile.reasons, waiting, Verdict.OUT_OF_COVERAGE)
    text = f"waits: {waiting.bit_count()} of {role.granted.bit_count()} operations are out of coverage"
    return f"{text} ({describe_causes(causes)}){describe_tells(causes)}"


def _whole_reason(role: KnownRole, profile: Profile, needs: Needs) -> str:
    """Return the reason of an assignment that stays whole: what was used, and what cannot be decided, by cause."""
    used = (needs.why.get(USED, 0) & role.granted).bit_count()
    earlier = needs.why.get(USED_BEFORE, 0) & role.granted
    declared = needs.why.get(DECLARED, 0) & role.granted
    mask = role.granted & ~earlier & ~declared
    unseen = Counter(count_causes(profile.reasons, mask, Verdict.UNOBSERVABLE))
    # A write that stays may cause checks of operations that a log would have shown as calls of their own.
    checked = needs.why.get(UnobservableReason.LINKED_CHECK, 0) & ~needs.why.get(USED, 0)
    unseen[UnobservableReason.LINKED_CHECK] += (
        checked & mask & ~(profile.reads | profile.linked | profile.hidden)
    ).bit_count()
    open_ = count_causes(profile.reasons, mask, Verdict.OUT_OF_COVERAGE)
    causes = {word: number for word, number in unseen.most_common() if number}
    text = f"cannot narrow: {used} of {role.granted.bit_count()} operations {'was' if used == 1 else 'were'} used"
    if earlier:
        text += f", {earlier.bit_count()} only before the window"
    if declared:
        text += f", {declared.bit_count()} more are declared by code"
    if causes:
        text += f"; no log can show {sum(causes.values())} ({describe_causes(causes)})"
    if open_:
        text += f"; {sum(open_.values())} are out of coverage ({describe_causes(open_)})"
    return text + describe_tells(open_ | causes)


def _narrow_reason(draft: Draft, places: int, book: RoleBook) -> str:
    needs, role = draft.needs, book.roles[draft.subject.role_definition_id]
    needed = union(book.mask(need) for need in needs.by_scope.values())
    kept = (needed & role.granted).bit_count()
    text = f"keeps {kept} of {role.granted.bit_count()} operations at {_scopes(places - len(needs.stays_at))}"
    if earlier := needs.why.get(USED_BEFORE, 0) & role.granted:
        text += f", {earlier.bit_count()} of them used before the window only"
    if declared := needs.why.get(DECLARED, 0) & role.granted:
        text += f", {declared.bit_count()} of them declared by code and not used"
    text += _covered_days(draft.profile, role.granted & ~needed) + _describe_parts(needs.stays_at)
    return f"{text}{UNOBSERVED if needs.through else ''}{describe_end(draft.subject.end_on)}"


def _describe_parts(stays_at: Mapping[Folded, str]) -> str:
    """Return the clauses for the scopes where today's role stays whole, and what the change costs."""
    held = sum(why == OutOfCoverage.QUARANTINED for why in stays_at.values())
    text = ""
    if held:
        text += f"; today's role stays at {_scopes(held)} below, where calls in quarantine wait for a decision: "
        text += "`rightsize signals`"
    if others := len(stays_at) - held:
        text += f"; today's role stays at {_scopes(others)} below, whose logs decide too little: "
        text += f"`rightsize status logs` lists what is missing. {LATER_COST}"
    return text


def _scopes(number: int) -> str:
    return "1 scope" if number == 1 else f"{number} scopes"
