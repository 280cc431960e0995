"""Say what roles are chosen from, and price excess by what its holder has today, the same measure for all holders.

The price of excess is its share of the live access that its holder has today, added up over the holders. One whole
holder is `WHOLE`. So many holders of narrow roles weigh more than a few Owners. An operation on a type of which there
is no resource costs a tenth: its excess is latent, and becomes live only if somebody creates such a resource.

The exposure of an assignment is what people see of it: the weight of its cells over all people whom it reaches.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

from rightsize.analyze.inputs import ScopeTree
from rightsize.mining.bitsets import mask_of, union
from rightsize.model.options import AUTO
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import cells, risky
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import RoleBook, RoleContent
from rightsize.propose.core.role_patterns import RoleRoom
from rightsize.propose.drafts.demands import DemandInput, state_of
from rightsize.propose.drafts.drafts import Placement
from rightsize.propose.jobs import Jobs
from rightsize.propose.needs.assignments import Key, Subject, Use
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.needs.holders import AccessWeights
from rightsize.propose.needs.needs import UnobservedWork
from rightsize.propose.needs.profiles import Profile
from rightsize.rbac.conditions import targets
from rightsize.rules.operations import is_inert

WHOLE = 10**12
"""The price of all live access that one holder has today."""
LEAST_WORTH = WHOLE // 50
"""The least price that a new role has to save: a fiftieth of what one holder has today."""
_LIVE = 10
"""The weight of a live operation, where a latent one weighs 1."""
ELIGIBLE_WEIGHT = 0.25
"""The weight of eligible access: it is excess too, but an activation is requested, limited in time, and logged."""

Stays = Mapping[GrantUnit, tuple[int, int]]
"""For each unit the price, and the live excess, of its assignments of today if no role grants it: they stay whole."""


@dataclass(frozen=True)
class Terms:
    """What the roles and scopes of a plan are chosen from.

    Attributes:
        subjects: Today's assignments, by key.
        demands: The rules that divide their needs into parts, with the roles and what changes bring along.
        tree: Management groups and subscriptions.
        room: The limit on new roles.
        jobs: The jobs of the tenant.
        latent: By assignment of today, the operations on types of which there is no resource.
        active: The folded principals of which a log shows any call.
        work: The reader of what workloads without observed use may need.
        ended: The assignments that end by themselves, so that no need rests on them.
        resources: Column `scope` of the listed resources.
        barred: The contents that no new role may have, each with the reason.
        never_spare: The operations that no existing role may grant beyond a need.
    """

    subjects: Mapping[Key, Subject]
    demands: DemandInput
    weights: AccessWeights
    tree: ScopeTree
    room: RoleRoom
    options: PlanOptions
    jobs: Jobs
    latent: Mapping[Key, int]
    active: Set[Folded]
    work: UnobservedWork
    ended: Set[Key]
    resources: pl.DataFrame
    barred: Mapping[RoleContent, str]
    never_spare: int = 0
    _decided: dict[str, int] = field(default_factory=dict)

    @property
    def book(self) -> RoleBook:
        """The roles."""
        return self.demands.book

    @property
    def role_worth(self) -> int | None:
        """The live excess that a new role has to save; None for as many roles as the limit allows."""
        return self.options.role_worth if self.options.roles == AUTO else None

    @cached_property
    def privileged(self) -> int:
        """The operations that give privilege or read secrets."""
        return self.demands.privilege.always | self.demands.privilege.secrets

    @cached_property
    def inert(self) -> int:
        """The operations that do nothing alone and no harm: Azure checks them inside another write."""
        names = self.book.index.frame()
        return mask_of(names.filter(is_inert(names, harmless=True))["bit"])

    @cached_property
    def held(self) -> Mapping[tuple[Folded, Folded], Set[Folded]]:
        """The roles that a principal has at a folded place today."""
        found: dict[tuple[Folded, Folded], set[Folded]] = defaultdict(set)
        for one in self.subjects.values():
            found[one.principal_id, one.place].add(one.role_definition_id)
        return dict(found)

    @cached_property
    def anchors(self) -> Counter[Folded]:
        """The number of today's active assignments by subscription or management group."""
        return Counter(one.anchor for one in self.subjects.values() if one.state == "active")

    @cached_property
    def _today(self) -> Mapping[Folded, int]:
        """The live access of each principal, in quarters: eligible access counts a quarter."""
        found: Counter[Folded] = Counter()
        weighed: dict[tuple[Folded, int], int] = {}
        for subject in self.subjects.values():
            role = self.book.roles.get(subject.role_definition_id)
            if role is None:
                continue
            latent = self.latent.get(subject.key, 0)
            known = subject.role_definition_id, id(latent)
            if known not in weighed:
                weighed[known] = self.live(role.granted, latent)
            found[subject.principal_id] += _quarters(subject) * self.weights.reach.of(subject.place) * weighed[known]
        return found

    def decided_by(self, condition: str) -> int:
        """Return the operations to which a condition applies; Azure accepts it only on roles with one of them."""
        if condition not in self._decided:
            index = self.book.index
            bits = (bit for bit, (_, name) in enumerate(index.names) if targets(condition, name))
            self._decided[condition] = mask_of(bits)
        return self._decided[condition]

    def weigh(self, mask: int) -> int:
        """Return the weight of a set of operations."""
        return self.weights.scale.weigh(mask)

    def exposure(self, unit: GrantUnit) -> int:
        """Return the number of resource groups times people that one more operation of a unit reaches."""
        return self.weights.cells(unit.principal_id, unit.place)

    def rate(self, unit: GrantUnit) -> int:
        """Return the price of one unit of latent weight for a unit, by its principal and place."""
        return _quarters(unit) * self.exposure(unit) * WHOLE // max(1, self._today.get(unit.principal_id, 0))

    def live(self, mask: int, latent: int) -> int:
        """Return the weight of a set of operations, of which latent ones weigh a tenth."""
        rest = mask & latent
        return _LIVE * self.weigh(mask ^ rest) + (self.weigh(rest) if rest else 0)

    def latent_of(self, units: Iterable[GrantUnit]) -> int:
        """Return the operations that are latent for all assignments of some units."""
        found = -1
        for unit in units:
            for key in unit.subjects:
                found &= self.latent.get(key, 0)
        return max(found, 0)


def _quarters(one: Subject | GrantUnit) -> int:
    return 4 if one.state == "active" else 1


def price_stays(units: Sequence[GrantUnit], terms: Terms) -> dict[GrantUnit, tuple[int, int]]:
    """Return `Stays` of units: the price, and the live excess, of their assignments of today.

    An assignment with several units stays for all of them, so that all it grants is the price.
    """
    of_subject = Counter(key for unit in units for key in unit.subjects)
    found = {}
    for unit in units:
        price = live = 0
        for key in unit.subjects:
            subject = terms.subjects[key]
            granted = terms.book.roles[subject.role_definition_id].granted
            if of_subject[key] == 1 and subject.place == unit.place:
                granted &= ~terms.book.mask(unit.need)
            there = unit
            if (subject.place, state_of(subject)) != (unit.place, unit.state):
                there = replace(unit, place=subject.place, state=state_of(subject))
            latent = terms.latent.get(key, 0)
            price += terms.rate(there) * terms.live(granted, latent)
            live += terms.exposure(there) * terms.weigh(granted & ~latent)
        if _gives_way_to_reads(unit, terms):
            price, live = max(price, LEAST_WORTH), max(live, terms.role_worth or 0)
        found[unit] = price, live
    return found


def _gives_way_to_reads(unit: GrantUnit, terms: Terms) -> bool:
    """Return whether an idle holder needs reads alone where it has privilege or secrets today.

    These go if they are proved unused, whatever a role of the reads would save.
    """
    book, need = terms.book, terms.book.mask(unit.need)
    today = union(book.roles[id_].granted for id_ in unit.ceiling)
    is_idle = unit.principal_id not in terms.active
    return is_idle and not need & ~book.index.reads and bool(today & ~need & terms.privileged)


def hardly_narrowed(units: Sequence[GrantUnit], terms: Terms) -> Iterator[tuple[Key, int]]:
    """Yield the assignments of which several parts together keep nearly everything, with the price of what would go.

    Each part for itself seems to save much, since the other parts of the same assignment are beyond it. An assignment
    that loses privilege or secrets, a place or its standing state is none of these, and none is where roles need not be
    worth anything.
    """
    parts: dict[Key, list[GrantUnit]] = defaultdict(list)
    for unit in units if terms.role_worth is not None else ():
        for key in unit.subjects:
            parts[key].append(unit)
    for key, own in sorted(parts.items()):
        subject = terms.subjects[key]
        alike = all(
            len(unit.subjects) == 1 and unit.place == subject.place and unit.state == subject.state for unit in own
        )
        if len(own) < 2 or not alike:
            continue
        left = terms.book.roles[subject.role_definition_id].granted
        for unit in own:
            left &= ~terms.book.mask(unit.need)
        price = terms.rate(own[0]) * terms.live(left, terms.latent.get(key, 0))
        if not left & terms.privileged and price < LEAST_WORTH:
            yield key, price


@dataclass(frozen=True, slots=True)
class Exposure:
    """The weight of all cells, and the weight of the cells whose operations have a class of risk."""

    cells: float
    risky: float


def absent_types(profile: Profile | None) -> int:
    """Return the operations whose excess is latent: on types proved absent, or in vaults that policies decide."""
    return profile.absent | profile.asleep if profile is not None else 0


def today_exposure(subject: Subject, granted: int, weights: AccessWeights) -> Exposure:
    """Return the exposure of one of today's assignments."""
    people = weights.groups.people_of(subject.principal_id)
    return _exposure([({subject.place: granted}, people * _weight(subject.state))], weights)


def planned_exposure(subject: Subject, placements: Iterable[Placement], weights: AccessWeights) -> Exposure:
    """Return the exposure of an assignment's replacements; a member's own assignment adds to that of its group."""
    owner = subject.principal_id
    by_state: dict[str, dict[Folded, dict[Folded, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for one in placements:
        by_state[one.state][one.principal_id][one.place] |= one.counted
    parts: list[tuple[Mapping[Folded, int], float]] = []
    for state, by_principal in by_state.items():
        weight, shared = _weight(state), by_principal.pop(owner, {})
        parts.append((shared, weight * (weights.groups.people_of(owner) - len(by_principal))))
        for own in by_principal.values():
            parts.append(({place: shared.get(place, 0) | own.get(place, 0) for place in {*shared, *own}}, weight))
    return _exposure(parts, weights)


def _weight(state: str) -> float:
    return ELIGIBLE_WEIGHT if state == "eligible" else 1.0


def _exposure(parts: Sequence[tuple[Mapping[Folded, int], float]], weights: AccessWeights) -> Exposure:
    """Return the exposure of parts: operations by folded scope, each for a weighted number of people."""
    scale, reach = weights.scale, weights.reach
    return Exposure(
        float(sum(number * cells(granted, scale, reach) for granted, number in parts)),
        float(sum(number * cells(risky(granted, scale), scale, reach) for granted, number in parts)),
    )


def used_weight(subject: Subject, uses: Mapping[Folded, Use], weights: AccessWeights) -> float:
    """Return the weight of the used cells; a cell counts once for each principal that used it.

    Args:
        subject: The assignment.
        uses: Its use, by the folded scope at which it has to be granted.
        weights: The weights of access.
    """
    counted = weights.groups.used_cells.get(subject.key)
    if counted is not None:
        return float(sum(weights.scale.weigh(1 << bit) * number for bit, number in counted))
    return float(sum(weights.scale.weigh(use.operations) for use in uses.values()))
