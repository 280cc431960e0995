"""Backtest the planner on the store: learn plans from the first days, test them on the next ones."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.graph_tables import GraphTables
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import resolve_known
from rightsize.analyze.reasons import SHOWN
from rightsize.analyze.requirements import require_catalogue
from rightsize.analyze.window import Window
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_given
from rightsize.model.options import Reads, Unobservable
from rightsize.model.progress import step, turn
from rightsize.model.role_forms import load_json
from rightsize.planes.graph_backtest import GraphTrial, try_graph
from rightsize.propose import backtest
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.calibration import Prediction, by_basis, by_weeks, reliability, scores
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.behaviour import with_holds
from rightsize.workflow.plan.propose import require_coverage

LOGGED = "logged operations only"
PLANTED = "planted needs, including those that no log shows"
DEFAULT_SETTINGS = (
    "reads=all",
    "reads=all,unobservable=keep",
    "reads=namespace",
    "reads=sibling",
    "reads=none,unobservable=drop",
    "reads=all,max-break=0.1",
)
"""The default of `propose` first, then settings from the most careful to the leanest."""
EVERY = "every"
"""The word that stands for all combinations of reads with the other two options that decide what stays."""
EVERY_SETTING = tuple(
    f"reads={reads}{unobservable}"
    for reads in ("all", "namespace", "sibling", "none")
    for unobservable in ("", ",unobservable=keep", ",unobservable=drop")
)
_WEEK = 7
_INSTANT = "%Y-%m-%dT%H:%M:%S%.fZ"


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """The result of a backtest.

    Attributes:
        history: The days that the logs cover.
        folds: The training and test days of each fold, oldest first.
        left_out: For each fold, distinct calls of the test that no grant of the training allows.
        settings: For each setting of the options, in the order given, its tally for each fold.
        baselines: The same for the trivial plans.
        predictions: The first setting's break chance for each proposal, and whether it broke somebody.
        with_truth: Whether planted needs were asked too.
        graph: The folds of Microsoft Graph, learnt with the first setting; empty where nothing of it is loaded.
    """

    history: Window
    folds: tuple[backtest.Fold, ...]
    left_out: tuple[int, ...]
    settings: Mapping[str, Sequence[backtest.BacktestTally]]
    baselines: Mapping[str, Sequence[backtest.BacktestTally]]
    predictions: Sequence[Prediction]
    with_truth: bool
    graph: Sequence[GraphTrial] = ()

    @property
    def headline(self) -> backtest.BacktestTally:
        """The tally of the first setting over all folds."""
        return _together(next(iter(self.settings.values())))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row a setting and baseline, over all folds."""
        for what, tallies in (("options", self.settings), ("baseline", self.baselines)):
            for name, found in tallies.items():
                yield {"what": what, "name": name} | _flat(describe(_together(found), self.with_truth))

    def calibration(self) -> list[dict[str, Any]]:
        """Return the reliability table."""
        return reliability(self.predictions)

    def document(self) -> dict[str, Any]:
        """Return the result as plain values."""
        whole = describe(self.headline, self.with_truth)
        document = {
            "label": LOGGED,
            "history": _days(self.history),
            "setting": next(iter(self.settings)),
            "folds": [self._fold(number) for number in range(len(self.folds))],
            "break_rate_principals": whole["break_rate_principals"],
            "break_rate_calls": whole["break_rate_calls"],
            "break_rate_events": whole["break_rate_events"],
            "excess_removed": whole["excess_removed"],
            "days_until_first_break": whole["days_until_first_break"],
            "settings": self._over_all(self.settings),
            "baselines": self._over_all(self.baselines),
            "calibration": self.calibration(),
            "calibration_by_basis": by_basis(self.predictions),
            "calibration_by_weeks": by_weeks(self.predictions),
            **scores(self.predictions),
        }
        if self.graph:
            document["planes"] = {"graph": self.graph_document()}
        return document | ({"planted_needs": whole["planted_needs"]} if self.with_truth else {})

    def graph_document(self) -> dict[str, Any]:
        """Return the backtest of Graph as plain values, over the folds whose training days its log decides."""
        covered = [one for one in self.graph if one.state in SHOWN]
        said = [prediction for one in covered for prediction in one.predictions]
        return {
            **describe(_together([one.tally for one in covered]), with_truth=False),
            "folds": [
                {
                    "train": _days(one.fold.train),
                    "test": _days(one.fold.test),
                    "state": one.state,
                    "calls_left_out": one.left_out,
                    **describe(one.tally, with_truth=False),
                }
                for one in self.graph
            ],
            "calibration": reliability(said),
            "calibration_by_basis": by_basis(said),
            "calibration_by_weeks": by_weeks(said),
            **scores(said),
        }

    def _fold(self, number: int) -> dict[str, Any]:
        fold = self.folds[number]
        first = next(iter(self.settings.values()))[number]
        return {
            "train": _days(fold.train),
            "test": _days(fold.test),
            "calls_left_out": self.left_out[number],
            **describe(first, self.with_truth),
            "settings": {name: describe(found[number], self.with_truth) for name, found in self.settings.items()},
            "baselines": {name: describe(found[number], self.with_truth) for name, found in self.baselines.items()},
        }

    def _over_all(self, tallies: Mapping[str, Sequence[backtest.BacktestTally]]) -> dict[str, Any]:
        return {name: describe(_together(found), self.with_truth) for name, found in tallies.items()}


def backtest_store(
    db: Path,
    settings: Sequence[str],
    *,
    train_days: int | None = None,
    test_days: int | None = None,
    as_of: dt.date | None = None,
    truth: Path | None = None,
    shared: PlanOptions | None = None,
    narrate: Callable[[str], None] = lambda _: None,
) -> BacktestResult:
    """Backtest the store fold by fold, oldest first; write nothing.

    Args:
        db: The store.
        settings: Options to try, as `read_setting` takes them, or `EVERY`; the defaults where there are none.
        train_days: Days to learn from.
        test_days: Days to test on.
        as_of: The first day after the last test; None for the end of the newest covered day.
        truth: The planted truth of a generated tenant.
        shared: The options that all settings share.
        narrate: Is called with a sentence about each step.

    Raises:
        UsageError: A setting or a number of days makes no sense.
        InputError: The truth cannot be read.
        EvidenceError: There is no catalogue, or the logs do not cover enough days.
    """
    shared = shared or PlanOptions()
    needs = read_needs(truth) if truth is not None else None
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(with_holds(store))
        graph = GraphTables.read(store.table)
    shared = replace(shared, emergency_access=resolve_known(inputs, shared.emergency_access))
    read = read_settings(settings or DEFAULT_SETTINGS, shared)
    chosen = {setting_name(options): options for options in read}
    require_catalogue(inputs)
    history = backtest.history_of(inputs, as_of)
    folds = backtest.choose_folds(history, train_days, test_days)
    tried: dict[str, list[backtest.BacktestTally]] = {name: [] for name in chosen}
    baselines: dict[str, list[backtest.BacktestTally]] = {name: [] for name in backtest.BASELINES}
    predictions: list[Prediction] = []
    left_out: list[int] = []
    of_graph: list[GraphTrial] = []
    for number, fold in enumerate(folds, 1):
        turn("plan", (number - 1) * len(chosen), len(folds) * len(chosen))
        narrate(
            f"fold {number} of {len(folds)}: learning from {fold.train.first_day} to {fold.train.last_day}, "
            f"testing on {fold.test.days} days"
        )
        require_coverage(inputs, fold.train)
        trial = backtest.prepare_trial(inputs, fold, replace(shared, min_window=fold.train.days), needs)
        left_out.append(trial.left_out)
        for position, (name, options) in enumerate(chosen.items()):
            turn("plan", (number - 1) * len(chosen) + position, len(folds) * len(chosen))
            narrate(f"fold {number} of {len(folds)}: {name}")
            tally, said = backtest.try_plan(trial, replace(options, min_window=fold.train.days))
            tried[name].append(tally)
            predictions.extend(said if position == 0 else ())
        for name, found in baselines.items():
            step("trying the trivial plans")
            found.append(backtest.try_baseline(trial, name))
        if not graph.is_empty:
            of_graph.append(try_graph(graph, fold, replace(read[0], min_window=fold.train.days)))
    return BacktestResult(history, folds, tuple(left_out), tried, baselines, predictions, needs is not None, of_graph)


def read_settings(texts: Sequence[str], shared: PlanOptions) -> list[PlanOptions]:
    """Read several settings, each as `read_setting` takes it, or `EVERY`.

    Raises:
        UsageError: An option is not known, or its value makes no sense.
    """
    asked = [one for text in texts for one in (EVERY_SETTING if text == EVERY else (text,))]
    return [read_setting(text, shared) for text in asked]


def read_setting(text: str, shared: PlanOptions) -> PlanOptions:
    """Read options such as `reads=sibling,unobservable=drop,max-break=0.1`.

    Raises:
        UsageError: An option is not known, or its value makes no sense.
    """
    options = shared
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        read = _OPTIONS.get(name)
        if read is None or bool(value) == (name in _SWITCHES):
            raise UsageError(
                f"`{item.strip()}` in `--options {text}` is no option of a plan",
                hint="options are reads=…, unobservable=…, separate-layers, role-worth=N, max-break=P and grace-days=N",
            )
        try:
            options = replace(options, **{name.replace("-", "_"): read(value)})
        except ValueError:
            raise UsageError(f"`{item.strip()}` in `--options {text}` has no such value") from None
    return options


_SWITCHES = ("separate-layers",)
_OPTIONS: dict[str, Callable[[str], Any]] = {
    "reads": Reads,
    "unobservable": Unobservable,
    "separate-layers": lambda _: True,
    "role-worth": int,
    "max-break": float,
    "grace-days": int,
}


def setting_name(options: PlanOptions) -> str:
    """Return the name of a setting: its reads, and every other option that is not at its default."""
    usual = PlanOptions()
    said = [f"reads={options.reads}"]
    for name in _OPTIONS:
        value = getattr(options, name.replace("-", "_"))
        if name != "reads" and value != getattr(usual, name.replace("-", "_")):
            said.append(name if name in _SWITCHES else f"{name}={value}")
    return ",".join(said)


def single_settings(usual: PlanOptions) -> Iterator[PlanOptions]:
    """Yield the given options, then each of these with one other choice of what stays without evidence."""
    yield usual
    for name, read in _OPTIONS.items():
        if isinstance(read, type) and issubclass(read, StrEnum):
            others = (value for value in read if value != getattr(usual, name.replace("-", "_")))
            yield from (read_setting(f"{name}={value}", usual) for value in others)


def read_needs(path: Path) -> pl.DataFrame:
    """Return the planted needs of a truth as `prepare_trial` takes them.

    Raises:
        InputError: The file cannot be read, or is no truth of a generated tenant.
    """
    document = load_json(read_given(path))
    needs = document.get("needs") if isinstance(document, dict) else None
    if isinstance(needs, list) and all(_is_need(need) for need in needs):
        rows = [{name: need[name] for name in backtest.NEEDS_SCHEMA} for need in needs]
        frame = pl.DataFrame(rows, schema=dict.fromkeys(backtest.NEEDS_SCHEMA, pl.String))
        times = pl.col("first_seen", "last_seen").str.to_datetime(_INSTANT, time_unit="us", strict=False)
        timed = frame.with_columns(times)
        if not timed["first_seen"].has_nulls() and not timed["last_seen"].has_nulls():
            return timed
    raise InputError(
        f"`{path}` is not the truth.json of a demo tenant", hint="`rightsize demo DIR` writes DIR/truth.json"
    )


def _is_need(need: object) -> bool:
    return isinstance(need, dict) and all(isinstance(need.get(name), str) for name in backtest.NEEDS_SCHEMA)


def describe(tally: backtest.BacktestTally, with_truth: bool) -> dict[str, Any]:
    """Return a tally as plain values with its rates; a rate of nothing is None."""
    document: dict[str, Any] = {
        "principals": tally.principals,
        "principals_denied": tally.denied_principals,
        "break_rate_principals": _rate(tally.denied_principals, tally.principals),
        "calls": tally.calls,
        "calls_denied": tally.denied_calls,
        "break_rate_calls": _rate(tally.denied_calls, tally.calls),
        "events": tally.events,
        "events_denied": tally.denied_events,
        "break_rate_events": _rate(tally.denied_events, tally.events),
        "excess_before": tally.excess_before,
        "excess_after": tally.excess_after,
        "excess_removed": _rate(tally.excess_before - tally.excess_after, tally.excess_before),
        "days_until_first_break": _first_breaks(tally.first_breaks),
    }
    if with_truth:
        needs, denied = sum(tally.needs.values()), sum(tally.denied_needs.values())
        document["planted_needs"] = {
            "label": PLANTED,
            "needs": needs,
            "denied": denied,
            "break_rate": _rate(denied, needs),
            "by_kind": {
                kind: {"needs": number, "denied": tally.denied_needs.get(kind, 0)}
                for kind, number in sorted(tally.needs.items())
            },
        }
    return document


def _first_breaks(days: Sequence[int]) -> dict[str, Any] | None:
    """Return when denied principals met their first refusal: earliest, median, and by week; None where nobody did."""
    if not days:
        return None
    by_week: dict[str, int] = {}
    for day in sorted(days):
        week = f"week {(day - 1) // _WEEK + 1}"
        by_week[week] = by_week.get(week, 0) + 1
    return {"earliest": min(days), "median": statistics.median(days), "principals": by_week}


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description as one row."""
    first, planted = document["days_until_first_break"], document.get("planted_needs")
    row = {name: value for name, value in document.items() if name not in ("days_until_first_break", "planted_needs")}
    row["first_break_day"] = first["earliest"] if first else None
    row["median_break_day"] = first["median"] if first else None
    row["planted_needs"] = planted["needs"] if planted else None
    row["planted_needs_denied"] = planted["denied"] if planted else None
    row["break_rate_planted"] = planted["break_rate"] if planted else None
    return row


def _together(tallies: Sequence[backtest.BacktestTally]) -> backtest.BacktestTally:
    return reduce(add, tallies, backtest.BacktestTally())


def _rate(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _days(window: Window) -> dict[str, Any]:
    return {
        "first_day": window.first_day.isoformat(),
        "last_day": window.last_day.isoformat(),
        "days": window.days,
    }
