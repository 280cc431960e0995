"""Choose the Graph permissions of one application: those that stay, those that go, and narrower ones instead.

A narrower permission may replace a broader one if it lies within the held ones. There are two proofs. By the map: the
held permissions allow every request that it allows. By its name: `X.Read…` reads what `X.ReadWrite…` of the same words
reads and writes, and that one is held or lies within the held ones by the map. One that is enough for every request
that was seen, and yet allows others that the map does not list for the broad one, is advice.
Source: Microsoft Learn, "Overview of Microsoft Graph permissions", naming pattern {resource}.{operation}.{constraint}.

The break probability of each grant that is removed or reduced follows from the requests of the window.

The estimate is that of Azure roles (`propose.risk.calibration`). The unit is a grant. Its holder is the application, or
the application's access for one user where only that user consented. Active days are days with a request. A *novelty*
is a permission of the proposed set that requests call for: without the days of these requests it would be missing. A
permission that stays whatever the requests is no novelty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.graph_tables import covered_days, request_days
from rightsize.analyze.observability.undecided import Gaps
from rightsize.analyze.reasons import SHOWN, OutOfCoverage, UnobservableReason, Verdict
from rightsize.analyze.window import days_missing
from rightsize.model.plan import Advice, Proof
from rightsize.planes.graph.cases import OUT_OF_COVERAGE, CaseKey, GraphCase, GraphMap, GraphNeed
from rightsize.planes.graph.judge import GraphAnalysis, GraphVerdicts, cheapest_cover
from rightsize.planes.graph.permissions import Pair
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import HORIZON_DAYS, KEY, count_incidence
from rightsize.rules.graph import alternatives, is_general, partial_kind, writing_twin


@dataclass(frozen=True, slots=True)
class GraphChoice:
    """The permissions of one case after the plan.

    Attributes:
        stays: Permissions held today that stay, each with a reason of the verdict or of the plan.
        goes: Permissions held today that are removed, each with the narrower ones that replace it, if any.
        duplicates: Permissions of a user's own grant that the tenant-wide grant gives as well.
        comes: New permissions that are not held today.
        proof: The proof that every need is met after the plan, and no new access is granted.
        allowed: Number of requests that are explained today and stay allowed.
    """

    stays: Mapping[str, str]
    goes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    duplicates: frozenset[str] = frozenset()
    comes: frozenset[str] = frozenset()
    proof: Proof = field(default_factory=lambda: Proof(used_subset=True, granted_superset=True))
    allowed: int = 0

    @property
    def after(self) -> frozenset[str]:
        """The permissions that are held after the plan."""
        return frozenset(self.stays) | self.comes


def choose(
    case: GraphCase,
    judgements: Mapping[str, GraphVerdicts],
    graph: GraphMap,
    *,
    leave: Mapping[str, str],
    drops_unobservable: bool,
    is_covered: bool,
    beyond: frozenset[str] = frozenset(),
) -> GraphChoice:
    """Return the cheapest permissions that meet every need of a case.

    Args:
        case: The case.
        judgements: The verdict on each of its permissions.
        graph: The permission map.
        leave: Permissions that are not changed, each with the reason.
        drops_unobservable: Whether permissions are removed whose use no log can show.
        is_covered: Whether the log covers enough of the window; if not, nothing changes.
        beyond: The permissions of the tenant-wide grant after the plan, for a grant of one user.
    """
    # What agents asked for is counted in their own cases.
    allowed = len(set(case.requests) - set(case.unexplained) - set(case.agents))
    if not is_covered:
        reasons = {one: found.reason for one, found in judgements.items()}
        return GraphChoice(reasons, allowed=allowed)
    stays = {
        permission: _why_kept(reason, judgements[permission])
        for permission, (reason, _) in case.kept.items()
        if reason in OUT_OF_COVERAGE or not drops_unobservable
    }
    stays |= {permission: found.reason for permission, found in judgements.items() if _stays(found, drops_unobservable)}
    stays |= leave
    duplicates = frozenset(case.held) & beyond - frozenset(leave)
    for one in duplicates:
        stays.pop(one, None)
    options = [_options(need, case, graph) for need in _weighed(case.needs, drops_unobservable)]
    costs = {one: _cost(one, case, graph) for option in options for one in option}
    chosen = cheapest_cover(options, costs, frozenset(stays) | beyond)
    for permission in sorted(chosen & frozenset(case.held)):
        stays.setdefault(permission, judgements[permission].reason)
    comes = chosen - frozenset(case.held) - beyond
    goes = {
        permission: _instead(permission, case, comes)
        for permission in sorted(case.held)
        if permission not in stays and permission not in duplicates
    }
    after = frozenset(stays) | comes | beyond
    return GraphChoice(
        stays=dict(sorted(stays.items())),
        goes=goes,
        duplicates=duplicates,
        comes=comes,
        proof=_prove(case, after, comes, graph),
        allowed=allowed,
    )


def _why_kept(reason: str, found: GraphVerdicts) -> str:
    """Return the reason why a permission is kept; a used one gets its verdict's reason where `reason` is untrue."""
    is_used = found.verdict is Verdict.USED
    return (
        found.reason if is_used and reason in (OutOfCoverage.QUARANTINED, UnobservableReason.SIGN_IN_SCOPE) else reason
    )


def _stays(found: GraphVerdicts, drops_unobservable: bool) -> bool:
    if found.verdict is Verdict.UNOBSERVABLE:
        # Permissions that only add details to the results of others are needs of the cover: the cheapest stays.
        return not drops_unobservable and found.reason != "correlated"
    return found.verdict is Verdict.OUT_OF_COVERAGE


def _weighed(needs: tuple[GraphNeed, ...], drops_unobservable: bool) -> list[GraphNeed]:
    return [need for need in needs if need.why != "correlated" or not drops_unobservable]


def _options(need: GraphNeed, case: GraphCase, graph: GraphMap) -> frozenset[str]:
    held = frozenset(case.held) | case.beyond
    narrower = {
        one
        for one in need.others
        if is_general(one)
        and (case.key[1], one) in graph.ids
        and graph.level(one, case.key[1]) <= max(graph.level(other, case.key[1]) for other in need.held)
        and lies_within(one, held, case.key[1], graph)
    }
    return need.held | narrower


def _cost(permission: str, case: GraphCase, graph: GraphMap) -> int:
    """Return twice the privilege of a permission, plus 1 if it is not held, so that no swap is made without gain."""
    privilege = graph.privilege(permission, case.key[1])
    return 2 * privilege + (0 if permission in case.held or permission in case.beyond else 1)


def _instead(permission: str, case: GraphCase, comes: frozenset[str]) -> tuple[str, ...]:
    """Return the new permissions that meet the needs which a removed permission met."""
    met = [need for need in case.needs if permission in need.held]
    return tuple(sorted({one for need in met for one in need.others & comes}))


def unmet(needs: Iterable[GraphNeed], after: frozenset[str] | set[str]) -> list[GraphNeed]:
    """Return the needs that no permission of `after` meets; a correlated one only adds details to results."""
    return [need for need in needs if need.why != "correlated" and not (need.held | need.others) & after]


def _prove(case: GraphCase, after: frozenset[str], comes: frozenset[str], graph: GraphMap) -> Proof:
    """Return the proof, from the permissions after the plan: every need is met, and none exceeds those held before."""
    access, held = case.key[1], frozenset(case.held) | case.beyond
    missing = [need.operations[0] for need in unmet(case.needs, after)]
    wider = [
        _first(requests_beyond(one, held, access, graph))
        for one in sorted(comes)
        if not lies_within(one, held, access, graph)
    ]
    return Proof(used_subset=not missing, granted_superset=not wider, witness=next(iter([*missing, *wider]), None))


def lies_within(permission: str, held: Collection[str], access: str, graph: GraphMap) -> bool:
    """Return whether the held permissions allow every request that a permission allows."""
    if not requests_beyond(permission, held, access, graph):
        return True
    writing = writing_twin(permission)
    return writing is not None and (writing in held or not requests_beyond(writing, held, access, graph))


def requests_beyond(permission: str, held: Collection[str], access: str, graph: GraphMap) -> set[Pair]:
    """Return the requests that a permission allows and, by the map, no held permission allows in whole."""
    allows = graph.by_access[access].allows
    left = set(allows.get(permission, set()))
    for one in held:
        # A permission that allows only a part of a request does not prove that the whole request is allowed.
        if is_general(one):
            left -= {pair for pair in allows.get(one, set()) if partial_kind(one, *pair) is None}
    return left if permission in allows else {("?", "?")}


def _first(requests: set[Pair]) -> str:
    """Return the first request by its path."""
    method, path = min(requests, key=lambda pair: (pair[1], pair[0]))
    return f"{method} {path}"


def graph_advice(
    analysis: GraphAnalysis, choices: Mapping[CaseKey, GraphChoice], names: Mapping[str, str]
) -> Iterator[Advice]:
    """Yield what a person may decide: chosen resources, and narrower permissions that add something."""
    for key, choice in choices.items():
        name = names.get(key[0], key[0])
        for permission in choice.after:
            for one in alternatives(permission, key[1]):
                text = f"{permission} ({key[1]}) reaches everything; {one.instead} reaches {one.only}"
                yield Advice(name, text)
        if analysis.state in SHOWN:
            yield from (Advice(name, text) for text in _narrower(analysis, analysis.cases[key], choice))


def _narrower(analysis: GraphAnalysis, case: GraphCase, choice: GraphChoice) -> Iterator[str]:
    """Yield a sentence for each used permission that stays although a narrower one meets all its needs."""
    access, graph = case.key[1], analysis.graph
    for permission, found in analysis.judgements[case.key].items():
        if found.verdict is not Verdict.USED or choice.stays.get(permission) != found.reason:
            continue
        needs = [need for need in case.needs if need.held & choice.after == {permission}]
        enough = frozenset.intersection(*(need.others for need in needs)) if needs else frozenset()
        known = [
            (graph.privilege(one, access), one) for one in enough if is_general(one) and (access, one) in graph.ids
        ]
        less, one = min(known, default=(0, ""))
        added: set[Pair] = requests_beyond(one, choice.after, access, graph) if one else set()
        if added and less < graph.privilege(permission, access):
            yield (
                f"{permission} ({access}): {one} allows every request that was seen; it would also allow {len(added)} "
                f"that today's permissions are not documented for, such as {_first(added)}"
            )


_DECIDED_BY_LOG = (Verdict.USED, Verdict.UNUSED)
_CASE = ["client_id", "access", "user"]
_ASKED = ["client_id", "access", "operation"]
_UNITS = dict.fromkeys((*KEY, "role", "holder_type", "holder", *_CASE), pl.String)
_ITEMS = dict.fromkeys((*KEY, "item", *_CASE, "operation"), pl.String)


def grant_bounds(
    analysis: GraphAnalysis,
    choices: Mapping[CaseKey, GraphChoice],
    left: Mapping[CaseKey, Mapping[str, str]],
    horizon: int = HORIZON_DAYS,
) -> dict[str, Estimate]:
    """Return the estimate of each grant with permissions that a plan would remove if they were not used.

    Args:
        analysis: The verdicts.
        choices: The choice for each case.
        left: Permissions of each case that the plan does not touch, each with the reason.
        horizon: Days ahead.
    """
    if analysis.state not in SHOWN:
        return {}
    units = pl.DataFrame(list(_units(analysis, left)), schema=_UNITS, orient="row")
    if units.is_empty():
        return {}
    items = pl.DataFrame(list(_items(analysis, choices, left)), schema=_ITEMS, orient="row")
    window = analysis.window
    days = _with_agents(request_days(analysis.tables, window), analysis).with_columns(
        user=pl.col("user_id").fill_null("")
    )
    active = pl.concat([days.select(holder="client_id", day="day"), days.select(holder=_of_one("user"), day="day")])
    gaps = Gaps.of_one_log(units.select(KEY), days_missing(covered_days(analysis.tables, window), window))
    incidence = count_incidence(units.drop(_CASE), active, _seen(items, days), window, gaps)
    return {grant: found for (grant, _), found in estimates_of(incidence, window, horizon).items()}


def _with_agents(days: pl.DataFrame, analysis: GraphAnalysis) -> pl.DataFrame:
    """Add the days of requests of agents that rest on a grant of their blueprint's principal, as days of that one."""
    rows = [
        (agent, key[1], operation, key[0])
        for key, case in analysis.cases.items()
        for operation, agents in case.agents.items()
        for agent in agents
    ]
    resting = pl.DataFrame(
        rows, schema=[*_ASKED, "holder"], schema_overrides=dict.fromkeys((*_ASKED, "holder"), pl.String), orient="row"
    )
    added = days.join(resting.unique(), on=_ASKED).with_columns(client_id="holder").select(days.columns)
    return pl.concat([days, added]).unique()


def _of_one(user: str) -> pl.Expr:
    """Return the holder of a grant for one user: client and user."""
    return pl.format("{} {}", "client_id", user)


def _open(case: GraphCase, analysis: GraphAnalysis, left: Mapping[CaseKey, Mapping[str, str]]) -> frozenset[str]:
    """Return the permissions of a case that stay only where requests call for them."""
    decided = {one for one, found in analysis.judgements[case.key].items() if found.verdict in _DECIDED_BY_LOG}
    return frozenset(decided) - frozenset(left.get(case.key, {}))


def _units(analysis: GraphAnalysis, left: Mapping[CaseKey, Mapping[str, str]]) -> Iterator[tuple[str, ...]]:
    """Yield one row for each grant; grants of the same access with the same permissions have the same `role`."""
    for key, case in analysis.cases.items():
        client, access, user = key
        gives: dict[str, list[str]] = {}
        for permission in sorted(_open(case, analysis, left)):
            for grant in case.held[permission]:
                gives.setdefault(grant, []).append(permission)
        for grant, permissions in sorted(gives.items()):
            holder = f"{client} {user}" if user else client
            yield grant, access, " ".join(permissions), access, holder, *key


def _items(
    analysis: GraphAnalysis, choices: Mapping[CaseKey, GraphChoice], left: Mapping[CaseKey, Mapping[str, str]]
) -> Iterator[tuple[str, ...]]:
    """Yield for each request the permission of the proposed set that it calls for, under the grant that allowed it."""
    for key, case in analysis.cases.items():
        after = choices[key].after | (choices[*key[:2], ""].after if key[2] else frozenset())
        given = ((frozenset(case.held) | case.beyond) - _open(case, analysis, left)) & after
        judged = analysis.judgements[key]
        for need in case.needs:
            credited = _credited(need, judged)
            if need.why == "correlated" or credited is None or need.held & given:
                continue
            called = (need.held | need.others) & after
            item = min(called, key=lambda one: (analysis.graph.privilege(one, key[1]), one))
            for grant in case.held[credited]:
                for operation in need.operations:
                    yield grant, key[1], item, *key, operation


def _credited(need: GraphNeed, judged: Mapping[str, GraphVerdicts]) -> str | None:
    """Return the permission that the verdicts credit with a need, or None."""
    mine = (
        one
        for one in sorted(need.held & judged.keys())
        if judged[one].verdict is Verdict.USED and set(need.operations) <= set(judged[one].operations)
    )
    return next(mine, None)


def _seen(items: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Return the days of each novelty, by its number.

    Requests of a user count for the user's own grant where that allowed them, else for the tenant-wide grant.
    """
    novelty = [*KEY, "item"]
    asked = [*_CASE, "operation"]
    whole = days.join(items.select(asked).unique(), on=asked, how="anti").with_columns(user=pl.lit(""))
    numbered = items.join(items.select(novelty).unique().sort(novelty).with_row_index("novelty"), on=novelty)
    placed = pl.concat([days, whole]).unique()
    return numbered.join(placed, on=asked).select(*KEY, "novelty", "day").unique()
