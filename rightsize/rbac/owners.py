"""Choose the Owner assignments to keep, so that every subscription keeps an Owner who can act.

An Owner counts who is enabled and whose assignment is permanent and unconditional; a group counts by enabled members.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rightsize.rbac.text import fold


@dataclass(frozen=True, slots=True)
class Owner:
    """An assignment of the role Owner.

    Attributes:
        id: Its folded id.
        scope: Its folded scope.
        principal_id: Its holder.
        is_lasting: Whether it is active, permanent and unconditional.
    """

    id: str
    scope: str
    principal_id: str
    is_lasting: bool


def owners_to_keep(
    owners: Sequence[Owner],
    going: Collection[str],
    *,
    enabled: Collection[str],
    members: Mapping[str, Collection[str]],
    tree: Mapping[str, str],
    subscriptions: Collection[str],
) -> dict[str, bool]:
    """Return the Owner assignments that must stay, among those that are to be removed.

    The value is true for the last one: it can act, or there is no other. It is false for those that stay since none of
    several is known to be able to act.

    Args:
        owners: Every known assignment of Owner, the preferred ones first.
        going: Folded ids of those that are to be removed.
        enabled: Principals known to be enabled, folded.
        members: Members of each group, nested ones included.
        tree: Parent of each folded management group and subscription.
        subscriptions: The folded subscriptions to look at.
    """
    able = {one.id for one in owners if one.is_lasting and _can_act(one.principal_id, enabled, members)}
    kept: dict[str, bool] = {}
    for subscription in sorted(subscriptions):
        above = _above(subscription, tree)
        here = [one for one in owners if one.scope == subscription]
        higher = [one for one in owners if one.scope in above]
        for some, others in ((here, here), (higher, [*here, *higher])):
            leaving = [one.id for one in some if one.id in going]
            if not leaving or any(one.id in able and (one.id not in going or one.id in kept) for one in others):
                continue
            last = next((one for one in leaving if one in able), None)
            # One Owner who can act is enough; where nobody can, all of them stay.
            kept |= {last: True} if last is not None else dict.fromkeys(leaving, len(others) == 1)
    return kept


def _can_act(principal: str, enabled: Collection[str], members: Mapping[str, Collection[str]]) -> bool:
    return principal in enabled or any(one in enabled for one in members.get(principal, ()))


def _above(subscription: str, tree: Mapping[str, str]) -> set[str]:
    found, current = {"/"}, tree.get(subscription)
    while current and fold(current) not in found:
        found.add(fold(current))
        current = tree.get(fold(current))
    return found
