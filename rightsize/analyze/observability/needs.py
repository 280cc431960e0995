"""Look up what each need of a way is at the scopes of an assignment, and which missing things at which scope meet it.

A missing thing at one scope, a *part*, is written `item@scope`; what is missing for the whole tenant is just `item`. At
one scope several things may meet a need: declared days are as good as loaded ones, and the membership of a reader may
be what a listing lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.inputs import ROOT, Inputs, node_of
from rightsize.analyze.observability.undecided import MEMBERS, inner_gaps, with_declared
from rightsize.analyze.observability.ways import (
    ACTIVITY_LOG,
    ANY,
    DECLARED,
    ENOUGH,
    EVERY_DAY,
    INVENTORY,
    PROVIDERS,
    RESOURCE_LOG,
    REST,
    SCOPES,
    TYPES,
    faulty_listings,
    missing_anywhere,
    registered,
)
from rightsize.analyze.reasons import SHOWN
from rightsize.analyze.verdicts.coverage import COVERED, CoveredDays, covered_subscriptions
from rightsize.analyze.verdicts.existence import logged_rest
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.resource_logs import known_resources, listed_kinds, log_rules, log_states, logged_kinds
from rightsize.analyze.window import is_shown

_AT = "@"
Brings = Mapping[str, frozenset[str]]
"""By scope that lacks something: the parts that bring it."""


def part_of(item: str, scope: str) -> str:
    """Return the name of a missing thing at a scope; of the whole tenant where the scope is empty."""
    return f"{item}{_AT}{scope}" if scope else item


def item_of(part: str) -> str:
    """Return the missing thing that a part is of."""
    return part.partition(_AT)[0]


def scope_of(part: str) -> str:
    """Return the folded scope of a part; empty for one of the whole tenant."""
    return part.partition(_AT)[2]


@dataclass(frozen=True, slots=True)
class Area:
    """The scopes on which an assignment rests.

    Attributes:
        below: Its subscriptions.
        groups: Its management groups.
        top: Whether it reaches the tenant.
    """

    below: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    top: bool = False

    def at(self, levels: str) -> list[str]:
        """Return the scopes whose logs show operations of these levels, as `profiles` judges them."""
        is_low = not self.groups and not self.top
        found = [*self.below] if is_low or "below" in levels else []
        found += self.groups if "management_group" in levels else ()
        found += (ROOT,) if "tenant" in levels and self.top else ()
        return found or [*self.below]


_LEVELS = "below management_group tenant"


@dataclass(frozen=True, slots=True)
class Needs:
    """The needs of ways at single scopes, and the parts that meet each.

    Attributes:
        areas: By assigned place.
        brings: By need: what scopes lack, and what brings it.
        met: By need at a scope: the parts that meet it. Filled by `at`.
    """

    areas: Mapping[str, Area]
    brings: Mapping[str, Brings]
    met: dict[str, frozenset[str]] = field(default_factory=dict)

    def area(self, place: str) -> Area:
        """Return the scopes of an assigned place."""
        return self.areas.get(place, Area())

    def at(self, need: str, area: Area) -> frozenset[str]:
        """Return the needs at single scopes that a need of a way is in an area; one at least."""
        if need.startswith(ANY):
            return self._anywhere(need.removeprefix(ANY))
        kind = ENOUGH if need.startswith(ENOUGH) else need
        if kind not in self.brings:
            self.met[need] = frozenset({need})
            return frozenset({need})
        levels = need.removeprefix(ENOUGH) if kind == ENOUGH else _LEVELS if kind == EVERY_DAY else "below"
        brings = self.brings[kind]
        found = {f"{kind}{_AT}{node}": brings[node] for node in area.at(levels) if node in brings}
        if not found:
            return self._anywhere(_item_behind(kind))
        self.met.update(found)
        return frozenset(found)

    def _anywhere(self, item: str) -> frozenset[str]:
        """Return the need for a thing at some scope, which nothing here tells."""
        need = ANY + item
        if need not in self.met:
            parts = {part for brings in self.brings.values() for some in brings.values() for part in some}
            self.met[need] = frozenset(part for part in parts if item_of(part) == item) or frozenset({item})
        return frozenset({need})


def _item_behind(kind: str) -> str:
    """Return the missing thing that a need is about."""
    if kind in (ENOUGH, EVERY_DAY, REST):
        return ACTIVITY_LOG
    return INVENTORY if kind.startswith(TYPES) else kind


def read_needs(inputs: Inputs, analysis: Analysis) -> Needs:
    """Return what the scopes of a tenant lack."""
    areas = _areas(analysis)
    days = _of_days(inputs, analysis, areas)
    return Needs(areas, {**days, **_of_listings(inputs, analysis, days[REST])})


def _areas(analysis: Analysis) -> dict[str, Area]:
    tenant = analysis.tenant
    places = tenant.assignments.select("place", "level").unique().with_columns(node=node_of("place"))
    found: dict[str, Area] = {}
    for place, level, node in places.sort("place").iter_rows():
        if level in ("management_group", "root"):
            groups, below = tenant.tree.below(place)
            found[place] = Area(tuple(sorted(below)), tuple(sorted(groups)), place == ROOT)
        else:
            found[place] = Area((node,) if node else ())
    return found


def _of_days(inputs: Inputs, analysis: Analysis, areas: Mapping[str, Area]) -> dict[str, Brings]:
    """Return the scopes whose Activity Log lacks days, for each purpose; declarations help where they suffice."""
    window, tenant = analysis.window, analysis.tenant
    nodes = {node for area in areas.values() for node in area.at(_LEVELS)} | set(tenant.tree.subscriptions["place"])
    declared = with_declared(inputs, window)
    gaps = not inner_gaps(inputs, window).is_empty()
    now, then = (CoveredDays(one, window, tenant) for one in (inputs, declared))
    logged, later = (set(covered_subscriptions(one, logged_rest(window), tenant)) for one in (inputs, declared))

    def brings(is_there: Callable[[str], bool], declaring: Callable[[str], bool]) -> Brings:
        return {
            node: frozenset(
                part_of(item, node)
                for item in ((ACTIVITY_LOG, DECLARED) if gaps and declaring(node) else (ACTIVITY_LOG,))
            )
            for node in sorted(nodes)
            if not is_there(node)
        }

    return {
        ENOUGH: brings(lambda node: now.state(node) in SHOWN, lambda node: then.state(node) in SHOWN),
        EVERY_DAY: brings(lambda node: now.state(node) == COVERED, lambda node: then.state(node) == COVERED),
        REST: brings(lambda node: node in logged, lambda node: node in later),
    }


def _of_listings(inputs: Inputs, analysis: Analysis, days: Brings) -> dict[str, Brings]:
    """Return the subscriptions without complete listings, registrations or logs of resources.

    `days` is the need for every day but the first.
    """
    window, tenant = analysis.window, analysis.tenant
    nodes = tenant.tree.subscriptions["place"].to_list()
    anywhere = missing_anywhere(inputs, analysis)
    problems = analysis.existence.problems
    unread = set(problems.filter(pl.col("problem") == "reader_without_right")["node"])
    # The reader may have its right by an unknown membership, or at an unknown place in the tree.
    of_reader = frozenset(item for item in (MEMBERS, SCOPES) if item in anywhere)
    listings = {
        node: frozenset({part_of(INVENTORY, node)}) | (of_reader if node in unread else frozenset())
        for node in sorted(set(faulty_listings(analysis)))
    }
    known = set(registered(inputs, window))
    providers = {node: frozenset({part_of(PROVIDERS, node)}) for node in nodes if node not in known}
    listed = set(listed_kinds(inputs, analysis.existence.whole).iter_rows())
    found: dict[str, Brings] = {INVENTORY: listings, PROVIDERS: providers}
    for kind in logged_kinds():
        # A page of Resource Manager lists all of a type by itself; listings with a known reader need a whole log, too.
        found[TYPES + kind] = {
            node: frozenset({part_of(INVENTORY, node)})
            | (listings.get(node, days.get(node, frozenset())) - {part_of(INVENTORY, node)})
            for node in nodes
            if (node, kind) not in listed
        }
    return found | _of_resources(inputs, analysis)


def _of_resources(inputs: Inputs, analysis: Analysis) -> dict[str, Brings]:
    """Return by log of resources the subscriptions with a resource whose log does not show its use."""
    resources = known_resources(inputs, inputs.coverage["scope"], inputs.usage_days["scope"])
    states, _ = log_states(inputs, analysis.window, resources)
    rows = (
        states.filter(~is_shown(pl.col("state")))
        .join(log_rules().select("rule", "kind"), on="rule")
        .with_columns(node=node_of("resource"))
        .select("kind", "node")
        .drop_nulls()
        .unique()
        .sort("kind", "node")
    )
    found: dict[str, dict[str, frozenset[str]]] = {RESOURCE_LOG + kind: {} for kind in logged_kinds()}
    for kind, node in rows.iter_rows():
        item = RESOURCE_LOG + kind
        found[item][node] = frozenset({part_of(item, node)})
    return dict(found)
