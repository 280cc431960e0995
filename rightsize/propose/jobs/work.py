"""Read who used which changes: the work that jobs are found in.

A *worker* is whoever made a call: a person, a workload, or a member through its group. A *holder* is who has the
assignment. The work of a group is what its members did through it. Use in quarantine is no work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from rightsize.analyze.columns import folded
from rightsize.analyze.inputs import Inputs
from rightsize.propose.core.bitsets import OperationIndex, union
from rightsize.propose.needs.privileged import RiskKind
from rightsize.rbac.text import Folded

_ALONE = 3
"""In a group of more workers than this, what a single one used is no job of the group."""
Sort = Literal["employee", "guest", "workload"]
"""Whom a worker acts for: guests and workloads get nothing that only employees used."""


@dataclass(frozen=True, slots=True)
class Work:
    """The changes that were used, as sets of operations of an index.

    Attributes:
        index: The operations.
        changes: All operations but reads of Resource Manager.
        risky: By kind, the changes that a job has only where most of its workers use them.
        of_worker: The changes that each worker used.
        of_holder: The changes that were used under the assignments of each holder.
        common: For each group of more than three workers, the changes that at least two of them used.
        by_subscription: The same for each worker, by the subscription or management group.
        sorts: Whom each worker acts for.
        through: The changes that a member used through each of its groups, by the member.
    """

    index: OperationIndex
    changes: int = 0
    risky: Mapping[RiskKind, int] = field(default_factory=dict)
    of_worker: Mapping[Folded, int] = field(default_factory=dict)
    of_holder: Mapping[Folded, int] = field(default_factory=dict)
    common: Mapping[Folded, int] = field(default_factory=dict)
    by_subscription: Mapping[Folded, Mapping[str, int]] = field(default_factory=dict)
    sorts: Mapping[Folded, Sort] = field(default_factory=dict)
    through: Mapping[Folded, Mapping[Folded, int]] = field(default_factory=dict)

    @property
    def all_risky(self) -> int:
        """The risky changes of all kinds."""
        return union(self.risky.values())

    def used_by(self, principal: Folded) -> int:
        """Return the changes that a principal used itself, by any assignment, or that its members did."""
        return self.of_holder.get(principal, 0) | self.of_worker.get(principal, 0)

    def kind_of(self, bit: int) -> RiskKind | None:
        """Return the kind of risk of a change, or None for an ordinary one."""
        return next((kind for kind, mask in self.risky.items() if mask >> bit & 1), None)

    def sort_of(self, worker: Folded) -> Sort:
        """Return whom a worker acts for; an unknown one is taken for a workload, which gets least."""
        return self.sorts.get(worker, "workload")


def read_work(placed: pl.DataFrame, inputs: Inputs, risky: Mapping[RiskKind, int], index: OperationIndex) -> Work:
    """Return the work of a tenant.

    Args:
        placed: As `assignments.place_uses` returns it: use in the window, and use before it that still counts.
        inputs: The tables.
        risky: The risky changes, by kind.
        index: The operations.
    """
    changes = (1 << len(index.names)) - 1 & ~index.reads
    held = inputs.role_assignments.select("role_assignment_id", "state", holder=folded(pl.col("principal_id")))
    bits = pl.DataFrame(
        {"bit": [bit for bit in range(len(index.names)) if changes >> bit & 1]}, schema={"bit": pl.Int64}
    )
    used = (
        placed.filter(pl.col("bit").is_not_null())
        .join(bits, on="bit", how="semi")
        .join(held, on=["role_assignment_id", "state"])
        .select(
            "holder",
            "bit",
            worker=folded(pl.coalesce("principal_id", "holder")),
            anchor=pl.col("target").str.split("/").list.head(3).list.join("/"),
        )
        .unique()
    )

    def masks(*by: str) -> dict[tuple[str, ...], int]:
        rows = used.select(*by, "bit").unique().group_by(by).agg("bit").sort(by).iter_rows()
        return {tuple(row[:-1]): index.mask_of_bits(row[-1]) for row in rows}

    shared = used.with_columns(workers=pl.col("worker").n_unique().over("holder")).filter(pl.col("workers") > _ALONE)
    common = (
        shared.group_by("holder", "bit")
        .agg(users=pl.col("worker").n_unique())
        .group_by("holder")
        .agg(pl.col("bit").filter(pl.col("users") > 1))
        .sort("holder")
    )
    by_subscription: dict[Folded, dict[str, int]] = defaultdict(dict)
    for (worker, anchor), mask in masks("worker", "anchor").items():
        by_subscription[Folded(worker)][anchor] = mask
    through: dict[Folded, dict[Folded, int]] = defaultdict(dict)
    for (worker, holder), mask in masks("worker", "holder").items():
        if worker != holder:
            through[Folded(worker)][Folded(holder)] = mask
    return Work(
        index,
        changes,
        risky,
        {Folded(worker): mask for (worker,), mask in masks("worker").items()},
        {Folded(holder): mask for (holder,), mask in masks("holder").items()},
        {Folded(holder): index.mask_of_bits(found) for holder, found in common.iter_rows()},
        by_subscription,
        _with_groups(_sorts(inputs), through),
        through,
    )


def _with_groups(sorts: Mapping[Folded, Sort], through: Mapping[Folded, Mapping[Folded, int]]) -> dict[Folded, Sort]:
    """Return whom each principal acts for; a group acts for the least trusted of those who worked through it."""
    acting: dict[Folded, set[Sort]] = defaultdict(set)
    for worker, groups in through.items():
        for group in groups:
            acting[group].add(sorts.get(worker, "workload"))
    ranked: tuple[Sort, ...] = ("workload", "guest", "employee")
    return {**sorts, **{group: next(one for one in ranked if one in found) for group, found in acting.items()}}


def _sorts(inputs: Inputs) -> dict[Folded, Sort]:
    rows = inputs.principals.select(
        folded(pl.col("principal_id")), "principal_type", guest=folded(pl.col("user_type").fill_null("")) == "guest"
    )
    return {
        id_: ("guest" if guest else "employee") if kind == "User" else "workload"
        for id_, kind, guest in rows.iter_rows()
    }
