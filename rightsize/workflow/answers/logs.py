"""Say what a store lacks: what each missing thing would decide, what it costs, and what came of earlier promises."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.observability.needs import item_of, read_needs
from rightsize.analyze.observability.promises import Decidable, by_assignment, make_promises, read_decidable
from rightsize.analyze.observability.undecided import ASSIGNMENT, plane_cells, silence_of, weigh_cells
from rightsize.analyze.observability.ways import ACTIVATION_RULES, find_ways, held_for_rules, ways_on_planes
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window
from rightsize.mining.programs import choose_under_budget
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_given, write_text
from rightsize.model.options import USUAL, WHOLE, WindowOptions
from rightsize.propose.needs.holders import read_eligibility
from rightsize.render.log_settings import template_files
from rightsize.rules.prices import Prices, known_prices, read_prices
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.behaviour import with_holds
from rightsize.workflow.analysis.find_analysis import require_content
from rightsize.workflow.analysis.keep_analysis import whole_analysis
from rightsize.workflow.answers.log_options import LogOption, LogPart, Sources, Tariff, describe_options, spelt_scopes

_UNLISTED = (
    OutOfCoverage.NO_CATALOGUE.value,
    OutOfCoverage.NOT_IN_CATALOGUE.value,
    OutOfCoverage.ROLE_DEFINITION_MISSING.value,
)
_PROMISED = ("item", "promised_on", *ASSIGNMENT, "plane")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an earlier promise.

    Attributes:
        item: The missing thing that was promised to decide something.
        promised_on: The day of the promise.
        promised: The excess that it would decide at most.
        came: How much less excess of the same assignments is undecided today, without what is promised again.
        is_missing: Whether the thing, or a part of it, is still missing.
    """

    item: str
    promised_on: dt.date
    promised: int
    came: int
    is_missing: bool


@dataclass(frozen=True, slots=True)
class LogsResult:
    """The result of `status logs`.

    Attributes:
        window: The days that were analysed.
        options: What is missing, the greatest promise first.
        decidable: The undecided operations by what would decide them.
        undecided: All undecided excess, and what is unused of eligible assignments without loaded activation rules.
        plan: The plan of the prices.
        chosen: The parts (`needs.part_of`) of the best set under the budget; None without a budget.
        outcomes: What came of earlier promises.
        files: The templates that were written.
        unlisted: The number of assignments whose operations are not known, by the reason of their verdict.
        has_grants: Whether anything is granted in the store.
        sleeps_unlisted: Whether logs show activations while no listing has an eligible assignment of Azure roles.
    """

    window: Window
    options: list[LogOption]
    decidable: Decidable
    undecided: int
    prices: Prices
    plan: str
    chosen: tuple[str, ...] | None
    outcomes: list[Outcome]
    files: list[str]
    unlisted: dict[str, int]
    has_grants: bool
    sleeps_unlisted: bool = False

    def decides(self, items: Sequence[str]) -> int:
        """Return the excess that some missing things decide together at most; each operation counts once."""
        return self.decidable.decided_by_items(items)

    @property
    def chosen_excess(self) -> int:
        """Return the excess that the best set decides at most."""
        return self.decidable.decides(self.chosen or ())

    @property
    def chosen_price(self) -> float:
        """Return the price of a month of the best set."""
        prices = {name: price for one in self.options for name, price in one.prices.items()}
        return sum(prices[name] for name in self.chosen or ())

    def chosen_of(self, item: str) -> list[str]:
        """Return the parts of a missing thing that are in the best set, sorted."""
        return [part for part in self.chosen or () if item_of(part) == item]

    def share(self, excess: int) -> float:
        """Return an excess as a share of all undecided excess, 0 to 1."""
        return excess / self.undecided if self.undecided else 0.0

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the table `observability_options`."""
        for rank, option in enumerate(self.options, start=1):
            promise = option.promise
            yield {
                "item": promise.item,
                "title": option.title,
                "rank": rank,
                "excess": promise.excess,
                "excess_alone": promise.excess_alone,
                "share": round(self.share(promise.excess), 4),
                "expected": promise.expected,
                "operations": promise.operations,
                "assignments": promise.assignments,
                "needs": list(promise.needs),
                "gb_per_month": None if option.volume.gigabytes is None else round(option.volume.gigabytes, 6),
                "gb_source": option.volume.source or None,
                "is_assumed": option.volume.is_assumed,
                "records_per_month": option.volume.records,
                "price_per_month": option.cost.monthly,
                "currency": self.prices.currency,
                "plan": self.plan,
                "price_as_of": option.cost.as_of,
                "price_source": option.cost.source or None,
                "is_sent": option.is_sent,
                "licence": option.licence or None,
                "decides_on": option.decides_on,
                "chosen": None if self.chosen is None else bool(self.chosen_of(promise.item)),
                "commands": list(option.commands),
                "policy_commands": list(option.policies),
            }

    def part_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the table `observability_parts`."""
        chosen = None if self.chosen is None else frozenset(self.chosen)
        for option in self.options:
            for rank, part in enumerate(option.parts, start=1):
                yield {
                    "item": option.promise.item,
                    "scope": part.scope,
                    "rank": rank,
                    "excess": part.promise.excess,
                    "excess_alone": part.promise.excess_alone,
                    "share": round(self.share(part.promise.excess), 4),
                    "operations": part.promise.operations,
                    "gb_per_month": _rounded(part),
                    "records_per_month": part.volume.records,
                    "is_assumed": part.volume.is_assumed,
                    "price_per_month": part.cost.monthly,
                    "chosen": None if chosen is None else part.name in chosen,
                    "commands": list(part.commands),
                    "policy_commands": list(part.policies),
                }


def _rounded(part: LogPart) -> float | None:
    return None if part.volume.gigabytes is None else round(part.volume.gigabytes, 6)


def find_missing(
    db: Path,
    asked: WindowOptions = WHOLE,
    *,
    prices: Path | None = None,
    plan: str = "analytics",
    region: str = "us",
    budget: float | None = None,
    templates: Path | None = None,
    records_per_day: int | None = None,
) -> LogsResult:
    """Return what is missing from the store at `db`, and write it back: `observability_options` and `…_parts`.

    Args:
        db: The store.
        asked: The window.
        prices: A file of prices in the place of those of the rules.
        plan: The plan or destination of the prices.
        region: Their region.
        budget: The most that the best set may cost a month.
        templates: A folder for the diagnostic settings, as Bicep.
        records_per_day: The records that a resource writes a day where no row at hand tells; None to assume it.

    Raises:
        EvidenceError: The store has neither assignments nor usage.
        InputError: There is no store, or the file of prices is wrong.
        UsageError: No price has the plan or the region.
    """
    tariff = Tariff(_prices(prices, plan, region), plan, region, records_per_day)
    with open_store(db, read_only=False, existing=True) as store:
        inputs = Inputs.read(with_holds(store))
        analysis, findings, planes = whole_analysis(store, inputs, asked)
        coverage = store.table("coverage")
        result, cells = rank_missing(inputs, coverage, analysis, findings, planes, tariff)
        held = store.table("observability_promises")
        earlier = held.filter(pl.col("promised_on") <= analysis.window.end.date())
        result = replace(
            result,
            chosen=None if budget is None else _choose(result.options, result.decidable, budget),
            outcomes=_outcomes(earlier, cells, result.options, _existing(analysis, planes)),
        )
        store.write_answer(
            "observability_options", pl.DataFrame(list(result.rows()), schema=schema_of("observability_options"))
        )
        store.write_answer(
            "observability_parts", pl.DataFrame(list(result.part_rows()), schema=schema_of("observability_parts"))
        )
        store.write_answer("observability_promises", _kept(held, cells, analysis.window))
    return result if templates is None else replace(result, files=_write(templates, result.options))


def read_missing(db: Path, *, note: Callable[[str], None] = lambda _: None) -> LogsResult:
    """Return what is missing by the analysis with default options and the known prices; nothing is written.

    Args:
        db: The store.
        note: Called with a sentence where no stored analysis answers.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
        InputError: There is no store, or nothing was loaded into it.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        inputs = Inputs.read(with_holds(store))
        analysis, findings, planes = whole_analysis(store, inputs, USUAL, note)
        return rank_missing(inputs, store.table("coverage"), analysis, findings, planes, Tariff(known_prices()))[0]


def rank_missing(
    inputs: Inputs,
    coverage: pl.DataFrame,
    analysis: Analysis,
    findings: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
    tariff: Tariff,
) -> tuple[LogsResult, pl.DataFrame]:
    """Return what is missing by an analysis that is there, and the undecided cells; nothing is chosen or written.

    Args:
        inputs: The tables.
        coverage: The whole table `coverage`, logs of the tenant among them.
        analysis: The analysis.
        findings: Its findings.
        planes: The analyses of the planes beyond Azure RBAC.
        tariff: The prices, and what they are taken for.
    """
    spared = findings.filter(pl.col("control") == "emergency_access_account")["principal_id"].drop_nulls()
    whole = weigh_cells(analysis, spared)
    of_roles = find_ways(whole, inputs, analysis)
    on_planes = plane_cells(planes)
    silence = silence_of(inputs, analysis.window, on_planes["principal_id"].unique())
    audited = _is_audited(coverage, inputs, analysis.window)
    beyond = ways_on_planes(on_planes, silence, audited=audited)
    rules = held_for_rules(whole, analysis, _known_rules(inputs))
    needs = read_needs(inputs, analysis)
    shown = [of_roles, beyond.select(of_roles.columns), rules.select(of_roles.columns)]
    decidable, cells = read_decidable(pl.concat(shown), needs)
    spelt = spelt_scopes(inputs)
    sources = Sources(inputs, analysis, coverage, cells, tariff, spelt)
    options = describe_options(make_promises(cells, decidable, whole, analysis), sources)
    result = LogsResult(
        window=analysis.window,
        options=options,
        decidable=decidable,
        undecided=int(cells["excess"].sum()),
        prices=tariff.prices,
        plan=tariff.plan,
        chosen=None,
        outcomes=[],
        files=[],
        unlisted=_unlisted(analysis),
        has_grants=not _existing(analysis, planes).is_empty(),
        sleeps_unlisted=_sleeps_unlisted(inputs, analysis),
    )
    return result, cells


def _prices(path: Path | None, plan: str, region: str) -> Prices:
    if path is None:
        found = known_prices()
    else:
        try:
            text = read_given(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"`{path}` is not UTF-8 text") from None
        found = read_prices(text, str(path))
    for name, value, there in (("plan", plan, found.plans), ("region", region, found.regions)):
        if there and value not in there:
            raise UsageError(f"no price has the {name} `{value}`", hint=f"one of {', '.join(there)}")
    return found


def _is_audited(coverage: pl.DataFrame, inputs: Inputs, window: Window) -> bool:
    """Return whether the audit log of the directory covers every day of the window, and has activations at all."""
    rows = coverage.filter((pl.col("source") == "entra_audit_log") & (pl.col("state") != "missing"))
    whole = rows.filter(window.holds("day"))["day"].n_unique() == window.days
    return whole and bool((inputs.pim_records["plane"] == "directory").any())


def _known_rules(inputs: Inputs) -> pl.DataFrame:
    """Return `(place, role)` of the eligible roles whose activation rules are loaded, both folded."""
    known = list(read_eligibility(inputs).policies)
    return pl.DataFrame(known, schema={"place": pl.String, "role": pl.String}, orient="row")


def _sleeps_unlisted(inputs: Inputs, analysis: Analysis) -> bool:
    seen = (analysis.activations["plane"] == "control").any() or (inputs.pim_records["plane"] == "control").any()
    return bool(seen) and not (inputs.role_assignments["state"] == "eligible").any()


def _choose(options: Sequence[LogOption], decidable: Decidable, budget: float) -> tuple[str, ...]:
    prices = {name: price for one in options for name, price in one.prices.items()}
    return choose_under_budget([(one.excess, one.ways) for one in decidable.sets], prices, budget, decidable.met)


def _unlisted(analysis: Analysis) -> dict[str, int]:
    """Return `LogsResult.unlisted`; such verdicts have no number of operations."""
    rows = analysis.verdicts.filter(pl.col("reason").is_in(_UNLISTED) & pl.col("role_assignment_id").is_not_null())
    counts = rows.group_by("reason").agg(number=pl.struct(ASSIGNMENT).n_unique()).sort("reason")
    return dict(counts.iter_rows())


def _existing(analysis: Analysis, planes: Sequence[PlaneAnalysis]) -> pl.DataFrame:
    """Return `(role_assignment_id, state)` of all that is granted today."""
    frames = [analysis.tenant.assignments, *(plane.assignments for plane in planes)]
    return pl.concat([frame.select(*ASSIGNMENT) for frame in frames]).unique()


def _undecided(cells: pl.DataFrame) -> pl.DataFrame:
    """Return `(role_assignment_id, state, plane, of_rules, now)`: undecided excess, and what waits for rules."""
    of_rules = pl.col("reason") == ACTIVATION_RULES
    return cells.group_by(*ASSIGNMENT, "plane", of_rules=of_rules).agg(now=pl.col("excess").sum())


_OF_RULES = (pl.col("item") == ACTIVATION_RULES).alias("of_rules")


def _outcomes(
    held: pl.DataFrame, cells: pl.DataFrame, options: Sequence[LogOption], existing: pl.DataFrame
) -> list[Outcome]:
    """Return what came of each earlier promise; assignments that are gone count neither as promised nor as come."""
    missing = {one.promise.item for one in options}
    still = by_assignment(cells).rename({"excess": "still"})
    # A part that is promised again has not come, whatever else was decided of the same assignment.
    due = pl.max_horizontal(pl.col("excess") - pl.col("still").fill_null(0), 0)
    decided = pl.max_horizontal(pl.col("undecided") - pl.col("now").fill_null(0), 0)
    sums = (
        held.join(existing, on=list(ASSIGNMENT), how="semi")
        .with_columns(_OF_RULES)
        .join(_undecided(cells), on=[*ASSIGNMENT, "plane", "of_rules"], how="left")
        .join(still, on=["item", *ASSIGNMENT, "plane"], how="left")
        .with_columns(came=pl.min_horizontal(due, decided))
        .group_by("item", "promised_on")
        .agg(promised=pl.col("excess").sum(), came=pl.col("came").sum())
        .sort("promised_on", "item")
    )
    return [
        Outcome(item, day, promised, came, item in missing)
        for item, day, promised, came in sums.select("item", "promised_on", "promised", "came").iter_rows()
    ]


def _kept(held: pl.DataFrame, cells: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the promises to keep: the first of each missing thing, and those of today for things without one."""
    fresh = (
        by_assignment(cells)
        .with_columns(_OF_RULES)
        .join(_undecided(cells), on=[*ASSIGNMENT, "plane", "of_rules"])
        .with_columns(promised_on=pl.lit(window.end.date()))
        .rename({"now": "undecided"})
        .join(held.select("item").unique(), on="item", how="anti")
    )
    columns = list(schema_of("observability_promises"))
    return pl.concat([held.select(columns), fresh.select(columns)]).sort(_PROMISED)


def _write(folder: Path, options: Sequence[LogOption]) -> list[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write `{folder}`: {getattr(error, 'strerror', None) or error}") from None
    wanted = [one.promise.item for one in options if not one.is_sent]
    files = template_files(wanted)
    for name, text in files.items():
        write_text(folder / name, text)
    return list(files)
