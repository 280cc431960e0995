"""Count the members of each group, weigh access by them, and find what only few members of a large group used.

A group's role grants everything to every member. If only few of many members used an operation, these members may get
assignments of their own, so that the others are not granted it. The plan never changes the members of a group, and
gives nobody access that the group does not give today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.columns import folded, place_of
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.window import Window
from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.propose.core.weights import Reach, Scale
from rightsize.propose.needs.assignments import KEY, Key, masks_of
from rightsize.rbac.text import Folded

FEW = 3
"""Maximum number of members that get assignments of their own for an operation; if more use it, the group keeps it."""
SHARE = 4
"""The operation also has to be used by at most one in this number of members."""
ODD_SHARE = 10
"""In a group of at least this many members, what a single one used is that member's, and no work of the group."""

Singled = Mapping[Key, Mapping[Folded, Mapping[Folded, int]]]
"""By assignment and folded place, the operations that only few members used there, by the folded id of each member."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The members of the groups that hold assignments, and their use.

    Attributes:
        people: Folded id of a group to its number of members that are not groups, nested ones included; groups without
            any are left out.
        singled: The operations that only few members used.
        odd: The part of these that is risky, or that a single member of a large group used.
        used_cells: For each assignment of a group, pairs (bit, number): the bit of an operation, and the number of
            different (member, place) that used it.
    """

    people: Mapping[Folded, int] = field(default_factory=dict)
    singled: Singled = field(default_factory=dict)
    odd: Singled = field(default_factory=dict)
    used_cells: Mapping[Key, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def people_of(self, principal_id: Folded) -> int:
        """Return the number of principals that act through a folded holder: 1 if it is not a group."""
        return max(1, self.people.get(principal_id, 1))


@dataclass(frozen=True, slots=True)
class AccessWeights:
    """The weights of operations, the reach of scopes, and the members of the groups that hold assignments."""

    scale: Scale
    reach: Reach
    groups: Groups

    def cells(self, principal_id: Folded, place: Folded) -> int:
        """Return the number of resource groups times people that one operation of a holder at a place reaches."""
        return self.reach.of(place) * self.groups.people_of(principal_id)


def read_groups(
    inputs: Inputs, tenant: Tenant, window: Window, placed: pl.DataFrame, index: OperationIndex, risky: int
) -> Groups:
    """Return the member counts of groups, and the operations that only few members used.

    Groups with members younger than the window are not split: the needs of young members are known only from the use
    of the others.

    Args:
        inputs: The tables.
        tenant: The membership.
        window: The observation window.
        placed: As `assignments.place_uses` returns it.
        index: The operations.
        risky: The risky changes.
    """
    of_group = _people(inputs, tenant)
    counted = of_group.group_by("holder").agg(people=pl.len())
    held = inputs.role_assignments.select(
        *KEY, holder=folded(pl.col("principal_id")), at=place_of(pl.col("scope"))
    ).join(counted, on="holder")
    uses = (
        placed.join(held, on=KEY)
        .filter(pl.col("bit").is_not_null())
        .select(*KEY, "target", "bit", "holder", "people", "at", member=folded(pl.col("principal_id")))
        .unique()
    )
    cells = uses.filter(pl.col("member").is_not_null()).group_by(*KEY, "bit").len().sort(*KEY, "bit")
    used_cells: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    for id_, state, bit, number in cells.iter_rows():
        used_cells[id_, state].append((bit, number))
    young = folded(inputs.principals.filter(pl.col("created_on") >= window.start)["principal_id"])
    with_young = of_group.filter(pl.col("member").is_in(young.implode()))["holder"].unique()
    few = _few(_with_use_below(uses), of_group, with_young)
    is_odd = (pl.col("of_all") == 1) & (pl.col("people") >= ODD_SHARE) | pl.col("bit").is_in(list(bits_of(risky)))
    return Groups(
        people=dict(counted.sort("holder").iter_rows()),
        singled=_masks(few, index),
        odd=_masks(few.filter(is_odd), index),
        used_cells=used_cells,
    )


def _people(inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return `(holder, member)` of groups and their members that are not groups."""
    groups = folded(inputs.principals.filter(pl.col("principal_type") == "Group")["principal_id"])
    through = tenant.membership.filter(pl.col("principal_id") != pl.col("holder"))
    nested = pl.concat([groups, through["holder"]]).unique()
    return (
        through.filter(~pl.col("principal_id").is_in(nested.implode()))
        .select("holder", member="principal_id")
        .unique()
        .sort("holder", "member")
    )


def _with_use_below(uses: pl.DataFrame) -> pl.DataFrame:
    """Return the uses with those of each place counted at the places above where the same operation was used, too.

    A need at a place is not repeated below it. So whoever used an operation below needs it where it is granted above.
    """
    key = [*KEY, "bit"]
    places = uses.select(*key, "target").unique()
    is_below = pl.col("below").str.starts_with(pl.col("target") + "/")
    return (
        uses.rename({"target": "below"})
        .join(places, on=key)
        .filter((pl.col("below") == pl.col("target")) | (pl.col("target") == pl.col("at")) | is_below)
        .drop("below", "at")
        .unique()
    )


def _few(uses: pl.DataFrame, of_group: pl.DataFrame, young: pl.Series) -> pl.DataFrame:
    """Return `(role_assignment_id, state, target, bit, member, people, of_all)` of what few members used.

    Use by a principal not known as a member stays with the group. `of_all` is the number of members who used the
    operation at any place.
    """
    known = uses.join(of_group.with_columns(is_member=pl.lit(True)), on=["holder", "member"], how="left")
    known = known.with_columns(of_all=pl.col("member").n_unique().over(*KEY, "bit"))
    few = (
        known.filter(~pl.col("holder").is_in(young.implode()))
        .group_by(*KEY, "target", "bit")
        .agg(
            members=pl.col("member").n_unique(),
            people=pl.col("people").first(),
            all_known=pl.col("is_member").fill_null(False).all() & pl.col("member").is_not_null().all(),
        )
        .filter(pl.col("all_known") & (pl.col("members") <= FEW) & (pl.col("members") * SHARE <= pl.col("people")))
    )
    return known.join(few, on=[*KEY, "target", "bit"], how="semi")


def _masks(few: pl.DataFrame, index: OperationIndex) -> dict[Key, dict[Folded, dict[Folded, int]]]:
    """Return the rows of `_few` as sets of operations by assignment, place and member."""
    singled: dict[Key, dict[Folded, dict[Folded, int]]] = {}
    for id_, state, target, member, mask in masks_of(few, index, *KEY, "target", "member"):
        singled.setdefault((id_, state), {}).setdefault(target, {})[member] = mask
    return singled
