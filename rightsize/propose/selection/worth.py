"""Price excess by what its holder has today, so that the worth of a new role is the same measure for all holders.

The price of excess is its share of the live access that its holder has today, added up over the holders. One whole
holder is `WHOLE`. So many holders of narrow roles weigh more than a few Owners. An operation on a type of which there
is no resource costs a tenth: its excess is latent, and becomes live only if somebody creates such a resource.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.propose.core.role_catalog import RoleBook, RoleSaving
from rightsize.propose.needs.assignments import Key, Subject
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.needs.groups import AccessWeights
from rightsize.propose.needs.privileged import Privilege
from rightsize.rbac.text import Folded
from rightsize.rules.operations import is_inert

WHOLE = 10**12
"""The price of all live access that one holder has today."""
LEAST_WORTH = WHOLE // 50
"""The least price that a new role has to save: a fiftieth of what one holder has today."""
_LIVE = 10
"""The weight of a live operation, where a latent one weighs 1."""


def with_stays(
    units: Sequence[GrantUnit],
    prices: Prices,
    subjects: Mapping[Key, Subject],
    book: RoleBook,
    exposure: Callable[[GrantUnit], int],
) -> Prices:
    """Return the prices with the price, and the live excess, of the assignments of each unit if they stay whole.

    An assignment with several units stays for all of them, so that all it grants is the price.

    Args:
        units: The needs.
        prices: The prices of excess.
        subjects: Today's assignments.
        book: The roles.
        exposure: The number of resource groups times people that one more operation of a unit reaches.
    """
    of_subject = Counter(key for unit in units for key in unit.subjects)
    stay: dict[GrantUnit, int] = {}
    live: dict[GrantUnit, int] = {}
    for unit in units:
        stay[unit] = live[unit] = 0
        for key in unit.subjects:
            subject = subjects[key]
            granted = book.roles[subject.role_definition_id].granted
            if of_subject[key] == 1 and subject.place == unit.place:
                granted &= ~book.mask(unit.need)
            there = replace(unit, place=subject.place, state="eligible" if subject.state == "eligible" else "active")
            latent = prices.latent.get(key, 0)
            stay[unit] += prices.rate(there) * prices.live(granted, latent)
            live[unit] += exposure(there) * prices.weigh(granted & ~latent)
    return replace(prices, stay=stay, stay_live=live)


def hardly_narrowed(
    units: Sequence[GrantUnit], prices: Prices, subjects: Mapping[Key, Subject], book: RoleBook, least: int
) -> Iterator[tuple[Key, int]]:
    """Yield the assignments of which several parts together keep nearly everything, with the price of what would go.

    Each part for itself seems to save much, since the other parts of the same assignment are beyond it. An assignment
    that loses privilege or secrets, a place or its standing state is none of these.

    Args:
        units: The needs.
        prices: The prices of excess.
        subjects: Today's assignments.
        book: The roles.
        least: The price that a change has to save.
    """
    parts: dict[Key, list[GrantUnit]] = defaultdict(list)
    for unit in units:
        for key in unit.subjects:
            parts[key].append(unit)
    for key, own in sorted(parts.items()):
        subject = subjects[key]
        alike = all(
            len(unit.subjects) == 1 and unit.place == subject.place and unit.state == subject.state for unit in own
        )
        if len(own) < 2 or not alike:
            continue
        left = book.roles[subject.role_definition_id].granted
        for unit in own:
            left &= ~book.mask(unit.need)
        price = prices.rate(own[0]) * prices.live(left, prices.latent.get(key, 0))
        if not left & prices.privileged and price < least:
            yield key, price


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of excess.

    Attributes:
        weigh: The weight of a set of operations.
        rate: The price of one unit of latent weight for a unit, by its principal and place.
        latent: By assignment of today, the operations on types of which there is no resource.
        privileged: The operations that give privilege or read secrets.
        privilege: The part of these that gives privilege.
        stay: For each unit, the price of its assignments of today if no role grants it: they stay whole then.
        stay_live: For each unit, the live excess of these assignments.
        inert: The operations that do nothing alone and no harm: Azure checks them inside another write.
    """

    weigh: Callable[[int], int]
    rate: Callable[[GrantUnit], int] = lambda _: 1
    latent: Mapping[Key, int] = field(default_factory=dict)
    privileged: int = 0
    privilege: int = 0
    stay: Mapping[GrantUnit, int] = field(default_factory=dict)
    stay_live: Mapping[GrantUnit, int] = field(default_factory=dict)
    inert: int = 0

    def latent_of(self, units: Iterable[GrantUnit]) -> int:
        """Return the operations that are latent for all assignments of some units."""
        found = -1
        for unit in units:
            for key in unit.subjects:
                found &= self.latent.get(key, 0)
        return max(found, 0)

    def live(self, mask: int, latent: int) -> int:
        """Return the weight of a set of operations, of which latent ones weigh a tenth."""
        rest = mask & latent
        return _LIVE * self.weigh(mask ^ rest) + (self.weigh(rest) if rest else 0)


def _inert(book: RoleBook) -> int:
    """Return the operations that do nothing alone, and no harm."""
    names = book.index.frame()
    return book.index.mask_of_bits(names.filter(is_inert(names, harmless=True))["bit"])


def describe_saving(saves: RoleSaving, holders: int) -> str:
    """Return the clause that says what a new role would save for some holders together, and what is asked."""
    whose = "its holder has" if holders == 1 else f"one of {holders} holders has"
    return (
        f"a new role would save {saves.share:.2%} of the access that {whose} today, and {saves.live:,} of live excess; "
        f"{saves.least_share:.0%} and {saves.least_live:,} are asked"
    )


def read_prices(
    subjects: Iterable[Subject], book: RoleBook, latent: Mapping[Key, int], privilege: Privilege, weights: AccessWeights
) -> Prices:
    """Return the prices of excess in a tenant.

    Args:
        subjects: Today's assignments.
        book: The roles.
        latent: By assignment, the operations on types of which there is no resource.
        privilege: The operations that get roles of their own.
        weights: The weights of access.
    """
    plain = Prices(weights.scale.weigh)
    today: dict[Folded, int] = defaultdict(int)
    weighed: dict[tuple[Folded, int], int] = {}
    for subject in subjects:
        role = book.roles.get(subject.role_definition_id)
        if role is None:
            continue
        absent = latent.get(subject.key, 0)
        known = subject.role_definition_id, id(absent)
        if known not in weighed:
            weighed[known] = plain.live(role.granted, absent)
        quarter = 4 if subject.state == "active" else 1
        today[subject.principal_id] += quarter * weights.reach.of(subject.place) * weighed[known]

    def rate(unit: GrantUnit) -> int:
        quarter = 4 if unit.state == "active" else 1
        reached = weights.cells(unit.principal_id, unit.place)
        return quarter * reached * WHOLE // max(1, today[unit.principal_id])

    return Prices(
        weights.scale.weigh,
        rate,
        latent,
        privilege.always | privilege.secrets,
        privilege.always,
        inert=_inert(book),
    )
