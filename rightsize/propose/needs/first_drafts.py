"""Decide for each assignment alone, from its evidence, whether it is kept, removed or narrowed: the first drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.part_profiles import MOST_NODES
from rightsize.analyze.reasons import OutOfCoverage, Verdict
from rightsize.model.progress import through
from rightsize.model.proposal_kinds import KEEP, REMOVE_ORPHAN
from rightsize.propose.core.bitsets import union
from rightsize.propose.needs.drafts import Draft, Key, Subject, first_draft, keep_reason, waits_reason
from rightsize.propose.needs.linked_checks import Writes, writes_within_reach
from rightsize.propose.needs.needs import NeedReader, Profile, Use
from rightsize.propose.needs.parts import Part
from rightsize.propose.needs.privileged import Privilege, may_split, opened_by_layer
from rightsize.propose.needs.reading import AssignmentEvidence, LeftAlone
from rightsize.rbac.text import Folded

_PART = 10
"""An assignment waits where the logs do not decide on one in this number of the changes that its role allows."""


@dataclass(frozen=True, slots=True)
class StayingInput:
    """What decides which operations stay with whom.

    Attributes:
        subjects: Today's assignments.
        left_alone: Those that are not narrowed.
        evidence: The evidence on each.
        reader: The reader of needs by the options.
        checks: The linked checks.
    """

    subjects: Sequence[Subject]
    left_alone: LeftAlone
    evidence: AssignmentEvidence
    reader: NeedReader
    checks: int = 0


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """What the first drafts are decided from.

    Attributes:
        staying: The assignments with their evidence, and the reader of needs.
        orphans: Assignments whose holder is proved to be deleted.
        parts: The assignments that are decided in parts.
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
        membership: `(principal_id, holder)`: who reaches the assignments of a holder, now or by an activation.
    """

    staying: StayingInput
    orphans: frozenset[Key]
    parts: Mapping[Key, Part]
    privilege: Privilege
    membership: pl.DataFrame


def decide(asked: DecisionInput) -> dict[Key, Draft]:
    """Return a draft for each assignment, decided without regard to the other drafts."""
    around = stays_within_reach(asked.staying, asked.membership)
    subjects = through(asked.staying.subjects, "deciding what each assignment needs", "assignments")
    return {subject.key: _draft_one(subject, asked, around) for subject in subjects}


def stays_within_reach(asked: StayingInput, membership: pl.DataFrame) -> Mapping[Folded, Writes]:
    """Return for each folded holder the writes that stay with all principals who reach its assignments.

    A running activation adds no writes: it ends, and use under it counts for the eligible assignment behind it.
    `membership` is that of `DecisionInput`.
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
    return replace(writes, checks=reader.checks.elsewhere(writes.operations, asked.checks))


@dataclass(frozen=True, slots=True)
class _Wait:
    """What of an assignment waits, as sets of operations.

    Attributes:
        whole: The operations for which the assignment waits as a whole, or 0.
        nodes: The folded scopes below where today's role stays, for what calls in quarantine used there.
        quarantined: All that only such calls used: it is no need of a new role.
    """

    whole: int = 0
    nodes: Mapping[Folded, str] = field(default_factory=dict)
    quarantined: int = 0


def _waiting(
    subject: Subject, profile: Profile, uses: Mapping[Folded, Use], at: Mapping[Folded, int], asked: DecisionInput
) -> _Wait:
    """Return for what an assignment waits.

    It waits for what only calls in quarantine used, where they used it: that is neither learnt nor taken away until a
    person decides. An assignment waits as a whole where the logs do not decide on a tenth or more of what its role may
    change.

    Args:
        subject: The assignment.
        profile: The verdicts on its unused operations.
        uses: Its use.
        at: What calls in quarantine used under it, by scope.
        asked: The input of the drafts.
    """
    reader = asked.staying.reader
    role = reader.book.roles[subject.role_definition_id]
    undecided = profile.open & role.granted & ~union(use.operations for use in uses.values())
    quarantined = undecided & profile.reasons.get((Verdict.OUT_OF_COVERAGE, OutOfCoverage.QUARANTINED), 0)
    rest = undecided & ~quarantined
    if rest and _PART * rest.bit_count() >= (role.granted & ~reader.index.reads).bit_count():
        return _Wait(undecided)
    nodes = _few({place for place, mask in at.items() if mask & quarantined})
    known = union(mask for place, mask in at.items() if place != subject.place)
    if quarantined & ~known or any(len(place) <= len(subject.place) for place in nodes) or len(nodes) > MOST_NODES:
        return _Wait(undecided)
    return _Wait(0, dict.fromkeys(nodes, OutOfCoverage.QUARANTINED.value), quarantined)


def _few(places: Set[Folded]) -> Set[Folded]:
    """Return some scopes, or their resource groups where the scopes are too many."""
    if len(places) <= 1:
        return places
    return {Folded("/".join(one.split("/")[:5])) for one in places}


def _draft_one(subject: Subject, asked: DecisionInput, around: Mapping[Folded, Writes]) -> Draft:
    left_alone, evidence, privilege = asked.staying.left_alone, asked.staying.evidence, asked.privilege
    reader, key = asked.staying.reader, subject.key
    if key in left_alone.untouched:
        return Draft(subject, KEEP, keep_reason(left_alone.untouched[key]))
    if key in asked.orphans:
        return Draft(subject, REMOVE_ORPHAN, "its holder no longer exists")
    if key in left_alone.undecided:
        return Draft(subject, KEEP, keep_reason(left_alone.undecided[key]))
    profile = evidence.profiles.get(key)
    if profile is None:
        return Draft(subject, KEEP, keep_reason("not_analysed"))
    role = reader.book.roles[subject.role_definition_id]
    uses = evidence.uses.get(key, {})
    part = asked.parts.get(key)
    if part is not None:
        profile, uses = part.profile, part.uses
    wait = _waiting(subject, profile, uses, evidence.quarantined.get(key, {}), asked)
    if wait.whole:
        return Draft(subject, KEEP, waits_reason(role, profile, wait.whole), profile=profile)
    near = around[subject.principal_id]
    decided = replace(profile, open=profile.open & ~wait.quarantined)
    needs = reader.read(role, subject.place, decided, uses, near)
    nodes = dict(wait.nodes) | dict(part.nodes if part else {})
    needs = replace(needs, stays_at=nodes)
    by_layer = opened_by_layer(subject, role, needs, privilege, reader.index)
    opened = by_layer is None and may_split(subject, profile, needs, privilege, reader.index.reads)
    dark = reader.runs_in_the_dark(role, profile)
    draft = first_draft(subject, role, profile, needs, reader.book, may_split=opened, endpoint_only=dark)
    if by_layer is not None and draft.kind.keeps:
        draft = first_draft(subject, role, profile, by_layer, reader.book, may_split=True)
    if draft.open and subject.state == "eligible" and not privilege.eligibility.knows(subject):
        return draft.kept("activation_rules_unknown")
    return draft
