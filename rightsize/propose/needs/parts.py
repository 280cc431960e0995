"""Decide in parts the assignments at management groups whose subscriptions differ in coverage.

Today's role stays at the nodes below the group where the logs say too little. Everywhere else the assignment is
narrowed by what the logs of the other subscriptions show. A subscription that joins the group later gets only what
stays at the group; the proposal says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.part_profiles import MOST_NODES
from rightsize.analyze.scoping import ScopeTree
from rightsize.analyze.verdicts import Analysis
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.options import PlanOptions, Reads
from rightsize.propose.core.role_catalog import KnownRole, RoleBook
from rightsize.propose.core.weights import Reach, Scale
from rightsize.propose.needs.assignments import read_profiles
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.propose.needs.grant_requests import is_at_or_below
from rightsize.propose.needs.needs import Profile, Use
from rightsize.propose.needs.touched_types import with_untouched
from rightsize.propose.needs.unruled_checks import with_untargeted
from rightsize.rbac.text import Folded

_KEY = ["role_assignment_id", "state"]
_LEAST_GAIN = 0.1
"""The least share of what would stay that has to go by deciding in parts: less is not worth the assignments."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of an assignment that the logs decide.

    Attributes:
        profile: The verdicts on its unused operations by the logs that are evidence.
        nodes: The folded nodes where today's role stays, each with the reason why the logs say too little there.
        uses: The use, by the folded scope at which it has to be granted, that the nodes do not grant anyway.
        inside: The folded scopes of the other use.
    """

    profile: Profile
    nodes: Mapping[Folded, str]
    uses: Mapping[Folded, Use]
    inside: frozenset[Folded]

    def is_worth(
        self, whole: Profile, role: KnownRole, place: Folded, options: PlanOptions, scale: Scale, reach: Reach
    ) -> bool:
        """Return whether enough more goes by deciding in parts than by the logs of all subscriptions together."""
        used = bool(self.uses.keys() - {place})  # uses at many scopes gather at the one of the assignment
        stays, all_stays = (_stays(one, options) & role.granted for one in (self.profile, whole))
        if used + len(self.nodes) + bool(stays) - 1 > MOST_NODES:
            return False
        beside = sum(scale.weigh(role.granted & ~stays) * reach.of(node) for node in self.nodes)
        before = scale.weigh(all_stays) * reach.of(place)
        return scale.weigh(stays) * reach.of(place) + beside < before * (1 - _LEAST_GAIN)


def _stays(profile: Profile, options: PlanOptions) -> int:
    """Return the operations that stay at the scope of the assignment whatever was used."""
    reads = profile.reads if options.reads is Reads.ALL else 0
    return profile.open | profile.kept_hidden(options.unobservable) | reads


@dataclass(frozen=True, slots=True)
class PartsInput:
    """What decides which assignments are decided in parts.

    Attributes:
        subjects: Today's assignments.
        parts: The assignments that can be decided in parts.
        profiles: By assignment, the verdicts by all logs together.
        book: The roles.
        options: The options.
        scale: The weights of operations.
        reach: The reach of scopes.
    """

    subjects: Sequence[Subject]
    parts: Mapping[Key, Part]
    profiles: Mapping[Key, Profile]
    book: RoleBook
    options: PlanOptions
    scale: Scale
    reach: Reach


def worthwhile_parts(asked: PartsInput) -> dict[Key, Part]:
    """Return the assignments of which enough more goes if they are decided in parts."""
    found = {}
    for subject in asked.subjects:
        part = asked.parts.get(subject.key)
        role = asked.book.roles.get(subject.role_definition_id)
        whole = asked.profiles.get(subject.key)
        if part is None or role is None or whole is None:
            continue
        if part.is_worth(whole, role, subject.place, asked.options, asked.scale, asked.reach):
            found[subject.key] = part
    return found


def as_parts(analysis: Analysis, keys: pl.DataFrame) -> Analysis:
    """Return the analysis with the verdicts on some assignments by the part of the logs that is evidence.

    Args:
        analysis: The analysis.
        keys: `(role_assignment_id, state)`.
    """
    if keys.is_empty():
        return analysis
    parts = analysis.parts
    others = analysis.profiles.join(keys, on=_KEY, how="anti")
    return replace(
        analysis,
        profiles=pl.concat([others, parts.of.join(keys, on=_KEY, how="semi")]),
        profile_operations=pl.concat([analysis.profile_operations, parts.operations]),
        absent=pl.concat([analysis.absent, parts.absent]),
    )


def read_parts(
    analysis: Analysis,
    subjects: Sequence[Subject],
    placed: pl.DataFrame,
    uses: Mapping[Key, Mapping[Folded, Use]],
    inputs: Inputs,
    index: OperationIndex,
    risky: int,
) -> dict[Key, Part]:
    """Return the assignments that can be decided in parts.

    Args:
        analysis: The verdicts.
        subjects: Today's assignments.
        placed: As `assignments.place_uses` returns it.
        uses: The same use, as sets by assignment.
        inputs: The tables.
        index: The operations.
        risky: As in `with_untouched`.
    """
    keys = analysis.parts.of.select(_KEY)
    if keys.is_empty():
        return {}
    profiles = read_profiles(as_parts(analysis, keys), index)
    split = {key: profiles[key] for key in keys.iter_rows()}
    nodes: dict[Folded, dict[Folded, str]] = {}
    for place, node, state in analysis.parts.nodes.iter_rows():
        nodes.setdefault(place, {})[node] = state
    places = {subject.key: subject.place for subject in subjects}
    decided = with_untargeted(with_untouched(split, placed, inputs, analysis, index, risky), analysis, index)
    tree = analysis.tenant.tree
    return {key: _part(profile, nodes[places[key]], uses.get(key, {}), tree) for key, profile in decided.items()}


def _part(profile: Profile, nodes: Mapping[Folded, str], uses: Mapping[Folded, Use], tree: ScopeTree) -> Part:
    inside = frozenset(target for target in uses if any(is_at_or_below(target, node, tree) for node in nodes))
    return Part(profile, nodes, {target: use for target, use in uses.items() if target not in inside}, inside)
