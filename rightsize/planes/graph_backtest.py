"""Backtest plans for Graph permissions: make one from the training days, and count the test requests that it denies.

A request counts if the grants at the end of the training allow it. A break is such a request that the plan does not
allow, or allows only by a permission that covers a part of the request. Requests that the permission map does not
know, that need no permission, or that no held permission explains are left out.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.agents import Inheritances
from rightsize.analyze.graph_tables import GraphTables, requests_of
from rightsize.analyze.reasons import SHOWN
from rightsize.analyze.window import Window
from rightsize.model.plan import Proposal
from rightsize.planes.graph.judge import GraphAnalysis, analyse_graph
from rightsize.planes.graph.permissions import Clause
from rightsize.planes.graph.plan import plan_graph
from rightsize.propose.backtest import BacktestTally, Fold
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.calibration import Prediction
from rightsize.rules.graph import partial_kind

Access = tuple[str, str, str]
"""Client, access, and the user of a delegated request; the user is empty for other requests."""


@dataclass(frozen=True, slots=True)
class GraphTrial:
    """The outcome of the requests of one fold.

    Attributes:
        fold: Its days.
        state: `covered`, or why the log does not cover all days of the training; then a plan removes nothing.
        tally: The number of applications and distinct requests (of each user, for delegated ones), and the denied ones.
        left_out: Number of distinct requests that do not count.
        predictions: The prediction and outcome for each grant that would be removed or reduced.
    """

    fold: Fold
    state: str
    tally: BacktestTally
    left_out: int
    predictions: tuple[Prediction, ...]


@dataclass(slots=True)
class _Held:
    """The Graph permissions by case: `today` with the grants that give each, `after` as the plan leaves them.

    `inherited` is what agents inherit, by agent and access; `narrowed` what the plan lets them inherit of a principal.
    """

    inherited: Inheritances
    today: dict[Access, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    after: dict[Access, set[str]] = field(default_factory=lambda: defaultdict(set))
    narrowed: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def of(self, key: Access) -> tuple[dict[str, set[str]], set[str]]:
        """Return the permissions for a request, today's and the plan's.

        They are those of the tenant-wide and the user's own grant, and for an agent those that it inherits of the same.
        """
        keys = dict.fromkeys(((*key[:2], ""), key))
        today: dict[str, set[str]] = defaultdict(set)
        for one in keys:
            for permission, grants in self.today.get(one, {}).items():
                today[permission] |= grants
        after = set().union(*(self.after.get(one, set()) for one in keys))
        for inherited in self.inherited.get(key[:2], ()):
            if inherited.key[2] not in {"", key[2]}:
                continue
            for permission in inherited.permissions:
                today[permission] |= self.today[inherited.key][permission]
            left = self.after.get(inherited.key, set())
            narrowed = self.narrowed.get(inherited.key[:2])
            if narrowed is not None:
                left = left & narrowed
            after |= left if inherited.takes_new else left & inherited.permissions
        return today, after


def cut_graph(tables: GraphTables, last_day: dt.date) -> GraphTables:
    """Return the tables as they were at the end of a day, as far as today's listings show it.

    Applications and app role assignments that were made later are left out; delegated grants have no date.
    """
    midnight = dt.datetime.combine(last_day + dt.timedelta(days=1), dt.time())
    later = (pl.col("created_on") >= midnight).fill_null(False)
    until = pl.col("day") <= last_day
    return replace(
        tables,
        principals=tables.principals.filter(~later),
        app_role_assignments=tables.app_role_assignments.filter(~later),
        graph_usage_days=tables.graph_usage_days.filter(until),
        coverage=tables.coverage.filter(until),
    )


def try_graph(tables: GraphTables, fold: Fold, options: PlanOptions) -> GraphTrial:
    """Make a plan from the training days, and return the outcome of the requests of the test days."""
    train = replace(fold.train, forget_days=options.forget_days, min_days=options.min_days)
    analysis = analyse_graph(cut_graph(tables, train.last_day), train)
    plan = plan_graph(analysis, options, fold.test.days)
    held = _read_held(analysis, plan.proposals)
    asked, left_out, broken = _ask(requests_of(tables, fold.test), analysis, held)
    before = sum(one.excess_before for one in plan.proposals)
    after = sum(one.excess_after for one in plan.proposals)
    return GraphTrial(
        fold=fold,
        state=analysis.state,
        tally=_tally(asked, fold.test, before, after),
        left_out=left_out,
        predictions=tuple(_predictions(plan.proposals, broken)) if analysis.state in SHOWN else (),
    )


def _read_held(analysis: GraphAnalysis, proposals: Collection[Proposal]) -> _Held:
    held = _Held(analysis.inherited)
    for key, case in analysis.cases.items():
        for permission, grants in case.held.items():
            held.today[key][permission] |= set(grants)
    keys = {grant: key for key, case in analysis.cases.items() for grants in case.held.values() for grant in grants}
    for one in proposals:
        if "inheritance" in one.evidence:
            entry = one.principal_ids[0], str(one.evidence["access"])
            held.narrowed[entry] = set(one.evidence["inheritance"]["listed"])
        if one.replaces[0] in keys:
            after = held.after[keys[one.replaces[0]]]
            after |= {row["permission"] for row in one.evidence["permissions"] if row["decision"] == "keep"}
            after |= {row["permission"] for row in one.evidence["comes"]}
    return held


def _ask(requests: pl.DataFrame, analysis: GraphAnalysis, held: _Held) -> tuple[pl.DataFrame, int, set[str]]:
    """Return the requests that count, the number of the others, and the grants that allowed the denied requests.

    Columns of the requests: `client`, `events`, `day` (the first one), `is_denied`.
    """
    asked, left_out = [], 0
    broken: set[str] = set()
    columns = ("client_id", "access", "user_id", "operation", "events", "first_seen")
    for client, access, user, operation, events, first in (
        requests.filter(pl.col("events") > 0).select(columns).iter_rows()
    ):
        today, after = held.of((client, access, user or ""))
        needed = analysis.graph.requirement(access, operation)
        paths = [clause for clause in needed.clauses if clause.why == "path"]
        if needed.unknown or not paths or any(not _allowing(clause, today) for clause in paths):
            left_out += 1
            continue
        refused = list(_refused(needed.clauses, today, after))
        asked.append((client, events, first.date(), bool(refused)))
        for clause in refused:
            broken |= set().union(*(today[one] for one in _allowing(clause, today)))
    schema = {"client": pl.String, "events": pl.Int64, "day": pl.Date, "is_denied": pl.Boolean}
    return pl.DataFrame(asked, schema=schema, orient="row"), left_out, broken


def _refused(clauses: Collection[Clause], today: Mapping[str, set[str]], after: set[str]) -> Iterator[Clause]:
    """Yield the clauses of a request that today's permissions meet and the plan does not, or meets only in part."""
    for clause in clauses:
        before = _allowing(clause, today)
        if before and not before & after and not {one for one in _allowing(clause, after) if _is_whole(clause, one)}:
            yield clause


def _allowing(clause: Clause, held: Collection[str]) -> set[str]:
    """Return the held permissions that allow a clause in whole, or those that allow a part where there are none."""
    found = set(clause.holders(held))
    return {one for one in found if _is_whole(clause, one)} or found


def _is_whole(clause: Clause, permission: str) -> bool:
    return partial_kind(permission, clause.method, clause.path) is None


def _tally(asked: pl.DataFrame, test: Window, before: float, after: float) -> BacktestTally:
    denied = asked.filter("is_denied")
    first = denied.group_by("client").agg(pl.col("day").min())["day"].sort()
    return BacktestTally(
        principals=asked["client"].n_unique(),
        denied_principals=len(first),
        calls=asked.height,
        denied_calls=denied.height,
        events=int(asked["events"].sum()),
        denied_events=int(denied["events"].sum()),
        first_breaks=tuple((day - test.first_day).days + 1 for day in first),
        excess_before=before,
        excess_after=after,
    )


def _predictions(proposals: Collection[Proposal], broken: set[str]) -> Iterator[Prediction]:
    """Yield the prediction and outcome for each grant that loses permissions, in the order of the proposals.

    A denied request counts against every such grant that allowed it at the end of the training.
    """
    for one in proposals:
        said = one.evidence.get("break_probability")
        if said is not None:
            broke = one.replaces[0] in broken
            yield Prediction(said["bound"], said["expected"], broke, said["basis"], said["new_weeks"])
