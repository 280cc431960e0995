"""Find what peers of a holder used and the holder did not, for the option `--peers`.

A peer has the same job: it used the same set of resource types under one of its assignments, whatever role that gives.
Or it is a member of the same small group, and holds the same role at the same kind of scope. What a peer used is likely
to be what the holder does next. It is kept where the holder used the same type, else at today's scope.

What gets a role of its own, as the rule file `split_off` says (assigning roles, reading secrets), is not kept for a
peer's sake.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.text import folded, place_of
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.needs.drafts import Key
from rightsize.propose.needs.touched_types import JOB, kind_of_scope, shared_jobs, top_level_type
from rightsize.rbac.text import Folded
from rightsize.rules.operations import split_off

TEAM = 50
"""The most direct members of a group that counts as a team; a group of everybody makes no peers."""
_KEY = ["role_assignment_id", "state"]


def read_peer_uses(
    placed: pl.DataFrame, inputs: Inputs, book: RoleBook, operations: pl.DataFrame
) -> dict[Key, dict[Folded, int]]:
    """Return for each assignment with use the operations that only its peers used, by the folded scope to keep them at.

    Operations of the catalogue alone count, seen in the window, and granted by the role of the assignment.

    Args:
        placed: As `assignments.place_uses` returns it.
        inputs: The tables.
        book: The roles.
        operations: The annotated catalogue, as in `Tenant`.
    """
    held = inputs.role_assignments.select(
        *_KEY,
        holder=folded(pl.col("principal_id")),
        role=folded(pl.col("role_definition_id")).fill_null(""),
        place=place_of(pl.col("scope")),
        kind=kind_of_scope(place_of(pl.col("scope"))),
    )
    apart = operations.filter(split_off(operations) != "never").select("plane", "name")
    common = placed.join(apart, on=["plane", "name"], how="anti")
    seen = common.filter(~pl.col("earlier") & pl.col("bit").is_not_null()).select(*_KEY, "name", "bit", "target")
    names = seen.select("name").unique().with_columns(type=top_level_type(pl.col("name")))
    uses = seen.unique().join(names, on="name").join(held, on=_KEY)
    teams = pl.concat([_by_types(uses), _by_group(uses, inputs)])
    used = uses.select(*_KEY, "bit", "type").unique()
    masks = _Masks(
        of_team=_masks_by(teams.join(used, on=_KEY), "team", book),
        of_type=_masks_by(used, "type", book),
        own=_masks_by(used, _KEY, book),
    )
    targets: dict[Key, dict[str, list[Folded]]] = {}
    for id_, state, type_, places in uses.group_by(*_KEY, "type").agg(pl.col("target").unique().sort()).iter_rows():
        targets.setdefault((id_, state), {})[type_] = places
    found: dict[Key, dict[Folded, int]] = {}
    rows = teams.group_by(_KEY).agg("team").join(held, on=_KEY).select(*_KEY, "role", "place", "team").sort(_KEY)
    for id_, state, role, place, own_teams in rows.iter_rows():
        key = id_, state
        granted = book.roles[role].granted if role in book.roles else 0
        if new := masks.new(key, own_teams) & granted:
            found[key] = masks.by_place(new, targets[key], place)
    return found


@dataclass(frozen=True, slots=True)
class _Masks:
    """Sets of used operations by team, by resource type and by assignment: rows for each pair would be quadratic."""

    of_team: Mapping[str, int]
    of_type: Mapping[str, int]
    own: Mapping[Key, int]

    def new(self, key: Key, teams: Iterable[str]) -> int:
        """Return what the teams of an assignment used and its holder did not."""
        return reduce(or_, (self.of_team[team] for team in teams)) & ~self.own[key]

    def by_place(self, new: int, targets: Mapping[str, Iterable[Folded]], place: Folded) -> dict[Folded, int]:
        """Return operations by place: where the holder used the same type, else at the scope of the assignment."""
        found: dict[Folded, int] = defaultdict(int)
        rest = new
        for type_, places in targets.items():
            if part := new & self.of_type[type_]:
                rest &= ~part
                for target in places:
                    found[target] |= part
        if rest:
            found[place] |= rest
        return dict(sorted(found.items()))


def _masks_by(rows: pl.DataFrame, by: str | list[str], book: RoleBook) -> dict[Any, int]:
    """Return the operations in the column `bit` as a set, by the value of one column, or the values of several."""
    grouped = rows.group_by(by).agg(pl.col("bit").unique())
    width = grouped.width - 1
    return {row[0] if width == 1 else row[:width]: book.index.mask_of_bits(row[width]) for row in grouped.iter_rows()}


def _by_types(uses: pl.DataFrame) -> pl.DataFrame:
    """Return `(role_assignment_id, state, team)`: the holders who used the same types; their roles may differ."""
    return shared_jobs(uses).select(*_KEY, team=JOB)


def _by_group(uses: pl.DataFrame, inputs: Inputs) -> pl.DataFrame:
    """Return `(role_assignment_id, state, team)`: the members of a small group that hold the same role directly."""
    members = inputs.group_members.select(group=folded(pl.col("group_id")), holder=folded(pl.col("member_id"))).unique()
    small = members.filter(pl.len().over("group") <= TEAM)
    team = pl.format("{}\n{}\n{}", "group", "role", "kind")
    rows = uses.select(*_KEY, "holder", "role", "kind").unique().join(small, on="holder").with_columns(team=team)
    return rows.filter(pl.col("holder").n_unique().over("team") > 1).select(*_KEY, "team")
