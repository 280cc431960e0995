"""Price excess by what its holder has today, so that the worth of a new role is the same measure for all holders.

The price of excess is its share of the live access that its holder has today, added up over the holders. One whole
holder is `WHOLE`. So many holders of narrow roles weigh more than a few Owners. An operation on a type of which there
is no resource costs a tenth: its excess is latent, and becomes live only if somebody creates such a resource.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.propose.core.bitsets import without
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.needs.access_weights import AccessWeights
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.needs.privileged import Privilege
from rightsize.propose.selection.changed_types import ChangedTypes
from rightsize.rbac.text import Folded
from rightsize.rules.operations import is_inert

WHOLE = 10**12
"""The price of all live access that one holder has today."""
LEAST_WORTH = WHOLE // 50
"""The least price that a new role has to save: a fiftieth of what one holder has today."""
MOST_STRINGS = 60
"""A role that grows beyond this number of strings is worth less to a reviewer than two roles."""
MOST_FOREIGN = 2
"""A holder gets no role with more strings beside its job than this, or than a sixth of the role."""
_FOREIGN_PART = 6
_LIVE = 10
"""The weight of a live operation, where a latent one weighs 1."""


def price_stays(
    units: Sequence[GrantUnit], prices: Prices, subjects: Mapping[Key, Subject], book: RoleBook
) -> dict[GrantUnit, int]:
    """Return for each unit the price of its assignments of today, if they stay whole since no role grants it.

    An assignment with several units stays for all of them, so that all it grants is the price.
    """
    of_subject = Counter(key for unit in units for key in unit.subjects)
    found = {}
    for unit in units:
        price = 0
        for key in unit.subjects:
            subject = subjects[key]
            granted = book.roles[subject.role_definition_id].granted
            if of_subject[key] == 1 and subject.place == unit.place:
                granted &= ~book.mask(unit.need)
            there = replace(unit, place=subject.place, state="eligible" if subject.state == "eligible" else "active")
            price += prices.rate(there) * prices.live(granted, prices.latent.get(key, 0))
        found[unit] = price
    return found


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
        privileged: The operations that give privilege or read secrets; `barred` says which a merge may add to whom.
        privilege: The part of these that gives privilege.
        stay: For each unit, the price of its assignments of today if no role grants it: they stay whole then.
        types: The resource types that needs change.
        inert: The operations that do nothing alone and no harm: Azure checks them inside another write.
        layers: The operations that defeat each layer of defence, if the plan is split by layer.
    """

    weigh: Callable[[int], int]
    rate: Callable[[GrantUnit], int] = lambda _: 1
    latent: Mapping[Key, int] = field(default_factory=dict)
    privileged: int = 0
    privilege: int = 0
    stay: Mapping[GrantUnit, int] = field(default_factory=dict)
    types: ChangedTypes | None = None
    inert: int = 0
    layers: tuple[int, ...] = ()

    def changed(self, need: int) -> int:
        """Return the operations on the resource types that a need changes."""
        return self.types.of(need) if self.types is not None else 0

    def barred(self, operations: int, need: int, *, daily: bool) -> int:
        """Return which operations no step may add to the holder of a need.

        Those that give privilege, and those that read secrets; but for secrets of types that the holder itself changes,
        where the others read them in their daily work. Where a plan is split by layer, also those that defeat a layer
        of defence which the need does not.

        Args:
            operations: The operations that would be added.
            need: The operations that the holder needs.
            daily: Whether the role that has them is for daily work, and not for what was split off.
        """
        found = operations & self.privileged
        if found and daily and self.types is not None:
            found &= self.privilege | ~self.changed(need)
        for layer in self.layers:
            if not layer & need:
                found |= operations & layer
        return found

    def felt(self, role: int) -> int:
        """Return the strings of a role, as atoms, without those that do nothing alone."""
        return without(role, self.inert)

    def beside_job(self, felt: int, asked: int, need: int) -> int:
        """Return the strings of a role that are beside a holder's job: not needed, on types that it does not change.

        Args:
            felt: The strings of the role, as `felt` returns them.
            asked: The strings that the holder needs, as atoms.
            need: The operations that the holder needs.
        """
        beside = without(felt, asked)
        return without(beside, self.changed(need)) if beside else 0

    def is_foreign(self, felt: int, asked: int, need: int) -> bool:
        """Return whether too many strings of a role are beside a holder's job; one is too many if it needs no other.

        The arguments are those of `beside_job`.
        """
        size, unneeded = felt.bit_count(), without(felt, asked).bit_count()
        most = max(MOST_FOREIGN, size // _FOREIGN_PART) if unneeded < size else 0
        return unneeded > most and self.beside_job(felt, asked, need).bit_count() > most

    def is_same_job(self, felt: int, asked: int) -> bool:
        """Return whether a holder needs three fifths of the strings of a role, given as `felt` returns them."""
        return 5 * without(felt, asked).bit_count() <= 2 * felt.bit_count()

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


def _inert(book: RoleBook, *, harmless: bool) -> int:
    """Return the operations that do nothing alone."""
    names = book.index.frame()
    return book.index.mask_of_bits(names.filter(is_inert(names, harmless=harmless))["bit"])


def describe_price(price: int, holders: int) -> str:
    """Return the clause that says what a new role would save for some holders together, and what is asked."""
    whose = "its holder has" if holders == 1 else f"one of {holders} holders has"
    return (
        f"a new role would save {price / WHOLE:.2%} of the access that {whose} today, and {LEAST_WORTH / WHOLE:.0%} is "
        "asked (what has no resource there counts a tenth)"
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
        types=ChangedTypes(book.index, _inert(book, harmless=False) | privilege.always | privilege.secrets),
        inert=_inert(book, harmless=True),
        layers=tuple(privilege.layers.masks.values()),
    )
