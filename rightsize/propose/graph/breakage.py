"""Estimate the break probability of each Graph grant that is removed or reduced, from the requests of the window.

The estimate is that of Azure roles (`propose.risk.break_table`). The unit is a grant. Its holder is the application, or
the application's access for one user where only that user consented. Active days are days with a request. A *novelty*
is a permission of the proposed set that requests call for: without the days of these requests it would be missing. A
permission that stays whatever the requests is no novelty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from rightsize.analyze.graph.cases import CaseKey, GraphCase, GraphNeed
from rightsize.analyze.graph.judge import GraphAnalysis, GraphVerdicts
from rightsize.analyze.graph.tables import covered_days, request_days
from rightsize.analyze.observability.undecided import Gaps
from rightsize.analyze.reasons import SHOWN, Verdict
from rightsize.analyze.window import days_missing
from rightsize.propose.graph.choose import GraphChoice
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import HORIZON_DAYS, KEY, count_incidence

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
