"""Grant the needs behind one assignment together, where a condition or the number of assignments asks for it.

Of one assignment of today a principal gets at most three. Where it would get more, its needs are granted at today's
scope, where roles that others share need one assignment each. If that is not enough, each need is granted by one role,
so that reads and what pushes images go into the new role beside them, and what was split off for its privilege and
stays active is granted with the rest of the need at its scope: a role of its own protects little there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set, Sized
from dataclasses import dataclass, field, replace

from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.demands import state_of
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.grant_requests import GrantRequest, GrantUnit
from rightsize.propose.needs.privileged import PRIVILEGED
from rightsize.propose.selection.fewer_scopes import MOST_ASSIGNMENTS
from rightsize.propose.selection.scope_limits import Slot, slot_of
from rightsize.rbac.azure import ACR_PUSH
from rightsize.rbac.text import Folded

JOINED = "joined"
"""The word for a need that is granted together with what was split off from it."""
_WHOLE = "in one role at today's scope, since its condition applies to no operation of a part"
_GATHERED = f"at today's scope, since a holder would get more than {MOST_ASSIGNMENTS} assignments"
_FEW = f"in as few roles as its scopes allow, since a holder would get more than {MOST_ASSIGNMENTS} assignments"

_Share = tuple[Key, Folded]
"""An assignment of today, and a principal that gets access for it: its holder, or a member of the group."""


@dataclass(slots=True)
class Together:
    """The assignments of today whose needs are granted together.

    Attributes:
        whole: Those that are granted undivided at their scope.
        gathered: Those whose needs are granted at today's scope, with the principal that would get too many.
        single: Those of which each need is granted by one role, with the principal that would get too many.
        joined: Those whose split-off parts are granted with the rest, where both are at one scope; with the principal.
    """

    whole: set[Key] = field(default_factory=set)
    gathered: set[_Share] = field(default_factory=set)
    single: set[_Share] = field(default_factory=set)
    joined: set[_Share] = field(default_factory=set)

    def at_todays_scope(self, request: GrantRequest) -> GrantRequest:
        """Return a demand at the scope of its assignment, or also undivided, if that is asked; else as it is.

        A part of it alone could not carry the condition. In one role with the operations to which the condition
        applies, Azure accepts the condition for the rest as well, so nothing is split off.
        """
        subject = request.subject
        if subject.key not in self.whole:
            if _is_images(request) and _share(request) in self.single:
                return replace(request, place=subject.place, role_definition_id=None)
            is_gathered = (_is_plain(request) or _is_images(request)) and _share(request) in self.gathered
            return replace(request, place=subject.place) if is_gathered else request
        return replace(request, place=subject.place, state=state_of(subject), condition=subject.condition, apart="")

    def join(self, requests: Sequence[GrantRequest]) -> Sequence[GrantRequest]:
        """Return the demands with the parts of one scope joined, and with one role asked for, where that is to be."""
        if not self.joined and not self.single:
            return requests
        plain = {slot_of(one) for one in requests if _is_plain(one)}
        parts = {slot_of(one) for one in requests if _is_part(one) and _share(one) in self.joined}
        return [self._joined(one, parts & plain) if _is_plain(one) or _is_part(one) else one for one in requests]

    def _joined(self, request: GrantRequest, shared: Set[Slot]) -> GrantRequest:
        apart = JOINED if slot_of(request) in shared else request.apart
        return replace(request, apart=apart, is_single=_share(request) in self.single)

    def add_crowded(self, choices: Mapping[GrantUnit, Sized]) -> bool:
        """Add the assignments for which a principal would get too many; return whether one of them can change.

        Args:
            choices: The roles of each unit.
        """
        members: dict[_Share, list[GrantUnit]] = defaultdict(list)
        for unit in choices:
            for key in unit.subjects:
                members[key, unit.principal_id].append(unit)
        before = len(self.gathered), len(self.joined), len(self.single)
        for share, units in members.items():
            if sum(len(choices[unit]) for unit in units) <= MOST_ASSIGNMENTS:
                continue
            images = any(map(_is_images, units))
            if share not in self.gathered and (images or len({unit.place for unit in units if _is_plain(unit)}) > 1):
                self.gathered.add(share)
                continue
            if images or any(len(choices[unit]) > 1 for unit in units):
                self.single.add(share)
            plain = {slot_of(unit) for unit in units if _is_plain(unit)}
            if sum(bool(choices[unit]) for unit in units) > MOST_ASSIGNMENTS and any(
                _is_part(unit) and slot_of(unit) in plain for unit in units
            ):
                self.joined.add(share)
        return before != (len(self.gathered), len(self.joined), len(self.single))

    def say(self, drafts: Mapping[Key, Draft]) -> dict[Key, Draft]:
        """Return the drafts with a clause in their reasons for what is granted together."""
        said = dict.fromkeys((key for key, _ in self.gathered), _GATHERED)
        said |= dict.fromkeys((key for key, _ in self.joined | self.single), _FEW)
        said |= dict.fromkeys(self.whole, _WHOLE)
        told = {key: why for key, why in said.items() if drafts[key].placements}
        return {
            **drafts,
            **{key: replace(drafts[key], reason=f"{drafts[key].reason}; {why}") for key, why in told.items()},
        }


def _is_images(one: GrantRequest | GrantUnit) -> bool:
    return one.role_definition_id == ACR_PUSH


def _is_plain(one: GrantRequest | GrantUnit) -> bool:
    return not one.apart and one.role_definition_id is None


def _is_part(one: GrantRequest | GrantUnit) -> bool:
    return one.apart == PRIVILEGED and one.role_definition_id is None


def _share(one: GrantRequest) -> _Share:
    return one.subject.key, one.principal_id
