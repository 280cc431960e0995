"""Name for each undecided operation the missing things that would decide it, one set of them a way.

A way is complete: nothing else could stand in the way of a decision, as far as the store tells. So what a missing thing
can decide is at most the excess of the operations that it is on a way of.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.absence import types_there
from rightsize.analyze.coverage import control_states, covered_subscriptions, open_groups
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.log_days import is_shown
from rightsize.analyze.observability.gaps import inner_gaps, with_declared
from rightsize.analyze.observability.silence import MEMBERS, missing_of_silence
from rightsize.analyze.observability.undecided import UNDECIDED
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict
from rightsize.analyze.resources import listed_kinds, logged_kinds
from rightsize.analyze.verdicts import Analysis

ACTIVITY_LOG, DECLARED = "activity_log", "declared_days"
SCOPES, INVENTORY, PROVIDERS = "scopes", "inventory", "providers"
GRAPH_LOG, DIRECTORY_LOG, GRAPH_MAP = "graph_log", "directory_log", "graph_map"
RESOURCE_LOG = "log:"
"""The beginning of the name of a log that resources send; the folded type of resource follows."""

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
)
_NO_RESOURCE_LOG = (
    *_MISSING_LOG,
    UnobservableReason.NO_DIAGNOSTIC_INVENTORY.value,
    UnobservableReason.NO_DIAGNOSTIC_SETTING.value,
)


def find_ways(cells: pl.DataFrame, inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the undecided cells with `ways`, a sorted list of texts: the missing things of each, joined by `+`.

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
    )
    free = ~pl.col("reason").is_in(_HELD)
    ways = [
        *_by_activity_log(),
        *_by_absence(facts.anywhere),
        *_by_resource_log(facts.anywhere, has_settings=not inputs.diagnostic_settings.is_empty()),
        *_by_linked_writes(facts.anywhere),
        _by_silence(),
        pl.when((pl.col("state") == "eligible") & pl.col("is_covered")).then(pl.lit(MEMBERS)),
    ]
    unexplained = pl.col("reason") == OutOfCoverage.UNEXPLAINED_USE.value
    of_callers = [pl.when(unexplained).then(pl.lit(item)) for item in sorted({MEMBERS} | facts.anywhere & {SCOPES})]
    listed = pl.concat_list([pl.when(free).then(way) for way in ways] + of_callers)
    return joined.with_columns(ways=listed.list.drop_nulls().list.unique().list.sort()).select(
        *undecided.columns, "ways"
    )


def ways_on_planes(cells: pl.DataFrame, *, audited: bool) -> pl.DataFrame:
    """Return the cells of Graph and of the directory with the same column.

    `audited` says whether the audit log of the directory covers every day: then no more of it shows that an eligible
    assignment was not activated.
    """
    sleeps = (pl.col("plane") == "directory") & (pl.col("state") == "eligible") & pl.lit(not audited)
    log = pl.when(pl.col("plane") == "graph").then(pl.lit(GRAPH_LOG)).otherwise(pl.lit(DIRECTORY_LOG))
    way = (
        pl.when(pl.col("reason").is_in(_MISSING_LOG) | sleeps & ~pl.col("reason").is_in(_HELD))
        .then(log)
        .when(pl.col("reason") == OutOfCoverage.NO_PERMISSION_MAP.value)
        .then(pl.lit(GRAPH_MAP))
    )
    return cells.with_columns(ways=pl.concat_list([way]).list.drop_nulls())


# Whether not all subscriptions below an assignment are known.
_UNPLACED = pl.col("tree_unknown").fill_null(False)


def _by_activity_log() -> list[pl.Expr]:
    by_log = (pl.col("plane") == "control") & pl.col("log").is_null() & (pl.col("verdict") == "out_of_coverage")
    missing = by_log & pl.col("reason").is_in(_MISSING_LOG)
    declared = pl.lit(True)
    for level, state in (
        ("below", "declared_below"),
        ("management_group", "declared_groups"),
        ("tenant", "declared_top"),
    ):
        is_there = pl.col("levels").str.contains(level, literal=True).fill_null(level == "below")
        declared &= ~is_there | pl.col(state).fill_null(True)
    unknown = by_log & (pl.col("reason") == OutOfCoverage.SCOPE_TREE_UNKNOWN.value)
    # An eligible assignment that nobody activated allowed nothing; only a log of every day shows that.
    sleeps = (pl.col("state") == "eligible") & ~pl.col("is_covered")
    return [
        pl.when(missing | sleeps).then(pl.lit(ACTIVITY_LOG)),
        pl.when(missing & declared | sleeps & pl.col("declared_whole")).then(pl.lit(DECLARED)),
        pl.when(unknown | sleeps & _UNPLACED).then(pl.lit(SCOPES)),
    ]


def _by_absence(anywhere: frozenset[str]) -> list[pl.Expr]:
    above = (pl.col("state") == "active") & (pl.col("level") != "resource") & pl.col("kind").is_not_null()
    may_lack = above & ~pl.col("is_present").fill_null(False)
    tree = pl.when(pl.col("tree_unknown").fill_null(True)).then(pl.lit(SCOPES))
    found: list[pl.Expr] = []
    changed = pl.col("changed").fill_null(False)
    for item, hidden, fault, present in (
        (INVENTORY, changed, pl.col("listing_fault"), pl.lit(False)),
        # The reader of the listings may have its right by an unknown membership, or at an unknown place in the tree.
        (MEMBERS, changed | ~pl.col("only_right").fill_null(False), pl.lit(True), pl.lit(False)),
        (SCOPES, changed | ~pl.col("only_right").fill_null(False), pl.lit(True), pl.lit(False)),
        (PROVIDERS, pl.lit(False), pl.col("providers_missing"), _namespace_present()),
    ):
        if item in (MEMBERS, SCOPES) and item not in anywhere:
            continue
        listing = pl.when(fault.fill_null(True)).then(pl.lit(item))
        for log, fits in ((ACTIVITY_LOG, pl.lit(True)), (DECLARED, pl.col("declared_logged"))):
            needs_log = pl.col("log_missing").fill_null(True)
            text = pl.concat_list([tree, listing, pl.when(needs_log).then(pl.lit(log))]).list.drop_nulls()
            fitting = may_lack & ~hidden & ~present & (~needs_log | fits.fill_null(False))
            found.append(pl.when(fitting & (text.list.len() > 0)).then(text.list.sort().list.join("+")))
    # Listings of the subscriptions that turn out to lie there may be complete already.
    return [*found, pl.when(may_lack & _UNPLACED).then(pl.lit(SCOPES))]


def _namespace_present() -> pl.Expr:
    namespace = pl.col("kind").str.split("/").list.first()
    return pl.col("namespaces").list.contains(namespace).fill_null(False)


def _by_resource_log(anywhere: frozenset[str], *, has_settings: bool) -> list[pl.Expr]:
    wanted = pl.col("log").is_not_null() & pl.col("reason").is_in(_NO_RESOURCE_LOG)
    lost = pl.col("is_lost").fill_null(False)
    unlisted = wanted & lost & (pl.col("reason") == UnobservableReason.NO_DIAGNOSTIC_INVENTORY.value)
    # Where settings are loaded, this reason says that the logs of all known resources suffice.
    sends = wanted & ~unlisted if has_settings else wanted
    # Of a holder without any token, it is enough that no log has missing days.
    listing = pl.when(lost & ~pl.col("is_silent").fill_null(False)).then(pl.lit(INVENTORY))
    parts = pl.concat_list([pl.lit(RESOURCE_LOG) + pl.col("log"), listing]).list.drop_nulls()
    # A page of Resource Manager lists all of a type by itself; listings with a known reader also need a whole log.
    listed, needs_log = ~pl.col("listing_fault").fill_null(True), pl.col("log_missing").fill_null(True)
    by_right = unlisted & pl.col("only_right").fill_null(False)
    by_group = by_right & pl.lit(MEMBERS in anywhere)
    return [
        pl.when(unlisted).then(pl.lit(INVENTORY)),
        pl.when(unlisted & listed & needs_log).then(pl.lit(ACTIVITY_LOG)),
        pl.when(unlisted & listed & needs_log & pl.col("declared_logged").fill_null(False)).then(pl.lit(DECLARED)),
        pl.when(by_group & ~needs_log).then(pl.lit(MEMBERS)),
        pl.when(by_group & needs_log).then(pl.lit(f"{ACTIVITY_LOG}+{MEMBERS}")),
        pl.when(unlisted & (_UNPLACED | by_right & pl.lit(SCOPES in anywhere))).then(pl.lit(SCOPES)),
        pl.when(sends).then(parts.list.sort().list.join("+")),
    ]


def _by_linked_writes(anywhere: frozenset[str]) -> list[pl.Expr]:
    """Return the ways to know that nobody made a write which checks an operation: by whoever holds such a write."""
    is_logged = pl.col("is_logged") | pl.col("log").is_not_null()
    linked = (pl.col("reason") == UnobservableReason.LINKED_CHECK.value) & is_logged
    return [pl.when(linked).then(pl.lit(item)) for item in sorted(anywhere)]


def _by_silence() -> pl.Expr:
    unobservable = pl.col("verdict") == Verdict.UNOBSERVABLE.value
    arm = pl.col("is_read") & (pl.col("plane") == "control")
    return pl.when(unobservable).then(pl.when(arm).then("of_arm").otherwise("of_all"))


@dataclass(frozen=True, slots=True)
class _Facts:
    """The facts about assignments, scopes and holders from which ways follow.

    Attributes:
        assignments: `(a, is_covered, declared_below, declared_groups, declared_top, declared_whole)`.
        places: `(place, tree_unknown, listing_fault, only_right, providers_missing, log_missing, declared_logged,
            changed)`.
        present: `(place, kind, is_present)`.
        namespaces: `(place, namespaces)`: the providers of the types that are there.
        lost: `(place, log, is_lost)`: types of which not all resources are known there.
        silence: `silence.missing_of_silence`.
        anywhere: What is missing for some scope or group, of what decides about the writes of others.
    """

    assignments: pl.DataFrame
    places: pl.DataFrame
    present: pl.DataFrame
    namespaces: pl.DataFrame
    lost: pl.DataFrame
    silence: pl.DataFrame
    anywhere: frozenset[str]


def _read_facts(inputs: Inputs, analysis: Analysis) -> _Facts:
    tenant, window = analysis.tenant, analysis.window
    declared = with_declared(inputs, window)
    states = control_states(declared, window, tenant)
    shown = [is_shown(pl.col(name)) for name in ("below", "groups", "top")]
    whole = [(pl.col(name) == "covered") | pl.col(name).is_null() for name in ("below", "groups", "top")]
    of_assignments = states.select(
        "a",
        is_covered=pl.col("a").is_in(analysis.covered.implode()),
        declared_below=shown[0],
        declared_groups=shown[1],
        declared_top=shown[2],
        declared_whole=pl.all_horizontal(whole),
    )
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
        _of_places(inputs, declared, analysis),
        there.with_columns(is_present=pl.lit(True)),
        names.group_by("place").agg(namespaces=pl.col("namespace").unique().sort()),
        lost,
        missing_of_silence(inputs, window, tenant),
        _anywhere(inputs, analysis, of_assignments),
    )


def _anywhere(inputs: Inputs, analysis: Analysis, states: pl.DataFrame) -> frozenset[str]:
    """Return `_Facts.anywhere`."""
    tree = analysis.tenant.tree
    has_unplaced = not (tree.subscriptions["placed"].all() and analysis.absences.areas["node"].null_count() == 0)
    found = {
        ACTIVITY_LOG: not states["is_covered"].all(),
        DECLARED: not inner_gaps(inputs, analysis.window).is_empty(),
        MEMBERS: not open_groups(inputs).is_empty(),
        SCOPES: has_unplaced,
        INVENTORY: not analysis.existence.problems.drop_nulls("problem").is_empty(),
    }
    return frozenset(item for item, is_missing in found.items() if is_missing)


def _of_places(inputs: Inputs, declared: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return `_Facts.places`, one row an assigned scope above resources."""
    window, tenant, existence = analysis.window, analysis.tenant, analysis.existence
    rest = replace(window, first_day=window.first_day + _DAY) if window.days > 1 else window
    logged, could_be = (covered_subscriptions(one, rest, tenant) for one in (inputs, declared))
    faulty = existence.problems.filter(
        pl.col("problem").is_not_null() & (pl.col("problem") != OutOfCoverage.DAYS_MISSING.value)
    )["node"]
    unread = existence.problems.filter(pl.col("problem") == "reader_without_right")["node"]
    registered = inputs.provider_registrations.filter(
        pl.col("reader_id").is_not_null() & (pl.col("updated_on") >= window.end)
    )["scope"].unique()
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
            only_right=node.is_in(unread.implode()).any()
            & (node.is_in(unread.implode()) | ~node.is_in(faulty.implode())).all(),
            providers_missing=(~node.is_in(registered.implode())).fill_null(True).any(),
            log_missing=(~node.is_in(logged.implode())).fill_null(True).any(),
            declared_logged=node.is_in(could_be.implode()).fill_null(False).all(),
        )
        .join(changed, on="place", how="left")
    )


_DAY = dt.timedelta(days=1)
