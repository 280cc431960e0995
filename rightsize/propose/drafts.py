"""From the needs of one assignment to what happens to it: removed, narrowed, replaced, or kept.

Every draft stands for itself; `settle` makes a plan of them, where one may rest on another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import ProposalKind
from rightsize.propose.keeps import REASONS
from rightsize.propose.limits import Limits, refusals
from rightsize.propose.needs import Needs, Profile
from rightsize.propose.roles import Choice, KnownRole, Need, RoleBook, cheapest, options
from rightsize.rbac.text import fold

_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"


@dataclass(frozen=True, slots=True)
class Subject:
    """One assignment of today; `place` is its folded scope, `anchor` the folded subscription or management group."""

    role_assignment_id: str
    state: str
    principal_id: str
    role_definition_id: str
    scope: str
    place: str
    anchor: str

    @property
    def key(self) -> tuple[str, str]:
        """The natural key."""
        return self.role_assignment_id, self.state


@dataclass(frozen=True, slots=True)
class Placement:
    """A role at a folded scope."""

    place: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class Draft:
    """What happens to one assignment.

    Attributes:
        subject: The assignment.
        kind: As in the plan.
        reason: One sentence.
        placements: What is assigned in its place.
        needs: What it is needed for; None where that was not asked.
        profile: How what was not used is judged; None where that was not asked.
        rests_on: Assignments of today, kept by the same plan, that grant a part of the need.
    """

    subject: Subject
    kind: ProposalKind
    reason: str
    placements: tuple[Placement, ...] = ()
    needs: Needs | None = None
    profile: Profile | None = None
    rests_on: tuple[str, ...] = ()

    def kept(self, word: str) -> Draft:
        """Return the draft turned into a `keep`."""
        return replace(self, kind="keep", reason=keep_reason(word), placements=(), rests_on=())


LATE_REASONS = {
    "relied_upon": "another proposal rests on it",
    "nothing_known": "its role grants no operation that the catalogue knows",
    "not_analysed": "nothing is known about the use of what it grants",
    "root": "a need at the root stays, and a new role cannot be assigned there",
    "data_at_management_group": "a new role with data actions cannot be assigned at a management group",
    "role_refused": "Azure would refuse the role that says what is needed",
    "custom_role_limit": "the tenant would pass its limit of custom roles",
    "assignment_limit": "a subscription or management group would pass its limit of role assignments",
}


def keep_reason(word: str) -> str:
    """Return a reason as the plan states it: the word for machines, the sentence for people."""
    sentence = REASONS.get(word) or LATE_REASONS[word]
    return f"{word.replace('_', ' ')}: {sentence}"


@dataclass(slots=True)
class Drafter:
    """Decides assignment by assignment; equal needs of equal roles are decided once."""

    book: RoleBook
    max_excess: int
    limits: Limits
    _chosen: dict[tuple[Need, str, str], tuple[Choice, ...] | str] = field(default_factory=dict)

    def draft(self, subject: Subject, role: KnownRole, profile: Profile, needs: Needs) -> Draft:
        """Return what happens to an assignment that nothing forbids to touch."""
        base = Draft(subject, "keep", "", needs=needs, profile=profile)
        if not role.granted:
            return base.kept("nothing_known")
        if _names_unknown_provider(role, self.book):
            return base.kept("unknown_provider")
        if not needs.by_scope:
            return replace(
                base, kind="remove", reason="nothing that it grants was used, and the logs would have shown it"
            )
        here = needs.by_scope.get(subject.place, Need(0))
        spare = role.granted & ~self.book.mask(here)
        if spare.bit_count() <= self.max_excess:
            return replace(base, reason=_needed_reason(role, profile, needs, spare))
        placements: list[Placement] = []
        for place, need in sorted(needs.by_scope.items()):
            chosen = self._choose(need, role, place)
            if isinstance(chosen, str):
                return base.kept(chosen)
            placements.extend(Placement(place, choice) for choice in chosen)
        return replace(
            base, kind=_kind(placements), reason=_narrow_reason(role, placements), placements=tuple(placements)
        )

    def _choose(self, need: Need, role: KnownRole, place: str) -> tuple[Choice, ...] | str:
        kind = "/" if place == "/" else ("group" if place.startswith(_MANAGEMENT_GROUP) else "below")
        key = (need, role.role_definition_id, kind)
        if key not in self._chosen:
            self._chosen[key] = self._choose_anew(need, role, place)
        return self._chosen[key]

    def _choose_anew(self, need: Need, role: KnownRole, place: str) -> tuple[Choice, ...] | str:
        blocked = self._why_no_custom(need, place)
        found = list(options(need, role, self.book, max_excess=self.max_excess, custom=not blocked))
        inherited = inherited_strings(role)
        accepted = [choices for choices in found if not any(self._is_refused(one, place, inherited) for one in choices)]
        chosen = cheapest(need, accepted, self.book)
        if chosen is not None:
            return chosen
        return blocked or "role_refused"

    def _why_no_custom(self, need: Need, place: str) -> str:
        if place == "/":
            return "root"
        has_data = any(plane == "data" for plane, _ in self.book.index.members(self.book.mask(need)))
        if place.startswith(_MANAGEMENT_GROUP) and (has_data or any(part.plane == "data" for part in need.parts)):
            return "data_at_management_group"
        return ""

    def _is_refused(self, choice: Choice, place: str, inherited: frozenset[tuple[str, str]]) -> bool:
        if choice.content is None:
            return False
        sample = RoleDefinition("", "x", (choice.content.block,), assignable_scopes=(place,))
        return bool(refusals(sample, self.book.index.lists, inherited, self.limits))


def inherited_strings(role: KnownRole) -> frozenset[tuple[str, str]]:
    """Return (plane, folded string) of everything that a role names, which Azure has accepted once."""
    return frozenset(
        (plane, fold(text))
        for block in role.blocks
        for plane, texts in (
            ("control", (*block.actions, *block.not_actions)),
            ("data", (*block.data_actions, *block.not_data_actions)),
        )
        for text in texts
    )


def _names_unknown_provider(role: KnownRole, book: RoleBook) -> bool:
    """Return whether the role names a provider of which the catalogue has nothing: what it grants cannot be judged."""
    known = book.index.providers
    texts = [text for block in role.blocks for text in (*block.actions, *block.data_actions)]
    named = (fold(text).split("/", 1)[0] for text in texts)
    return any("*" not in provider and provider not in known for provider in named)


def _kind(placements: Sequence[Placement]) -> ProposalKind:
    kinds = {placement.choice.kind for placement in placements}
    if "custom" in kinds:
        return "custom"
    return "builtin" if "builtin" in kinds else "narrow_scope"


def _needed_reason(role: KnownRole, profile: Profile, needs: Needs, spare: int) -> str:
    used = (needs.why.get("used", 0) & role.granted).bit_count()
    unseen = ((profile.reads | profile.linked | profile.hidden) & role.granted).bit_count()
    open_ = (profile.open & role.granted).bit_count()
    text = f"all needed here: of {role.granted.bit_count()} operations {used} were used"
    if unseen:
        text += f", {unseen} are unobservable"
    if open_:
        text += f", {open_} are out of coverage"
    if spare:
        text += f", {spare.bit_count()} are spare"
    return text


def _narrow_reason(role: KnownRole, placements: Sequence[Placement]) -> str:
    granted = 0
    for placement in placements:
        granted |= placement.choice.granted
    places = len({placement.place for placement in placements})
    where = "1 scope" if places == 1 else f"{places} scopes"
    return f"{(granted & role.granted).bit_count()} of {role.granted.bit_count()} operations are needed, at {where}"
