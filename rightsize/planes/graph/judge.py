"""Judge each held Graph permission as used, unused, unobservable or out of coverage, with its evidence.

API permissions are credited with what the unified audit log of Microsoft 365 shows of their applications.

An operation is credited to a permission only where the application holds one permission alone that may have allowed it.
Where it holds several, each of them stays, and none is credited. The log shows no permission as unused: reads need a
licence, are throttled and aggregated, mailboxes may be left out, and reads by cmdlets are not logged.

Where several permissions explain a request, the cheapest set that explains all requests counts as used.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.agents import (
    Inheritances,
    agent_identities,
    blueprint_holders,
    effective_permissions,
    inherited_access,
)
from rightsize.analyze.graph_tables import (
    GRAPH_APP_ID,
    GraphTables,
    coverage_state,
    covered_days,
    held_permissions,
    remembered_requests,
    service_principals,
)
from rightsize.analyze.graph_tables import service_principals as listed_principals
from rightsize.analyze.inputs import folded
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.reasons import SHOWN, Attribution, OutOfCoverage, UnobservableReason, Verdict
from rightsize.analyze.window import Window
from rightsize.mining.programs import Rows, solve
from rightsize.model.text import fold
from rightsize.planes.graph.cases import (
    OUT_OF_COVERAGE,
    CaseKey,
    GraphCase,
    GraphMap,
    GraphNeed,
    SeenRequests,
    build_cases,
)
from rightsize.planes.graph.frames import (
    assignment_rows,
    denied_rows,
    find_blocked_permissions,
    finding_rows,
    principal_rows,
    verdict_rows,
)
from rightsize.rules.graph import audited_apis, audited_needs

LOG = "m365_audit_log"


@dataclass(frozen=True, slots=True)
class AuditedUse:
    """The operations of an application that one of its permissions may have allowed.

    Attributes:
        key: Client, access, and the user of a grant of one user, else empty.
        api_app_id: The API of the permission.
        permission: As it is held.
        alone: Whether the application holds no other permission that may have allowed them.
        seen: The operations; one that only records in quarantine show has no events.
    """

    key: CaseKey
    api_app_id: str
    permission: str
    alone: bool
    seen: tuple[SeenRequests, ...]


def is_loaded(tables: GraphTables) -> bool:
    """Return whether any day of the unified audit log is loaded."""
    return not tables.coverage.filter(pl.col("source") == LOG).is_empty()


def audited_use(tables: GraphTables, held: pl.DataFrame, window: Window) -> tuple[AuditedUse, ...]:
    """Return what the log shows of held permissions, sorted; held is as `held_permissions` returns it."""
    owned: dict[tuple[str, str], set[tuple[str, str, str]]] = defaultdict(set)
    for client, access, user, api, permission in held.select(
        "client_id", "access", "user_id", "api_app_id", "permission"
    ).iter_rows():
        owned[client, access].add((user or "", api or "", permission))
    found: dict[tuple[CaseKey, str, str, bool], list[SeenRequests]] = defaultdict(list)
    for client, access, user, *what in _operations(tables, window).iter_rows():
        seen = SeenRequests(*what)
        wanted = {(need.api_app_id, fold(one)) for need in audited_needs(seen.operation) for one in need.permissions}
        may = sorted(
            one
            for one in owned.get((client, access), ())
            if one[0] in ("", user or "") and (one[1], fold(one[2])) in wanted
        )
        alone = len({one[1:] for one in may}) == 1
        for owner, api, permission in may:
            found[(client, access, owner), api, permission, alone].append(seen)
    return tuple(
        AuditedUse(key, api, permission, alone, tuple(sorted(seen, key=lambda one: one.operation)))
        for (key, api, permission, alone), seen in sorted(found.items())
    )


def _operations(tables: GraphTables, window: Window) -> pl.DataFrame:
    """Return `client_id, access, user_id` and the columns of SeenRequests, of the window and before it."""
    frames = [_summed(tables, window).with_columns(earlier=pl.lit(False))]
    if window.earlier is not None:
        frames.append(_summed(tables, window.earlier).with_columns(earlier=pl.lit(True)))
    one = ["client_id", "access", "user_id", "operation"]
    both = pl.concat(frames).filter(~pl.col("earlier") | pl.col("earlier").all().over(one))
    return both.select(*one, "events", "days", "first_seen", "last_seen", "earlier").sort(*one, nulls_last=True)


def _summed(tables: GraphTables, window: Window) -> pl.DataFrame:
    clients = service_principals(tables).filter(pl.col("app_id").is_not_null()).select("app_id", "client_id")
    used = pl.col("succeeded") - pl.min_horizontal(pl.col("succeeded"), pl.col("suspect").fill_null(0))
    return (
        tables.m365_usage_days.filter(window.holds("day"))
        .with_columns(use=used, app_id=folded(pl.col("app_id")), user_id=folded(pl.col("principal_id")))
        .filter(pl.col("succeeded") > 0)
        .join(clients.unique("app_id", keep="first", maintain_order=True), on="app_id", how="inner")
        .group_by("client_id", "access", "user_id", "operation")
        .agg(
            events=pl.col("use").sum(),
            days=pl.col("day").filter(pl.col("use") > 0).n_unique().cast(pl.Int64),
            first_seen=pl.col("first_seen").filter(pl.col("use") > 0).min(),
            last_seen=pl.col("last_seen").filter(pl.col("use") > 0).max(),
        )
    )


def add_audited(cases: Mapping[CaseKey, GraphCase], audited: tuple[AuditedUse, ...]) -> None:
    """Add to the cases of Graph what the unified audit log shows of their permissions.

    Nothing is added for an operation where Graph's own log shows a request that one of the permissions allowed: it is
    the same call.
    """
    explained = _explained(cases, audited)
    for one in audited:
        case = cases.get(one.key)
        if case is None or one.api_app_id != GRAPH_APP_ID:
            continue
        for seen in one.seen:
            if (one.key[:2], seen.operation) in explained:
                continue
            if not seen.events:
                case.kept.setdefault(one.permission, (OutOfCoverage.QUARANTINED.value, (seen.operation,)))
                continue
            if not one.alone:
                case.kept.setdefault(one.permission, (UnobservableReason.CANNOT_TELL.value, (seen.operation,)))
                continue
            case.requests.setdefault(seen.operation, seen)
            need = GraphNeed("audited", "", seen.operation, frozenset({one.permission}), frozenset(), (seen.operation,))
            case.needs = (*case.needs, need)


def _explained(
    cases: Mapping[CaseKey, GraphCase], audited: tuple[AuditedUse, ...]
) -> frozenset[tuple[tuple[str, ...], str]]:
    """Return the client, access and operation of what Graph's own log shows too."""

    def found() -> Iterator[tuple[tuple[str, ...], str]]:
        for one in audited:
            case = cases.get(one.key)
            if case is not None and any(one.permission in need.held for need in case.needs):
                yield from ((one.key[:2], seen.operation) for seen in one.seen)

    return frozenset(found())


@dataclass(frozen=True, slots=True)
class GraphVerdicts:
    """The verdict on one permission of a case.

    Attributes:
        reason: Why.
        operations: The requests that it is credited with, or that leave it open, sorted.
        seen: The requests that it is credited with, together; None where there are none.
    """

    verdict: Verdict
    reason: str
    operations: tuple[str, ...] = ()
    seen: SeenRequests | None = None


@dataclass(frozen=True, kw_only=True)
class GraphAnalysis(PlaneAnalysis):
    """The result of the analysis of Graph.

    Attributes:
        tables: The tables it rests on.
        graph: The imported map.
        held: As `held_permissions`.
        agents: As `agent_identities`.
        effective: As `effective_permissions`, of agents.
        inherited: The Graph permissions that agents inherit, by agent and access.
        clients: As `service_principals`.
        cases: What each application holds and needs.
        judgements: The verdict on each permission of each case.
        state: `covered`, `covered_in_part`, or the reason why the log decides nothing.
        covered_days: The number of days of the window that the log covers.
        others: The verdict on each permission of another API, by client, access, user, API and permission.
        audited: What the unified audit log shows of permissions.
    """

    tables: GraphTables
    graph: GraphMap
    held: pl.DataFrame
    agents: pl.DataFrame
    effective: pl.DataFrame
    inherited: Inheritances
    clients: pl.DataFrame
    cases: Mapping[CaseKey, GraphCase]
    judgements: Mapping[CaseKey, Mapping[str, GraphVerdicts]]
    state: str
    covered_days: int
    others: Mapping[tuple[str, str, str, str, str], GraphVerdicts]
    audited: tuple[AuditedUse, ...]


def analyse_graph(tables: GraphTables, window: Window) -> GraphAnalysis:
    """Judge every permission that applications hold over the window."""
    graph = GraphMap.read(tables)
    held = held_permissions(tables)
    effective = effective_permissions(held, tables)
    agents = agent_identities(tables)
    inherited = inherited_access(held, effective, agents, blueprint_holders(tables))
    requests = remembered_requests(tables, window)
    cases = build_cases(held, requests, graph, inherited)
    audited = audited_use(tables, held, window)
    add_audited(cases, audited)
    others = _judge_others(held, audited, is_audited=is_loaded(tables))
    state = coverage_state(tables, window)
    clients = listed_principals(tables)
    judgements = {key: judge(case, graph, state) for key, case in cases.items()}
    rows = _permission_rows(held, judgements, others, graph)
    first_party = set(clients.filter("is_first_party")["client_id"])
    covered = len(covered_days(tables, window))
    verdicts = verdict_rows(rows, cases, first_party, covered)
    blocked = find_blocked_permissions(held, effective, agents, tables)
    return GraphAnalysis(
        plane="graph",
        window=window,
        verdicts=verdicts,
        principals=principal_rows(rows),
        assignments=assignment_rows(rows),
        denied=denied_rows(requests),
        findings=pl.concat([finding_rows(rows, first_party), blocked]),
        tables=tables,
        graph=graph,
        held=held,
        agents=agents,
        effective=effective,
        inherited=inherited,
        clients=clients,
        cases=cases,
        judgements=judgements,
        state=state,
        covered_days=covered,
        others=others,
        audited=audited,
    )


def judge(case: GraphCase, graph: GraphMap, state: str) -> dict[str, GraphVerdicts]:
    """Return the verdict on each permission of a case.

    Where several permissions explain a request, the cheapest set that explains all requests is what was used.
    """
    access = case.key[1]
    costs = {one: graph.privilege(one, access) for one in sorted({*case.held, *case.beyond})}
    given = frozenset(case.kept) | case.beyond
    chosen = cheapest_cover([need.held for need in case.needs], costs, given)
    credited: dict[str, list[GraphNeed]] = {}
    for need in case.needs:
        allowing = need.held & (chosen | given)
        if need.why != "correlated":
            credited.setdefault(min(allowing, key=lambda one: (one not in chosen, costs[one], one)), []).append(need)
    correlated = {one: need for need in case.needs if need.why == "correlated" for one in need.held & chosen}
    found = {}
    for permission in sorted(case.held):
        if permission in credited:
            found[permission] = _used(permission, credited[permission], case)
        elif permission in case.kept:
            reason, operations = case.kept[permission]
            verdict = Verdict.OUT_OF_COVERAGE if reason in OUT_OF_COVERAGE else Verdict.UNOBSERVABLE
            found[permission] = GraphVerdicts(verdict, reason, operations)
        elif permission in correlated:
            operations = correlated[permission].operations
            found[permission] = GraphVerdicts(Verdict.UNOBSERVABLE, UnobservableReason.CORRELATED.value, operations)
        elif state in SHOWN:
            found[permission] = GraphVerdicts(Verdict.UNUSED, state)
        else:
            found[permission] = GraphVerdicts(Verdict.OUT_OF_COVERAGE, state)
    return found


def _judge_others(
    held: pl.DataFrame, audited: tuple[AuditedUse, ...], *, is_audited: bool
) -> dict[tuple[str, str, str, str, str], GraphVerdicts]:
    """Return the verdict on each permission of an API that has no log of requests.

    The unified audit log shows use of some of them; of none does it show that nothing used it.
    """
    found = {}
    for client, access, user, api, permission in (
        held.filter(pl.col("api_app_id").fill_null("") != GRAPH_APP_ID)
        .select("client_id", "access", "user_id", "api_app_id", "permission")
        .iter_rows()
    ):
        in_part = is_audited and api in audited_apis()
        reason = UnobservableReason.AUDITED_IN_PART if in_part else UnobservableReason.NO_API_LOG
        found[client, access, user or "", api or "", permission] = GraphVerdicts(Verdict.UNOBSERVABLE, reason.value)
    for one in audited:
        seen = tuple(operation for operation in one.seen if operation.events)
        if one.api_app_id == GRAPH_APP_ID or not seen:
            continue
        place = (*one.key, one.api_app_id, one.permission)
        if one.alone:
            found[place] = _together(one.permission, seen, Attribution.ELIMINATION)
        elif found[place].verdict is not Verdict.USED:
            operations = tuple(operation.operation for operation in seen)
            found[place] = GraphVerdicts(Verdict.UNOBSERVABLE, UnobservableReason.CANNOT_TELL.value, operations)
    return found


def _used(permission: str, needs: Sequence[GraphNeed], case: GraphCase) -> GraphVerdicts:
    operations = sorted({operation for need in needs for operation in need.operations})
    alone = any(need.held == {permission} for need in needs)
    reason = Attribution.ELIMINATION if alone else Attribution.FEWEST
    return _together(permission, [case.requests[operation] for operation in operations], reason)


def _together(permission: str, all_seen: Sequence[SeenRequests], reason: Attribution) -> GraphVerdicts:
    """Return the verdict on a permission that is credited with requests, of the window or only of days before it."""
    operations = tuple(one.operation for one in all_seen)
    in_window = [one for one in all_seen if not one.earlier]
    seen = in_window or all_seen
    together = SeenRequests(
        permission,
        sum(one.events for one in seen),
        max(one.days for one in seen),
        min((one.first_seen for one in seen if one.first_seen), default=None),
        max((one.last_seen for one in seen if one.last_seen), default=None),
    )
    if not in_window:
        reason_of_old = OutOfCoverage.USED_BEFORE_WINDOW.value
        return GraphVerdicts(Verdict.OUT_OF_COVERAGE, reason_of_old, operations, together)
    return GraphVerdicts(Verdict.USED, reason.value, operations, together)


def _permission_rows(
    held: pl.DataFrame,
    judgements: Mapping[CaseKey, Mapping[str, GraphVerdicts]],
    others: Mapping[tuple[str, str, str, str, str], GraphVerdicts],
    graph: GraphMap,
) -> pl.DataFrame:
    """Return one row per held permission: the columns of `held` with the verdict, its evidence, level and privilege."""
    rows = []
    for row in held.iter_rows(named=True):
        key = (row["client_id"], row["access"], row["user_id"] or "")
        if row["api_app_id"] == GRAPH_APP_ID:
            found = judgements[key][row["permission"]]
            level = graph.level(row["permission"], row["access"])
            privilege = graph.privilege(row["permission"], row["access"])
        else:
            found = others[*key, row["api_app_id"] or "", row["permission"]]
            level, privilege = 0, 0
        rows.append(
            row
            | {
                "verdict": found.verdict.value,
                "reason": found.reason,
                **{name: getattr(found.seen, name, None) for name in ("events", "days", "first_seen", "last_seen")},
                "level": level,
                "privilege": privilege,
            }
        )
    schema: dict[str, pl.DataType] = dict(held.schema)
    schema |= {
        "verdict": pl.String(), "reason": pl.String(), "events": pl.Int64(), "days": pl.Int64(),
        "first_seen": pl.Datetime("us"), "last_seen": pl.Datetime("us"), "level": pl.Int64(), "privilege": pl.Int64(),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def cheapest_cover(needs: Sequence[frozenset[str]], costs: Mapping[str, int], given: frozenset[str]) -> frozenset[str]:
    """Return the cheapest permissions that, together with `given`, contain one of each need; ties go by name.

    Args:
        needs: Non-empty sets; of each set one permission has to be held.
        costs: The cost of each permission, above zero.
        given: Permissions that are held in any case and cost nothing.
    """
    open_needs = _minimal([need for need in needs if not need & given])
    chosen = frozenset(one for need in open_needs if len(need) == 1 for one in need)
    left = [need for need in open_needs if not need & chosen]
    if not left:
        return chosen
    names = sorted(frozenset().union(*left))
    places = {name: place for place, name in enumerate(names)}
    # A tie is broken by the order of names: the sum of all these shares is below 1, the smallest difference in cost.
    share = 1.0 / (2 * len(names) * (len(names) + 1))
    scale = 1.0 / max(costs[name] for name in names) if max(costs[name] for name in names) > 1e6 else 1.0
    rows = Rows()
    for need in left:
        rows.add_sum((places[name] for name in sorted(need)), 1.0, math.inf)
    weighed = [(costs[name] + share * (place + 1)) * scale for name, place in places.items()]
    found = solve(rows, weighed, start=[1.0] * len(names))
    if found.values is None:
        return chosen | frozenset(names)
    return chosen | frozenset(name for name, value in zip(names, found.values, strict=True) if value)


def _minimal(needs: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """Return the needs without those that contain another need, which settles them."""
    kept: list[frozenset[str]] = []
    for need in sorted(set(needs), key=lambda need: (len(need), sorted(need))):
        if not any(other <= need for other in kept):
            kept.append(need)
    return kept
