"""Decide whether a principal may perform an operation at a scope, from assignments, groups, roles and denies.

The order is Azure's ("What is Azure RBAC", how Azure determines access). A deny assignment that applies refuses,
whatever the roles grant. Else the union of all role assignments of the principal and its groups, at the scope and
above it, decides. Conditions come last.

* A role grants by block: actions minus the not-actions of the same block. Another block, or another role, may still
  grant an operation that one block excludes.
* An assignment that needs an activation first (PIM) is `eligible`. So is an assignment of a group whose membership
  needs an activation first. Activated assignments count like permanent ones.
* A condition, on the assignment or inside the definition, that depends on the request makes its grant `conditional`.
  A condition that cannot hold for the operation removes the grant (see `rbac.conditions`).
* The answers are, strongest first: `yes`, `conditional`, `eligible`, `no`. A deny with a condition that may hold or
  not turns a `yes` into `conditional`.
* The answer is the most that may be allowed: roles and their conditions by the reading `MOST`, denies by `LEAST` (see
  `rbac.permissions`). If the opposite readings give another answer, the decision `depends_on_reading`.

A token carries all groups of a principal, transitive ones included (Azure docs, "What is Azure RBAC"), so an
assignment of any of these groups counts. Chains follow direct memberships where there are any. A transitive listing,
which does not name the groups between, fills the gaps. Cycles are no problem, since each group is visited once. A
membership that has to be activated first (PIM for Groups) does not count until then: `sleeping_chains` has the groups
that only such a membership leads to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rightsize.model.nouns import PLANES, Decision, DenyAssignment, Reason, RoleAssignment
from rightsize.model.text import fold
from rightsize.rbac.conditions import Truth, truth_of
from rightsize.rbac.permissions import PatternSet, Permissions, ReadBlock, Reading, is_granted, read_permissions
from rightsize.rbac.scopes import Scope, lineage, parse_scope

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


EVERYBODY = "00000000-0000-0000-0000-000000000000"
"""Principal of a deny assignment that means all principals (Azure docs, "Understand Azure deny assignments")."""

STRENGTH: Mapping[str, int] = {"no": 0, "eligible": 1, "conditional": 2, "yes": 3}


@dataclass(frozen=True, slots=True)
class AssignedRole:
    """The name and the permissions of a role definition."""

    role_name: str
    permissions: Permissions


@dataclass(frozen=True, slots=True)
class _Deny:
    deny: DenyAssignment
    scope: str
    principals: frozenset[str]
    excluded: frozenset[str]
    permissions: Permissions


class Access:
    """An index of the access of a tenant, for many questions.

    Args:
        roles: Folded id of a role definition to the role.
        held: All assignments, of any state: by folded scope, since a question concerns only the few scopes above its
            own, then by folded holder.
        denies: All deny assignments.
        membership: The group memberships.
        tree: Folded management-group or subscription scope to its parent's scope.
        conditions: The conditions of the assignments.
    """

    def __init__(
        self,
        roles: Mapping[str, AssignedRole],
        held: Mapping[str, Mapping[str, Sequence[RoleAssignment]]],
        denies: Iterable[DenyAssignment],
        membership: Membership,
        tree: Mapping[str, str],
        conditions: Iterable[str] = (),
    ) -> None:
        self._roles = roles
        self._membership = membership
        self._tree = tree
        self._held = held
        self._denies = [
            _Deny(
                deny,
                parse_scope(deny.scope).key,
                frozenset(map(fold, deny.principal_ids)),
                frozenset(map(fold, deny.exclude_principal_ids)),
                read_permissions(deny.permissions),
            )
            for deny in denies
        ]
        self._lineages: dict[str, tuple[str, ...]] = {}
        read = [*(role.permissions for role in roles.values()), *(deny.permissions for deny in self._denies)]
        self._doubtful: dict[str, PatternSet] = {
            plane: PatternSet(form for one in read for form in one.loose_forms(plane)) for plane in PLANES
        }
        """Both readings give the same answer outside these patterns, if no condition has a `/*/`."""
        texts: list[str | None] = [*conditions]
        texts += [block.condition for one in read for plane in PLANES for block in one.of_plane(plane)]
        texts += [deny.deny.condition for deny in self._denies]
        self._has_doubtful_conditions = any("/*/" in (text or "") for text in texts)

    def decide(self, principal_id: str, operation: str, plane: str, scope: Scope) -> Decision:
        """Return whether a principal may perform an operation at a scope, with the assignments that decide it.

        `because` has every assignment that gives the answer, nearest holder first. A refusal by a deny assignment has
        none; its denies are in `denied_by`. Denies whose condition depends on the request are in `denied_by` beside
        the answer.
        """
        principal, text = fold(principal_id), fold(operation)
        most = self._decide(principal, text, plane, scope, Reading.MOST)
        doubtful = self._doubtful.get(plane)
        if not (self._has_doubtful_conditions or (doubtful is not None and doubtful.matches(text))):
            return most
        least = self._decide(principal, text, plane, scope, Reading.LEAST)
        return replace(most, depends_on_reading=least.allowed != most.allowed)

    def _decide(self, principal: str, text: str, plane: str, scope: Scope, reading: Reading) -> Decision:
        denials = self._denials(principal, text, plane, scope, reading)
        certain = sorted({deny for deny, truth in denials if truth})
        if certain:
            return Decision("no", (), tuple(certain))
        found: dict[str, list[Reason]] = {"yes": [], "conditional": [], "eligible": [], "no": []}
        for assignment, via in self.reaching(principal, scope):
            role = self._roles.get(fold(assignment.role_definition_id))
            grant = _grant(role.permissions, assignment.condition, text, plane, reading) if role else None
            if role is None or grant is None:
                continue
            kind = "eligible" if assignment.state == "eligible" else "conditional" if grant.condition else "yes"
            found[kind].append(_reason(assignment, role, via, grant.condition))
        found["eligible"] += self._sleeping(principal, text, plane, scope, reading)
        possible = tuple(sorted({deny for deny, _ in denials}))
        answers: tuple[Literal["yes", "conditional", "eligible"], ...] = ("yes", "conditional", "eligible")
        for answer in answers:
            if found[answer]:
                weakened = answer == "yes" and possible
                return Decision("conditional" if weakened else answer, _in_order(found[answer]), possible)
        return Decision("no", (), possible)

    def _sleeping(self, principal: str, text: str, plane: str, scope: Scope, reading: Reading) -> Iterator[Reason]:
        """Yield the grants of groups that a principal can join by an activation, without those that are denied then."""
        for chain, held in self.asleep(principal, scope):
            if any(truth for _, truth in self._denials(principal, text, plane, scope, reading, chain)):
                continue
            for assignment in held:
                role = self._roles.get(fold(assignment.role_definition_id))
                grant = _grant(role.permissions, assignment.condition, text, plane, reading) if role else None
                if role is not None and grant is not None:
                    yield replace(_reason(assignment, role, chain, grant.condition), state="eligible")

    def reaching(self, principal_id: str, scope: Scope) -> Iterator[tuple[RoleAssignment, Chain]]:
        """Yield the assignments of a principal and its groups at a scope or above it, whatever their role grants."""
        chains = self._membership.chains(fold(principal_id))
        for key in self._lineage(scope):
            held = self._held.get(key, {})
            for holder in chains.keys() & held.keys():
                for assignment in held[holder]:
                    yield assignment, chains[holder]

    def holders_of(self, principal_id: str) -> frozenset[str]:
        """Return a principal and the groups that it is in, folded: whose assignments are its own."""
        return frozenset(self._membership.chains(fold(principal_id)))

    def chains(self, principal_id: str) -> Mapping[str, Chain]:
        """Return the holders whose grants a principal has, itself included, each with the chain to it."""
        return self._membership.chains(fold(principal_id))

    def sleeping_chains(self, principal_id: str) -> Mapping[str, Chain]:
        """Return the groups that a principal can join by an activation, each with the chain to it."""
        return self._membership.sleeping_chains(fold(principal_id))

    def below(self, holder: str) -> set[str]:
        """Return all members of a holder, by any chain; none where it is no group."""
        return self._membership.below(fold(holder))

    def grants(self, assignment: RoleAssignment, operation: str, plane: str) -> bool:
        """Return whether the role of an assignment has an operation, by the reading that allows most."""
        return self._grants(assignment, fold(operation), plane)

    def asleep(self, principal_id: str, scope: Scope) -> Iterator[tuple[Chain, Sequence[RoleAssignment]]]:
        """Yield, for each group that a principal can join by an activation, its assignments at a scope or above it."""
        chains = self._membership.sleeping_chains(fold(principal_id))
        for key in self._lineage(scope) if chains else ():
            held = self._held.get(key, {})
            for holder in chains.keys() & held.keys():
                yield chains[holder], held[holder]

    def holders(self, operation: str, plane: str, scope: Scope) -> list[str]:
        """Return the sorted ids of all principals that an assignment of a role with an operation reaches at a scope.

        Members of groups that hold such an assignment are included.
        """
        text, found = fold(operation), set[str]()
        for key in self._lineage(scope):
            for holder, held in self._held.get(key, {}).items():
                if holder not in found and any(self._grants(assignment, text, plane) for assignment in held):
                    found |= {holder} | self._membership.below(holder)
        return sorted(found)

    def _grants(self, assignment: RoleAssignment, text: str, plane: str) -> bool:
        role = self._roles.get(fold(assignment.role_definition_id))
        return (
            role is not None and _grant(role.permissions, assignment.condition, text, plane, Reading.MOST) is not None
        )

    def _denials(
        self, principal: str, text: str, plane: str, scope: Scope, reading: Reading, activated: Chain = ()
    ) -> list[tuple[str, Truth]]:
        """Return the denies that apply: True for certain ones, None for those whose condition depends on the request.

        With `activated`, denies count that would apply to a member of these groups too. Denies are read by the opposite
        reading of roles: the most access means the least denial.
        """
        other = Reading.LEAST if reading is Reading.MOST else Reading.MOST
        if not self._denies:
            return []
        who = self._membership.chains(principal).keys() | set(activated)
        above = self._lineage(scope)
        found: list[tuple[str, Truth]] = []
        for deny in self._denies:
            here = deny.scope == scope.key if deny.deny.does_not_apply_to_child_scopes else deny.scope in above
            meant = EVERYBODY in deny.principals or not who.isdisjoint(deny.principals)
            if here and meant and who.isdisjoint(deny.excluded):
                grant = _grant(deny.permissions, deny.deny.condition, text, plane, other)
                if grant is not None:
                    found.append((deny.deny.deny_assignment_id, True if grant.condition is None else None))
        return found

    def _lineage(self, scope: Scope) -> tuple[str, ...]:
        if scope.key not in self._lineages:
            self._lineages[scope.key] = lineage(scope, self._tree)
        return self._lineages[scope.key]


@dataclass(frozen=True, slots=True)
class _Grant:
    """A grant of an operation, with the condition that has to hold for it, or None."""

    condition: str | None = field(default=None)


def _grant(permissions: Permissions, condition: str | None, text: str, plane: str, reading: Reading) -> _Grant | None:
    """Return the grant of an operation by blocks under a condition and a reading, or None if they do not grant it."""
    outer = truth_of(condition, text, reading=reading)
    if outer is False:
        return None
    holding: list[ReadBlock] = []
    possible: list[ReadBlock] = []
    for block in permissions.of_plane(plane):
        if block.most.grants(text):
            truth = truth_of(block.condition, text, reading=reading)
            if truth is not False:
                (holding if truth else possible).append(block)
    inner: list[str] = []
    if not is_granted(holding, text, reading):
        if not is_granted([*holding, *possible], text, reading):
            return None
        inner = [block.condition for block in possible if block.condition is not None]
    parts = [part for part in (condition.strip() if condition and outer is None else "", _any_of(inner)) if part]
    return _Grant(parts[0] if len(parts) == 1 else " AND ".join(f"({part})" for part in parts) or None)


def _any_of(conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else " OR ".join(f"({condition})" for condition in conditions)


def _reason(assignment: RoleAssignment, role: AssignedRole, via: Chain, condition: str | None) -> Reason:
    return Reason(assignment.role_assignment_id, role.role_name, assignment.scope, via, condition, assignment.state)


def _in_order(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return one reason for each assignment, nearest holder first; an activation has one id in two listings."""
    by_id: dict[str, Reason] = {}
    for reason in sorted(reasons, key=lambda one: (len(one.via), one.via, one.role_assignment_id, one.state)):
        by_id.setdefault(reason.role_assignment_id, reason)
    return tuple(by_id.values())
