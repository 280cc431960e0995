"""Decide for each assignment alone, from its evidence, whether it is kept, removed or narrowed: the first drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rightsize.model.progress import through
from rightsize.model.proposal_kinds import KEEP, REMOVE_ORPHAN
from rightsize.propose.needs.drafts import Draft, Key, Subject, first_draft, keep_reason
from rightsize.propose.needs.linked_checks import Writes, writes_within_reach
from rightsize.propose.needs.needs import NeedReader
from rightsize.propose.needs.parts import Part
from rightsize.propose.needs.privileged import Privilege, may_split, opened_by_layer
from rightsize.propose.needs.reading import AssignmentEvidence, LeftAlone
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class StayingInput:
    """What decides which operations stay with whom.

    Attributes:
        subjects: Today's assignments.
        left_alone: Those that are not narrowed.
        evidence: The evidence on each.
        reader: The reader of needs by the options.
    """

    subjects: Sequence[Subject]
    left_alone: LeftAlone
    evidence: AssignmentEvidence
    reader: NeedReader


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
    """Return the operations that stay of an assignment; all operations of its role where it is not analysed."""
    reader, evidence, key = asked.reader, asked.evidence, subject.key
    profile = evidence.profiles.get(key)
    role = reader.book.roles.get(subject.role_definition_id)
    if role is None:
        everything = (1 << len(reader.index.names)) - 1
        return Writes(everything, polls=reader.polls.asked(everything))
    if profile is None or key in asked.left_alone.untouched or key in asked.left_alone.undecided:
        staying = role.granted & ~reader.evidence.elsewhere
        return Writes(staying, polls=reader.polls.asked(staying) & ~role.granted)
    return reader.staying(profile, evidence.uses.get(key, {}), evidence.peer_uses.get(key))


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
    near = around[subject.principal_id]
    needs = reader.read(role, subject.place, profile, uses, near, evidence.peer_uses.get(key))
    if part is not None:
        needs = replace(needs, stays_at=part.nodes)
    by_layer = opened_by_layer(subject, role, needs, privilege, reader.index)
    opened = by_layer is None and may_split(subject, profile, needs, privilege, reader.index.reads)
    by_logs = None
    if profile.by_logs is not None and not needs.by_scope:
        by_logs = reader.read(role, subject.place, profile.by_logs, uses, near)
    most = reader.options.max_excess
    draft = first_draft(subject, role, profile, needs, reader.book, most, may_split=opened, by_logs=by_logs)
    if by_layer is not None and draft.kind.keeps:
        draft = first_draft(subject, role, profile, by_layer, reader.book, most, may_split=True)
    if draft.open and subject.state == "eligible" and not privilege.eligibility.knows(subject):
        return draft.kept("activation_rules_unknown")
    return draft
