"""Build one case for each application and kind of access: its Graph permissions, and what its requests need.

A tenant-wide delegated grant is one case. A delegated grant of one user is another case, for the requests that the
tenant-wide grant does not explain. Cases are few and people review them, so they are objects; each has distinct
requests, not every call.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.agents import Inheritances, Inherited
from rightsize.analyze.graph_tables import GRAPH_APP_ID, GraphTables
from rightsize.analyze.reasons import OutOfCoverage, Unexplained, UnobservableReason
from rightsize.model.text import fold
from rightsize.planes.graph.permissions import Clause, PermissionMap, Requirement, companions, family_of, parse_request
from rightsize.rules.graph import (
    added,
    correlations,
    is_general,
    level_of,
    partial_kind,
    properties,
    sign_in_scopes,
    weight_of,
)

ESCALATES = 1_200_000
"""The least privilege of a permission of the highest level."""

OUT_OF_COVERAGE = frozenset(OutOfCoverage)
"""Reasons that leave a permission undecided; for the other reasons no log could have shown its use."""

CaseKey = tuple[str, str, str]
"""Client, access, and the user of a grant of one user, else empty."""


@dataclass(frozen=True, slots=True)
class SeenRequests:
    """The requests of one operation: how often, and when; `earlier` where only days before the window show them."""

    operation: str
    events: int
    days: int
    first_seen: dt.datetime | None
    last_seen: dt.datetime | None
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class GraphNeed:
    """A need that any of several permissions can meet.

    Attributes:
        why: As of a clause, or `correlated`: without it requests return less.
        method: Of the map, as is `path`.
        held: Permissions of the application that meet it.
        others: Permissions that it does not hold and that would meet it wholly.
        operations: The requests that need it, sorted.
        note: For people: the property that becomes null without it.
    """

    why: str
    method: str
    path: str
    held: frozenset[str]
    others: frozenset[str]
    operations: tuple[str, ...]
    note: str = ""


@dataclass(slots=True)
class GraphCase:
    """The access of one application to Graph: its permissions, its requests, and what these need.

    Attributes:
        key: The client, the access and the user.
        held: The permissions of its own grants, each with the ids of the grants.
        beyond: Further permissions that it holds: of the tenant-wide grant, for a grant of one user.
        needs: What its permissions have to allow.
        kept: Permissions that stay whatever the needs, each with a reason and the requests behind it.
        unexplained: Requests that no permission of it explains, with the reason.
        requests: All requests of the window by operation, and earlier ones that still count; of the principal of a
            blueprint also those of its agents that rest on its permissions.
        agents: By operation the agents whose requests rest on inherited permissions of this case, sorted.
    """

    key: CaseKey
    held: dict[str, tuple[str, ...]]
    beyond: frozenset[str] = frozenset()
    needs: tuple[GraphNeed, ...] = ()
    kept: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    unexplained: dict[str, str] = field(default_factory=dict)
    requests: dict[str, SeenRequests] = field(default_factory=dict)
    agents: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def agents_behind(self, operations: Iterable[str]) -> list[str]:
        """Return the agents whose requests for some operations rest on inherited permissions of this case, sorted."""
        return sorted({agent for operation in operations for agent in self.agents.get(operation, ())})


@dataclass(frozen=True, slots=True)
class GraphMap:
    """The imported map: requests by access, and how privileged each permission is."""

    by_access: Mapping[str, PermissionMap]
    levels: Mapping[tuple[str, str], int]
    ids: Mapping[tuple[str, str], str]
    is_loaded: bool

    @classmethod
    def read(cls, tables: GraphTables) -> GraphMap:
        """Build the map from the tables."""
        frame = tables.graph_permission_paths.select("access", "permission", "method", "path", "also_requires")
        rows: dict[str, list[tuple[str, str, str, tuple[str, ...]]]] = defaultdict(list)
        for access, permission, method, path, also in frame.sort("access", "permission", "path", "method").iter_rows():
            rows[access].append((permission, method, path, tuple(also or ())))
        for access, found in rows.items():
            known = {(method, path) for _, method, path, _ in found}
            found += [(*one, ()) for one in added(access) if one[1:] not in known]
        mapped = {
            (access, permission): level
            for access, permission, level in tables.graph_permissions.select(
                "access", "permission", "privilege_level"
            ).iter_rows()
        }
        named = tables.api_permissions.filter(
            (pl.col("api_app_id") == GRAPH_APP_ID) & pl.col("permission").is_not_null()
        ).sort("access", "permission", "permission_id")
        return cls(
            {access: PermissionMap(access, rows[access], properties()) for access in ("application", "delegated")},
            mapped,
            {
                (access, name): id_
                for access, name, id_ in named.select("access", "permission", "permission_id").iter_rows()
            },
            bool(mapped),
        )

    def level(self, permission: str, access: str) -> int:
        """Return the privilege level of a permission, 1 to 5."""
        return level_of(permission, access, self.levels.get((access, permission)))

    def privilege(self, permission: str, access: str) -> int:
        """Return how much a permission gives: the weight of its level, once for each request that it allows.

        A permission that leads to every other one gives much, however few requests it allows itself.
        """
        allowed = len(self.by_access[access].allows.get(permission, ()))
        level = self.level(permission, access)
        return max(weight_of(permission, level) * max(1, allowed), ESCALATES if level == 5 else 0)

    def requirement(self, access: str, operation: str) -> Requirement:
        """Return the permissions that a request needs."""
        return self.by_access[access].requirement(parse_request(operation))


def build_cases(
    held: pl.DataFrame, requests: pl.DataFrame, graph: GraphMap, inherited: Inheritances | None = None
) -> dict[CaseKey, GraphCase]:
    """Return the cases of all applications that hold a Graph permission or made a request, by key.

    A request of an agent is explained by its own permissions where they can, else by those that it inherits; then it is
    use of the grant of its blueprint's principal.

    Args:
        held: As `held_permissions` returns them.
        requests: As `remembered_requests` returns them.
        graph: The map.
        inherited: What agents inherit.
    """
    inherited = inherited or {}
    cases = _held_cases(held)
    alone = {(key[0], key[2]) for key in cases if key[2]}
    alone |= {(agent, one.key[2]) for (agent, _), found in inherited.items() for one in found if one.key[2]}
    own = pl.DataFrame(sorted(alone), schema={"client_id": pl.String, "user_id": pl.String}, orient="row")
    # Users without a grant of their own count as one: their requests differ by operation only.
    kept = requests.filter(pl.col("events") > 0).join(
        own.with_columns(has=True), on=["client_id", "user_id"], how="left"
    )
    one = ["client_id", "access", "user_id", "operation"]
    grouped = (
        kept.with_columns(user_id=pl.when("has").then("user_id").otherwise(pl.lit("")))
        # Where the window shows a request, earlier ones add nothing to it.
        .filter(~pl.col("earlier") | pl.col("earlier").all().over(one))
        .group_by(one)
        .agg(
            pl.col("events").sum(),
            pl.col("days").max(),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
            pl.col("earlier").all(),
        )
        .sort(one)
    )
    asked: dict[CaseKey, list[SeenRequests]] = defaultdict(list)
    for client, access, user, *what in grouped.iter_rows():
        asked[client, access, user].append(SeenRequests(*what))
    for key in asked:
        cases.setdefault((key[0], key[1], ""), GraphCase((key[0], key[1], ""), {}))
    for key in sorted(cases):
        if key[2]:
            continue
        whole = cases[key]
        needed: dict[str, Requirement] = {}
        for user in sorted({one[2] for one in asked if one[:2] == key[:2]}):
            for seen in asked[*key[:2], user]:
                needed.setdefault(seen.operation, graph.requirement(key[1], seen.operation))
                target = _case_of(needed[seen.operation], whole, cases.get((*key[:2], user)))
                known = target.requests.get(seen.operation)
                target.requests[seen.operation] = seen if known is None else _together(known, seen)
    readers: dict[CaseKey, _RequestReader] = {}
    for key, case in sorted(cases.items()):
        tenant_wide = cases.get((*key[:2], "")) if key[2] else None
        if tenant_wide is not None:
            case.beyond = frozenset(tenant_wide.held)
        readers[key] = _RequestReader(case, tenant_wide, graph)
        readers[key].keep_unmapped()
    users = {(client, operation, user) for (client, _, user), seen in asked.items() if user for operation in
             (one.operation for one in seen)}  # fmt: skip
    for key, reader in readers.items():
        agent, access, _ = key
        fallbacks = [(one, readers[one.key].within(one)) for one in inherited.get((agent, access), ())]
        for operation in sorted(reader.operations):
            beside = [
                fallback for one, fallback in fallbacks if not one.key[2] or (agent, operation, one.key[2]) in users
            ]
            reader.read(operation, beside)
    for reader in readers.values():
        reader.finish()
    _hold_back(cases, requests, graph, inherited)
    return dict(sorted(cases.items()))


def _hold_back(
    cases: Mapping[CaseKey, GraphCase], requests: pl.DataFrame, graph: GraphMap, inherited: Inheritances
) -> None:
    """Keep the permissions that only requests in quarantine may have used, until a person decides."""
    suspect = requests.filter((pl.col("events") == 0) & (pl.col("suspect") > 0))
    for client, access, user, operation in suspect.select("client_id", "access", "user_id", "operation").iter_rows():
        needed = graph.requirement(access, operation)
        if needed.free:
            continue
        theirs = [one.key for one in inherited.get((client, access), ())]
        keys = dict.fromkeys([(client, access, ""), (client, access, user or ""), *theirs])
        near = [cases[key] for key in keys if key in cases]
        held = frozenset(permission for case in near for permission in case.held)
        wanted = {permission for clause in needed.clauses for permission in (*clause.permissions, *clause.by_name)}
        if needed.unknown or any(not clause.holders(held) for clause in needed.clauses if clause.why != "beside"):
            wanted |= family_of(operation, held, graph.by_access[access])
        for case in near:
            for permission in sorted(wanted & case.held.keys()):
                case.kept.setdefault(permission, (OutOfCoverage.QUARANTINED, (operation,)))


def _held_cases(held: pl.DataFrame) -> dict[CaseKey, GraphCase]:
    cases: dict[CaseKey, GraphCase] = {}
    graph = held.filter(pl.col("api_app_id") == GRAPH_APP_ID)
    for client, access, user, permission, grant in graph.select(
        "client_id", "access", "user_id", "permission", "grant_id"
    ).iter_rows():
        key = (client, access, user or "")
        case = cases.setdefault(key, GraphCase(key, {}))
        case.held[permission] = (*case.held.get(permission, ()), grant)
        if user:
            cases.setdefault((client, access, ""), GraphCase((client, access, ""), {}))
    return cases


def _case_of(needed: Requirement, whole: GraphCase, own: GraphCase | None) -> GraphCase:
    """Return the user's own case where the tenant-wide grant does not explain the request, else the tenant-wide one."""
    if own is None or needed.free:
        return whole
    explained = bool(needed.clauses) and all(
        clause.holders(whole.held) for clause in needed.clauses if clause.why != "beside"
    )
    return whole if explained else own


def _together(one: SeenRequests, other: SeenRequests) -> SeenRequests:
    if one.earlier != other.earlier:
        return other if one.earlier else one
    first = min((time for time in (one.first_seen, other.first_seen) if time), default=None)
    last = max((time for time in (one.last_seen, other.last_seen) if time), default=None)
    return SeenRequests(one.operation, one.events + other.events, max(one.days, other.days), first, last, one.earlier)


_NeedKey = tuple[str, str, str, frozenset[str], frozenset[str], str]


class _RequestReader:
    """Reads the requests of a case: sets its needs, and what stays whatever the needs, in the tenant-wide case too."""

    def __init__(self, case: GraphCase, whole: GraphCase | None, graph: GraphMap) -> None:
        self._case = case
        self._cases = (case,) if whole is None else (case, whole)
        self.map = graph.by_access[case.key[1]]
        self._access = case.key[1]
        self._graph = graph
        self._all = frozenset(case.held) | case.beyond
        self._takes_new = True
        self._found: dict[_NeedKey, set[str]] = defaultdict(set)
        # Requests of agents are added to the case while it is read.
        self.operations = tuple(case.requests)

    def within(self, inherited: Inherited) -> _RequestReader:
        """Return a reader of the same case for requests of agents, which have only what they inherit of it."""
        other = copy(self)
        other._all = inherited.permissions & frozenset(self._case.held)
        other._takes_new = inherited.takes_new
        return other

    def keep_unmapped(self) -> None:
        """Keep the permissions whose use no request shows."""
        for permission in sorted(self._case.held):
            if self._access == "delegated" and fold(permission) in sign_in_scopes():
                self.keep(permission, UnobservableReason.SIGN_IN_SCOPE, ())
            elif permission not in self.map.allows:
                reason = UnobservableReason.NOT_IN_MAP if self._graph.is_loaded else OutOfCoverage.NO_PERMISSION_MAP
                self.keep(permission, reason, ())

    def finish(self) -> None:
        """Set the needs of the case."""
        self._case.needs = self.needs()

    def keep(self, permission: str, reason: str, operations: Iterable[str]) -> None:
        """Keep a permission; a reason that a request leaves open outweighs one that no log could show."""
        for case in self._cases:
            if permission not in case.held:
                continue
            why, behind = case.kept.get(permission, (str(reason), ()))
            if reason == OutOfCoverage.UNEXPLAINED_REQUEST and why not in OUT_OF_COVERAGE:
                why = str(reason)
            case.kept[permission] = (why, tuple(sorted({*behind, *operations})))

    def read(self, operation: str, inherited: Sequence[_RequestReader] = ()) -> None:
        """Read a request; `inherited` reads what the agent's own permissions do not explain."""
        needed = self._graph.requirement(self._access, operation)
        if needed.free:
            return
        if needed.unknown:
            self._case.unexplained.setdefault(operation, Unexplained.NOT_IN_MAP.value)
            for reader in (self, *inherited):
                reader._freeze(operation)
        for clause in needed.clauses:
            if not clause.holders(self._all):
                explaining = next((one for one in inherited if clause.holders(one._all)), None)
                if explaining is not None:
                    explaining._note_agent(operation, self)
                    explaining._clause(operation, clause)
                    continue
                for reader in inherited:
                    # The listing may be older than the request: what the principal holds may have been inherited.
                    for permission in sorted(clause.holders(frozenset(reader._case.held))):
                        reader.keep(permission, OutOfCoverage.UNEXPLAINED_REQUEST, (operation,))
            self._clause(operation, clause)

    def _note_agent(self, operation: str, agent: _RequestReader) -> None:
        case, name = self._case, agent._case.key[0]
        if name in case.agents.get(operation, ()):
            return
        case.agents[operation] = tuple(sorted({*case.agents.get(operation, ()), name}))
        seen, known = agent._case.requests[operation], case.requests.get(operation)
        case.requests[operation] = seen if known is None else _together(known, seen)

    def _freeze(self, operation: str) -> None:
        """Keep the family of a request that nothing explains."""
        for permission in sorted(family_of(operation, self._all, self.map)):
            self.keep(permission, OutOfCoverage.UNEXPLAINED_REQUEST, (operation,))

    def _clause(self, operation: str, clause: Clause) -> None:
        held = clause.holders(self._all)
        if clause.why == "path":
            self._correlated(operation, clause)
        if not held:
            if clause.why == "path":
                self._case.unexplained.setdefault(operation, Unexplained.NO_PERMISSION.value)
            if clause.why != "beside":
                self._freeze(operation)
            return
        kinds = {one: partial_kind(one, clause.method, clause.path) for one in {*clause.permissions, *held}}
        whole = frozenset(one for one in held if kinds[one] is None)
        by_body = sorted(one for one in held if (kinds[one] or ("",))[0] == "body")
        partly = sorted(held - whole - frozenset(by_body))
        for permission in by_body:
            self.keep(permission, UnobservableReason.REQUEST_BODY, (operation,))
        if not whole and (by_body or len(partly) > 1):
            for permission in partly:
                self.keep(permission, UnobservableReason.CANNOT_TELL, (operation,))
            return
        candidates = whole or frozenset(partly)
        # A permission that explains a request by its name alone has no others: the map does not show which would do.
        others = frozenset(
            one
            for one, also in clause.permissions.items()
            if kinds[one] is None and one not in self._all and not also and whole and held & clause.permissions.keys()
        )
        self._add((clause.why, clause.method, clause.path, candidates, others, ""), operation)
        self._together(operation, clause, candidates, others)

    def _add(self, need: _NeedKey, operation: str) -> None:
        """Add a need; what the principal is granted instead helps its agents only where they inherit it."""
        why, method, path, held, others, note = need
        self._found[why, method, path, held, others if self._takes_new else frozenset(), note].add(operation)

    def _together(self, operation: str, clause: Clause, candidates: frozenset[str], others: frozenset[str]) -> None:
        """Add the need for the permissions that go with another, or for one that allows the same alone."""
        alone = frozenset(one for one in candidates if not clause.permissions.get(one))
        for permission in sorted(candidates - alone):
            also = clause.permissions[permission]
            key = (
                "joined",
                clause.method,
                clause.path,
                alone | companions(also, self._all),
                others | frozenset(also) - self._all,
                "",
            )
            self._add(key, operation)

    def _correlated(self, operation: str, clause: Clause) -> None:
        for found in correlations(clause.method, clause.path):
            fillers = frozenset(one for one in found.permissions if one in self._all)
            others = frozenset(one for one in found.permissions if one not in self._all and is_general(one))
            if fillers:
                key = ("correlated", clause.method, clause.path, fillers, others, found.without)
                self._add(key, operation)

    def needs(self) -> tuple[GraphNeed, ...]:
        return tuple(
            GraphNeed(why, method, path, held, others, tuple(sorted(operations)), note)
            for (why, method, path, held, others, note), operations in sorted(
                self._found.items(), key=lambda item: (*item[0][:3], sorted(item[0][3]), sorted(item[0][4]), item[0][5])
            )
        )
