"""Who is in which group, through any chain, and by which shortest one.

A token carries all groups of a principal, transitive ones included (Azure docs, "What is Azure RBAC"), so an
assignment of any group above counts. Chains follow direct memberships where there are any; a transitive listing, which
does not say how, bridges the rest. Cycles end by themselves: a group is visited once. A membership that has to be
activated first (PIM for Groups) is no membership until then: what only such a one leads to is told apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Chain = tuple[str, ...]
"""Group ids from a principal upwards, nearest first, the group itself last."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The memberships of a tenant: folded ids throughout. Build it with `read_membership`."""

    direct: Mapping[str, tuple[str, ...]]
    transitive: Mapping[str, tuple[str, ...]]
    members: Mapping[str, tuple[str, ...]]
    eligible: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _chains: dict[str, dict[str, Chain]] = field(default_factory=dict, compare=False)

    def chains(self, principal_id: str) -> Mapping[str, Chain]:
        """Return all whose assignments count for a principal: itself, with no chain, and every group that it is in.

        The chain to a group is a shortest one, the bytewise smallest among equals.
        """
        if principal_id not in self._chains:
            found: dict[str, Chain] = {principal_id: ()}
            _walk(found, [self.direct])
            _walk(found, [self.direct, self.transitive])
            self._chains[principal_id] = found
        return self._chains[principal_id]

    def sleeping_chains(self, principal_id: str) -> Mapping[str, Chain]:
        """Return the groups that a principal is in only once a membership is activated, each with a chain to it."""
        if not self.eligible:
            return {}
        standing = self.chains(principal_id)
        found = dict(standing)
        _walk(found, [self.direct, self.transitive, self.eligible])
        return {group: chain for group, chain in found.items() if group not in standing}

    def below(self, group_id: str) -> set[str]:
        """Return everything that is or may be in a group, through any chain, groups included."""
        found: set[str] = set()
        waiting = [group_id]
        while waiting:
            for member in self.members.get(waiting.pop(), ()):
                if member not in found:
                    found.add(member)
                    waiting.append(member)
        return found - {group_id}


def read_membership(
    direct: Iterable[tuple[str, str]],
    transitive: Iterable[tuple[str, str]] = (),
    eligible: Iterable[tuple[str, str]] = (),
) -> Membership:
    """Return memberships from (group id, member id) pairs: direct, of transitive listings, and to be activated."""
    direct_pairs, transitive_pairs, eligible_pairs = set(direct), set(transitive), set(eligible)
    return Membership(
        _grouped((member, group) for group, member in direct_pairs),
        _grouped((member, group) for group, member in transitive_pairs),
        _grouped(direct_pairs | transitive_pairs | eligible_pairs),
        _grouped((member, group) for group, member in eligible_pairs),
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, list[str]] = {}
    for one, other in pairs:
        grouped.setdefault(one, []).append(other)
    return {one: tuple(sorted(others)) for one, others in grouped.items()}


def _walk(found: dict[str, Chain], edges: list[Mapping[str, tuple[str, ...]]]) -> None:
    """Add what can be reached from all that is found, breadth first; the shortest chains go on first."""
    waiting = deque(sorted(found, key=lambda one: (len(found[one]), found[one])))
    while waiting:
        current = waiting.popleft()
        for group in sorted({group for kind in edges for group in kind.get(current, ())}):
            if group not in found:
                found[group] = (*found[current], group)
                waiting.append(group)
