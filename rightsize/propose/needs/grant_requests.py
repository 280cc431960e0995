"""Join the needs of all assignments of a principal into units: one need at one place, to be granted in one way.

A *demand* (`GrantRequest`) is a part of one assignment's need at one place. A *unit* joins the demands of one principal
at one place that need the same kind of assignment; roles are chosen for units. Operations that a kept assignment or a
unit above grants anyway are removed before roles are chosen, so that nothing is granted twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.analyze.inputs import ROOT, ScopeTree
from rightsize.analyze.verdicts.usage import DELETE, WRITE
from rightsize.model.nouns import AssignmentState
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import Blocks, KnownRole, Need, RoleBook
from rightsize.propose.core.role_patterns import PatternPart
from rightsize.propose.needs.assignments import Key, Subject, last_of, lasts_as_long
from rightsize.rbac.algebra import contains, grants


@dataclass(frozen=True, slots=True)
class _Grant:
    """Access that one principal is to get at one place.

    Attributes:
        principal_id: The principal that gets it: the holder of an assignment, or a member of the group that holds it.
        place: The folded scope.
        need: The operations and patterns to grant there.
        state: Whether the access is to be active or eligible.
        condition: The condition of its assignments.
        end_on: The end of its assignments.
        role_definition_id: The one role that may grant it, if only one may.
        apart: The word for a part that gets a role of its own, separate from the other needs there.
        is_single: Whether one role is to grant it, if any can.
    """

    principal_id: Folded
    place: Folded
    need: Need
    state: AssignmentState = "active"
    condition: str | None = None
    end_on: str | None = None
    role_definition_id: Folded | None = None
    apart: str = ""
    is_single: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRequest(_Grant):
    """A demand: a part of the need of one assignment, `subject`, at one folded scope."""

    subject: Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantUnit(_Grant):
    """A unit: the need of one principal at one place, and the roles of today that limit its new roles.

    Attributes:
        ceiling: The role definitions of today, sorted, as far as their conditions allow what a unit without a condition
            gets; no chosen role may exceed their union.
        subjects: The assignments of today that have this need, sorted.
    """

    ceiling: tuple[Folded, ...]
    subjects: tuple[Key, ...]


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


def form_units(
    demands: Iterable[GrantRequest], kept: Iterable[tuple[Subject, KnownRole]], book: RoleBook, tree: ScopeTree
) -> Units:
    """Return the units that demands join into, without what kept assignments and wider units grant.

    Args:
        demands: The demands of every assignment that does not stay as it is.
        kept: The assignments without condition that the plan keeps, so that they may serve a part of other needs, each
            with its role. An eligible one serves only eligible needs, and one that ends only needs that end no later.
        book: The roles.
        tree: Management groups and subscriptions.
    """
    kept_by: dict[Folded, list[tuple[Subject, KnownRole]]] = defaultdict(list)
    for subject, role in kept:
        kept_by[subject.principal_id].append((subject, role))
    by_principal: dict[Folded, list[GrantRequest]] = defaultdict(list)
    for demand in demands:
        by_principal[demand.principal_id].append(demand)
    former = _Former(book, tree, kept_by)
    units = tuple(unit for principal in sorted(by_principal) for unit in former.form(by_principal[principal]))
    return Units(
        units,
        {key: tuple(sorted(ids)) for key, ids in former.rests_on.items()},
        {key: tuple(found) for key, found in former.leans_on.items()},
    )


@dataclass(slots=True)
class _Former:
    book: RoleBook
    tree: ScopeTree
    kept: Mapping[Folded, Sequence[tuple[Subject, KnownRole]]]
    rests_on: dict[Key, set[Folded]] = field(default_factory=lambda: defaultdict(set))
    leans_on: dict[Key, dict[GrantUnit, None]] = field(default_factory=lambda: defaultdict(dict))
    decided: int = field(init=False)
    """The operations that make and delete role assignments: the condition of a delegation limits no others."""

    def __post_init__(self) -> None:
        self.decided = self.book.index.mask(("control", name) for name in (WRITE, DELETE))

    def form(self, demands: Iterable[GrantRequest]) -> list[GrantUnit]:
        """Return the units of one principal, wider scopes first."""
        joined: dict[object, list[GrantRequest]] = defaultdict(list)
        for one in demands:
            joined[one.place, one.state, one.condition, one.role_definition_id, one.apart, one.end_on].append(one)
        lasting = sorted(joined.values(), key=lambda those: last_of(those[0].end_on), reverse=True)
        units: list[GrantUnit] = []
        for those in sorted(lasting, key=lambda those: _from_wide(those[0], self.tree)):
            above = [unit for unit in units if _serves(unit, those[0])]
            whole = [unit for unit in units if _brings(unit, those[0])]
            found = self._unit(those, above, whole)
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
            left = self._without_above(demand, left, above)
            need = Need(need.operations | left.operations, tuple(dict.fromkeys((*need.parts, *left.parts))))
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
        for subject, role in self.kept.get(demand.principal_id, ()):
            if not need or not is_at_or_below(demand.place, subject.place, self.tree):
                continue
            if subject.state not in ("active", demand.state) or not lasts_as_long(subject.end_on, demand.end_on):
                continue
            left = without_granted(need, role.certain, role.blocks, self.book)
            if left != need:
                self.rests_on[demand.subject.key].add(subject.role_assignment_id)
                need = left
        return need

    def _without_brought(self, demand: GrantRequest, need: Need, whole: Sequence[GrantUnit]) -> Need:
        """Return a need without the operations that another unit's fixed role grants as well, at its scope or below.

        The condition of that role is the one of a delegation: it limits only the making and deleting of role
        assignments. These two operations stay in the need.
        """
        for unit in whole:
            if not need or not is_at_or_below(demand.place, unit.place, self.tree):
                continue
            role = self.book.roles[unit.role_definition_id or Folded("")]
            open_ = tuple(
                part
                for part in need.parts
                if all(grants([part.block], name, "control") == "no" for name in (WRITE, DELETE))
            )
            asked = replace(need, operations=need.operations & ~self.decided, parts=open_)
            left = without_granted(asked, role.certain, role.blocks, self.book)
            if left != asked:
                self.leans_on[demand.subject.key][unit] = None
                kept = tuple(part for part in need.parts if part not in open_ or part in left.parts)
                need = replace(need, operations=left.operations | need.operations & self.decided, parts=kept)
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
        open_ = [one for one in members if one.role_definition_id is None]
        for unit in members:
            above = tuple(one for one in open_ if is_below(unit.place, one.place, tree) and _serves(one, unit))
            if above:
                found[unit] = above
    return found


def _serves(unit: GrantUnit, other: _Grant) -> bool:
    """Return whether a unit can serve other access: no stricter state, condition or role, and no earlier end."""
    return (
        unit.condition in (None, other.condition)
        and unit.state in ("active", other.state)
        and unit.role_definition_id in (None, other.role_definition_id)
        and lasts_as_long(unit.end_on, other.end_on)
    )


def _brings(unit: GrantUnit, demand: GrantRequest) -> bool:
    """Return whether a unit takes one fixed role whose other operations can serve a demand without condition."""
    return (
        unit.role_definition_id is not None
        and demand.role_definition_id is None
        and demand.condition is None
        and unit.state in ("active", demand.state)
        and lasts_as_long(unit.end_on, demand.end_on)
    )


def _is_longer(unit: GrantUnit, demand: GrantRequest) -> bool:
    """Return whether a unit differs from the unit of a demand only by a later end."""
    alike = (unit.place, unit.state, unit.condition, unit.role_definition_id, unit.apart)
    wanted = (demand.place, demand.state, demand.condition, demand.role_definition_id, demand.apart)
    return alike == wanted and last_of(unit.end_on) > last_of(demand.end_on)


def _from_wide(one: GrantRequest, tree: ScopeTree) -> tuple[int, int, str, bool, str, str, str, str]:
    """Return a sort key: wider places first; at one place a fixed role comes first, then active before eligible."""
    height, depth = 2, one.place.count("/")
    if one.place == ROOT:
        height = 0
    elif not one.place.startswith("/subscriptions/"):
        height, depth = 1, len(tree.ancestors_of(one.place))
    role = one.role_definition_id
    return height, depth, one.place, role is None, one.state, one.condition or "", role or "", one.apart


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
    node = "/".join(place.split("/")[: 3 if place.startswith("/subscriptions/") else 5])
    return above in tree.ancestors_of(node)


def without_granted(need: Need, granted: int, blocks: Blocks, book: RoleBook) -> Need:
    """Return a need without its operations in `granted`, and without the pattern parts that the blocks contain."""
    parts = tuple(part for part in need.parts if not book.grants_part(blocks, part))
    left = need.operations & ~granted
    if left == need.operations and parts == need.parts:
        return need
    return replace(need, operations=left, parts=parts)


def without_contained_parts(need: Need, book: RoleBook) -> Need:
    """Return a need without patterns that others contain, and without operations that its patterns certainly grant."""
    if not need.parts:
        return need
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
