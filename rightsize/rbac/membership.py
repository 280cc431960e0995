"""Find all groups of a principal from membership listings, each with a shortest chain of groups that leads to it.

A token carries all groups of a principal, transitive ones included (Azure docs, "What is Azure RBAC"), so an
assignment of any of these groups counts. Chains follow direct memberships where there are any. A transitive listing,
which does not name the groups between, fills the gaps. Cycles are no problem, since each group is visited once. A
membership that has to be activated first (PIM for Groups) does not count until then: `sleeping_chains` has the groups
that only such a membership leads to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Chain = tuple[str, ...]
"""Group ids from a principal up to a group, nearest first, the group itself last."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The memberships of a tenant: folded ids throughout. Build it with `read_membership`."""

    direct: Mapping[str, tuple[str, ...]]
    transitive: Mapping[str, tuple[str, ...]]
    members: Mapping[str, tuple[str, ...]]
    eligible: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _chains: dict[str, dict[str, Chain]] = field(default_factory=dict, compare=False)

    def chains(self, principal_id: str) -> Mapping[str, Chain]:
        """Return the holders whose assignments a principal has: itself with an empty chain, and each of its groups.

        The chain to a group is a shortest one, and the bytewise smallest of equally short ones.
        """
        if principal_id not in self._chains:
            found: dict[str, Chain] = {principal_id: ()}
            _walk(found, [self.direct])
            _walk(found, [self.direct, self.transitive])
            self._chains[principal_id] = found
        return self._chains[principal_id]

    def sleeping_chains(self, principal_id: str) -> Mapping[str, Chain]:
        """Return the groups that a principal is in only after it activates a membership, each with a chain to it."""
        if not self.eligible:
            return {}
        active = self.chains(principal_id)
        found = dict(active)
        _walk(found, [self.direct, self.transitive, self.eligible])
        return {group: chain for group, chain in found.items() if group not in active}

    def below(self, group_id: str) -> set[str]:
        """Return all members of a group, by any chain, with nested groups and eligible members."""
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
    """Return memberships from (group id, member id) pairs: direct, of transitive listings, and eligible (PIM) ones."""
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
    """Add to `found` all groups that can be reached from it, breadth first, shortest chains first."""
    waiting = deque(sorted(found, key=lambda one: (len(found[one]), found[one])))
    while waiting:
        current = waiting.popleft()
        for group in sorted({group for kind in edges for group in kind.get(current, ())}):
            if group not in found:
                found[group] = (*found[current], group)
                waiting.append(group)
