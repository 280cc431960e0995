"""Choose the replacement of a directory role: none, a narrower scope, smaller built-in roles, or a custom role.

Only roles that allow nothing beyond today's access are candidates. A reading role stays beside the narrow one for the
reads that no log shows. Of several sets that allow the needed actions, the one with the least weight is chosen, and of
equal ones the one with fewer roles. Where no set allows all that may be needed, the used part may stay active and the
rest become eligible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rightsize.model.plan import BUILTIN, CUSTOM, KEEP, MAKE_ELIGIBLE, NARROW_SCOPE, REMOVE, ProposalKind
from rightsize.model.text import is_directory_read
from rightsize.planes.directory.cases import DirectoryAssignmentCase
from rightsize.planes.directory.tables import BoundReach, DirectoryTables
from rightsize.rbac.expand import entity_of
from rightsize.rules.directory import (
    bound_actions,
    contained_roles,
    custom_actions,
    is_job_read,
    object_roles,
    reading_roles,
    roles_that,
    side_actions,
    unit_roles,
)

_UNIT = "/administrativeunits/"
_APPLICATIONS = "microsoft.directory/applications"
MOST_ROLES = 3
"""The largest number of roles that may replace one; more would not help the people who review and activate them."""
IN_PART = 4
"""A role at one administrative unit or application reaches a part of the tenant; scores count it as a quarter."""
_LEAST_WORTH = 50
"""A custom role has to save one part in so many of today's weight, as for Azure roles."""


@dataclass(frozen=True, slots=True)
class DirectoryRoleCatalog:
    """The loaded directory roles and the actions that they allow.

    Attributes:
        allows: The folded actions of each role, without those that are allowed on some objects only.
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
        return sum(map(self.weights.__getitem__, actions))


@dataclass(frozen=True, slots=True)
class DirectoryChoice:
    """The chosen replacement of one assignment.

    Attributes:
        kind: remove, narrow_scope, builtin, custom, make_eligible or keep.
        roles: The roles that are assigned at `place`, sorted; empty for a custom role.
        readers: The reading roles that are assigned at today's scope.
        actions: The actions that `roles`, or the custom role, allow.
        reads: The actions that `readers` allow.
        place: The new scope; empty for today's scope.
        rest: Whether today's role becomes eligible beside the new ones.
        why: For `keep`, a word of `WHY_KEPT`; empty where no smaller role fits.
        enough: For `keep`, built-in roles that would allow what was used, where more has to stay.
    """

    kind: ProposalKind
    roles: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    actions: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    place: str = ""
    rest: bool = False
    why: str = ""
    enough: tuple[str, ...] = ()

    @property
    def allowed(self) -> frozenset[str]:
        """Return the actions that all new assignments allow, wherever."""
        return self.actions | self.reads


WHY_KEPT = {
    "bound": "smaller roles may not do this to every account, and no log says whose account it was done to",
    "only_reads": "it only reads, and no log shows reads",
    "services": "other services check part of its actions, and their logs are not loaded",
    "unlogged": "no log is known to show what it allows",
    "workload": "its holder is a service principal, and no log is known to show part of what it allows",
    "activated_idle": "it has to be activated, and nothing shows that it was not",
    "agent": "only a custom role would fit, and agents cannot rely on getting one",
    "no_premium": "only a custom role would fit, and no export shows the licence that it needs (Entra ID P1)",
    "max_break": "the change is likelier to break something than `--max-break` allows",
    "no_room": "only a custom role would fit, and the tenant has as many as it may have",
}
"""The reasons why a role that might be changed is kept: a sentence for each word."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is possible for one assignment beside the roles themselves.

    Attributes:
        is_member: Whether the holder has the default reads of every member.
        has_premium: Whether an export shows Entra ID P1, which roles at administrative units need.
        no_custom: The word of `WHY_KEPT` why it gets no custom role; empty if it may.
        may_sleep: Whether its holder may be eligible and the tenant has the licence.
        is_seldom: Whether it was used few hours a month.
        is_privileged: Whether Microsoft calls the role privileged.
        drops_unobservable: Whether actions are removed whose use no log can show.
        bounds: The accounts of administrators, and the units whose members are known.
    """

    is_member: bool
    has_premium: bool
    no_custom: str
    may_sleep: bool
    is_seldom: bool
    is_privileged: bool
    drops_unobservable: bool
    bounds: BoundReach


def read_catalogue(tables: DirectoryTables) -> DirectoryRoleCatalog:
    """Return the catalogue of the loaded directory roles."""
    allows: dict[str, set[str]] = {role: set() for role in tables.roles["role"]}
    everybody = set()
    for role, name, conditional in tables.grants.iter_rows():
        if not conditional:
            allows[role].add(name)
        if role in roles_that("default_member") and is_directory_read(name):
            everybody.add(name)
    not_for_use = roles_that("not_for_use") | roles_that("by_the_service") | roles_that("default_member")
    usable = {
        row["role"]
        for row in tables.roles.iter_rows(named=True)
        if row["is_built_in"] and row["is_enabled"] is not False and row["role"] not in not_for_use
    }
    return DirectoryRoleCatalog(
        allows={role: frozenset(names) for role, names in allows.items()},
        names=dict(tables.roles.select("role", "role_name").iter_rows()),
        built_in=frozenset(usable),
        weights=dict(tables.actions.select("name", "weight").iter_rows()),
        spelt=dict(tables.actions.select("name", "action").iter_rows()),
        default=frozenset(everybody),
    )


def allowed_today(
    case: DirectoryAssignmentCase, catalogue: DirectoryRoleCatalog, default: frozenset[str]
) -> frozenset[str]:
    """Return what the holder may do by the role: its actions, those of documented parts of it, and default reads."""
    own = catalogue.allows.get(case.role, frozenset()) | case.used
    parts = (catalogue.allows.get(one, frozenset()) for one in contained_roles().get(case.role, ()))
    return own.union(*parts) | default


def choose(case: DirectoryAssignmentCase, catalogue: DirectoryRoleCatalog, room: Room) -> DirectoryChoice:
    """Return the replacement for one case that the plan may change."""
    return _Chooser(case, catalogue, room).choose()


class _Chooser:
    """The choice for one case.

    Attributes:
        _own: The actions of today's role.
        _today: The actions that new roles may have.
        _must: The changes that every replacement has to allow.
        _jobs: The reads that it has to allow: used ones, and those that are a task of their own.
        _soft: The reads that a reading role allows as far as one has them.
    """

    def __init__(self, case: DirectoryAssignmentCase, catalogue: DirectoryRoleCatalog, room: Room) -> None:
        self._case, self._catalogue, self._room = case, catalogue, room
        self._default = catalogue.default if room.is_member else frozenset()
        self._own = catalogue.allows.get(case.role, frozenset()) | case.used
        self._today = allowed_today(case, catalogue, self._default)
        firm_reads = frozenset(name for name in case.firm if is_directory_read(name))
        self._must = (case.firm - firm_reads) | case.hard
        # A guest or a workload may hold a role only to read what everybody else may read.
        plain = frozenset() if room.is_member else case.reads & catalogue.default
        if readable := self._allowed(self._fitting_readers()):
            plain &= readable
        self._jobs = (firm_reads | plain | frozenset(filter(is_job_read, case.reads))) - self._default
        self._soft = case.reads - self._jobs - self._default

    def choose(self) -> DirectoryChoice:
        # Only what not everybody has may be needed.
        if not self._case.used | (frozenset(self._case.kept) - self._default):
            return DirectoryChoice(REMOVE)
        return self._idle() if self._case.is_idle else self._working()

    def _keep(self, why: str = "", enough: tuple[str, ...] = ()) -> DirectoryChoice:
        return DirectoryChoice(KEEP, actions=self._own, why=why, enough=enough)

    def _idle(self) -> DirectoryChoice:
        """Return the choice for a role without any observed use."""
        case, room = self._case, self._room
        services = {name for name in case.hard if not _is_of_tenant(name)}
        unsure = "services" if services else "workload" if case.hard else ""
        if not case.is_judged and not room.drops_unobservable:
            reads = all(is_directory_read(name) or name in side_actions() for name in (*case.kept, *case.gone))
            return self._keep("only_reads" if reads else unsure or "unlogged")
        if case.row["state"] == "eligible":
            return self._keep("activated_idle")
        if services and not room.is_privileged:
            return self._keep("services")
        if room.may_sleep:
            return DirectoryChoice(MAKE_ELIGIBLE, actions=self._own)
        found = self._replacement()
        if found is None or self._weight(found) >= self._catalogue.mass(self._own):
            return self._keep(unsure or "only_reads")
        return found

    def _working(self) -> DirectoryChoice:
        """Return the choice for a role that was used."""
        case, room = self._case, self._room
        options = [one for one in (*self._narrower(), self._replacement()) if one is not None]
        smaller = [one for one in options if one.place or self._weight(one) < self._catalogue.mass(self._own)]
        if smaller:
            return min(smaller, key=lambda one: (self._weight(one), one.kind, one.roles))
        if not room.no_custom and (custom := self._custom()) is not None:
            return custom
        services = any(not _is_of_tenant(name) for name in case.hard)
        seen = bool(case.used) and (case.is_judged or any(not is_directory_read(name) for name in case.used))
        if room.may_sleep and seen and (room.is_privileged or not services):
            if room.is_privileged and (split := self._split()) is not None:
                return split
            if room.is_seldom:
                return DirectoryChoice(MAKE_ELIGIBLE, actions=self._own)
        if case.used & bound_actions():
            return self._keep("bound")
        if services:
            split = self._split()
            return self._keep("services", split.roles if split is not None else ())
        return self._keep(room.no_custom if room.no_custom and self._custom() is not None else "")

    def _weight(self, choice: DirectoryChoice) -> float:
        mass = self._catalogue.mass
        if not choice.place:
            return mass(choice.allowed)
        return mass(choice.actions) / IN_PART + mass(choice.reads)

    def _replacement(self) -> DirectoryChoice | None:
        """Return built-in roles at today's scope that allow what is needed; None where there are none."""
        usable = self._usable()
        needs = self._must - self._default
        for needed in dict.fromkeys((needs, needs | self._jobs)):
            roles = self._cover(needed, usable)
            if needed and not roles:
                continue
            held = self._allowed(roles)
            readers = self._readers((self._jobs | self._soft) - held, MOST_ROLES - len(roles))
            if self._jobs <= held | self._allowed(readers):
                both = tuple(sorted({*roles, *readers}))
                return DirectoryChoice(BUILTIN if both else REMOVE, both, actions=self._allowed(both))
        return None

    def _narrower(self) -> Iterable[DirectoryChoice | None]:
        """Yield choices at the one administrative unit, or application, in which all changes were made."""
        place, usable = self._place()
        if not place:
            return
        readers = self._readers(self._jobs | self._soft, MOST_ROLES - 1)
        # A guest or a workload cannot use a role of a unit without reads of the directory.
        blind = place.startswith(_UNIT) and not self._room.is_member and not readers
        if blind or not self._jobs <= self._allowed(readers):
            return
        needed = self._must - self._default
        reads = self._allowed(readers)
        if self._case.role in usable:
            yield DirectoryChoice(NARROW_SCOPE, (self._case.role,), readers, self._own, reads, place)
        roles = self._cover(needed, usable)
        if roles and len(roles) + len(readers) <= MOST_ROLES:
            yield DirectoryChoice(BUILTIN, roles, readers, self._allowed(roles), reads, place)

    def _place(self) -> tuple[str, frozenset[str]]:
        """Return the place of all changes, and the roles that may be assigned there; an empty place for none."""
        case = self._case
        # What no log shows may have been done anywhere.
        if case.row["place"] != "/" or len(case.written) != 1 or case.hard or case.firm - case.used - case.earlier:
            return "", frozenset()
        (place,) = case.written
        if place.startswith(_UNIT):
            known = self._room.has_premium and place in self._room.bounds.units
            if not known or (self._must & bound_actions() and not self._room.bounds.is_plain(place)):
                return "", frozenset()
            return place, unit_roles()
        if place != "/" and all(entity_of(name) == _APPLICATIONS for name in self._must):
            return place, object_roles()
        return "", frozenset()

    def _custom(self) -> DirectoryChoice | None:
        """Return a custom role at today's scope, with a reading role for what custom roles cannot have."""
        must = self._must - self._default
        if not must <= custom_actions():
            return None
        actions = must | ((self._jobs | self._soft) & custom_actions())
        readers = self._readers((self._jobs | self._soft) - actions, MOST_ROLES - 1)
        found = DirectoryChoice(CUSTOM, (), readers, actions, self._allowed(readers))
        mass = self._catalogue.mass
        saved = mass(self._own) - mass(found.allowed)
        enough = saved * _LEAST_WORTH >= mass(self._own)
        return found if actions and self._jobs <= found.allowed and enough else None

    def _split(self) -> DirectoryChoice | None:
        """Return roles for what was used, beside which today's role becomes eligible."""
        used = frozenset(name for name in self._case.firm if not is_directory_read(name)) - self._default
        reads = (self._case.firm - used) - self._default
        roles = self._cover(used, self._usable())
        if used and not roles:
            return None
        held = self._allowed(roles)
        readers = self._readers((self._jobs | self._soft) - held, MOST_ROLES - len(roles))
        both = tuple(sorted({*roles, *readers}))
        allowed = self._allowed(both)
        mass = self._catalogue.mass
        if not both or not reads <= allowed or 2 * mass(allowed) > mass(self._own):
            return None
        return DirectoryChoice(BUILTIN, both, actions=allowed, rest=True)

    def _usable(self) -> frozenset[str]:
        """Return the built-in roles that may be assigned at today's scope: few may below the whole tenant."""
        place = str(self._case.row["place"])
        if place == "/":
            return self._catalogue.built_in
        return self._catalogue.built_in & (unit_roles() if place.startswith(_UNIT) else object_roles())

    def _cover(self, needed: frozenset[str], usable: frozenset[str]) -> tuple[str, ...]:
        """Return the lightest roles that together allow the needed actions, and none beyond today's access."""
        if not needed:
            return ()
        usable = usable & self._catalogue.built_in
        bound = needed & bound_actions()
        if bound and not self._room.drops_unobservable:
            usable = frozenset(one for one in usable if self._is_as_far(one, bound & self._catalogue.allows[one]))
        fitting = {
            one: allowed
            for one, allowed in self._catalogue.allows.items()
            if one in usable and one != self._case.role and allowed <= self._today and allowed & needed
        }
        return _lightest(needed, fitting, self._catalogue)

    def _is_as_far(self, role: str, bound: frozenset[str]) -> bool:
        """Return whether a role may do this to every account to which today's role may, or at the plain unit."""
        place, _ = self._place()
        if place.startswith(_UNIT) and self._room.bounds.is_plain(place):
            return True
        bounds = self._room.bounds
        return all(bounds.is_kept(self._case.role, role, one, self._case.holder) for one in bound)

    def _fitting_readers(self) -> tuple[str, ...]:
        """Return the reading roles inside today's access."""
        if self._case.row["place"] != "/":
            return ()
        usable = (reading_roles() & self._catalogue.built_in) - {self._case.role}
        return tuple(one for one in sorted(usable) if self._catalogue.allows[one] <= self._today)

    def _readers(self, wanted: frozenset[str], most: int) -> tuple[str, ...]:
        """Return at most `most` reading roles inside today's access, those first that have most of the wanted reads."""
        fits = {one: self._catalogue.allows[one] for one in self._fitting_readers()}
        chosen: list[str] = []
        while fits and len(chosen) < most:
            best = max(fits, key=lambda one: (len(fits[one] & wanted), -self._catalogue.mass(fits[one])))
            if not fits[best] & wanted:
                break
            chosen.append(best)
            wanted -= fits.pop(best)
        return tuple(sorted(chosen))

    def _allowed(self, roles: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self._catalogue.allows[role] for role in roles))


def _is_of_tenant(action: str) -> bool:
    return action.startswith("microsoft.directory/")


def _lightest(
    needed: frozenset[str], fitting: Mapping[str, frozenset[str]], catalogue: DirectoryRoleCatalog
) -> tuple[str, ...]:
    """Return the lightest set of at most `MOST_ROLES` fitting roles with the needed actions, or an empty one."""
    if not needed <= frozenset().union(*fitting.values()):
        return ()
    found = (_greedy(first, needed, fitting, catalogue) for first in sorted(fitting))

    def weight(roles: tuple[str, ...]) -> tuple[int, int, str]:
        return catalogue.mass(frozenset().union(*(fitting[role] for role in roles))), len(roles), " ".join(roles)

    return min((roles for roles in found if roles), key=weight, default=())


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
