"""Gather the needs of one principal at fewer scopes, and in fewer roles, than they need for themselves.

Needs are as narrow as their use shows. Several scopes of one principal take several assignments, and usually several
roles. Two needs are gathered at a wider scope inside today's assignment if that costs less than an assignment is worth,
if both change something and it costs less than a role has to save, or if the principal would get more than
`MOST_ASSIGNMENTS` assignments for one of today. Needs that were split off, needs that give privilege, conditions, a
forced role or patterns that do more than read stay where they are. Needs that read secrets move only where they read
none of a further resource, but for the resource group where the principal would get too many assignments.

When roles are chosen, a principal may still get too many assignments for one of today (`Together`). Then its needs are
granted at today's scope, where roles that others share need one assignment each. If that is not enough, each need is
granted by one role, so that reads go into the new role beside them, and what was split off for its privilege and stays
active is granted with the rest of the need at its scope: a role of its own protects little there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.inputs import place_of
from rightsize.analyze.verdicts.resource_logs import kind_of, resource_of
from rightsize.mining.bitsets import union, without
from rightsize.model.text import Folded, is_read
from rightsize.propose.drafts.demands import state_of
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.grant_requests import GrantRequest, GrantUnit, is_below
from rightsize.propose.needs.privileged import PRIVILEGED
from rightsize.propose.needs.unlogged import masks_by_type
from rightsize.propose.selection.reconcile import GROUP_PARTS, Slot, places_above, slot_of
from rightsize.propose.selection.worth import LEAST_WORTH, Terms

MOST_ASSIGNMENTS = 3
"""Maximum number of assignments that one principal gets for one assignment of today."""
_ASSIGNMENTS = 20
"""A separate assignment of one principal has to save this part of what a new role has to."""
JOINED = "joined"
"""The word for a need that is granted together with what was split off from it."""
_WHOLE = "one role at today's scope: its condition applies to no operation of one part"
_GATHERED = f"at today's scope: narrower ones would take more than {MOST_ASSIGNMENTS} assignments for a holder"
_FEW = f"in fewer, wider roles: narrower ones would take more than {MOST_ASSIGNMENTS} assignments for a holder"

_Share = tuple[Key, Folded]
"""An assignment of today, and a principal that gets access for it: its holder, or a member of the group."""
_Step = tuple[int, tuple[Slot, ...], Folded]
"""A price, and the slots whose needs move to a place for it."""


def gather_scopes(units: Iterable[GrantUnit], terms: Terms) -> dict[Slot, Folded]:
    """Return the wider place of each slot whose needs are gathered with others of the same principal."""
    by_principal: dict[Folded, list[GrantUnit]] = defaultdict(list)
    for unit in units:
        by_principal[unit.principal_id].append(unit)
    reading = terms.demands.privilege.secrets
    masks = {kind: mask & reading for kind, mask in masks_by_type(terms.book.index).items() if mask & reading}
    secrets = SecretPlaces.of(terms.resources, masks)
    moves: dict[Slot, Folded] = {}
    for _, members in sorted(by_principal.items()):
        if len(members) > 1:
            moves |= _Gathering(members, terms, secrets).run()
    return moves


@dataclass(slots=True)
class _Gathering:
    """The gathering of one principal's needs, step by step, the cheapest first."""

    units: Sequence[GrantUnit]
    terms: Terms
    secrets: SecretPlaces
    _at: dict[Slot, list[GrantUnit]] = field(default_factory=lambda: defaultdict(list))
    _moves: dict[Slot, Folded] = field(default_factory=dict)
    _prices: dict[tuple[Slot, Folded], int] = field(default_factory=dict)

    def run(self) -> dict[Slot, Folded]:
        for unit in self.units:
            self._at[slot_of(unit)].append(unit)
        fixed = {slot for slot, members in self._at.items() if any(not self._is_movable(unit) for unit in members)}
        while True:
            crowded = self._crowded()
            found = [
                step
                for step in self._steps(fixed)
                if self._is_cheap(*step) or any(not crowded.isdisjoint(self._keys_at(slot)) for slot in step[1])
            ]
            if not found:
                return self._moves
            _, slots, place = min(found, key=lambda step: (step[0], repr(step[1:])))
            for slot in slots:
                self._move(slot, place)

    def _is_movable(self, unit: GrantUnit) -> bool:
        return not (
            unit.apart
            or unit.condition is not None
            or unit.role_definition_id is not None
            or self.terms.book.mask(unit.need) & self.terms.demands.privilege.always
            or any(not is_read(text) for part in unit.need.parts for text in part.patterns)
        )

    def _keys_at(self, slot: Slot) -> set[Key]:
        return {key for unit in self._at[slot] for key in unit.subjects}

    def _reads_more(self, slot: Slot, place: Folded) -> bool:
        """Return whether a need would read the secrets of more resources at a wider place."""
        needs = (unit.need.operations & self.secrets.every for unit in self._at[slot])
        return any(need and self.secrets.reads_more(need, slot[-1], place) for need in needs)

    def _is_cheap(self, price: int, slots: Sequence[Slot], place: Folded) -> bool:
        """Return whether separate assignments save less than they have to, and a wider one reads no further secrets.

        Separate assignments have to save the price of an assignment, and that of a role if each would take one for
        changes. If two needs would leave their resource groups for a scope at which the principal does nothing else,
        it is that of an assignment in any case.
        """
        if price >= LEAST_WORTH:
            return False
        is_cheap = price < LEAST_WORTH // _ASSIGNMENTS or self._take_roles(slots, place)
        return is_cheap and not any(self._reads_more(slot, place) for slot in slots)

    def _take_roles(self, slots: Sequence[Slot], place: Folded) -> bool:
        wide = [(*slot[:-1], place) for slot in slots if (*slot[:-1], place) in self._at]
        is_near = place.startswith("/subscriptions/") and (bool(wide) or place.count("/") == GROUP_PARTS - 1)
        return is_near and all(any(self._changes(unit) for unit in self._at[slot]) for slot in (*slots, *wide))

    def _changes(self, unit: GrantUnit) -> bool:
        left = without(unit.need.operations, self.terms.book.index.reads)
        return bool(without(left, self.terms.inert))

    def _crowded(self) -> set[Key]:
        """Return the assignments of today for which the principal would get too many new ones."""
        number: Counter[Key] = Counter()
        for slot, members in self._at.items():
            for key in self._keys_at(slot):
                own = [unit for unit in members if key in unit.subjects]
                number[key] += any(unit.need.operations for unit in own) + any(unit.need.parts for unit in own)
        return {key for key, found in number.items() if found > MOST_ASSIGNMENTS}

    def _steps(self, fixed: set[Slot]) -> Iterator[_Step]:
        """Yield the possible steps: one slot to a wider one that is there, or two to a wider place that is not."""
        alike: dict[Slot, list[Slot]] = defaultdict(list)
        for slot in self._at:
            alike[(*slot[:-1], Folded(""))].append(slot)
        for slots in alike.values():
            there = {slot[-1] for slot in slots}
            absent: dict[Folded, list[tuple[int, Slot]]] = defaultdict(list)
            for slot in slots:
                if slot in fixed:
                    continue
                higher = (one for one in there if is_below(slot[-1], one, self.terms.tree))
                for place in places_above(slot[-1], higher, self._keys_at(slot), self.terms):
                    to_group = slot[-1].count("/") >= GROUP_PARTS and place.count("/") == GROUP_PARTS - 1
                    if self._reads_more(slot, place) and not to_group:
                        continue
                    price = self._price(slot, place)
                    if place in there:
                        yield price, (slot,), place
                    else:
                        absent[place].append((price, slot))
            for place, found in absent.items():
                if len(found) > 1:
                    (one, first), (two, second) = sorted(found, key=lambda item: (item[0], item[1][-1]))[:2]
                    yield one + two, (first, second), place

    def _price(self, slot: Slot, place: Folded) -> int:
        if (slot, place) not in self._prices:
            self._prices[slot, place] = sum(self._price_of(unit, place) for unit in self._at[slot])
        return self._prices[slot, place]

    def _price_of(self, unit: GrantUnit, place: Folded) -> int:
        here, there = self.terms.rate(unit), self.terms.rate(replace(unit, place=place))
        # A wider scope is at least one more place: others may be made there later, or are not known.
        live = self.terms.live(self.terms.book.mask(unit.need), self.terms.latent_of([unit]))
        return max(here, there - here) * live

    def _move(self, slot: Slot, place: Folded) -> None:
        target = (*slot[:-1], place)
        self._moves[slot] = place
        self._at[target].extend(replace(unit, place=place) for unit in self._at.pop(slot))
        self._prices = {key: price for key, price in self._prices.items() if key[0] != target}


@dataclass(frozen=True, slots=True)
class SecretPlaces:
    """The resources of which something reads a secret.

    Attributes:
        secrets: The operations that read secrets, by the folded type of the resource.
        resources: The folded scopes of the listed resources of each of these types, sorted.
    """

    secrets: Mapping[str, int]
    resources: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, resources: pl.DataFrame, secrets: Mapping[str, int]) -> SecretPlaces:
        """Return the places of a tenant by the column `scope` of its listed resources."""
        places = pl.DataFrame({"place": place_of(resources["scope"])}).select(scope=resource_of("place"))
        places = places.with_columns(kind=kind_of("scope")).filter(pl.col("kind").is_in(list(secrets))).unique()
        return cls(secrets, dict(places.group_by("kind").agg(pl.col("scope").sort()).iter_rows()))

    @property
    def every(self) -> int:
        """All operations that read secrets."""
        return union(self.secrets.values())

    def reads_more(self, operations: int, place: Folded, wider: Folded) -> bool:
        """Return whether operations read more secrets at a wider scope than at a place.

        So it is if a resource of the type is listed there and not at the place, if none is listed at the place (then
        nobody knows what else is there), or if the wider scope is above subscriptions.
        """
        kinds = [kind for kind, mask in self.secrets.items() if mask & operations]
        if kinds and not wider.startswith("/subscriptions/"):
            return True
        numbers = ((_number(self.resources.get(kind, ()), one) for one in (place, wider)) for kind in kinds)
        return any(not here or there > here for here, there in numbers)


def _number(scopes: Sequence[str], place: str) -> int:
    """Return the number of sorted scopes at a place or below it."""
    below = bisect_left(scopes, f"{place}0") - bisect_left(scopes, f"{place}/")
    at = bisect_left(scopes, place)
    return below + (at < len(scopes) and scopes[at] == place)


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
            is_gathered = _is_plain(request) and _share(request) in self.gathered
            return replace(request, place=subject.place) if is_gathered else request
        return replace(request, place=subject.place, state=state_of(subject), condition=subject.condition, apart="")

    def join(self, requests: Sequence[GrantRequest]) -> Sequence[GrantRequest]:
        """Return the demands with the parts of one scope joined, and with one role asked for, where that is to be."""
        if not self.joined and not self.single:
            return requests
        plain = {slot_of(one) for one in requests if _is_plain(one)}
        parts = {slot_of(one) for one in requests if _is_part(one) and _share(one) in self.joined}
        shared = parts & plain

        def joined(one: GrantRequest) -> GrantRequest:
            apart = JOINED if slot_of(one) in shared else one.apart
            return replace(one, apart=apart, is_single=_share(one) in self.single)

        return [joined(one) if _is_plain(one) or _is_part(one) else one for one in requests]

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
            if sum(math.ceil(len(choices[unit]) / len(unit.subjects)) for unit in units) <= MOST_ASSIGNMENTS:
                continue
            if share not in self.gathered and len({unit.place for unit in units if _is_plain(unit)}) > 1:
                self.gathered.add(share)
                continue
            if any(len(choices[unit]) > 1 for unit in units):
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
        told = {
            key: replace(drafts[key], reason=f"{drafts[key].reason}; {why}")
            for key, why in said.items()
            if drafts[key].placements
        }
        return {**drafts, **told}


def _is_plain(one: GrantRequest | GrantUnit) -> bool:
    return not one.apart and one.role_definition_id is None


def _is_part(one: GrantRequest | GrantUnit) -> bool:
    return one.apart == PRIVILEGED and one.role_definition_id is None


def _share(one: GrantRequest) -> _Share:
    return one.subject.key, one.principal_id
