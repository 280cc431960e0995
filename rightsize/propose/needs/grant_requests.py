"""Join the needs of all assignments of a principal into units: one need at one place, to be granted in one way.

A *demand* (`GrantRequest`) is a part of one assignment's need at one place. A *unit* joins the demands of one principal
at one place that need the same kind of assignment; roles are chosen for units. Operations that a kept assignment or a
unit above grants anyway are removed before roles are chosen, so that nothing is granted twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rightsize.analyze.role_requests import DELETE, WRITE
from rightsize.analyze.scoping import ROOT, ScopeTree
from rightsize.model.nouns import AssignmentState
from rightsize.propose.core.expiry import last_of, lasts_as_long
from rightsize.propose.core.read_patterns import PatternPart
from rightsize.propose.core.role_catalog import Blocks, KnownRole, Need, RoleBook
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.rbac.algebra import contains, grants
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A demand: a part of the need of one assignment at one folded scope.

    Attributes:
        subject: The assignment of today.
        place: The folded scope.
        need: The operations and patterns to grant there.
        principal_id: The principal that needs it: the holder of the assignment, or a member of the group that holds it.
        state: Whether the access is to be active or eligible.
        condition: The condition of today's assignment if it may restrict the need, or of a constrained delegation.
        end_on: The end of today's assignment.
        role_definition_id: The one role that may grant it, if only one may.
        apart: The word for a part that gets a role of its own, separate from the other needs there.
        is_single: Whether one role is to grant it, if any can.
    """

    subject: Subject
    place: Folded
    need: Need
    principal_id: Folded
    state: AssignmentState = "active"
    condition: str | None = None
    end_on: str | None = None
    role_definition_id: Folded | None = None
    apart: str = ""
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class GrantUnit:
    """A unit: the need of one principal at one place, and the roles of today that limit its new roles.

    Attributes:
        principal_id: The principal that gets the access.
        place: The folded scope.
        state: Active or eligible.
        condition: The condition of its assignments.
        end_on: The end of its assignments.
        need: The operations and patterns to grant.
        ceiling: The role definitions of today, sorted, as far as their conditions allow what a unit without a condition
            gets; no chosen role may exceed their union.
        subjects: The assignments of today that have this need, sorted.
        role_definition_id: The one role that may grant it, if only one may.
        apart: The word for a part that gets a role of its own.
        is_single: Whether one role is to grant it, if any can.
    """

    principal_id: Folded
    place: Folded
    state: AssignmentState
    condition: str | None
    end_on: str | None
    need: Need
    ceiling: tuple[Folded, ...]
    subjects: tuple[Key, ...]
    role_definition_id: Folded | None = None
    apart: str = ""
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class KeptAssignment:
    """An assignment without condition that the plan keeps, so that it may serve a part of other needs.

    An eligible one serves only eligible needs, and one that ends serves only needs that end no later.
    """

    role_assignment_id: Folded
    principal_id: Folded
    place: Folded
    role: KnownRole
    state: AssignmentState = "active"
    end_on: str | None = None


@dataclass(frozen=True, slots=True)
class Units:
    """The units, and the kept assignments and other units that grant a part of each assignment's need.

    Attributes:
        units: The units, by principal; wider scopes first.
        rests_on: For an assignment of today, the ids of kept assignments that grant a part of its need.
        leans_on: For an assignment of today, the units above or beside that grant a part of its need.
    """

    units: tuple[GrantUnit, ...]
    rests_on: Mapping[Key, tuple[Folded, ...]]
    leans_on: Mapping[Key, tuple[GrantUnit, ...]]


_Identity = tuple[Folded, AssignmentState, str | None, Folded | None, str, str | None]
"""Principal, state, condition, the one role if only one may grant it, the word of the part, and the end."""


def form_units(
    demands: Iterable[GrantRequest], kept_assignments: Iterable[KeptAssignment], book: RoleBook, tree: ScopeTree
) -> Units:
    """Return the units that demands join into, without what kept assignments and wider units grant.

    Args:
        demands: The demands of every assignment that does not stay as it is.
        kept_assignments: The kept assignments that may serve a part of a need.
        book: The roles.
        tree: Management groups and subscriptions.
    """
    kept: dict[Folded, list[KeptAssignment]] = defaultdict(list)
    for one in kept_assignments:
        kept[one.principal_id].append(one)
    by_principal: dict[Folded, list[GrantRequest]] = defaultdict(list)
    for demand in demands:
        by_principal[demand.principal_id].append(demand)
    units: list[GrantUnit] = []
    rests_on: dict[Key, set[Folded]] = defaultdict(set)
    leans_on: dict[Key, dict[GrantUnit, None]] = defaultdict(dict)
    for principal in sorted(by_principal):
        former = _Former(book, tree, kept.get(principal, []), rests_on, leans_on)
        units.extend(former.form(by_principal[principal]))
    return Units(
        tuple(units),
        {key: tuple(sorted(ids)) for key, ids in rests_on.items()},
        {key: tuple(found) for key, found in leans_on.items()},
    )


@dataclass(slots=True)
class _Former:
    book: RoleBook
    tree: ScopeTree
    kept: Sequence[KeptAssignment]
    rests_on: dict[Key, set[Folded]]
    leans_on: dict[Key, dict[GrantUnit, None]]

    def form(self, demands: Sequence[GrantRequest]) -> list[GrantUnit]:
        """Return the units of one principal, wider scopes first."""
        joined: dict[tuple[Folded, _Identity], list[GrantRequest]] = defaultdict(list)
        for demand in demands:
            identity = (
                demand.principal_id,
                demand.state,
                demand.condition,
                demand.role_definition_id,
                demand.apart,
                demand.end_on,
            )
            joined[demand.place, identity].append(demand)
        units: list[GrantUnit] = []
        lasting = sorted(joined, key=lambda item: last_of(item[1][-1]), reverse=True)
        for place, identity in sorted(lasting, key=lambda item: _from_wide(item[0], self.tree, item[1])):
            found = self._unit(
                joined[place, identity],
                [one for one in units if _serves(one, identity)],
                [one for one in units if _brings(one, identity)],
            )
            if found is not None:
                units.append(found)
        return units

    def _unit(
        self, demands: Sequence[GrantRequest], above: Sequence[GrantUnit], whole: Sequence[GrantUnit]
    ) -> GrantUnit | None:
        first = demands[0]
        need = Need(0)
        for demand in demands:
            left = self._without_brought(demand, self._without_kept(demand), whole)
            need = joined_need(need, self._without_above(demand, left, above))
        if not need:
            return None
        need = without_contained_parts(need, self.book)
        # Usually the need equals that of a demand: reuse that object, since a set takes kilobytes.
        need = next((demand.need for demand in demands if demand.need == need), need)
        return GrantUnit(
            principal_id=first.principal_id,
            place=first.place,
            state=first.state,
            condition=first.condition,
            end_on=first.end_on,
            need=need,
            ceiling=tuple(sorted({self._ceiling(demand) for demand in demands})),
            subjects=tuple(sorted({demand.subject.key for demand in demands})),
            role_definition_id=first.role_definition_id,
            apart=first.apart,
            is_single=any(demand.is_single for demand in demands),
        )

    def _ceiling(self, demand: GrantRequest) -> Folded:
        """Return the role of today, without what its condition may restrict if the demand has no condition."""
        role_id, condition = demand.subject.role_definition_id, demand.subject.condition
        if demand.condition is None and condition is not None:
            return self.book.unrestricted(role_id, condition)
        return role_id

    def _without_kept(self, demand: GrantRequest) -> Need:
        need = demand.need
        for one in self.kept:
            if not need or not is_at_or_below(demand.place, one.place, self.tree):
                continue
            if one.state not in ("active", demand.state) or not lasts_as_long(one.end_on, demand.end_on):
                continue
            left = without_granted(need, one.role.certain, one.role.blocks, self.book)
            if left != need:
                self.rests_on[demand.subject.key].add(one.role_assignment_id)
                need = left
        return need

    def _without_brought(self, demand: GrantRequest, need: Need, whole: Sequence[GrantUnit]) -> Need:
        """Return a need without the operations that another unit's fixed role grants as well, at its scope or below.

        The condition of that role is the one of a delegation: it limits only the making and deleting of role
        assignments. These two operations stay in the need.
        """
        decided = self.book.index.mask(("control", name) for name in (WRITE, DELETE))
        for unit in whole:
            if not need or not is_at_or_below(demand.place, unit.place, self.tree):
                continue
            role = self.book.roles[unit.role_definition_id or Folded("")]
            open_ = tuple(
                part
                for part in need.parts
                if all(grants([part.block], name, "control") == "no" for name in (WRITE, DELETE))
            )
            asked = replace(need, operations=need.operations & ~decided, parts=open_)
            left = without_granted(asked, role.certain, role.blocks, self.book)
            if left != asked:
                self.leans_on[demand.subject.key][unit] = None
                kept = tuple(part for part in need.parts if part not in open_ or part in left.parts)
                need = replace(need, operations=left.operations | need.operations & decided, parts=kept)
        return need

    def _without_above(self, demand: GrantRequest, need: Need, above: Sequence[GrantUnit]) -> Need:
        for unit in above:
            if not need or not (_is_longer(unit, demand) or is_below(demand.place, unit.place, self.tree)):
                continue
            blocks = tuple(part.block for part in unit.need.parts)
            left = without_granted(need, self.book.certain(unit.need), blocks, self.book)
            if left != need:
                self.leans_on[demand.subject.key][unit] = None
                need = left
        return need


def granted_above(units: Iterable[GrantUnit], tree: ScopeTree) -> dict[GrantUnit, tuple[GrantUnit, ...]]:
    """Return for each unit the units of the same principal at wider scopes whose grants hold at its place as well."""
    by_principal: dict[Folded, list[GrantUnit]] = defaultdict(list)
    for unit in units:
        by_principal[unit.principal_id].append(unit)
    found = {}
    for members in by_principal.values():
        for unit in members:
            identity = (unit.principal_id, unit.state, unit.condition, unit.role_definition_id, unit.apart, unit.end_on)
            above = tuple(
                one
                for one in members
                if is_below(unit.place, one.place, tree) and one.role_definition_id is None and _serves(one, identity)
            )
            if above:
                found[unit] = above
    return found


def _serves(unit: GrantUnit, identity: _Identity) -> bool:
    """Return whether a unit can serve a demand: no stricter state, condition or role, and no earlier end."""
    _, state, condition, role, _, end_on = identity
    return (
        unit.condition in (None, condition)
        and unit.state in ("active", state)
        and unit.role_definition_id in (None, role)
        and lasts_as_long(unit.end_on, end_on)
    )


def _brings(unit: GrantUnit, identity: _Identity) -> bool:
    """Return whether a unit takes one fixed role whose other operations can serve a demand without condition."""
    _, state, condition, role, _, end_on = identity
    is_certain = unit.role_definition_id is not None and role is None
    return is_certain and condition is None and unit.state in ("active", state) and lasts_as_long(unit.end_on, end_on)


def _is_longer(unit: GrantUnit, demand: GrantRequest) -> bool:
    """Return whether a unit differs from the unit of a demand only by a later end."""
    alike = (unit.place, unit.state, unit.condition, unit.role_definition_id, unit.apart)
    wanted = (demand.place, demand.state, demand.condition, demand.role_definition_id, demand.apart)
    return alike == wanted and last_of(unit.end_on) > last_of(demand.end_on)


def _from_wide(place: str, tree: ScopeTree, identity: _Identity) -> tuple[int, int, str, bool, str, str, str, str]:
    """Return a sort key: wider places first; at one place a fixed role comes first, then active before eligible."""
    _, state, condition, role, apart, _ = identity
    if place == ROOT:
        height = 0
    elif place.startswith("/subscriptions/"):
        height = 2
    else:
        height = 1
    depth = place.count("/")
    if height == 1:
        depth = len(tree.ancestors_of(place))
    return height, depth, place, role is None, state, condition or "", role or "", apart


def is_below(place: str, above: str, tree: ScopeTree) -> bool:
    """Return whether a folded scope lies below another."""
    return place != above and is_at_or_below(place, above, tree)


def is_at_or_below(place: str, above: str, tree: ScopeTree) -> bool:
    """Return whether a folded scope equals or is below another; a subscription of unknown parent is below no group."""
    if above in (place, ROOT):
        return True
    if above.startswith("/subscriptions/"):
        return place.startswith(above + "/")
    if place.startswith(above + "/"):
        return True
    return above in tree.ancestors_of(_node(place))


def _node(place: str) -> str:
    return "/".join(place.split("/")[: 3 if place.startswith("/subscriptions/") else 5])


def joined_need(first: Need, second: Need) -> Need:
    """Return the union of two needs."""
    return Need(first.operations | second.operations, tuple(dict.fromkeys((*first.parts, *second.parts))))


def without_granted(need: Need, granted: int, blocks: Blocks, book: RoleBook) -> Need:
    """Return a need without its operations in `granted`, and without the pattern parts that the blocks contain."""
    parts = tuple(part for part in need.parts if not book.grants_part(blocks, part))
    left = need.operations & ~granted
    if left == need.operations and parts == need.parts:
        return need
    return replace(need, operations=left, parts=parts)


def without_contained_parts(need: Need, book: RoleBook) -> Need:
    """Return a need without patterns that others contain, and without operations that its patterns certainly grant."""
    parts: list[PatternPart] = []
    for part in sorted(need.parts):
        others = [other for other in need.parts if other != part]
        if not any(_says_more(other, part) for other in others):
            parts.append(part)
    said = book.certain(Need(0, tuple(parts)))
    return Need(need.operations & ~said, tuple(parts))


def _says_more(big: PatternPart, small: PatternPart) -> bool:
    """Return whether `big` contains `small`; of two equal parts only the first in sort order contains the other."""
    if contains([big.block], [small.block]) is not None:
        return False
    return big < small or contains([small.block], [big.block]) is not None
