"""Count the members of each group, and find the operations that only few members of a large group used.

A group's role grants everything to every member. If only few of many members used an operation, these members may get
assignments of their own, so that the others are not granted it. The plan never changes the members of a group, and
gives nobody access that the group does not give today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.window import Window
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.needs.drafts import Key
from rightsize.rbac.text import Folded

FEW = 3
"""Maximum number of members that get assignments of their own for an operation; if more use it, the group keeps it."""
SHARE = 4
"""The operation also has to be used by at most one in this number of members."""
ODD_SHARE = 10
"""In a group of at least this many members, what a single one used is that member's, and no work of the group."""

Singled = Mapping[Key, Mapping[Folded, Mapping[Folded, int]]]
"""By assignment and folded place, the operations that only few members used there, by the folded id of each member."""


def joined(first: Singled, second: Singled) -> Singled:
    """Return the operations of both."""
    found: dict[Key, dict[Folded, dict[Folded, int]]] = {}
    for singled in (first, second):
        for key, places in singled.items():
            for place, those in places.items():
                here = found.setdefault(key, {}).setdefault(place, {})
                for member, mask in those.items():
                    here[member] = here.get(member, 0) | mask
    return found


def only_among(singled: Singled, operations: int) -> Singled:
    """Return of the operations that only few members used those in a set."""
    return {
        key: {
            place: {who: mask & operations for who, mask in those.items() if mask & operations}
            for place, those in places.items()
        }
        for key, places in singled.items()
    }


@dataclass(frozen=True, slots=True)
class Groups:
    """The members of the groups that hold assignments, and their use.

    Attributes:
        people: Folded id of a group to its number of members that are not groups, nested ones included; groups without
            any are left out.
        singled: The operations that only few members used.
        odd: The part of these that a single member of a large group used.
        used_cells: For each assignment of a group, pairs (bit, number): the bit of an operation, and the number of
            different (member, place) that used it.
    """

    people: Mapping[Folded, int] = field(default_factory=dict)
    singled: Singled = field(default_factory=dict)
    odd: Singled = field(default_factory=dict)
    used_cells: Mapping[Key, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def people_of(self, principal_id: Folded) -> int:
        """Return the number of principals that act through a folded holder: 1 if it is not a group."""
        return max(1, self.people.get(principal_id, 1))


def read_groups(inputs: Inputs, tenant: Tenant, window: Window, placed: pl.DataFrame, index: OperationIndex) -> Groups:
    """Return the member counts of groups, and the operations that only few members used.

    Groups with members younger than the window are not split: the needs of young members are known only from the use
    of the others.

    Args:
        inputs: The tables.
        tenant: The membership.
        window: The observation window.
        placed: As `assignments.place_uses` returns it.
        index: The operations.
    """
    of_group = _people(inputs, tenant)
    counted = of_group.group_by("holder").agg(people=pl.len())
    held = inputs.role_assignments.select(
        "role_assignment_id", "state", holder=folded(pl.col("principal_id")), at=place_of(pl.col("scope"))
    ).join(counted, on="holder")
    uses = (
        placed.join(held, on=["role_assignment_id", "state"])
        .filter(pl.col("bit").is_not_null())
        .select(
            "role_assignment_id",
            "state",
            "target",
            "bit",
            "holder",
            "people",
            "at",
            member=folded(pl.col("principal_id")),
        )
        .unique()
    )
    cells = (
        uses.filter(pl.col("member").is_not_null())
        .group_by("role_assignment_id", "state", "bit")
        .len()
        .sort("role_assignment_id", "state", "bit")
    )
    used_cells: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    for id_, state, bit, number in cells.iter_rows():
        used_cells[id_, state].append((bit, number))
    few = _few(_with_use_below(uses), of_group, _with_young_members(inputs, of_group, window))
    return Groups(
        people=dict(counted.sort("holder").iter_rows()),
        singled=_masks(few, index),
        odd=_masks(few.filter((pl.col("of_all") == 1) & (pl.col("people") >= ODD_SHARE)), index),
        used_cells={key: tuple(found) for key, found in used_cells.items()},
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


def _with_young_members(inputs: Inputs, of_group: pl.DataFrame, window: Window) -> pl.Series:
    young = folded(inputs.principals.filter(pl.col("created_on") >= window.start)["principal_id"])
    return of_group.filter(pl.col("member").is_in(young.implode()))["holder"].unique()


def _with_use_below(uses: pl.DataFrame) -> pl.DataFrame:
    """Return the uses with those of each place counted at the places above where the same operation was used, too.

    A need at a place is not repeated below it. So whoever used an operation below needs it where it is granted above.
    """
    key = ["role_assignment_id", "state", "bit"]
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
    known = known.with_columns(of_all=pl.col("member").n_unique().over("role_assignment_id", "state", "bit"))
    few = (
        known.filter(~pl.col("holder").is_in(young.implode()))
        .group_by("role_assignment_id", "state", "target", "bit")
        .agg(
            members=pl.col("member").n_unique(),
            people=pl.col("people").first(),
            all_known=pl.col("is_member").fill_null(False).all() & pl.col("member").is_not_null().all(),
        )
        .filter(pl.col("all_known") & (pl.col("members") <= FEW) & (pl.col("members") * SHARE <= pl.col("people")))
    )
    return known.join(few, on=["role_assignment_id", "state", "target", "bit"], how="semi")


def _masks(few: pl.DataFrame, index: OperationIndex) -> dict[Key, dict[Folded, dict[Folded, int]]]:
    """Return the rows of `_few` as sets of operations by assignment, place and member."""
    rows = (
        few.group_by("role_assignment_id", "state", "target", "member")
        .agg(pl.col("bit").unique())
        .sort("role_assignment_id", "state", "target", "member")
    )
    singled: dict[Key, dict[Folded, dict[Folded, int]]] = {}
    for id_, state, target, member, bits in rows.iter_rows():
        singled.setdefault((id_, state), {}).setdefault(target, {})[member] = index.mask_of_bits(bits)
    return singled
