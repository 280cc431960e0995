"""Run the suite: plan on generated tenants with a known truth, and judge every contender by the same judge.

Count for each subscription of a suite tenant what listings and logs decide about resources, and what they do not.
"""

from __future__ import annotations

import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import Unused
from rightsize.analyze.verdicts.absence import NONE
from rightsize.analyze.verdicts.existence import states_of
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.demo.suite.files import read_catalogue, write_catalogue, write_suite_exports, write_suite_truth
from rightsize.demo.suite.model import NEED_KINDS, SUITES, UNRULED, SuiteCatalogue, SuiteTenant
from rightsize.demo.suite.tenants import suite_tenants
from rightsize.demo.writing import Folder
from rightsize.mining.bitsets import union
from rightsize.model.errors import InputError, UsageError
from rightsize.model.options import Reads, Unobservable
from rightsize.model.plan import Plan
from rightsize.model.progress import turn
from rightsize.model.text import fold
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.reading import TenantReading, read_plan_settings, read_tenant, with_options
from rightsize.propose.pipeline import plan_from_reading
from rightsize.propose.risk.calibration import brier, by_weeks, reliability, scores
from rightsize.store.connection import open_store
from rightsize.store.limits import scratch_folder
from rightsize.workflow.analysis.keep_analysis import analyse_inputs
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.plan.backtest import read_settings, setting_name, single_settings
from rightsize.workflow.suite import contenders
from rightsize.workflow.suite.jobs import JobsFound, jobs_found, late_needs, with_declared
from rightsize.workflow.suite.judge import SuiteJudge, SuiteTally


def existence_of(tenant: SuiteTenant, analysis: Analysis) -> list[dict[str, Any]]:
    """Return one row a subscription: its number of types by what is known, and of assignments that proofs judge.

    `judged` are assignments at or below the subscription whose operations on absent types are unused, and `waiting`
    those that are not judged since they may be for what has not come yet.
    """
    states: dict[str, Counter[tuple[str, str]]] = {}
    for node, state, reason in states_of(analysis.existence).select("node", "state", "reason").iter_rows():
        states.setdefault(node, Counter())[state, reason] += 1
    places = dict(analysis.tenant.assignments.select("a", "place").iter_rows())
    judged = [places[a] for a, absent in analysis.absences.of.select("a", "absent").iter_rows() if absent != NONE]
    waiting = [places[a] for a in analysis.absences.waiting["a"] if a in places]
    rows = []
    for one in tenant.subscriptions:
        node = fold(one.scope)
        found = states.get(node, Counter())
        by_state = {state: sum(number for key, number in found.items() if key[0] == state) for state, _ in found}
        unregistered = found["absent", Unused.PROVIDER_NOT_REGISTERED.value]
        why = sorted({reason for state, reason in found if state == "unknown" and reason not in _OF_TYPES})
        rows.append({
            "tenant": tenant.name,
            "subscription": one.name,
            "there": by_state.get("exists", 0) + by_state.get("existed", 0),
            "absent": by_state.get("absent", 0) - unregistered,
            "not registered": unregistered,
            "unknown": by_state.get("unknown", 0),
            "judged": _below(node, judged),
            "waiting": _below(node, waiting),
            "why": " ".join(why),
        })  # fmt: skip
    return rows


_OF_TYPES = ("named_only", "not_decidable")
"""Reasons that are about a type, not about a subscription."""


def _below(node: str, places: Iterable[str]) -> int:
    return sum(f"{place}/".startswith(f"{node}/") for place in places)


KEEP, USED_ONLY, SIBLING, WRITTEN, DECLARED = "keep", "used-only", "sibling", "given plan", "declared code"
CEILING = "needs and reads"
DEFAULT, DROP = "default", "drop"
_ALL_UNUSED = PlanOptions(reads=Reads.NONE, unobservable=Unobservable.DROP)
_LATE = ("seasonal", "future")


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The result of the suite.

    Attributes:
        tenants: Number of holders and needs of each tenant, by name.
        by_design: Number of assignments that have to stay, by the word that says why.
        existence: What listings and logs decide in each subscription, as `suite_existence` counts it.
        setting: The name of the setting that gives the calibration.
        tallies: The outcome of each contender over all its tenants, in the order shown.
        jobs: How well the inferred jobs of each tenant fit the planted ones.
        curves: The curve of roles against excess of that setting's plan, by tenant, as `plan.json` has it.
    """

    suite: str
    seed: int
    tenants: Mapping[str, Mapping[str, int]]
    by_design: Mapping[str, int]
    existence: Sequence[Mapping[str, Any]]
    setting: str
    tallies: Mapping[str, SuiteTally]
    jobs: Sequence[JobsFound]
    curves: Mapping[str, Sequence[Mapping[str, Any]]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row a contender."""
        for name, tally in self.tallies.items():
            yield {"plan": name, **describe(tally)}

    def calibration(self) -> list[dict[str, Any]]:
        """Return the reliability table of the first setting."""
        return reliability(self.tallies[self.setting].predictions)

    def scores(self) -> dict[str, float | None]:
        """Return the scores of the probabilities of the first setting."""
        return scores(self.tallies[self.setting].predictions)

    def document(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "suite": self.suite,
            "seed": self.seed,
            "tenants": {name: dict(numbers) for name, numbers in self.tenants.items()},
            "by_design": dict(self.by_design),
            "existence": [dict(row) for row in self.existence],
            "jobs": [
                {**one.row(), "parts": {name: dict(part) for name, part in one.parts.items()}} for one in self.jobs
            ],
            "plans": list(self.rows()),
            "curves": {name: [dict(point) for point in points] for name, points in self.curves.items()},
            "roles": [role.row() for role in self.tallies[self.setting].roles],
            "calibration": {
                "plan": self.setting,
                **self.scores(),
                "table": self.calibration(),
                "by_weeks": by_weeks(self.tallies[self.setting].predictions),
            },
        }


def describe(tally: SuiteTally) -> dict[str, Any]:
    """Return a tally as plain values; a share of nothing is None."""
    ruled = [kind for kind in NEED_KINDS if kind != UNRULED]
    strings, before, after = sum(tally.role_sizes), tally.before, tally.after
    add_ons = sum(role.is_add_on for role in tally.roles)
    return {
        "tenants": tally.tenants,
        "live_removed": _share(before.live - after.live, before.live),
        "latent_removed": _share(before.latent - after.latent, before.latent),
        "live_changes_removed": _share(
            before.live - before.live_reads - after.live + after.live_reads, before.live - before.live_reads
        ),
        "latent_changes_removed": _share(
            before.latent - before.latent_reads - after.latent + after.latent_reads,
            before.latent - before.latent_reads,
        ),
        "assignments": tally.assignments,
        "assignments_by_design": tally.staying,
        "live_by_design": _share(tally.by_design.live, tally.everything.live),
        "latent_by_design": _share(tally.by_design.latent, tally.everything.latent),
        "recorded_calls": tally.recorded,
        "recorded_calls_denied": tally.denied,
        "needs": sum(tally.needs.get(kind, 0) for kind in ruled),
        "needs_lost": sum(tally.lost.get(kind, 0) for kind in ruled),
        "late_lost": _share(sum(tally.lost.get(kind, 0) for kind in _LATE), sum(tally.needs.values())),
        "unruled": tally.needs.get(UNRULED, 0),
        "unruled_lost": tally.lost.get(UNRULED, 0),
        "needs_by_kind": {
            kind: {"needs": tally.needs.get(kind, 0), "lost": tally.lost.get(kind, 0)} for kind in NEED_KINDS
        },
        "principals": tally.principals,
        "principals_broken": tally.broken,
        "new_roles": len(tally.roles),
        "add_ons": add_ons,
        "jobs": tally.jobs,
        "roles_per_job": _share(len(tally.roles) - add_ons, tally.jobs),
        "job_holders": tally.holders,
        "foreign": tally.pairs("foreign"),
        "foreign_risky": tally.pairs("foreign", risky=True),
        "foreign_per_holder": _share(tally.pairs("foreign"), tally.holders),
        "foreign_checks": tally.pairs("checks"),
        "misplaced": tally.pairs("misplaced"),
        "strings_median": statistics.median(tally.role_sizes) if tally.role_sizes else None,
        "strings_p90": _nine_in_ten(tally.role_sizes),
        "strings_max": max(tally.role_sizes, default=None),
        "strings_explained": _share(tally.explained, strings),
        "brier": brier(tally.predictions)["brier"],
        "brier_expected": brier(tally.predictions)["brier_expected"],
    }


def run_suite(
    suite: str,
    seed: int,
    *,
    db: Path,
    catalogue: Sequence[Path] = (),
    settings: Sequence[str] = (),
    plans: Sequence[Path] = (),
    exports: Path | None = None,
    narrate: Callable[[str], None] = lambda _: None,
) -> SuiteResult:
    """Generate the tenants of a suite, plan on them, and judge every contender.

    Args:
        suite: `small`, `full`, `special`, `agents` or `jobs`.
        seed: Another number gives other tenants.
        db: The store whose catalogue is taken if no files are given.
        catalogue: Exports of Azure's operations and built-in roles.
        settings: Options to try, as `read_settings` takes them; every option alone where there are none.
        plans: Plans that somebody wrote for tenants of the suite.
        exports: A folder that keeps the exports and the truth of each tenant.
        narrate: Is called with a sentence about each step.

    Raises:
        UsageError: The suite or a setting is not known, or the folder holds something else.
        InputError: A file cannot be read, or a plan is for no tenant of the suite.
        EvidenceError: There is no whole catalogue.
    """
    if suite not in SUITES:
        raise UsageError(f"`{suite}` is not a suite", hint=f"one of {', '.join(SUITES)}")
    asked = read_settings(settings, PlanOptions()) or list(default_settings())
    chosen = {name_of(options): options for options in asked}
    written = [contenders.read_change(path) for path in plans]
    tallies: dict[str, list[SuiteTally]] = {}
    found_jobs: list[JobsFound] = []
    curves: dict[str, Sequence[Mapping[str, Any]]] = {}
    numbers: dict[str, dict[str, int]] = {}
    by_design: Counter[str] = Counter()
    existence: list[dict[str, Any]] = []
    with scratch_folder() as folder:
        narrate("reading the catalogue")
        known, base = _base_store(db, catalogue, folder)
        tenants = suite_tenants(suite, seed, known)
        _require_tenants(written, tenants)
        declares = any(True for tenant in tenants for _ in late_needs(tenant))
        for number, tenant in enumerate(tenants):
            turn("tenant", number, len(tenants))
            narrate(f"{tenant.name}: writing and loading its exports")
            reading = _reading(_load(tenant, known, base, folder, exports))
            existence += existence_of(tenant, reading.analysis)
            found_jobs.append(jobs_found(tenant, reading))
            numbers[tenant.name] = {"holders": len(tenant.principals), "needs": len(tenant.needs)}
            by_design.update(one.by_design for one in tenant.grants if one.by_design)
            for name, tally, curve in _judged(tenant, reading, chosen, written, narrate, declares=declares):
                tallies.setdefault(name, []).append(tally)
                if name == next(iter(chosen)):
                    curves[tenant.name] = curve
    return SuiteResult(
        suite,
        seed,
        numbers,
        dict(sorted(by_design.items())),
        existence,
        next(iter(chosen)),
        {name: reduce(add, found, SuiteTally()) for name, found in tallies.items()},
        found_jobs,
        curves,
    )


def default_settings() -> tuple[PlanOptions, ...]:
    """Return the settings to try: the default, each other value of an option alone, and all that is unused removed."""
    return (*single_settings(PlanOptions()), _ALL_UNUSED)


def name_of(options: PlanOptions) -> str:
    """Return the name of a contender: the options that are not at their default."""
    if options in (PlanOptions(), _ALL_UNUSED):
        return DEFAULT if options == PlanOptions() else DROP
    usual = setting_name(PlanOptions())
    return setting_name(options).removeprefix(usual).removeprefix(",")


def _judged(
    tenant: SuiteTenant,
    reading: TenantReading,
    settings: Mapping[str, PlanOptions],
    written: Sequence[contenders.WrittenChange],
    narrate: Callable[[str], None],
    *,
    declares: bool,
) -> Iterator[tuple[str, SuiteTally, Sequence[Mapping[str, Any]]]]:
    """Yield each contender with its outcome on a tenant, and the curve of its plan if it has one.

    Where a pipeline of the suite needs something later, one contender is the first plan with declared code.
    """
    index = reading.today.book.index
    judge = SuiteJudge(tenant, reading.inputs, index, reading.weights.scale, union(reading.risky.values()))
    usual = read_plan_settings(reading, PlanOptions())
    for name, options in settings.items():
        narrate(f"{tenant.name}: planning with {name}")
        plan = plan_from_reading(reading, with_options(reading, usual, options), content_hash="")
        yield name, judge.judge(contenders.change_of(plan)), plan.curve
    if declares:
        narrate(f"{tenant.name}: planning with {DECLARED}")
        plan = _declared_plan(tenant, reading, next(iter(settings.values())))
        yield DECLARED, judge.judge(contenders.change_of(plan)), plan.curve
    for name, change in (
        (USED_ONLY, contenders.used_only(tenant)),
        (SIBLING, contenders.siblings(tenant, index)),
        (CEILING, contenders.needs_and_reads(tenant, index)),
        (KEEP, contenders.Change()),
    ):
        yield name, judge.judge(change), ()
    for one in written:
        if _is_for(one, tenant):
            unknown = sorted(one.named - judge.knows)
            if unknown:
                raise InputError(
                    f"`{one.file}` assigns the role `{unknown[0]}`, which neither the tenant nor the plan has",
                    hint="put the definitions of new roles into the folder `roles` beside the plan",
                )
            yield WRITTEN, judge.judge(one.change), ()


def _declared_plan(tenant: SuiteTenant, reading: TenantReading, options: PlanOptions) -> Plan:
    """Return the plan for a tenant whose pipelines declare what they need later."""
    declared = reading
    if any(True for _ in late_needs(tenant)):
        declared = _reading(with_declared(tenant, reading.inputs))
    usual = read_plan_settings(declared, PlanOptions())
    return plan_from_reading(declared, with_options(declared, usual, options), content_hash="")


def _reading(inputs: Inputs) -> TenantReading:
    options = PlanOptions()
    analysis, _ = analyse_inputs(inputs, options)
    return read_tenant(inputs, analysis)


def _base_store(db: Path, files: Sequence[Path], folder: Path) -> tuple[SuiteCatalogue, Path]:
    """Return the catalogue of the files, else of the store, and a new store that has it alone."""
    if files:
        db = folder / "given.duckdb"
        load_paths(db, files)
    with open_store(db, read_only=True) as store:
        known = read_catalogue(store.table("operations"), store.table("role_definitions"))
    # What the files have beside a catalogue, such as assignments, is no part of the suite's tenants.
    write_catalogue(known, Folder(folder))
    base = folder / "whole-catalogue.duckdb"
    load_paths(base, [folder / "catalogue"])
    return known, base


def _load(tenant: SuiteTenant, known: SuiteCatalogue, base: Path, folder: Path, exports: Path | None) -> Inputs:
    """Write the exports of a tenant, load them into a store that has the catalogue, and return the tables."""
    root = (exports or folder) / tenant.name
    if root.exists():
        raise UsageError(f"`{root}` exists", hint="name a folder without tenants of an earlier run")
    try:
        write_suite_exports(tenant, known, root / "exports")
        write_suite_truth(tenant, root / "truth.json")
        if exports is not None:
            write_catalogue(known, Folder(root))
    except OSError as error:
        raise InputError(f"`{root}` cannot be written: {error.strerror or error}") from error
    store = folder / f"{tenant.name}.duckdb"
    shutil.copy(base, store)
    load_paths(store, [root / "exports"], named=False)
    with open_store(store, read_only=True) as opened:
        return Inputs.read(opened.table)


def _require_tenants(written: Sequence[contenders.WrittenChange], tenants: Sequence[SuiteTenant]) -> None:
    for one in written:
        if not any(_is_for(one, tenant) for tenant in tenants):
            raise InputError(
                f"`{one.file}` replaces no assignment of a tenant of this suite",
                hint="make it from the tenants that `--exports DIR` keeps, with the same suite and seed",
            )


def _is_for(written: contenders.WrittenChange, tenant: SuiteTenant) -> bool:
    return any(grant.grant_id in written.change.replaced for grant in tenant.grants)


def _nine_in_ten(sizes: Sequence[int]) -> int | None:
    """Return the size that nine in ten do not exceed."""
    return sorted(sizes)[-(-9 * len(sizes) // 10) - 1] if sizes else None


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
