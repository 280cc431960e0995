"""Judge every action of every assigned directory role, and compute scores and findings from the verdicts.

The audit log shows writes and names no assignment, so use is attributed by elimination. Active assignments come before
those that would have had to be activated; of several, the roles that explain most and grant least are chosen. Calls to
Microsoft Graph also show some reads, but never their absence, since portals and tools read in other ways. Reads of the
directory and operations that other services check are therefore `used` or `unobservable`, unless no holder of the role
signed in at all, or nobody activated it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze import reasons
from rightsize.analyze.counting import name_sets
from rightsize.analyze.inputs import folded
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.verdicts.coverage import covered_sign_in_kinds, described_principals, groups_with_known_members
from rightsize.analyze.window import Window, days_missing, judge_log
from rightsize.model.text import fold, is_directory_read
from rightsize.planes.directory import frames
from rightsize.planes.directory.tables import DirectoryTables, rebuild_activations, use_of_activations, ways_to
from rightsize.rbac.expand import is_of_directory
from rightsize.rules.directory import logged_actions


@dataclass(frozen=True, kw_only=True)
class DirectoryAnalysis(PlaneAnalysis):
    """The result of an analysis of directory roles.

    Attributes:
        tables: The tables that it read.
        state: `covered`, `covered_in_part`, or the reason why the audit log decides nothing.
        covered_days: The number of days of the window that the audit log covers.
        judged: `(a, name, verdict, reason)`: the verdict of each action that an assignment grants.
        used: `(a, principal_id, name, place, way, reason, events, …)`: use with the assignment it is credited to.
        earlier: The same of the days before the window that still count.
        days: `(a, day, first_seen, last_seen)`: when an assignment was at work.
    """

    tables: DirectoryTables
    state: str
    covered_days: int
    judged: pl.DataFrame
    used: pl.DataFrame
    earlier: pl.DataFrame
    days: pl.DataFrame


def analyse_directory(tables: DirectoryTables, window: Window) -> DirectoryAnalysis:
    """Judge every directory role over the window."""
    days = tables.days.filter(window.holds("day"))
    state = _coverage_state(tables, window)
    covered = window.days - len(days_missing(tables.coverage["day"], window))
    activations = rebuild_activations(tables)
    usage = _observe(days)
    credited, left = _attribute(usage, days, tables, activations)
    used = credited.join(usage, on="u").sort("a", "principal_id", "name", "place")
    before, held_before = _earlier(tables, window, activations, used)
    held_back = pl.concat([_held_back(usage, tables), held_before]).unique()
    judged = _judge(tables, window, state, credited, activations, held_back, before)
    by_day = used.select("a", *_CALL).join(days.filter(pl.col("use") > 0), on=list(_CALL), nulls_equal=True)
    groups, sets = name_sets(frames.counted_actions(judged, tables), ("a", "verdict", "reason"))
    return DirectoryAnalysis(
        plane="directory",
        window=window,
        verdicts=frames.verdict_rows(judged, used, before, left.join(usage, on="u"), groups, tables, covered),
        principals=frames.principal_rows(judged, tables),
        assignments=frames.assignment_rows(judged, tables),
        denied=frames.denied_rows(usage),
        findings=frames.find_in_directory(tables, window, state, judged, activations, by_day),
        sets=sets,
        activations=use_of_activations(activations, tables),
        tables=tables,
        state=state,
        covered_days=covered,
        judged=judged,
        used=used,
        earlier=before,
        days=by_day.select("a", "day", "first_seen", "last_seen"),
    )


_CALL = ("principal_id", "principal_name", "name", "place")


def _coverage_state(tables: DirectoryTables, window: Window) -> str:
    if tables.coverage.is_empty():
        return reasons.OutOfCoverage.NO_LOG_LOADED.value
    return judge_log(tables.coverage["day"], window)


def _observe(days: pl.DataFrame) -> pl.DataFrame:
    """Return the calls of the window, one row per (principal, action, scope), numbered by `u`."""
    return (
        days.group_by(_CALL)
        .agg(
            pl.col("operation").min(),
            pl.col("scope").min(),
            events=pl.col("use").sum(),
            suspect=pl.col("suspect").sum(),
            days=pl.col("day").filter(pl.col("use") > 0).n_unique().cast(pl.Int64),
            first_seen=pl.col("first_seen").min(),
            last_seen=pl.col("last_seen").max(),
            denied=pl.col("denied").sum(),
            by_graph=pl.col("by_graph").all(),
        )
        .sort(_CALL)
        .with_row_index("u")
    )


def _attribute(
    usage: pl.DataFrame, days: pl.DataFrame, tables: DirectoryTables, activations: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(u, a, way, reason)` of the calls that roles explain, and `(u, reason)` of those that none explains."""
    acts = usage.filter(pl.col("events") > 0)
    sizes = tables.grants.join(tables.actions.select("name", "weight"), on="name")
    power = sizes.group_by("role").agg(power=pl.col("weight").sum())
    held = tables.assignments.filter(pl.col("state") != "activated").select(
        "a", "role", "state", "place", "start_on", "end_on", "created_on", "role_assignment_id", holder="principal_id"
    )
    pairs = (
        acts.select("u", "principal_id", "name", "first_seen", "last_seen", "by_graph", act_place="place")
        .join(tables.membership, on="principal_id")
        .join(held, on="holder")
        .filter((pl.col("place") == "/") | (pl.col("place") == pl.col("act_place")))
        .filter((pl.coalesce("start_on", "created_on") <= pl.col("last_seen")).fill_null(True))
        .filter((pl.col("end_on") >= pl.col("first_seen")).fill_null(True))
        .join(ways_to(acts["name"], tables), on=["role", "name"])
        .join(power, on="role", how="left")
    )
    running = _running(days, activations)
    pairs = pairs.join(running, on=["principal_id", "name", "role_assignment_id"], how="left").with_columns(
        asleep=pl.col("state") == "eligible", ran=pl.col("ran").fill_null(False)
    )
    # An activation that ran at the time is likelier than one that left no record.
    order = pl.when(~pl.col("asleep") & ~pl.col("eligible")).then(0).when(pl.col("ran")).then(1).otherwise(2)
    pairs = pairs.with_columns(order=order)
    pairs = pairs.filter(pl.col("order") == pl.col("order").min().over("u"))
    explains = pairs.group_by("principal_id", "a").agg(explains=pl.col("u").n_unique())
    best = (
        pairs.join(explains, on=["principal_id", "a"])
        .with_columns(several=pl.col("a").n_unique().over("u") > 1)
        .sort("u", "explains", "power", "a", descending=[False, True, False, False])
    )
    first = best.unique("u", keep="first", maintain_order=True).select("u", "a")
    reason = (
        pl.when(pl.col("asleep") & pl.col("ran"))
        .then(pl.lit(reasons.Attribution.ACTIVATION.value))
        .when(pl.col("by_graph"))
        .then(pl.lit(reasons.Attribution.GRAPH_CALL.value))
        .when(pl.col("several"))
        .then(pl.lit(reasons.Attribution.FEWEST.value))
        .otherwise(pl.lit(reasons.Attribution.ELIMINATION.value))
    )
    chosen = best.join(first, on=["u", "a"], how="semi").select("u", "a", "way", reason=reason).unique()
    # Calls to Graph that no role explains are left out: some act on the caller's own objects, others use a permission.
    left = (
        acts.filter(~pl.col("by_graph"))
        .join(chosen, on="u", how="anti")
        .select(
            "u",
            reason=pl.when(pl.col("principal_id").is_null())
            .then(pl.lit(reasons.Unexplained.PRINCIPAL_UNRESOLVED.value))
            .otherwise(pl.lit(reasons.Unexplained.DEFAULT_OR_OWNED.value)),
        )
    )
    return chosen.sort("u", "a", "way"), left


def _running(days: pl.DataFrame, activations: pl.DataFrame) -> pl.DataFrame:
    """Return `(principal_id, name, role_assignment_id, ran)`: actions while an eligible assignment was activated."""
    windows = activations.drop_nulls("eligibility").select(
        "principal_id", "start_on", "end_on", role_assignment_id="eligibility"
    )
    during = days.join(windows, on="principal_id").filter(
        (pl.col("last_seen") >= pl.col("start_on")) & (pl.col("first_seen") <= pl.col("end_on")).fill_null(True)
    )
    return during.select("principal_id", "name", "role_assignment_id", ran=True).unique()


def _earlier(
    tables: DirectoryTables, window: Window, activations: pl.DataFrame, used: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return earlier use that still counts, with its assignment, and `(a, name)` that was in quarantine then.

    Use under an assignment that is gone counts for the assignments of today that allow it. Use that the window shows
    under the same assignment at the same place (`used`) is left out.
    """
    days = tables.days.filter(window.earlier.holds("day") if window.earlier is not None else pl.lit(False))
    usage = _observe(days)
    credited, left = _attribute(usage, days, tables, activations)
    rest = usage.join(left, on="u", how="semi")
    if not rest.is_empty():
        nothing = pl.lit(None, dtype=pl.Datetime("us"))
        ageless = tables.assignments.with_columns(start_on=nothing, end_on=nothing, created_on=nothing)
        since, _ = _attribute(rest, days, replace(tables, assignments=ageless), activations)
        credited = pl.concat([credited, since])
    before = credited.join(usage, on="u").join(used, on=["a", "way", "place"], how="anti")
    return before.sort("a", "principal_id", "name", "place"), _held_back(usage, tables)


def _judge(
    tables: DirectoryTables,
    window: Window,
    state: str,
    credited: pl.DataFrame,
    activations: pl.DataFrame,
    held_back: pl.DataFrame,
    before: pl.DataFrame,
) -> pl.DataFrame:
    held = tables.assignments.filter(pl.col("state") != "activated")
    granted = held.select("a", "role").join(tables.grants.select("role", "name"), on="role").select("a", "name")
    used = credited.select("a", name="way").unique()
    asleep = _dormant(tables, window, state, activations, credited)
    silent = _silent(tables, window, credited)
    facts = _observable(tables)
    whole = (
        pl.when(pl.col("a").is_in(asleep.implode()))
        .then(pl.lit(reasons.Unused.NEVER_ACTIVATED.value))
        .when(pl.col("a").is_in(silent.implode()))
        .then(pl.lit(reasons.Unused.NO_SIGN_IN.value))
    )
    reason = (
        pl.when(whole.is_not_null()).then(whole).when(pl.col("why").is_not_null()).then("why").otherwise(pl.lit(state))
    )
    verdict = (
        pl.when(whole.is_not_null())
        .then(pl.lit(reasons.Verdict.UNUSED.value))
        .when(pl.col("why").is_not_null())
        .then(pl.lit(reasons.Verdict.UNOBSERVABLE.value))
        .when(pl.lit(state in reasons.SHOWN))
        .then(pl.lit(reasons.Verdict.UNUSED.value))
        .otherwise(pl.lit(reasons.Verdict.OUT_OF_COVERAGE.value))
    )
    held_back = held_back.join(granted, on=["a", "name"], how="semi").join(used, on=["a", "name"], how="anti")
    known = pl.concat([used, held_back])
    earlier = before.select("a", name="way").unique().join(known, on=["a", "name"], how="anti")
    rest = granted.join(pl.concat([known, earlier]), on=["a", "name"], how="anti").join(facts, on="name")
    return pl.concat(
        [
            used.with_columns(verdict=pl.lit(reasons.Verdict.USED.value), reason=pl.lit("")),
            held_back.with_columns(
                verdict=pl.lit(reasons.Verdict.OUT_OF_COVERAGE.value),
                reason=pl.lit(reasons.OutOfCoverage.QUARANTINED.value),
            ),
            earlier.with_columns(
                verdict=pl.lit(reasons.Verdict.OUT_OF_COVERAGE.value),
                reason=pl.lit(reasons.OutOfCoverage.USED_BEFORE_WINDOW.value),
            ),
            rest.with_columns(verdict=verdict, reason=reason).select("a", "name", "verdict", "reason"),
        ]
    ).sort("a", "name")


def _held_back(usage: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    """Return `(a, name)`: actions used only by calls in quarantine, for every assignment that may allow them."""
    suspect = usage.filter((pl.col("events") == 0) & (pl.col("suspect") > 0))
    held = tables.assignments.filter(pl.col("state") != "activated").select("a", "role", holder="principal_id")
    return (
        suspect.select("principal_id", "name")
        .join(tables.membership, on="principal_id")
        .join(held, on="holder")
        .join(ways_to(suspect["name"], tables), on=["role", "name"])
        .select("a", name="way")
        .unique()
    )


def _observable(tables: DirectoryTables) -> pl.DataFrame:
    """Return `(name, why)`: the reason why no record could show an action, null where the audit log does."""
    logged = {fold(action) for action in logged_actions()}
    # An action for one kind of an object is logged as the action for all kinds.
    whole = {name: name.split("/") for name in tables.actions["name"]}
    rows = []
    for name, parts in whole.items():
        plain = "/".join([parts[0], parts[1].partition(".")[0], *parts[2:]]) if len(parts) > 1 else name
        groups = plain.replace("groupsassignabletoroles/allproperties/", "groups/basic/").replace(
            "groupsassignabletoroles/", "groups/"
        )
        why = (
            None
            if {name, plain, groups} & logged
            else reasons.UnobservableReason.OTHER_SERVICE.value
            if not is_of_directory(name)
            else reasons.UnobservableReason.DIRECTORY_READ.value
            if is_directory_read(name)
            else reasons.UnobservableReason.NOT_KNOWN_TO_BE_LOGGED.value
        )
        rows.append((name, why))
    return pl.DataFrame(rows, schema={"name": pl.String, "why": pl.String}, orient="row")


def _dormant(
    tables: DirectoryTables, window: Window, state: str, activations: pl.DataFrame, credited: pl.DataFrame
) -> pl.Series:
    """Return the eligible assignments that nobody activated, where the log covers the window and holds such records."""
    seen = not tables.inputs.pim_records.filter(pl.col("plane") == "directory").is_empty()
    eligible = tables.assignments.filter(pl.col("state") == "eligible")
    if state != reasons.Unused.COVERED.value or not seen:
        return eligible["a"].clear()
    began = (pl.col("start_on") < window.end) & (pl.col("end_on").fill_null(window.end) >= window.start)
    awake = activations.filter(began)
    matched = awake["eligibility"].drop_nulls().unique()
    stray = awake.filter(pl.col("eligibility").is_null())["role"].unique()
    return eligible.filter(
        ~pl.col("role_assignment_id").is_in(matched.implode())
        & ~pl.col("role").is_in(stray.implode())
        & ~pl.col("a").is_in(credited["a"].implode())
    )["a"]


def _silent(tables: DirectoryTables, window: Window, credited: pl.DataFrame) -> pl.Series:
    """Return the assignments whose holders certainly did not sign in on any day of the window."""
    inputs = tables.inputs
    kinds = covered_sign_in_kinds(inputs, window)
    seen = inputs.sign_ins.filter(window.holds("day") & (pl.col("succeeded").fill_null(0) > 0))
    awake = pl.concat([folded(seen["principal_id"]), tables.days.filter(pl.col("use") > 0)["principal_id"]])
    unnamed = seen.filter(pl.col("principal_id").is_null())["kind"].unique().to_list()
    usable = [kind for kind in kinds if kind not in unnamed]
    described = described_principals(inputs)
    quiet = described.filter(
        (pl.col("kinds").list.set_difference(usable).list.len() == 0).fill_null(False)
        & ~pl.col("principal_id").is_in(awake.drop_nulls().unique().implode())
    )["principal_id"]
    groups = groups_with_known_members(inputs, described)
    members = tables.membership.filter(pl.col("principal_id") != pl.col("holder"))
    members = members.filter(~pl.col("principal_id").is_in(groups.implode()))
    loud = members.filter(~pl.col("principal_id").is_in(quiet.implode()))["holder"].unique()
    silent = pl.concat([quiet, groups.filter(~groups.is_in(loud.implode()))]).unique()
    return tables.assignments.filter(
        pl.col("principal_id").is_in(silent.implode()) & ~pl.col("a").is_in(credited["a"].implode())
    )["a"]
