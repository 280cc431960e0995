"""Decide from its needs whether each assignment is kept, removed or replaced, as a draft of a proposal.

A draft begins as a decision on one assignment alone. Then all drafts become one plan: `selection.assign` chooses roles
for the open ones, and `selection.reconcile` settles conflicts between drafts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict, covered_of
from rightsize.model.nouns import AssignmentState
from rightsize.model.proposal_kinds import BUILTIN, CUSTOM, KEEP, NARROW_SCOPE, REMOVE, ProposalKind
from rightsize.propose.core.expiry import describe_end
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook, RoleChoice
from rightsize.propose.needs.keep_rules import REASONS
from rightsize.propose.needs.needs import USED, USED_BEFORE, Needs, Profile
from rightsize.propose.needs.undecided import count_causes, describe_causes, describe_tells
from rightsize.rbac.text import Folded

Key = tuple[Folded, str]
"""(role_assignment_id, state); the store folds ids."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One assignment of today; `place` is its folded scope, `anchor` the folded subscription or management group.

    `scope` has the spelling of the source, for what is written.
    `end_on` is its end as a text (see `core.expiry`), or None; `condition` is the condition of the assignment, or None.
    """

    role_assignment_id: Folded
    state: AssignmentState
    principal_id: Folded
    role_definition_id: Folded
    scope: str
    place: Folded
    anchor: Folded
    condition: str | None = None
    end_on: str | None = None

    @property
    def key(self) -> Key:
        """The key of the assignment: its id and state."""
        return self.role_assignment_id, self.state


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
        needs: The needs behind it; None if they were not computed.
        profile: The verdicts on its unused operations; None if they were not computed.
        rests_on: Assignments of today, kept by the same plan, that grant a part of the need.
        together_with: Assignments of today whose proposals grant a part of the need, or share an assignment with this.
        open: Whether roles still have to be chosen for its need.
    """

    subject: Subject
    kind: ProposalKind
    reason: str
    placements: tuple[Placement, ...] = ()
    needs: Needs | None = None
    profile: Profile | None = None
    rests_on: tuple[Folded, ...] = ()
    together_with: tuple[Folded, ...] = ()
    open: bool = False

    def kept(self, word: str) -> Draft:
        """Return the draft as a `keep` with the given reason word."""
        return replace(
            self, kind=KEEP, reason=keep_reason(word), placements=(), rests_on=(), together_with=(), open=False
        )


TOO_MANY_PARTS = "too_many_parts"
"""The word for an assignment that would take too many assignments if it were decided in parts."""
UNOBSERVED = (
    "; no log shows a use of it, and existing roles grant what could not be excluded for what exists "
    "there: ask its owner what it is for"
)
"""The clause in the reason of a workload's assignment that ends in existing roles without observed use."""
LATER_COST = "a subscription that joins the group later gets only what stays at the group"
"""The cost that a proposal states if an assignment at a management group is decided in parts."""

LATE_REASONS = {
    "relied_upon": "another proposal rests on it",
    "endpoint_only": "its role works on the endpoint of a service alone, where no log shows a use: ask its owner",
    "no_able_owner": "no Owner of the subscription is known to be enabled, permanent and unconditional, so that all "
    "of them stay: load the listings of users and group members",
    "nothing_known": "its role grants no operation of the catalogue",
    "nothing_observed": "no log shows a use of it, and no existing role grants just what no log could show: ask its "
    "owner what it is for",
    "not_analysed": "the analysis has no verdicts on its operations",
    "idle_condition": "Azure accepts its condition only on a role with an operation it applies to, and none is kept",
    "other_condition": "Azure accepts one assignment of a role for a principal at a scope, and one with another "
    "condition is there",
    "other_end": "Azure accepts one assignment of a role for a principal at a scope, and one that ends sooner is there",
    "only_companions": "nothing was used of what stays at one of its scopes, and no existing role grants just that",
    "role_refused": "Azure would refuse a custom role with exactly what stays",
    "narrow_already": "beyond needs and reads, its built-in role has less than 2% of what a Contributor has there",
    "nothing_to_narrow": "today's assignments grant nothing beyond what was used and what cannot be decided",
}


def keep_reason(word: str) -> str:
    """Return a reason as the plan states it: the word for machines, then the sentence for people.

    A word may bring its own sentence after a colon.
    """
    word, _, said = word.partition(": ")
    sentence = said or REASONS.get(word) or LATE_REASONS[word]
    return f"{word.replace('_', ' ')}: {sentence}"


def first_draft(
    subject: Subject,
    role: KnownRole,
    profile: Profile,
    needs: Needs,
    book: RoleBook,
    *,
    may_split: bool = False,
    endpoint_only: bool = False,
) -> Draft:
    """Return the first draft for one assignment that the plan may change, from its own needs alone.

    Args:
        subject: The assignment.
        role: Its role.
        profile: The verdicts on its unused operations.
        needs: The needs behind it.
        book: The roles.
        may_split: Whether a part of it can become eligible, so that it is not kept although all of it is needed.
        endpoint_only: Whether no log and no listing can tell of any use of its role.
    """
    base = Draft(subject, KEEP, "", needs=needs, profile=profile)
    if not role.granted:
        return base.kept("nothing_known")
    if _names_unknown_provider(role, book):
        return base.kept("unknown_provider")
    if not needs.by_scope and not needs.stays_at:
        if endpoint_only:
            return base.kept("endpoint_only")
        return replace(base, kind=REMOVE, reason=_unused_reason(role, profile))
    here = needs.by_scope.get(subject.place, Need(0))
    spare = role.granted & ~book.mask(here)
    if not spare and not may_split:
        return replace(base, reason=_whole_reason(role, profile, needs))
    return replace(base, kind=CUSTOM, open=True)


def with_roles(
    draft: Draft,
    placements: Iterable[Placement],
    rests_on: Iterable[Folded],
    together_with: Iterable[Folded],
    places: int,
    role: KnownRole,
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
        return replace(done, kind=_kind(chosen), reason=_narrow_reason(role, done, places, book), placements=chosen)
    others = [*done.rests_on, *done.together_with]
    return replace(
        done, kind=REMOVE, reason=f"what stays of it is granted by {', '.join(others)} or by what replaces these"
    )


def _names_unknown_provider(role: KnownRole, book: RoleBook) -> bool:
    """Return whether a role names a provider without operations in the catalogue, so that it cannot be judged."""
    known = book.index.providers
    return any("*" not in provider and provider not in known for provider in role.providers)


def _kind(placements: Sequence[Placement]) -> ProposalKind:
    kinds = {placement.choice.kind for placement in placements}
    if "custom" in kinds:
        return CUSTOM
    return BUILTIN if "builtin" in kinds else NARROW_SCOPE


def _unused_reason(role: KnownRole, profile: Profile) -> str:
    unseen = (role.granted & ~profile.unused).bit_count()
    days = _covered_days(profile, role.granted)
    if not unseen and not role.granted & profile.absent:
        return f"none of its operations was used, and the logs would have shown it{days}"
    absent = (role.granted & profile.absent).bit_count()
    shown = role.granted.bit_count() - unseen - absent
    if absent:
        said = (
            f"no log shows a use of it: {shown} operations would have been logged{days}, {absent} had no resource there"
        )
        said += f", for {unseen} no log can tell" if unseen else ""
        return f"{said}: ask its owner whether it waits for something"
    return f"no log shows a use of it: {shown} operations would have been logged{days}, for {unseen} no log can tell"


def _covered_days(profile: Profile | None, gone: int) -> str:
    """Return the clause for the days that the logs cover, if removed operations rest on a part of the window."""
    if profile is None or profile.coverage is None or not gone & profile.shown_in_part:
        return ""
    return f" ({covered_of(*profile.coverage)})"


def waits_reason(role: KnownRole, profile: Profile, waiting: int) -> str:
    """Return the reason of an assignment that stays since the logs that could show its use do not decide."""
    causes = count_causes(profile.reasons, waiting, Verdict.OUT_OF_COVERAGE)
    text = f"waits: {waiting.bit_count()} of {role.granted.bit_count()} operations are out of coverage"
    return f"{text} ({describe_causes(causes)}){describe_tells(causes)}"


def _whole_reason(role: KnownRole, profile: Profile, needs: Needs) -> str:
    """Return the reason of an assignment that stays whole: what was used, and what cannot be decided, by cause."""
    used = (needs.why.get(USED, 0) & role.granted).bit_count()
    earlier = needs.why.get(USED_BEFORE, 0) & role.granted
    mask = role.granted & ~earlier
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
    if causes:
        text += f", for {sum(causes.values())} no log can tell ({describe_causes(causes)})"
    if open_:
        text += f", {sum(open_.values())} are out of coverage ({describe_causes(open_)})"
    return text + describe_tells(open_ | causes)


def _narrow_reason(role: KnownRole, draft: Draft, places: int, book: RoleBook) -> str:
    needed = 0
    for need in draft.needs.by_scope.values() if draft.needs else ():
        needed |= book.mask(need)
    places -= len(draft.needs.stays_at) if draft.needs else 0
    kept = f"keeps {(needed & role.granted).bit_count()} of {role.granted.bit_count()} operations at {_scopes(places)}"
    earlier = draft.needs.why.get(USED_BEFORE, 0) & role.granted if draft.needs else 0
    before = f", {earlier.bit_count()} of them used before the window only" if earlier else ""
    days = _covered_days(draft.profile, role.granted & ~needed)
    parts = _describe_parts(draft.needs.stays_at) if draft.needs and draft.needs.stays_at else ""
    asks = UNOBSERVED if draft.needs and draft.needs.through else ""
    return f"{kept}{before}{days}{parts}{asks}{describe_end(draft.subject.end_on)}"


def _describe_parts(stays_at: Mapping[Folded, str]) -> str:
    """Return the clauses for the scopes where today's role stays whole, and what the change costs."""
    held = sum(why == OutOfCoverage.QUARANTINED for why in stays_at.values())
    text = ""
    if held:
        text += f"; its role stays whole at {_scopes(held)} below, where calls in quarantine wait for a decision"
    if others := len(stays_at) - held:
        text += f"; its role stays whole at {_scopes(others)} below, where the logs say too little; {LATER_COST}"
    return text


def _scopes(number: int) -> str:
    return "1 scope" if number == 1 else f"{number} scopes"
