"""Judge in parts the assignments at management groups whose subscriptions differ in coverage.

Where the logs of some subscriptions are evidence and those of others are not, no verdict holds for the whole scope.
Each operation is then judged by the evidence alone, beside the nodes below the scope where nothing can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.coverage import CoveredDays
from rightsize.analyze.profiles import Profiles
from rightsize.analyze.reasons import SHOWN
from rightsize.analyze.scoping import ROOT, ScopeTree
from rightsize.analyze.tenant import Tenant
from rightsize.rbac.text import Folded

MOST_NODES = 3
"""The most nodes at which an assignment may stay beside its narrower part, and the most assignments more in all."""

_NODES = {"place": pl.String, "node": pl.String, "state": pl.String}


@dataclass(frozen=True, slots=True)
class Parts:
    """The assignments that can be judged in parts.

    Attributes:
        nodes: `(place, node, state)`: for each scope of such assignments the highest nodes below it of which the logs
            of all subscriptions say too little; `state` is a word of `OutOfCoverage`.
        of: `(role_assignment_id, state, profile_id)`: the profiles of these assignments by the evidence of all other
            subscriptions.
        operations: As `Analysis.profile_operations`, of these profiles.
        absent: As `Analysis.absent`.
    """

    nodes: pl.DataFrame
    of: pl.DataFrame
    operations: pl.DataFrame
    absent: pl.DataFrame


def find_nodes(tenant: Tenant, log: CoveredDays) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `Parts.nodes`, and `(place, below)`: the state of the logs of the other subscriptions, which decide.

    A scope of which a subscription may be elsewhere in the tree has none: the plan could grant access there that
    nobody holds today.
    """
    nodes: list[tuple[str, str, str]] = []
    states: list[tuple[str, str]] = []
    high = tenant.assignments.filter(pl.col("level").is_in(["management_group", "root"]))["place"].unique().sort()
    for place in high:
        if not tenant.tree.is_listed(place):
            continue
        subscriptions = tenant.tree.below(place)[1]
        dark = [one for one in subscriptions if log.state(one) not in SHOWN]
        lit = [one for one in subscriptions if log.state(one) in SHOWN]
        if not lit or not dark or not all(_is_below(one, place, tenant.tree) for one in dark):
            continue
        found = _highest(place, dark, tenant.tree)
        if len(found) <= MOST_NODES:
            nodes += [(place, node, log.state_of_all(below)) for node, below in found]
            states.append((place, log.state_of_all(lit)))
    below = {"place": pl.String, "below": pl.String}
    return pl.DataFrame(nodes, schema=_NODES, orient="row"), pl.DataFrame(states, schema=below, orient="row")


def _is_below(node: str, place: str, tree: ScopeTree) -> bool:
    return place == ROOT or place in tree.ancestors_of(node)


def _highest(place: Folded, dark: Sequence[Folded], tree: ScopeTree) -> list[tuple[Folded, list[Folded]]]:
    """Return the highest nodes below a place that have only such subscriptions below them, with those of each."""
    groups = [one for one in tree.below(place)[0] if one != place and tree.is_listed(one)]
    found: list[tuple[Folded, list[Folded]]] = []
    left = set(dark)
    for group in sorted(groups, key=lambda one: (len(tree.ancestors_of(one)), one)):
        below = tree.below(group)[1]
        if below and left.issuperset(below):
            found.append((group, below))
            left.difference_update(below)
    return sorted([*found, *((one, [one]) for one in left)])


def renumbered(profiles: Profiles, after: Profiles) -> Profiles:
    """Return profiles with ids that follow those of others."""
    taken = max([-1, *after.of["profile_id"], *after.operations["profile_id"].unique()]) + 1
    shifted = pl.col("profile_id") + taken
    frames = (profiles.of, profiles.operations, profiles.absent)
    return Profiles(*(frame.with_columns(profile_id=shifted) for frame in frames))
