"""Name for each undecided operation what would decide it, one set of needs a way.

A need is a missing thing, or a word for what the scopes of an assignment lack, which `needs.py` looks up: days of the
Activity Log, the listing of a type, a thing at one scope or another. A way is complete: nothing else could stand in the
way of a decision, as far as the store tells. So what a missing thing can decide is at most the excess of the operations
that it is on a way of.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.observability.undecided import MEMBERS, UNDECIDED, inner_gaps, missing_of_silence
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict
from rightsize.analyze.verdicts.absence import types_there
from rightsize.analyze.verdicts.coverage import covered_subscriptions, open_groups
from rightsize.analyze.verdicts.existence import logged_rest
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.resource_logs import listed_kinds, logged_kinds
from rightsize.analyze.window import Window

ACTIVITY_LOG, DECLARED = "activity_log", "declared_days"
SCOPES, INVENTORY, PROVIDERS = "scopes", "inventory", "providers"
GRAPH_LOG, DIRECTORY_LOG, GRAPH_MAP = "graph_log", "directory_log", "graph_map"
PIM_HISTORY, ACTIVATION_RULES = "pim_history", "activation_rules"
RESOURCE_LOG = "log:"
"""The beginning of the name of a log that resources send; the folded type of resource follows."""

ENOUGH, EVERY_DAY, REST, TYPES, ANY = "enough_days:", "every_day", "rest_of_days", "types:", "any:"
"""What scopes may lack: enough days of the Activity Log at the levels that follow; every day of it; every day but the
first; the listing of a type of resource; a thing at one scope or another."""

_MISSING_LOG = (
    OutOfCoverage.DAYS_MISSING.value,
    OutOfCoverage.SCOPE_NOT_COVERED.value,
    OutOfCoverage.NO_LOG_LOADED.value,
)
_HELD = (
    OutOfCoverage.QUARANTINED.value,
    OutOfCoverage.UNEXPLAINED_USE.value,
    OutOfCoverage.UNMAPPED_USE.value,
    OutOfCoverage.UNNAMED_OPERATION.value,
    OutOfCoverage.USED_BEFORE_WINDOW.value,
    OutOfCoverage.DECLARED.value,
)
_NO_RESOURCE_LOG = (
    *_MISSING_LOG,
    UnobservableReason.NO_DIAGNOSTIC_INVENTORY.value,
    UnobservableReason.NO_DIAGNOSTIC_SETTING.value,
)


def find_ways(cells: pl.DataFrame, inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the undecided cells with `ways`, a sorted list of texts: the needs of each, joined by `+`.

    Args:
        cells: `undecided.weigh_cells`.
        inputs: The tables.
        analysis: The analysis.
    """
    undecided = cells.filter(pl.col("verdict").is_in(UNDECIDED))
    facts = _read_facts(inputs, analysis)
    ids = analysis.tenant.assignments.select("a", "role_assignment_id", "state")
    joined = (
        undecided.join(ids, on=["role_assignment_id", "state"])
        .join(facts.assignments, on="a", how="left")
        .join(facts.places, on="place", how="left")
        .join(facts.present, on=["place", "kind"], how="left")
        .join(facts.namespaces, on=["place"], how="left")
        .join(facts.lost, on=["place", "log"], how="left")
        .join(facts.silence, on="principal_id", how="left")
        .with_columns(is_unplaced=pl.col("a").is_in(facts.unplaced.implode()))
    )
    free = ~pl.col("reason").is_in(_HELD)
    ways = [
        *_by_activity_log(),
        *_by_absence(),
        *_by_resource_log(has_settings=not inputs.diagnostic_settings.is_empty()),
        *_by_linked_writes(facts.anywhere),
        _by_silence(),
        *_by_history(),
    ]
    unexplained = pl.col("reason") == OutOfCoverage.UNEXPLAINED_USE.value
    of_callers = [pl.when(unexplained).then(pl.lit(item)) for item in sorted({MEMBERS} | facts.anywhere & {SCOPES})]
    listed = pl.concat_list([pl.when(free).then(way) for way in ways] + of_callers)
    return joined.with_columns(ways=listed.list.drop_nulls().list.unique().list.sort()).select(
        *undecided.columns, "ways"
    )


def ways_on_planes(cells: pl.DataFrame, silence: pl.DataFrame, *, audited: bool) -> pl.DataFrame:
    """Return the cells of Graph and of the directory with the same column.

    Args:
        cells: `undecided.plane_cells`.
        silence: `undecided.silence_of` the holders of directory roles.
        audited: Whether the audit log of the directory covers every day and has activations: then no more of it shows
            that an eligible assignment was not activated.
    """
    in_directory = pl.col("plane") == "directory"
    sleeps = in_directory & (pl.col("state") == "eligible") & pl.lit(not audited)
    free = ~pl.col("reason").is_in(_HELD)
    log = pl.when(pl.col("plane") == "graph").then(pl.lit(GRAPH_LOG)).otherwise(pl.lit(DIRECTORY_LOG))
    way = (
        pl.when(pl.col("reason").is_in(_MISSING_LOG) | sleeps & free)
        .then(log)
        .when(pl.col("reason") == OutOfCoverage.NO_PERMISSION_MAP.value)
        .then(pl.lit(GRAPH_MAP))
    )
    silent = pl.when(in_directory & free).then(pl.col("silence")).fill_null(pl.lit([], dtype=pl.List(pl.String)))
    return cells.join(silence, on="principal_id", how="left").select(
        *cells.columns, ways=pl.concat_list([way, silent]).list.drop_nulls().list.unique().list.sort()
    )


def held_for_rules(cells: pl.DataFrame, analysis: Analysis, known: pl.DataFrame) -> pl.DataFrame:
    """Return the unused cells of eligible assignments that no plan narrows without activation rules, with `ways`.

    Their reason is `ACTIVATION_RULES`. A plan removes an assignment whole without such rules, so where everything is
    unused it waits for none.

    Args:
        cells: `undecided.weigh_cells`.
        analysis: The analysis.
        known: `(place, role)` of the eligible roles whose rules are loaded, both folded.
    """
    key = ["role_assignment_id", "state"]
    rows = analysis.verdicts.filter(pl.col("verdict") != Verdict.UNUSED.value).select(key).unique()
    waits = (
        analysis.tenant.assignments.filter(pl.col("state") == "eligible")
        .join(known, on=["place", "role"], how="anti")
        .join(rows, on=key, how="semi")
        .select(key)
        .unique()
    )
    held = cells.filter(pl.col("verdict") == Verdict.UNUSED.value).join(waits, on=key, how="semi")
    return held.with_columns(reason=pl.lit(ACTIVATION_RULES), ways=pl.lit([ACTIVATION_RULES]))


def _by_history() -> list[pl.Expr]:
    """Return the ways to know that nobody activated an eligible assignment whose log covers every day.

    A group with unknown members may be behind an activation, and a request names the scope that a record of the audit
    log does not.
    """
    sleeps = (pl.col("state") == "eligible") & pl.col("is_covered")
    return [
        pl.when(sleeps).then(pl.lit(MEMBERS)),
        pl.when(sleeps & pl.col("is_unplaced")).then(pl.lit(PIM_HISTORY)),
    ]


# Whether not all subscriptions below an assignment are known.
_UNPLACED = pl.col("tree_unknown").fill_null(False)


def _by_activity_log() -> list[pl.Expr]:
    by_log = (pl.col("plane") == "control") & pl.col("log").is_null() & (pl.col("verdict") == "out_of_coverage")
    missing = by_log & pl.col("reason").is_in(_MISSING_LOG)
    unknown = by_log & (pl.col("reason") == OutOfCoverage.SCOPE_TREE_UNKNOWN.value)
    # An eligible assignment that nobody activated allowed nothing; only a log of every day shows that.
    sleeps = (pl.col("state") == "eligible") & ~pl.col("is_covered")
    return [
        pl.when(missing).then(pl.lit(ENOUGH) + pl.col("levels").fill_null("below")),
        pl.when(sleeps).then(pl.lit(EVERY_DAY)),
        pl.when(unknown | sleeps & _UNPLACED).then(pl.lit(SCOPES)),
    ]


def _by_absence() -> list[pl.Expr]:
    above = (pl.col("state") == "active") & (pl.col("level") != "resource") & pl.col("kind").is_not_null()
    may_lack = above & ~pl.col("is_present").fill_null(False)
    tree = pl.when(pl.col("tree_unknown").fill_null(True)).then(pl.lit(SCOPES))
    days = pl.when(pl.col("log_missing").fill_null(True)).then(pl.lit(REST))
    found: list[pl.Expr] = []
    for item, hidden, fault in (
        (INVENTORY, pl.col("changed").fill_null(False), pl.col("listing_fault")),
        (PROVIDERS, _namespace_present(), pl.col("providers_missing")),
    ):
        listing = pl.when(fault.fill_null(True)).then(pl.lit(item))
        text = pl.concat_list([tree, listing, days]).list.drop_nulls()
        found.append(pl.when(may_lack & ~hidden & (text.list.len() > 0)).then(text.list.sort().list.join("+")))
    # Listings of the subscriptions that turn out to lie there may be complete already.
    return [*found, pl.when(may_lack & _UNPLACED).then(pl.lit(SCOPES))]


def _namespace_present() -> pl.Expr:
    namespace = pl.col("kind").str.split("/").list.first()
    return pl.col("namespaces").list.contains(namespace).fill_null(False)


def _by_resource_log(*, has_settings: bool) -> list[pl.Expr]:
    wanted = pl.col("log").is_not_null() & pl.col("reason").is_in(_NO_RESOURCE_LOG)
    lost = pl.col("is_lost").fill_null(False)
    unlisted = wanted & lost & (pl.col("reason") == UnobservableReason.NO_DIAGNOSTIC_INVENTORY.value)
    # Where settings are loaded, this reason says that the logs of all known resources suffice.
    sends = wanted & ~unlisted if has_settings else wanted
    # Of a holder without any token, it is enough that no log has missing days.
    listing = pl.when(lost & ~pl.col("is_silent").fill_null(False)).then(pl.lit(TYPES) + pl.col("log"))
    parts = pl.concat_list([pl.lit(RESOURCE_LOG) + pl.col("log"), listing]).list.drop_nulls()
    return [
        pl.when(unlisted).then(pl.lit(TYPES) + pl.col("log")),
        pl.when(unlisted & _UNPLACED).then(pl.lit(SCOPES)),
        pl.when(sends).then(parts.list.sort().list.join("+")),
    ]


def _by_linked_writes(anywhere: frozenset[str]) -> list[pl.Expr]:
    """Return the ways to know that nobody made a write which checks an operation: by whoever holds such a write."""
    is_logged = pl.col("is_logged") | pl.col("log").is_not_null()
    linked = (pl.col("reason") == UnobservableReason.LINKED_CHECK.value) & is_logged
    words = (item if item in (MEMBERS, SCOPES) else ANY + item for item in sorted(anywhere))
    return [pl.when(linked).then(pl.lit(word)) for word in words]


def _by_silence() -> pl.Expr:
    unobservable = pl.col("verdict") == Verdict.UNOBSERVABLE.value
    arm = pl.col("is_read") & (pl.col("plane") == "control")
    return pl.when(unobservable).then(pl.when(arm).then("of_arm").otherwise("of_all"))


@dataclass(frozen=True, slots=True)
class _Facts:
    """The facts about assignments, scopes and holders from which ways follow.

    Attributes:
        assignments: `(a, is_covered)`.
        places: `(place, tree_unknown, listing_fault, providers_missing, log_missing, changed)`.
        present: `(place, kind, is_present)`.
        namespaces: `(place, namespaces)`: the providers of the types that are there.
        lost: `(place, log, is_lost)`: types of which not all resources are known there.
        silence: `undecided.missing_of_silence`.
        unplaced: `a` of the eligible assignments of a role that somebody activated nobody knows where.
        anywhere: What is missing for some scope or group, of what decides about the writes of others.
    """

    assignments: pl.DataFrame
    places: pl.DataFrame
    present: pl.DataFrame
    namespaces: pl.DataFrame
    lost: pl.DataFrame
    silence: pl.DataFrame
    unplaced: pl.Series
    anywhere: frozenset[str]


def _read_facts(inputs: Inputs, analysis: Analysis) -> _Facts:
    tenant = analysis.tenant
    of_assignments = tenant.assignments.select("a", is_covered=pl.col("a").is_in(analysis.covered.implode()))
    areas = analysis.absences.areas
    there = types_there(analysis.existence, areas)
    names = there.with_columns(namespace=pl.col("kind").str.split("/").list.first())
    known = listed_kinds(inputs, analysis.existence.whole).select("node", log="kind", listed=pl.lit(True))
    kinds = pl.DataFrame({"log": logged_kinds()})
    lost = (
        areas.select("place", "node")
        .unique()
        .join(kinds, how="cross")
        .join(known.unique(), on=["node", "log"], how="left")
        .group_by("place", "log")
        .agg(is_lost=pl.col("listed").is_null().any())
    )
    return _Facts(
        of_assignments,
        _of_places(inputs, analysis),
        there.with_columns(is_present=pl.lit(True)),
        names.group_by("place").agg(namespaces=pl.col("namespace").unique().sort()),
        lost,
        missing_of_silence(inputs, analysis.window, tenant),
        _activated_somewhere(analysis),
        missing_anywhere(inputs, analysis),
    )


def _activated_somewhere(analysis: Analysis) -> pl.Series:
    """Return `_Facts.unplaced`."""
    began = analysis.activations.filter(pl.col("plane") == "control")
    unplaced = began.filter(pl.col("scope").is_null() & pl.col("eligibility_id").is_null())["role_definition_id"]
    eligible = analysis.tenant.assignments.filter(pl.col("state") == "eligible")
    return eligible.filter(pl.col("role").is_in(folded(unplaced.unique()).implode()))["a"]


def missing_anywhere(inputs: Inputs, analysis: Analysis) -> frozenset[str]:
    """Return what is missing for some scope or group, of what decides about the writes of others."""
    tree = analysis.tenant.tree
    has_unplaced = not (tree.subscriptions["placed"].all() and analysis.absences.areas["node"].null_count() == 0)
    found = {
        ACTIVITY_LOG: len(analysis.covered) < len(analysis.tenant.assignments),
        DECLARED: not inner_gaps(inputs, analysis.window).is_empty(),
        MEMBERS: not open_groups(inputs).is_empty(),
        SCOPES: has_unplaced,
        INVENTORY: not analysis.existence.problems.drop_nulls("problem").is_empty(),
    }
    return frozenset(item for item, is_missing in found.items() if is_missing)


def faulty_listings(analysis: Analysis) -> pl.Series:
    """Return the subscriptions whose listings do not show all resources, whatever the logs show."""
    problem = pl.col("problem")
    return analysis.existence.problems.filter(problem.is_not_null() & (problem != OutOfCoverage.DAYS_MISSING.value))[
        "node"
    ]


def registered(inputs: Inputs, window: Window) -> pl.Series:
    """Return the folded subscriptions whose registrations of providers a known reader listed after the window."""
    return inputs.provider_registrations.filter(
        pl.col("reader_id").is_not_null() & (pl.col("updated_on") >= window.end)
    )["scope"].unique()


def _of_places(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return `_Facts.places`, one row an assigned scope above resources."""
    window, existence = analysis.window, analysis.existence
    logged = covered_subscriptions(inputs, logged_rest(window), analysis.tenant)
    faulty, known = faulty_listings(analysis), registered(inputs, window)
    node = pl.col("node")
    changed = (
        analysis.absences.areas.join(existence.changes.rename({"at": "there"}), on="node")
        .filter(pl.col("at").is_null() | (pl.col("there") == pl.col("at")) | (pl.col("there") == node))
        .select("place", changed=pl.lit(True))
        .unique()
    )
    return (
        analysis.absences.areas.group_by("place")
        .agg(
            tree_unknown=node.is_null().any(),
            listing_fault=node.is_in(faulty.implode()).any() | node.is_null().any(),
            providers_missing=(~node.is_in(known.implode())).fill_null(True).any(),
            log_missing=(~node.is_in(logged.implode())).fill_null(True).any(),
        )
        .join(changed, on="place", how="left")
    )
