"""Expand roles over a catalogue: find the operations of the catalogue that each role grants.

Every distinct pattern is looked up once, in an index for it: a literal in a dictionary, `beginning*` as a range of the
sorted names, `*end` as a range of the reversed ones, any other pattern by matching the smaller of the two ranges. Then
a role needs only a few set operations.

The caller gives the known planes of an operation. An operation of unknown plane counts on both planes, whatever roles
spell out, so that no grant of it is missed: a guess must not hide a permission.

Expand a resource action of a directory role to patterns of the actions that it allows.

`microsoft.directory/users/allProperties/allTasks` allows all actions on users. `groups/members/update` allows the
update of every kind of group except role-assignable groups, which are `groupsAssignableToRoles`. Actions compare
without regard to capitals. Source: Microsoft Learn, "Microsoft Entra role-based access control: permissions" and "Group
management permissions for custom roles".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from rightsize.model.nouns import PLANES, GrantPlane, PermissionBlock, Planes
from rightsize.model.text import Pattern, fold
from rightsize.rbac.permissions import PatternSet, Permissions, Reading, answer_of, are_entangled, read_permissions


class Catalogue:
    """An index of operation names; positions are those of the sequence that it is made from."""

    def __init__(self, operations: Sequence[str]) -> None:
        self.operations = tuple(operations)
        self.folded = tuple(fold(name) for name in self.operations)
        self._positions: dict[str, list[int]] = {}
        for position, name in enumerate(self.folded):
            self._positions.setdefault(name, []).append(position)
        self._sorted = sorted(self._positions)
        self._reversed = sorted(name[::-1] for name in self._sorted)
        self._found: dict[str, frozenset[int]] = {}

    def matching(self, pattern: Pattern) -> frozenset[int]:
        """Return the positions of the operations that a pattern matches."""
        if pattern.text not in self._found:
            names = [pattern.text] if pattern.is_literal else self._names_matching(pattern)
            self._found[pattern.text] = frozenset(chain.from_iterable(self._positions.get(name, ()) for name in names))
        return self._found[pattern.text]

    def matching_any(self, patterns: PatternSet) -> set[int]:
        """Return the positions of the operations that any of the patterns matches."""
        return set[int]().union(*map(self.matching, patterns.patterns))

    def _names_matching(self, pattern: Pattern) -> list[str]:
        head, tail = pattern.pieces[0], pattern.pieces[-1][::-1]
        heads = _range_of(self._sorted, head)
        tails = _range_of(self._reversed, tail)
        if len(heads) <= len(tails):
            return [name for at in heads if pattern.matches(name := self._sorted[at])]
        return [name for at in tails if pattern.matches(name := self._reversed[at][::-1])]


def _range_of(names: list[str], head: str) -> range:
    width = len(head)
    return range(bisect_left(names, head), bisect_right(names, head, key=lambda name: name[:width]))


class GrantedOperation(NamedTuple):
    """One operation that a role grants on a plane by the reading `MOST`, so that no grant is missed.

    `conditional` is True if only blocks with a condition grant it.
    """

    role: str
    operation: str
    plane: GrantPlane
    conditional: bool


def expand_roles(
    roles: Mapping[str, Sequence[PermissionBlock] | Permissions], operations: Sequence[tuple[str, Planes]]
) -> Iterator[GrantedOperation]:
    """Yield every operation of a catalogue that each role grants, in the order of the roles and of the catalogue.

    Args:
        roles: Permission blocks by any name of a role.
        operations: Each name with its known planes, empty if they are unknown.
    """
    catalogue = Catalogue([name for name, _ in operations])
    on = {plane: {at for at, (_, known) in enumerate(operations) if plane in (known or PLANES)} for plane in PLANES}
    for role, blocks in roles.items():
        permissions = read_permissions(blocks)
        for plane in PLANES:
            always, under_condition = granted_positions(permissions, plane, catalogue)
            for position in sorted((always | under_condition) & on[plane]):
                yield GrantedOperation(role, catalogue.operations[position], plane, position not in always)


def granted_positions(
    permissions: Permissions, plane: str, catalogue: Catalogue, reading: Reading = Reading.MOST
) -> tuple[set[int], set[int]]:
    """Return the positions that blocks without a condition grant, and those that blocks with a condition grant."""
    always, under_condition = set[int](), set[int]()
    blocks = permissions.of_plane(plane)
    for block in blocks:
        read = block.by(reading)
        granted = catalogue.matching_any(read.allowed) - catalogue.matching_any(read.nots)
        (always if block.condition is None else under_condition).update(granted)
    if reading is Reading.LEAST and are_entangled(blocks):
        for position in _near(permissions, plane, catalogue):
            answer = answer_of(blocks, catalogue.folded[position], reading)
            if answer != "no":
                (always if answer == "yes" else under_condition).add(position)
    return always, under_condition


def doubtful_positions(permissions: Permissions, plane: str, catalogue: Catalogue) -> set[int]:
    """Return the positions for which the readings `MOST` and `LEAST` give a different answer."""
    blocks = permissions.of_plane(plane)
    return {
        position
        for position in _near(permissions, plane, catalogue)
        for name in [catalogue.folded[position]]
        if answer_of(blocks, name) != answer_of(blocks, name, Reading.LEAST)
    }


def _near(permissions: Permissions, plane: str, catalogue: Catalogue) -> set[int]:
    """Return the positions for which the readings may differ."""
    return set[int]().union(*map(catalogue.matching, permissions.loose_forms(plane)))


def planes_spelling_out(permissions: Iterable[Permissions], operation: str) -> tuple[GrantPlane, ...]:
    """Return the planes on which any role names an operation without a star, granting or excluding it."""
    text, read = fold(operation), tuple(permissions)
    return tuple(plane for plane in PLANES if any(text in one.spelt_out[plane] for one in read))


_TASKS = "/alltasks"
_ALL = "/allproperties"
_ROLE_GROUPS = {
    "microsoft.directory/groups/basic/update": "microsoft.directory/groupsassignabletoroles/allproperties/update",
    "microsoft.directory/groups/members/update": "microsoft.directory/groupsassignabletoroles/allproperties/update",
    "microsoft.directory/groups/owners/update": "microsoft.directory/groupsassignabletoroles/allproperties/update",
    "microsoft.directory/groups/create": "microsoft.directory/groupsassignabletoroles/create",
    "microsoft.directory/groups/delete": "microsoft.directory/groupsassignabletoroles/delete",
    "microsoft.directory/groups/restore": "microsoft.directory/groupsassignabletoroles/restore",
    "microsoft.directory/groups/assignlicense": "microsoft.directory/groupsassignabletoroles/assignlicense",
}


def patterns_of(action: str) -> tuple[str, ...]:
    """Return folded patterns of the actions that an action of a role allows; `*` stands for any text."""
    held = fold(action)
    service, _, rest = held.partition("/")
    entity = rest.partition("/")[0]
    if not rest:
        return (held,)
    if entity == "allentities":
        return (f"{service}/*",) if held.endswith(_TASKS) else (held, f"{service}/*/{held.rsplit('/', 1)[-1]}")
    found: list[str] = [held]
    if held.endswith(_TASKS):
        found.append(held.removesuffix(_TASKS).removesuffix(_ALL) + "/*")
    elif held.rpartition("/")[0].endswith(_ALL):
        verb = held.rsplit("/", 1)[-1]
        found.append(held.rpartition("/")[0].removesuffix(_ALL) + f"/*/{verb}")
    # A kind of an entity is written after a dot.
    of_kinds = [one.replace(f"{service}/{entity}/", f"{service}/{entity}.*/", 1) for one in found if "." not in entity]
    return (*found, *of_kinds)


def kinds_of(action: str) -> tuple[str, ...]:
    """Return patterns of narrower actions that may have allowed a logged one, since logs do not name the kind.

    The log says that a member was added to a group. It does not say whether the group may hold roles, or of which kind
    the group is.
    """
    needed = fold(action)
    service, _, rest = needed.partition("/")
    entity, slash, tail = rest.partition("/")
    kinds = (f"{service}/{entity}.*{slash}{tail}",) if entity and "." not in entity else ()
    return (*kinds, _ROLE_GROUPS[needed]) if needed in _ROLE_GROUPS else kinds


def is_of_directory(action: str) -> bool:
    """Return whether the directory itself checks an action; other services check all other actions."""
    return fold(action).startswith("microsoft.directory/")


def entity_of(action: str) -> str:
    """Return the folded service and kind of object of an action, `microsoft.directory/users`, without a narrower kind.

    Deleted objects belong to their kind.
    """
    service, _, rest = fold(action).partition("/")
    entity, _, kind = rest.partition("/")[0].partition(".")
    return f"{service}/{kind if entity == 'deleteditems' and kind else entity}"
