"""Needs of all assignments together: what a principal needs at a place, whichever of its assignments gave it.

A *demand* is a part of one assignment's need at one place. A *unit* joins the demands of one principal at one place
that are to be granted alike; roles are chosen for units. What stays anyway, through an assignment that the plan keeps
or through a unit above, is taken out before anything is chosen, so that nothing is granted twice.
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
from rightsize.rbac.text import fold


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A part of the need of one assignment at one folded scope.

    Attributes:
        subject: The assignment of today.
        place: The folded scope.
        need: What has to be granted there.
        principal_id: Who has to hold it: the holder of the assignment, or a member of the group that holds it.
        state: Whether it is to be standing access or eligible.
        condition: The condition that the assignment of today has, or that a constrained delegation gets.
        end_on: When the assignment of today ends.
        role_definition_id: The one role that may grant it, where only one may.
        apart: The word for a part that gets a role of its own, away from what else is needed there.
    """

    subject: Subject
    place: str
    need: Need
    principal_id: str
    state: AssignmentState = "active"
    condition: str | None = None
    end_on: str | None = None
    role_definition_id: str | None = None
    apart: str = ""


@dataclass(frozen=True, slots=True)
class GrantUnit:
    """What one principal needs at one place, and out of which roles of today it may be granted.

    Attributes:
        principal_id: Who gets it.
        place: The folded scope.
        state: Standing or eligible.
        condition: The condition that it carries.
        end_on: When it ends.
        need: What has to be granted.
        ceiling: The role definitions of today whose union nothing chosen may exceed, sorted.
        subjects: The assignments of today whose need it is, sorted.
        role_definition_id: The one role that may grant it, where only one may.
        apart: The word for a part that gets a role of its own.
    """

    principal_id: str
    place: str
    state: AssignmentState
    condition: str | None
    end_on: str | None
    need: Need
    ceiling: tuple[str, ...]
    subjects: tuple[Key, ...]
    role_definition_id: str | None = None
    apart: str = ""


@dataclass(frozen=True, slots=True)
class KeptAssignment:
    """An assignment that the plan keeps, without condition, so that others may rest on it.

    On an eligible one rests only what becomes eligible, and on one that ends only what ends no later.
    """

    role_assignment_id: str
    principal_id: str
    place: str
    role: KnownRole
    state: AssignmentState = "active"
    end_on: str | None = None


@dataclass(frozen=True, slots=True)
class Units:
    """The units, and on which kept assignments each assignment of today rests.

    Attributes:
        units: Sorted by principal and place.
        rests_on: For an assignment of today the ids of kept ones that grant a part of its need.
        leans_on: For an assignment of today the units above or beside that grant a part of its need.
    """

    units: tuple[GrantUnit, ...]
    rests_on: Mapping[Key, tuple[str, ...]]
    leans_on: Mapping[Key, tuple[GrantUnit, ...]]


_Identity = tuple[str, AssignmentState, str | None, str | None, str, str | None]
"""Principal, state, condition, the one role, what part it is, and the end."""


def form_units(
    demands: Iterable[GrantRequest], standing: Iterable[KeptAssignment], book: RoleBook, tree: ScopeTree
) -> Units:
    """Join demands into units.

    Args:
        demands: The demands of every assignment that does not stay as it is.
        standing: What stays and may be rested on.
        book: The roles.
        tree: Management groups and subscriptions.
    """
    kept: dict[str, list[KeptAssignment]] = defaultdict(list)
    for one in standing:
        kept[fold(one.principal_id)].append(one)
    by_principal: dict[str, list[GrantRequest]] = defaultdict(list)
    for demand in demands:
        by_principal[fold(demand.principal_id)].append(demand)
    units: list[GrantUnit] = []
    rests_on: dict[Key, set[str]] = defaultdict(set)
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
    rests_on: dict[Key, set[str]]
    leans_on: dict[Key, dict[GrantUnit, None]]

    def form(self, demands: Sequence[GrantRequest]) -> list[GrantUnit]:
        """Return the units of one principal, wider scopes first."""
        joined: dict[tuple[str, _Identity], list[GrantRequest]] = defaultdict(list)
        for demand in demands:
            identity = (
                fold(demand.principal_id),
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
        # Mostly it is that of the one demand: then the same object, since a set takes kilobytes.
        need = next((demand.need for demand in demands if demand.need == need), need)
        return GrantUnit(
            principal_id=first.principal_id,
            place=first.place,
            state=first.state,
            condition=first.condition,
            end_on=first.end_on,
            need=need,
            ceiling=tuple(sorted({demand.subject.role_definition_id for demand in demands})),
            subjects=tuple(sorted({demand.subject.key for demand in demands})),
            role_definition_id=first.role_definition_id,
            apart=first.apart,
        )

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
        """Leave out what the one role that another unit takes brings along, there or below.

        Its condition is that of a delegation, which decides about making and deleting role assignments and nothing
        else: these are left to whoever needs them.
        """
        decided = self.book.index.mask(("control", fold(name)) for name in (WRITE, DELETE))
        for unit in whole:
            if not need or not is_at_or_below(demand.place, unit.place, self.tree):
                continue
            role = self.book.roles[str(unit.role_definition_id)]
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


def _serves(unit: GrantUnit, identity: _Identity) -> bool:
    """Return whether what a unit grants asks for no more: no activation or condition, no sooner end."""
    _, state, condition, role, _, end_on = identity
    return (
        unit.condition in (None, condition)
        and unit.state in ("active", state)
        and unit.role_definition_id in (None, role)
        and lasts_as_long(unit.end_on, end_on)
    )


def _brings(unit: GrantUnit, identity: _Identity) -> bool:
    """Return whether a unit takes one certain role, whose other operations a demand without condition may rest on."""
    _, state, condition, role, _, end_on = identity
    is_certain = unit.role_definition_id is not None and role is None
    return is_certain and condition is None and unit.state in ("active", state) and lasts_as_long(unit.end_on, end_on)


def _is_longer(unit: GrantUnit, demand: GrantRequest) -> bool:
    """Return whether a unit differs from what a demand would become by its later end alone."""
    alike = (unit.place, unit.state, unit.condition, unit.role_definition_id, unit.apart)
    wanted = (demand.place, demand.state, demand.condition, demand.role_definition_id, demand.apart)
    return alike == wanted and last_of(unit.end_on) > last_of(demand.end_on)


def _from_wide(place: str, tree: ScopeTree, identity: _Identity) -> tuple[int, int, str, bool, str, str, str, str]:
    """Order places so that what lies above another comes first, there what takes a certain role, then what stands."""
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
    """Return whether a folded scope is another or lies below it; a subscription of unknown place is below no group."""
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
    """Return what either needs."""
    return Need(first.operations | second.operations, tuple(dict.fromkeys((*first.parts, *second.parts))))


def without_granted(need: Need, granted: int, blocks: Blocks, book: RoleBook) -> Need:
    """Return a need without what blocks grant: their operations as a set, and their language for the patterns."""
    parts = tuple(part for part in need.parts if not book.grants_part(blocks, part))
    left = need.operations & ~granted
    if left == need.operations and parts == need.parts:
        return need
    return replace(need, operations=left, parts=parts)


def without_contained_parts(need: Need, book: RoleBook) -> Need:
    """Return a need whose patterns do not repeat each other, nor its operations what the patterns say."""
    parts: list[PatternPart] = []
    for part in sorted(need.parts):
        others = [other for other in need.parts if other != part]
        if not any(_says_more(other, part) for other in others):
            parts.append(part)
    said = book.certain(Need(0, tuple(parts)))
    return Need(need.operations & ~said, tuple(parts))


def _says_more(big: PatternPart, small: PatternPart) -> bool:
    """Return whether one part contains another; of two that contain each other only the smaller in order stays."""
    if contains([big.block], [small.block]) is not None:
        return False
    return big < small or contains([small.block], [big.block]) is not None
