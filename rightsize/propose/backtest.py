"""Backtest plans: make each from the training days of a fold, and count the calls of the test days that it denies.

A call counts if its day is in the test, it is not quarantined, the assignments at the end of the training allow it,
and no deny refuses it. A break is such a call that the plan denies. Assignments made after the training are left out:
calls that only they allow do not count, and they do not allow a call that the plan denies.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.verdicts.usage import read_role_requests, use_by_day
from rightsize.analyze.window import Window, choose_window
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.model.plan_totals import total_excess
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import FoldedKey
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.drafts.keep_rules import creations_since
from rightsize.propose.drafts.reading import (
    AssignmentEvidence,
    PlanSettings,
    TenantReading,
    TodaysAccess,
    read_plan_settings,
    read_tenant,
    with_options,
)
from rightsize.propose.drafts.reasons import BY_DESIGN, word_of
from rightsize.propose.needs.assignments import EVER, Subject
from rightsize.propose.needs.unlogged import sibling_reads
from rightsize.propose.pipeline import bounds_of, plan_from_reading
from rightsize.propose.replay import GRANTS_SCHEMA, Blocks, Evaluator, answer_uses, asked_uses
from rightsize.propose.risk.breakage import BreakBounds
from rightsize.propose.risk.calibration import Prediction
from rightsize.propose.selection.worth import absent_types, today_exposure, used_weight
from rightsize.rbac.scopes import parse_scope

LONGEST_TRAINING = 90
USUAL_TEST = 30
SHORTEST_HISTORY = 42
"""Six weeks: four for training and two for the test. In less time a weekly habit is hardly seen twice."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The training days of a plan, and the test days right after them."""

    train: Window
    test: Window


def history_of(inputs: Inputs, as_of: dt.date | None = None) -> Window:
    """Return the days from the first to the last that a log of use covers; `as_of` is the day after the last, if given.

    Raises:
        EvidenceError: No log of use is loaded.
    """
    last = choose_window(inputs, as_of, 1).last_day
    covered = inputs.coverage.filter((pl.col("state") != "missing") & (pl.col("source") != "sign_in_log"))
    days = pl.concat([covered["day"], inputs.usage_days["day"]]).drop_nulls()
    first = days.filter(days <= last).min()
    if not isinstance(first, dt.date):
        raise EvidenceError(
            "no log of use is loaded, so there is nothing to test on",
            hint="load an export of the Activity Log: `rightsize load PATH`",
        )
    return Window(first, last)


def choose_folds(history: Window, train_days: int | None = None, test_days: int | None = None) -> tuple[Fold, ...]:
    """Return all folds that fit into the history, oldest first; their test days do not overlap.

    Args:
        history: The days with logs.
        train_days: Number of training days; without it 90, or the rest beside the test days if that is less.
        test_days: Number of test days; without it at most 30: the rest beside `train_days`, or a third of the history.

    Raises:
        UsageError: A number of days is below 1.
        EvidenceError: The history is shorter than one fold.
    """
    for option, days in (("--train-days", train_days), ("--test-days", test_days)):
        if days is not None and days < 1:
            raise UsageError(f"`{option} {days}` is less than 1 day", hint="give 1 or more")
    left = history.days - train_days if train_days else history.days // 3
    test = test_days or max(1, min(USUAL_TEST, left))
    train = train_days or max(1, min(LONGEST_TRAINING, history.days - test))
    needed = train + test if train_days or test_days else SHORTEST_HISTORY
    if history.days < needed:
        raise EvidenceError(
            f"the logs cover {history.days} days, and a backtest needs {needed}",
            hint="load older exports, or give fewer --train-days and --test-days",
        )
    folds = []
    for back in range((history.days - train) // test):
        last = history.last_day - dt.timedelta(days=back * test)
        cut = last - dt.timedelta(days=test)
        folds.append(Fold(Window(cut - dt.timedelta(days=train - 1), cut), Window(cut + dt.timedelta(days=1), last)))
    return tuple(reversed(folds))


def cut_inputs(inputs: Inputs, last_day: dt.date) -> Inputs:
    """Return the tables as they were at the end of a day, as far as today's listings show it.

    Logs end with the day. Assignments and principals that were made later are left out; where a listing of assignments
    has no time, the log of their creation decides. Deleted assignments are in no listing, so they are missing.
    Memberships have no date, so groups are as they are today.
    """
    midnight = dt.datetime.combine(last_day + dt.timedelta(days=1), dt.time())
    made = creations_since(inputs.usage_days, midnight.date())
    later = (pl.col("created_on") >= midnight).fill_null(False)
    born = inputs.principals.filter(later)["principal_id"].implode()
    unknown = pl.col("created_on").is_null() & folded(pl.col("role_assignment_id")).is_in(made.implode())
    until = pl.col("day") <= last_day
    return replace(
        inputs,
        principals=inputs.principals.filter(~later),
        group_members=inputs.group_members.filter(~_names(born, "group_id", "member_id")),
        group_closure=inputs.group_closure.filter(~_names(born, "group_id", "member_id")),
        role_assignments=inputs.role_assignments.filter(~later & ~unknown & ~_names(born, "principal_id")),
        usage_days=inputs.usage_days.filter(until),
        role_assignment_requests=inputs.role_assignment_requests.filter(pl.col("time") < midnight),
        sign_ins=inputs.sign_ins.filter(until),
        coverage=inputs.coverage.filter(until),
    )


def _names(ids: pl.Series, *columns: str) -> pl.Expr:
    return pl.any_horizontal(pl.col(column).is_in(ids).fill_null(False) for column in columns)


KEEP_EVERYTHING = "keep_everything"
USED_ONLY = "used_only"
USED_AND_READS = "used_plus_sibling_reads"
BASELINES = (KEEP_EVERYTHING, USED_ONLY, USED_AND_READS)


@dataclass(frozen=True, slots=True)
class BacktestTally:
    """The outcome of the calls of the test days; tallies of several folds can be added.

    Attributes:
        principals: Number of principals with a call that counts.
        denied_principals: Number of principals with a denied call.
        calls: Number of distinct (principal, operation, scope) that count.
        denied_calls: Number of these that are denied.
        events: Number of calls that count.
        denied_events: Number of calls that are denied.
        first_breaks: For each principal with a denied call the day of the first one, counted from 1 in the test.
        excess_before: Risk-weighted live excess at the end of the training, without what stays by design.
        excess_after: The same under the plan.
        needs: Number of planted needs of the test days that count, by kind.
        denied_needs: Number of these that are denied, by kind.
    """

    principals: int = 0
    denied_principals: int = 0
    calls: int = 0
    denied_calls: int = 0
    events: int = 0
    denied_events: int = 0
    first_breaks: tuple[int, ...] = ()
    excess_before: float = 0.0
    excess_after: float = 0.0
    needs: Mapping[str, int] = field(default_factory=dict)
    denied_needs: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: BacktestTally) -> BacktestTally:
        """Return the sum of both tallies."""
        sums: dict[str, Any] = {}
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            sums[one.name] = Counter(mine) + Counter(theirs) if isinstance(mine, Mapping) else mine + theirs
        return BacktestTally(**{**sums, "first_breaks": tuple(sorted(sums["first_breaks"]))})


@dataclass(frozen=True, slots=True)
class Trial:
    """One fold with the analysis of its training, ready to test plans and baselines.

    Attributes:
        fold: Its days.
        reading: What plans of the training are made from.
        settings: The options that all settings share.
        today: The assignments at the end of the training, as `access_evaluator.GRANTS_SCHEMA`, labelled by state.
        asked: The calls of the test that count: `use, principal_id, place, plane, operation, events, first_day`.
        needs: The planted needs that count, in the same form, with their `kind`.
        left_out: Number of distinct calls of the test that the assignments at the end of the training do not allow.
        bounds: The break estimates for as many days as the test has.
        requests: The requests of the calls of the test that assign roles.
    """

    fold: Fold
    reading: TenantReading
    settings: PlanSettings
    today: pl.DataFrame
    asked: pl.DataFrame
    needs: pl.DataFrame
    left_out: int
    bounds: BreakBounds
    requests: pl.DataFrame


def prepare_trial(inputs: Inputs, fold: Fold, options: PlanOptions, needs: pl.DataFrame | None = None) -> Trial:
    """Return the trial of a fold: the analysis of its training days, and the calls of its test days that count.

    Args:
        inputs: All tables.
        fold: The days.
        options: The options that all settings share, such as the exclusions and the grace for young assignments.
        needs: Planted needs: `principal_id, operation, scope, plane, kind, first_seen, last_seen`; None for none.
    """
    then = cut_inputs(inputs, fold.train.last_day)
    train = replace(fold.train, forget_days=options.forget_days, min_days=options.min_days)
    analysis = analyse(then, train, standby=options.standby)
    reading = read_tenant(then, analysis)
    settings = read_plan_settings(reading, options)
    today = _grants(subject for subject in reading.today.subjects if subject.key not in reading.today.orphans)
    evaluator = Evaluator(_known_roles(reading.today.book), analysis.tenant.tree)
    tested = tested_uses(inputs, fold.test)
    asked = asked_uses(tested, today, evaluator, analysis.tenant, then)
    planted = _needs_within(needs, fold.test)
    return Trial(
        fold=fold,
        reading=reading,
        settings=settings,
        today=today,
        asked=asked,
        needs=asked_uses(planted, today, evaluator, analysis.tenant, then),
        left_out=tested.height - asked.height,
        bounds=bounds_of(reading, settings, fold.test.days),
        requests=read_role_requests(inputs, fold.test),
    )


def try_plan(trial: Trial, options: PlanOptions) -> tuple[BacktestTally, list[Prediction]]:
    """Make a plan from the training days, and return the tally of the test calls and the outcome of its predictions."""
    reading = trial.reading
    settings = with_options(reading, trial.settings, options)
    plan = plan_from_reading(reading, settings, content_hash="")
    roles = _known_roles(reading.today.book) | {
        one.definition.role_definition_id: one.definition.permissions for one in plan.roles
    }
    evaluator = Evaluator(roles, reading.analysis.tenant.tree, trial.requests)
    live = total_excess(plan.proposals).live
    tally, denied = _tally(trial, _after(plan, reading.today), evaluator, live.before, live.after)
    return tally, _predictions(trial, plan, denied, evaluator)


def try_baseline(trial: Trial, name: str) -> BacktestTally:
    """Return the tally of the test calls under a trivial plan.

    `keep_everything` changes nothing. `used_only` replaces each active assignment by exactly the operations that were
    used under it, at its own scope. `used_plus_sibling_reads` adds the granted reads of their resource types, of the
    parent types and of the resource group.
    """
    reading, left_alone = trial.reading, trial.settings.left_alone
    book = reading.today.book
    roles = _known_roles(book)
    rows, before, after = [], 0.0, 0.0
    for subject in reading.today.subjects:
        said = left_alone.untouched.get(subject.key) or left_alone.undecided.get(subject.key) or ""
        # The excess of what stays by design does not count, whatever is proposed.
        counts = word_of(said) not in BY_DESIGN
        own = _excess(subject, _granted(subject, book), reading) if counts else 0.0
        before += own
        if subject.state != "active" or name == KEEP_EVERYTHING:
            rows.append(subject)
            after += own
            continue
        mask, blocks = _used(subject, book, reading.evidence, with_reads=name == USED_AND_READS)
        role = Folded(" ".join(subject.key))
        roles[role] = blocks
        after += _excess(subject, mask, reading) if counts else 0.0
        rows.append(replace(subject, role_definition_id=role))
    return _tally(trial, _grants(rows), Evaluator(roles, reading.analysis.tenant.tree), before, after)[0]


def tested_uses(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return the distinct unquarantined uses of the window, numbered.

    Columns: `use`, `principal_id` (folded), `place`, `plane`, `operation` (folded), `events`, `first_day`.
    """
    rows = use_by_day(inputs, window).filter((pl.col("clean") > 0) & pl.col("principal_id").is_not_null())
    return (
        rows.group_by("principal_id", "place", "plane", operation="name")
        .agg(events=pl.col("clean").sum(), first_day=pl.col("day").min())
        .collect()
        .sort("principal_id", "plane", "operation", "place")
        .with_row_index("use")
    )


NEEDS_SCHEMA: dict[str, pl.DataType] = {
    "principal_id": pl.String(),
    "operation": pl.String(),
    "scope": pl.String(),
    "plane": pl.String(),
    "kind": pl.String(),
    "first_seen": pl.Datetime("us"),
    "last_seen": pl.Datetime("us"),
}


def _needs_within(needs: pl.DataFrame | None, window: Window) -> pl.DataFrame:
    """Return the planted needs that occur in a window, numbered as in `tested_uses`, with their `kind`."""
    found = pl.DataFrame(schema=NEEDS_SCHEMA) if needs is None else needs
    alive = found.filter((pl.col("first_seen") < window.end) & (pl.col("last_seen") >= window.start))
    return (
        alive.select(
            "plane",
            "kind",
            principal_id=folded(pl.col("principal_id")),
            place=place_of(pl.col("scope")),
            operation=folded(pl.col("operation")),
        )
        .unique(["principal_id", "plane", "operation", "place"])
        .sort("principal_id", "plane", "operation", "place")
        .with_row_index("use")
    )


def _tally(
    trial: Trial, grants: pl.DataFrame, evaluator: Evaluator, before: float, after: float
) -> tuple[BacktestTally, pl.DataFrame]:
    """Return the tally of the test calls under assignments, and those of them that are denied."""
    tenant = trial.reading.analysis.tenant
    denied, refused = (answer_uses(asked, grants, evaluator, tenant).denied for asked in (trial.asked, trial.needs))
    first = denied.group_by("principal_id").agg(pl.col("first_day").min())["first_day"]
    days = (first - trial.fold.test.first_day).dt.total_days() + 1
    tally = BacktestTally(
        principals=trial.asked["principal_id"].n_unique(),
        denied_principals=len(first),
        calls=trial.asked.height,
        denied_calls=denied.height,
        events=int(trial.asked["events"].sum()),
        denied_events=int(denied["events"].sum()),
        first_breaks=tuple(sorted(days)),
        excess_before=before,
        excess_after=after,
        needs=Counter(trial.needs["kind"]),
        denied_needs=Counter(refused["kind"]),
    )
    return tally, denied


def _predictions(trial: Trial, plan: Plan, denied: pl.DataFrame, evaluator: Evaluator) -> list[Prediction]:
    """Return the prediction and outcome for each assignment that loses operations whose use a log would show.

    A denied call counts against every such assignment that allowed it at the end of the training.
    """
    labels = trial.today.with_columns(label=pl.col("key"))
    asked = denied.select("use", "principal_id", "place", "plane", "operation")
    membership = trial.reading.analysis.tenant.membership
    broken = set(evaluator.allowed_through(asked, membership, labels.select(*GRANTS_SCHEMA))["label"])
    found = []
    for one in sorted(plan.proposals, key=lambda proposal: proposal.assignment):
        key, shown = one.assignment, one.evidence.get("break_probability")
        if shown is not None and key in trial.bounds.by_logs:
            said = trial.bounds.by_logs[key]
            if "new_types" in shown:
                said = said.with_new_types(trial.bounds.by_arrival[key])
            found.append(Prediction(said.bound, said.expected, " ".join(key) in broken, said.basis, said.new_weeks))
    return found


def _known_roles(book: RoleBook) -> dict[Folded, Blocks]:
    return {id_: role.blocks for id_, role in book.roles.items()}


def _grants(subjects: Iterable[Subject]) -> pl.DataFrame:
    """Return assignments as `GRANTS_SCHEMA`, with a column `key` that names each."""
    rows = [
        (one.principal_id, one.place, one.role_definition_id, one.state, None, EVER, " ".join(one.key))
        for one in subjects
    ]
    return pl.DataFrame(rows, schema={**GRANTS_SCHEMA, "key": pl.String()}, orient="row")


def _after(plan: Plan, today: TodaysAccess) -> pl.DataFrame:
    """Return the assignments after the plan is carried out, without those of deleted holders."""
    gone = {(id_, one.evidence["state"]) for one in plan.proposals if one.kind.changes for id_ in one.replaces}
    kept = [one for one in today.subjects if one.key not in gone and one.key not in today.orphans]
    carried = {subject.key: subject.condition for subject in today.subjects}
    made = [
        (
            new.principal_id,
            parse_scope(new.scope).key,
            new.role,
            new.state,
            None if new.condition == carried[one.assignment] else new.condition,
            EVER,
        )
        for one in plan.proposals
        for new in one.assignments
    ]
    return pl.concat(
        [_grants(kept).select(*GRANTS_SCHEMA), pl.DataFrame(made, schema=GRANTS_SCHEMA, orient="row")]
    ).unique()


def _granted(subject: Subject, book: RoleBook) -> int:
    role = book.roles.get(subject.role_definition_id)
    return role.granted if role else 0


def _excess(subject: Subject, granted: int, reading: TenantReading) -> float:
    """Return the live excess of an assignment if its role granted the operations `granted`."""
    evidence, weights = reading.evidence, reading.weights
    granted &= ~absent_types(evidence.profiles.get(subject.key))
    used = used_weight(subject, evidence.uses.get(subject.key, {}), weights)
    return max(0.0, today_exposure(subject, granted, weights).cells - used)


def _used(subject: Subject, book: RoleBook, evidence: AssignmentEvidence, *, with_reads: bool) -> tuple[int, Blocks]:
    """Return the operations used under an assignment in the window, as a bit set and as the blocks of a role."""
    index = book.index
    names: set[FoldedKey] = set()
    for use in evidence.uses.get(subject.key, {}).values():
        names |= {*index.folded_members(use.operations & ~use.earlier), *use.unlisted}
    if with_reads and names:
        granted = _granted(subject, book)
        names |= set(index.folded_members(index.mask(sibling_reads(sorted(names))) & granted))
    block = PermissionBlock(
        actions=tuple(sorted(name for plane, name in names if plane == "control")),
        data_actions=tuple(sorted(name for plane, name in names if plane == "data")),
    )
    return index.mask(names), (block,)
