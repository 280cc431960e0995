"""Sum the use behind a plan by assignment and operation, in columns.

A tenant has millions of such rows, and each takes a kilobyte as an object.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.needs.assignments import KEY, Key, masks_of

Used = Mapping[tuple[str, str], Mapping[str, Any]]
"""By (plane, folded operation), its use in the form of a role's evidence."""

_AT_ONCE = 20_000
"""Number of proposals whose rows are made at a time: their lists are copied several times meanwhile."""
_NAMED = 20
"""Maximum number of principals, assignments or scopes named one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class UseRows:
    """The use behind a plan, one row for each (assignment, state, plane, operation).

    Attributes:
        frame: The rows, with calls, days, principals and scopes, sorted by the holder of the assignment, like
            proposals. `days` is at most the number of days from the first to the last call. Below this bound, a day may
            count twice if an operation is used at several scopes on it.
        counts: The number of rows of each assignment.
        as_of: The first day after the window, if the rows have `days_ago`: the number of days from the last call to
            that day. None for rows without that column.
    """

    frame: pl.DataFrame
    counts: Mapping[Key, int]
    as_of: dt.date | None = None

    @classmethod
    def of(cls, placed: pl.DataFrame, assignments: pl.DataFrame, as_of: dt.date | None = None) -> UseRows:
        """Return the summed uses of `assignments.place_uses` for the given assignments."""
        span = (pl.col("last_seen").dt.date().max() - pl.col("first_seen").dt.date().min()).dt.total_days() + 1
        frame = (
            placed.group_by(*KEY, "plane", "name")
            .agg(
                operation=pl.col("operation").min(),
                bit=pl.col("bit").min(),
                events=pl.col("events").sum(),
                days=pl.min_horizontal(pl.col("days").sum(), span),
                first_seen=pl.col("first_seen").min(),
                last_seen=pl.col("last_seen").max(),
                principals=pl.col("principal_id").drop_nulls().unique().sort(),
                scopes=pl.col("scope").unique().sort(),
                attributed=pl.col("reason").unique().sort(),
            )
            .join(assignments.group_by(KEY).agg(order=pl.col("principal_id").min()), on=KEY, how="left")
            .sort("order", *KEY, "plane", "name")
            .drop("order")
        )
        counts = {(id_, state): number for id_, state, number in frame.group_by(KEY).len().iter_rows()}
        return cls(frame, counts, as_of)

    def number_of(self, key: Key) -> int:
        """Return the number of rows of an assignment."""
        return self.counts.get(key, 0)

    def _ago(self) -> pl.Expr:
        """Return the expression for the days from the last call to `as_of`; null if `as_of` is None."""
        if self.as_of is None:
            return pl.lit(None)
        return (pl.lit(self.as_of) - pl.col("last_seen").dt.date()).dt.total_days()

    def bits(self, index: OperationIndex, most_days: int | None = None) -> dict[Key, int]:
        """Return the catalogue operations that were used under each assignment, or only on a maximum number of days."""
        rows = self.frame.filter(pl.col("bit").is_not_null())
        if most_days is not None:
            rows = rows.filter(pl.col("days") <= most_days)
        return {(id_, state): mask for id_, state, mask in masks_of(rows, index, *KEY)}

    def rows_of(self, proposals: pl.DataFrame, period: str, index: OperationIndex) -> pl.DataFrame:
        """Return the use behind proposals as rows of the table `operations` of a plan's evidence, in their order.

        Args:
            proposals: `(proposal_id, role_assignment_id, state)`.
            period: The value of the column `period`.
            index: The operations, whose spelling is used.
        """
        bits = self.frame["bit"].drop_nulls().unique().sort()
        spelt = bits.to_frame().with_columns(spelt=pl.Series([index.names[bit][1] for bit in bits], dtype=pl.String))
        parts = list(proposals.iter_slices(_AT_ONCE)) or [proposals]
        return pl.concat([self._rows_of(part, period, spelt) for part in parts], rechunk=True)

    def _rows_of(self, proposals: pl.DataFrame, period: str, spelt: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of `rows_of` for some proposals; `spelt` has `(bit, spelt)`."""
        rows = proposals.join(self.frame, on=KEY, maintain_order="left_right")
        return rows.join(spelt, on="bit", how="left", maintain_order="left").select(
            "proposal_id",
            pl.lit(period).alias("period"),
            "plane",
            pl.coalesce("spelt", "operation").alias("operation"),
            pl.col("events", "days").cast(pl.Int64),
            pl.col("first_seen", "last_seen").cast(pl.Datetime("us")),
            days_ago=self._ago().cast(pl.Int64),
            attributed_by="attributed",
            principals=pl.col("principals").list.len().cast(pl.Int64),
            principal_ids=pl.col("principals").list.head(_NAMED),
            scopes=pl.col("scopes").list.len().cast(pl.Int64),
            scope_ids=pl.col("scopes").list.head(_NAMED),
        )

    def of_roles(self, users: pl.DataFrame, wanted: pl.DataFrame) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
        """Return for each role the use of its operations under the assignments that it helps to replace.

        Args:
            users: `(role, role_assignment_id, state)`, distinct.
            wanted: `(role, plane, name)`: the folded operations of each role.
        """
        people, assignments = pl.col("people"), pl.col("assignments")
        found = (
            users.lazy()
            .join(self.frame.lazy(), on=KEY)
            .join(wanted.lazy(), on=["role", "plane", "name"], how="semi")
            .group_by("role", "plane", "name")
            .agg(
                pl.col("events").sum(),
                pl.col("days").max(),
                pl.col("first_seen").min(),
                pl.col("last_seen").max(),
                people=pl.col("principals").explode().drop_nulls().unique().sort(),
                assignments=pl.col("role_assignment_id").unique().sort(),
            )
            .select(
                pl.exclude("people", "assignments"),
                principals=people.list.len(),
                principal_ids=people.list.head(_NAMED),
                role_assignments=assignments.list.len(),
                role_assignment_ids=assignments.list.head(_NAMED),
            )
            .with_columns([] if self.as_of is None else [self._ago().alias("days_ago")])
            .collect()
        )
        by_role: dict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        for row in found.iter_rows(named=True):
            by_role[row.pop("role")][row.pop("plane"), row.pop("name")] = row
        return by_role
