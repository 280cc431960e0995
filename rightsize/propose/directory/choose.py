"""Choose the replacement of a directory role: none, a narrower scope, smaller built-in roles, or a custom role.

Only roles that allow nothing beyond today's role are candidates. Of several sets that allow the needed actions, the
one with the least weight is chosen, and of equal ones the one with fewer roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rightsize.analyze.directory.tables import DirectoryTables
from rightsize.model.proposal_kinds import BUILTIN, CUSTOM, KEEP, NARROW_SCOPE, REMOVE, ProposalKind
from rightsize.propose.directory.cases import DirectoryAssignmentCase
from rightsize.rbac.resource_actions import is_read
from rightsize.rules.directory import bound_actions, custom_actions, roles_that, unit_roles

_UNIT = "/administrativeunits/"
MOST_ROLES = 3
"""The largest number of roles that may replace one; more would not help the people who review and activate them."""


@dataclass(frozen=True, slots=True)
class DirectoryRoleCatalog:
    """The loaded directory roles and the actions that they allow.

    Attributes:
        allows: The folded actions of each role, without those that are allowed on some objects only.
        names: The names of the roles.
        built_in: The built-in roles that may replace others.
        weights: The weight of each action.
        spelt: Each action as roles write it.
        default: The reads that every member of the tenant is allowed without a role.
    """

    allows: Mapping[str, frozenset[str]]
    names: Mapping[str, str]
    built_in: frozenset[str]
    weights: Mapping[str, int]
    spelt: Mapping[str, str]
    default: frozenset[str]

    def mass(self, actions: Iterable[str]) -> int:
        """Return the total weight of actions."""
        return sum(self.weights[action] for action in actions)


@dataclass(frozen=True, slots=True)
class DirectoryChoice:
    """The chosen replacement of one assignment.

    Attributes:
        kind: remove, narrow_scope, builtin, custom or keep.
        roles: The assigned roles, sorted; empty for a custom role.
        actions: The actions that are allowed after the plan.
        place: The new scope; empty for today's scope.
    """

    kind: ProposalKind
    roles: tuple[str, ...] = ()
    actions: frozenset[str] = frozenset()
    place: str = ""


def read_catalogue(tables: DirectoryTables) -> DirectoryRoleCatalog:
    """Return the catalogue of the loaded directory roles."""
    allows: dict[str, set[str]] = {role: set() for role in tables.roles["role"]}
    for role, name, conditional in tables.grants.iter_rows():
        if not conditional:
            allows[role].add(name)
    not_for_use = roles_that("not_for_use") | roles_that("by_the_service") | roles_that("default_member")
    usable = {
        row["role"]
        for row in tables.roles.iter_rows(named=True)
        if row["is_built_in"] and row["is_enabled"] is not False and row["role"] not in not_for_use
    }
    everybody: set[str] = set()
    for role in roles_that("default_member"):
        everybody |= {name for one, name, _ in tables.grants.iter_rows() if one == role}
    return DirectoryRoleCatalog(
        allows={role: frozenset(names) for role, names in allows.items()},
        names=dict(tables.roles.select("role", "role_name").iter_rows()),
        built_in=frozenset(usable),
        weights=dict(tables.actions.select("name", "weight").iter_rows()),
        spelt=dict(tables.actions.select("name", "action").iter_rows()),
        default=frozenset(name for name in everybody if is_read(name)),
    )


def choose(
    case: DirectoryAssignmentCase,
    catalogue: DirectoryRoleCatalog,
    *,
    may_be_custom: bool,
    is_member: bool,
    drops_unobservable: bool,
) -> DirectoryChoice:
    """Return the replacement for one case.

    Smaller roles may perform some actions, such as password resets, on fewer accounts. The stored logs do not say on
    whose account such an action was done. So a used action of this kind keeps its role, unless unobservable actions
    are to be dropped.

    Args:
        case: A case that the plan may change.
        catalogue: The loaded roles.
        may_be_custom: Whether the tenant has room for another custom role.
        is_member: Whether the holder has the default reads of every member.
        drops_unobservable: Whether actions are removed whose use no log can show.
    """
    today = catalogue.allows.get(str(case.row["role"]), frozenset()) | case.used
    needed = case.needed - (catalogue.default if is_member else frozenset())
    if not needed and not case.used:
        return DirectoryChoice(REMOVE)
    options: list[DirectoryChoice] = []
    place = _unit_of(case, needed)
    if place:
        options.append(DirectoryChoice(NARROW_SCOPE, (str(case.row["role"]),), today, place))
    bound = (case.used | case.earlier) & bound_actions()
    usable = frozenset() if bound and not drops_unobservable else _usable(case, catalogue)
    roles = _cover(needed, str(case.row["role"]), today, usable, catalogue)
    if roles:
        actions = frozenset().union(*(catalogue.allows[role] for role in roles))
        options.append(DirectoryChoice(BUILTIN, roles, actions))
    if may_be_custom and needed <= custom_actions():
        options.append(DirectoryChoice(CUSTOM, (), needed))
    smaller = [one for one in options if one.place or catalogue.mass(one.actions) < catalogue.mass(today)]
    if not smaller:
        return DirectoryChoice(KEEP, actions=today)
    return min(smaller, key=lambda one: (_mass(one, catalogue), one.kind, one.roles))


def _mass(choice: DirectoryChoice, catalogue: DirectoryRoleCatalog) -> float:
    # A role at one administrative unit reaches a part of the tenant; scores count it as a quarter.
    return catalogue.mass(choice.actions) / (4 if choice.place else 1)


def _unit_of(case: DirectoryAssignmentCase, needed: frozenset[str]) -> str:
    """Return the one administrative unit in which all needed actions were used, or the empty string."""
    if case.row["place"] != "/" or case.row["role"] not in unit_roles() or len(case.places) != 1:
        return ""
    (place,) = case.places
    # An action without visible use may have been done anywhere, so every needed action has to be a used one.
    return place if place.startswith(_UNIT) and needed <= case.used else ""


def _usable(case: DirectoryAssignmentCase, catalogue: DirectoryRoleCatalog) -> frozenset[str]:
    """Return the built-in roles that may be assigned at the scope of a case: few may below the whole tenant."""
    place = str(case.row["place"])
    if place == "/":
        return catalogue.built_in
    return catalogue.built_in & unit_roles() if place.startswith(_UNIT) else frozenset()


def _cover(
    needed: frozenset[str], role: str, today: frozenset[str], usable: frozenset[str], catalogue: DirectoryRoleCatalog
) -> tuple[str, ...]:
    """Return the lightest set of at most `MOST_ROLES` roles that fits the needs and today's role, or an empty one.

    The roles together allow the needed actions, and none allows an action beyond `today`.
    """
    fitting = {
        one: allowed
        for one, allowed in catalogue.allows.items()
        if one in usable and one != role and allowed <= today and allowed & needed
    }
    best: tuple[str, ...] = ()
    for first in sorted(fitting):
        chosen = _greedy(first, needed, fitting, catalogue)
        if chosen and (not best or _key(chosen, fitting, catalogue) < _key(best, fitting, catalogue)):
            best = chosen
    return best


def _greedy(
    first: str, needed: frozenset[str], fitting: Mapping[str, frozenset[str]], catalogue: DirectoryRoleCatalog
) -> tuple[str, ...]:
    chosen = [first]
    held = fitting[first]
    while not needed <= held:
        if len(chosen) == MOST_ROLES:
            return ()
        missing = needed - held
        useful = [one for one in sorted(fitting) if fitting[one] & missing]
        if not useful:
            return ()
        cost = {one: catalogue.mass(fitting[one] - held) / len(fitting[one] & missing) for one in useful}
        one = min(useful, key=lambda name: (cost[name], name))
        chosen.append(one)
        held |= fitting[one]
    spare = [one for one in chosen if needed <= frozenset().union(*(fitting[x] for x in chosen if x != one))]
    if spare and len(chosen) > 1:
        chosen.remove(spare[0])
    return tuple(sorted(chosen))


def _key(
    roles: tuple[str, ...], fitting: Mapping[str, frozenset[str]], catalogue: DirectoryRoleCatalog
) -> tuple[int, int, str]:
    union = frozenset().union(*(fitting[role] for role in roles))
    return catalogue.mass(union), len(roles), " ".join(roles)
