"""Judge each granted operation as used, unused, unobservable or out of coverage, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.counting import name_sets
from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.reasons import OutOfCoverage, Unexplained, Unused, Verdict
from rightsize.analyze.shared_texts import summed_by
from rightsize.analyze.tenant import Tenant, read_tenant
from rightsize.analyze.verdicts.absence import Absences, find_absences
from rightsize.analyze.verdicts.activations import covered_assignments, read_history
from rightsize.analyze.verdicts.attribution import Attributed
from rightsize.analyze.verdicts.coverage import CoveredDays, control_gaps, control_states, open_groups, read_states
from rightsize.analyze.verdicts.credited_use import (
    Decided,
    attribute_data_use,
    credit_earlier,
    decide,
    declared_calls,
    declared_rows,
    doubts,
    earlier_calls,
    earlier_operations,
    earlier_rows,
    held_by_unnamed,
)
from rightsize.analyze.verdicts.existence import Existence, read_existence
from rightsize.analyze.verdicts.linked_checks import refused_pairs, with_linked_checks
from rightsize.analyze.verdicts.profiles import Parts, Profiles, build_profiles, find_nodes, renumbered
from rightsize.analyze.verdicts.resource_logs import data_states
from rightsize.analyze.verdicts.usage import observe, use_of_activations
from rightsize.analyze.window import Window
from rightsize.model.progress import step

VERDICTS_SCHEMA = schema_of("verdicts")
PROFILES_SCHEMA: dict[str, pl.DataType] = {
    "role_assignment_id": pl.String(),
    "state": pl.String(),
    "profile_id": pl.Int64(),
}
PROFILE_OPERATIONS_SCHEMA: dict[str, pl.DataType] = {
    "profile_id": pl.Int64(),
    "operation": pl.String(),
    "plane": pl.String(),
    "verdict": pl.String(),
    "reason": pl.String(),
}
_ALLOWING = {"action": "control", "data_action": "data"}


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result of an analysis.

    Attributes:
        window: The days that it covers.
        verdicts: As the table `verdicts`: used and unexplained rows singly, one row for each operation that was used
            before the window only, the rest counted.
        profiles: One row per (role_assignment_id, state); assignments of one profile are judged alike.
        profile_operations: For each profile the verdict of each granted operation *unless a row of the assignment
            names it*.
        tenant: The prepared tenant that it rests on, for scores and findings.
        usage: The calls of the window (`usage.observe`), refused ones included.
        activations: As the table `activations`, of the window and before.
        credited: `(u, a)`: the calls of `usage` and the assignments that they are credited to.
        sets: As the table `verdict_operation_sets`: the operations behind counted rows.
        profile_sets: `(profile_id, plane, verdict, reason, set_id)`: the sets of which `profile_operations` consists.
        quarantined: As the used rows of `verdicts`: calls in quarantine that an assignment may have allowed, of the
            window and before.
        earlier: As the used rows of `verdicts`: use before the window that still counts, where the window does not
            show it at that place under the same assignment; the reason is `used_before_window`. What loaded code
            declares and nobody used has rows, too, with the reason `declared`.
        covered: `a` of the assignments whose logs cover every day of the window.
        existence: What existed in the window.
        absences: The types of resource that were absent at and below the scope of each assignment.
        absent: `(profile_id, kind, reason)`: the same by profile.
        gaps: `(place, plane, day)`: the days of the window that logs at and below the scope of an assignment do not
            cover, though they are evidence for the others (`covered_in_part`).
        parts: The assignments that can be judged in parts, since the subscriptions below them differ in coverage.
    """

    window: Window
    verdicts: pl.DataFrame
    profiles: pl.DataFrame
    profile_operations: pl.DataFrame
    tenant: Tenant
    usage: pl.DataFrame
    activations: pl.DataFrame
    credited: pl.DataFrame
    sets: pl.DataFrame
    profile_sets: pl.DataFrame
    quarantined: pl.DataFrame
    earlier: pl.DataFrame
    covered: pl.Series
    existence: Existence
    absences: Absences
    absent: pl.DataFrame
    gaps: pl.DataFrame
    parts: Parts


def analyse(inputs: Inputs, window: Window, standby: tuple[str, ...] = ()) -> Analysis:
    """Judge every granted operation over the window.

    Args:
        inputs: The tables.
        window: The days.
        standby: Scopes that wait for a failure elsewhere.
    """
    step("judging what is granted")
    tenant = read_tenant(inputs)
    calls = _read_calls(inputs, window, tenant)
    control = control_states(inputs, window, tenant)
    history = read_history(inputs, window, tenant, control)
    activations = use_of_activations(history.activations, inputs, window, tenant)
    credit = _credit(calls, inputs, tenant, history.activations)
    usage, attributed = credit.usage, credit.attributed
    dormant = history.dormant.filter(~history.dormant.is_in(attributed.used["a"].implode()))
    reads = read_states(inputs, window, tenant).with_columns(
        reads=pl.when(pl.col("a").is_in(dormant.implode()))
        .then(pl.lit(Unused.NEVER_ACTIVATED.value))
        .otherwise("reads")
    )
    existence = read_existence(inputs, window, tenant)
    absences = find_absences(existence, inputs, tenant, standby)
    of_data, data_gaps = data_states(inputs, window, tenant, existence.whole)
    of_control = control_gaps(inputs, window, tenant).select("place", pl.lit("control").alias("plane"), "day")
    gaps = pl.concat([of_control, data_gaps]).unique().sort("place", "plane", "day")

    refused = refused_pairs(inputs, window)

    def profiles_of(judged: Tenant, states: pl.DataFrame) -> Profiles:
        found = build_profiles(judged, states, reads, of_data, credit.held, absences)
        return with_linked_checks(found, judged, tenant, usage, control, credit.held, refused)

    profiles = profiles_of(tenant, control)
    nodes, below = find_nodes(tenant, CoveredDays(inputs, window, tenant))
    set_ids, sets = name_sets(profiles.operations, _GROUP)
    used = _used(usage, attributed, tenant)
    earlier = earlier_rows(_used(credit.past, credit.past_attributed, tenant), used)
    promised = declared_rows(_used(credit.declared, credit.declared_attributed, tenant), pl.concat([used, earlier]))
    earlier = pl.concat([earlier, promised])
    singly = earlier_operations(earlier, used, tenant)
    rows = [
        _declared(used),
        _declared(singly),
        _declared(_unexplained(usage, attributed)),
        _declared(_unexplained_rows(calls.decided.aside)),
        _declared(_unexplained_rows(_unread(calls.unnamed))),
        _declared(
            _with_covered_days(
                _counted(pl.concat([_named(used), _named(singly)]), profiles, set_ids, tenant), gaps, window
            )
        ),
        _declared(_unlisted(profiles, tenant)),
    ]
    return Analysis(
        window=window,
        verdicts=pl.concat(rows).sort(list(_KEY), nulls_last=True),
        profiles=_of_assignments(profiles, tenant),
        profile_operations=profiles.operations.select(*PROFILE_OPERATIONS_SCHEMA),
        tenant=tenant,
        usage=usage,
        activations=activations,
        credited=attributed.used.select("u", "a").unique(),
        sets=sets,
        profile_sets=set_ids.select(*_GROUP, "set_id"),
        quarantined=pl.concat(
            _suspect_rows(calls, found, tenant)
            for calls, found in ((usage, attributed), (credit.past, credit.past_attributed))
        ),
        earlier=_declared(earlier).sort(list(_KEY), nulls_last=True),
        covered=covered_assignments(control),
        existence=existence,
        absences=absences,
        absent=profiles.absent,
        gaps=gaps,
        parts=_in_parts(nodes, below, tenant, control, profiles, profiles_of),
    )


def _in_parts(
    nodes: pl.DataFrame,
    below: pl.DataFrame,
    tenant: Tenant,
    control: pl.DataFrame,
    whole: Profiles,
    profiles_of: Callable[[Tenant, pl.DataFrame], Profiles],
) -> Parts:
    """Return the assignments whose scopes `find_nodes` found, judged by the state of the logs that decide."""
    split = replace(tenant, assignments=tenant.assignments.join(below, on="place", how="semi"))
    lit = split.assignments.select("a", "place").join(below, on="place").select("a", "below")
    states = lit.join(control.drop("below"), on="a")
    found = renumbered(profiles_of(split, states), whole) if len(lit) else whole.cleared()
    return Parts(
        nodes,
        _of_assignments(found, tenant),
        found.operations.select(*PROFILE_OPERATIONS_SCHEMA),
        found.absent,
    )


def _of_assignments(profiles: Profiles, tenant: Tenant) -> pl.DataFrame:
    """Return the profile of each assignment, in the columns of PROFILES_SCHEMA."""
    keys = tenant.assignments.select("a", "role_assignment_id", "state")
    return profiles.of.join(keys, on="a").sort("a").select(*PROFILES_SCHEMA)


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls of the window, those `before` it that still count, what is declared, and calls without an operation."""

    decided: Decided
    before: Decided
    declared: Decided
    unnamed: pl.DataFrame
    unnamed_before: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Credits:
    """Calls, `past` calls and what is `declared` with their attribution, and what they keep from being unused."""

    usage: pl.DataFrame
    attributed: Attributed
    past: pl.DataFrame
    past_attributed: Attributed
    declared: pl.DataFrame
    declared_attributed: Attributed
    held: pl.DataFrame


def _read_calls(inputs: Inputs, window: Window, tenant: Tenant) -> _Calls:
    calls, unnamed = (observe(inputs, window, unnamed=which) for which in (False, True))
    return _Calls(
        decided=decide(_spelt_as_catalogued(calls, tenant), inputs),
        before=decide(_spelt_as_catalogued(earlier_calls(inputs, window, calls), tenant), inputs),
        declared=decide(_spelt_as_catalogued(declared_calls(inputs, window, calls), tenant), inputs),
        unnamed=unnamed,
        unnamed_before=earlier_calls(inputs, window, unnamed, unnamed=True),
    )


def _credit(calls: _Calls, inputs: Inputs, tenant: Tenant, activations: pl.DataFrame) -> _Credits:
    groups = open_groups(inputs)
    usage, attributed = attribute_data_use(calls.decided.usage, tenant, groups, activations)
    credited = attributed.used["a"].unique()
    past, past_attributed = credit_earlier(calls.before.usage, tenant, groups, activations, credited)
    declared, declared_attributed = credit_earlier(calls.declared.usage, tenant, groups, activations, credited)
    held = _held(
        [
            (usage, attributed, doubts(calls.decided, usage, attributed, tenant, inputs)),
            (past, past_attributed, doubts(calls.before, past, past_attributed, tenant, inputs)),
        ],
        held_by_unnamed(pl.concat([calls.unnamed, calls.unnamed_before]), tenant),
    )
    return _Credits(usage, attributed, past, past_attributed, declared, declared_attributed, held)


_GROUP = ("profile_id", "plane", "verdict", "reason")
_KEY = ("role_assignment_id", "state", "principal_id", "plane", "scope", "verdict", "reason", "operation")


def _declared(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in VERDICTS_SCHEMA.items()
    )


def _spelt_as_catalogued(usage: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    spelling = tenant.operations.select("name", catalogued="operation")
    return (
        usage.join(spelling, on="name", how="left", maintain_order="left")
        .with_columns(operation=pl.coalesce("catalogued", "operation"))
        .drop("catalogued")
    )


def _held(parts: Iterable[tuple[pl.DataFrame, Attributed, pl.DataFrame]], unnamed: pl.DataFrame) -> pl.DataFrame:
    """Return `(a, name, operation, plane, reason)`: operations that cannot be judged unused, whatever the logs cover.

    Args:
        parts: Calls, their attribution, and the result of `credited_use.doubts`: of the window and of the days before.
        unnamed: The operations that calls may have been whose log names none.
    """
    columns = ("a", "name", "operation", "plane", "reason")
    found = [unnamed.select(columns)]
    for usage, attributed, doubtful_use in parts:
        if usage.is_empty() and doubtful_use.is_empty():
            continue
        spelling = usage.group_by("name").agg(pl.col("operation").min())
        suspect = attributed.quarantined.join(usage.select("u", "name", "operation", "plane"), on="u")
        doubtful = attributed.doubtful.join(spelling, on="name")
        found += [
            suspect.with_columns(reason=pl.lit(OutOfCoverage.QUARANTINED.value)).select(columns),
            doubtful.with_columns(reason=pl.lit(OutOfCoverage.UNEXPLAINED_USE.value)).select(columns),
            doubtful_use.select(columns),
        ]
    return pl.concat(found).sort(columns).unique(["a", "name", "plane"], keep="first", maintain_order=True)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("a", "name", "plane")


def _summed() -> list[pl.Expr]:
    """Return the aggregates of rows of use: one spelling, the sum of events, the first and the last time."""
    return [
        pl.col("scope").min(),
        pl.col("operation").min(),
        pl.col("events").sum(),
        pl.col("days").max(),
        pl.col("first_seen").min(),
        pl.col("last_seen").max(),
    ]


def with_used(analysis: Analysis, credited: pl.DataFrame) -> Analysis:
    """Return an analysis in which more calls of `usage` are credited: `(u, a, reason)`, as `Attributed.used`."""
    more = _credited_rows(analysis.usage, credited, analysis.tenant)
    return replace(
        analysis,
        verdicts=pl.concat([analysis.verdicts, _declared(more)]),
        credited=pl.concat([analysis.credited, credited.select(analysis.credited.columns)]),
    )


def _used(usage: pl.DataFrame, attributed: Attributed, tenant: Tenant) -> pl.DataFrame:
    return _credited_rows(usage, attributed.used, tenant)


def _suspect_rows(usage: pl.DataFrame, attributed: Attributed, tenant: Tenant) -> pl.DataFrame:
    suspect = attributed.quarantined.with_columns(reason=pl.lit(OutOfCoverage.QUARANTINED.value))
    return _declared(_credited_rows(usage, suspect, tenant)).sort(list(_KEY), nulls_last=True)


def _credited_rows(usage: pl.DataFrame, credited: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    assignments = tenant.assignments.select("a", "role_assignment_id", "state")
    # A principal that could not be resolved keeps the name in the log.
    calls = credited.join(usage, on="u").with_columns(principal_id=pl.coalesce("principal_id", "principal_name"))
    return (
        summed_by(calls, ("a", "principal_id", "plane", "place", "name", "reason"), _summed())
        .join(assignments, on="a")
        .with_columns(verdict=pl.lit(Verdict.USED.value), operations=1)
    )


def _unexplained(usage: pl.DataFrame, attributed: Attributed) -> pl.DataFrame:
    nobody = usage.filter("quarantined").join(attributed.quarantined, on="u", how="anti")
    held = nobody.select("u", reason=pl.lit(OutOfCoverage.QUARANTINED.value))
    return _unexplained_rows(pl.concat([attributed.unexplained, held]).join(usage, on="u"))


def _unread(unnamed: pl.DataFrame) -> pl.DataFrame:
    """Return the calls whose log names no operation, as `_unexplained_rows` takes them."""
    return unnamed.filter(pl.col("events") > 0).with_columns(reason=pl.lit(Unexplained.NOT_MAPPED.value))


def _unexplained_rows(calls: pl.DataFrame) -> pl.DataFrame:
    named = calls.with_columns(principal_id=pl.coalesce("principal_id", "principal_name"))
    return summed_by(named, ("principal_id", "plane", "place", "name", "reason"), _summed()).with_columns(
        verdict=pl.lit(Verdict.UNEXPLAINED.value), operations=1
    )


def _counted(named: pl.DataFrame, profiles: Profiles, set_ids: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Count the operations without a row of their own, one row per (assignment, plane, verdict, reason).

    Args:
        named: `(a, name, plane)` of the rows that name their operation.
        profiles: The profiles that judge the rest.
        set_ids: `(profile_id, plane, verdict, reason, set_id)`: the set of operations of each.
        tenant: The tenant.
    """
    key = ["plane", "verdict", "reason"]
    totals = profiles.operations.group_by("profile_id", *key).agg(total=pl.len().cast(pl.Int64))
    taken = (
        named.unique()
        .join(profiles.of, on="a")
        .join(profiles.operations.select("profile_id", "name", *key), on=["profile_id", "name", "plane"])
        .group_by("a", *key)
        .agg(taken=pl.len().cast(pl.Int64))
    )
    return (
        profiles.of.join(totals, on="profile_id")
        .join(taken, on=["a", *key], how="left")
        .with_columns(operations=pl.col("total") - pl.col("taken").fill_null(0))
        .filter(pl.col("operations") > 0)
        .join(set_ids, on=list(_GROUP), how="left")
        .join(tenant.assignments.select("a", "role_assignment_id", "state", "principal_id", "scope", "place"), on="a")
    )


def _with_covered_days(counted: pl.DataFrame, gaps: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Add `covered_days` to rows that rest on logs of a part of the window: the days that all of these logs cover."""
    missing = gaps.group_by("place", "plane").agg(missing=pl.len().cast(pl.Int64))
    in_part = pl.col("reason") == Unused.COVERED_IN_PART.value
    return counted.join(missing, on=["place", "plane"], how="left").with_columns(
        covered_days=pl.when(in_part).then(window.days - pl.col("missing"))
    )


def _unlisted(profiles: Profiles, tenant: Tenant) -> pl.DataFrame:
    """Return one row for each (assignment, plane) whose operations nothing loaded lists; their number is not known."""
    missing = tenant.assignments.filter(~pl.col("role_known")).select("a", plane=pl.lit("control"))
    allowing = tenant.patterns.filter(pl.col("kind").is_in(list(_ALLOWING)))
    wanted = (
        tenant.assignments.filter("role_known")
        .select("a", "role")
        .join(allowing.select("role", plane=pl.col("kind").replace_strict(_ALLOWING)).unique(), on="role")
        .select("a", "plane")
    )
    listed = profiles.of.join(profiles.operations.select("profile_id", "plane").unique(), on="profile_id")
    reason = OutOfCoverage.NOT_IN_CATALOGUE if tenant.has_catalogue else OutOfCoverage.NO_CATALOGUE
    if tenant.has_catalogue:
        wanted = wanted.join(listed, on=["a", "plane"], how="anti")
    rows = pl.concat(
        [
            missing.with_columns(reason=pl.lit(OutOfCoverage.ROLE_DEFINITION_MISSING.value)),
            wanted.with_columns(reason=pl.lit(reason.value)),
        ]
    )
    return rows.with_columns(verdict=pl.lit(Verdict.OUT_OF_COVERAGE.value)).join(
        tenant.assignments.select("a", "role_assignment_id", "state", "principal_id", "scope"), on="a"
    )
