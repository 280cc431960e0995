"""Sum the use behind a plan by assignment and operation, in columns.

A tenant has millions of such rows, and each takes a kilobyte as an object.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.needs.drafts import Key

Used = Mapping[tuple[str, str], Mapping[str, Any]]
"""By (plane, folded operation), its use in the form of a role's evidence."""

KEY = ("role_assignment_id", "state")
_ORDER = "order"
_AT_ONCE = 20_000
"""Number of proposals whose rows are made at a time: their lists are copied several times meanwhile."""
_NAMED = 20
"""Maximum number of principals, assignments or scopes named one by one; all are counted."""


def summarise_uses(placed: pl.DataFrame, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each (assignment, state, plane, operation) with its calls, days, principals and scopes.

    The rows are sorted by the holder of the assignment, like proposals.

    `days` is at most the number of days from the first to the last call. Below this bound, a day may count twice if an
    operation is used at several scopes on it.
    """
    span = (pl.col("last_seen").dt.date().max() - pl.col("first_seen").dt.date().min()).dt.total_days() + 1
    return (
        placed.group_by("role_assignment_id", "state", "plane", "name")
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
        .sort(_ORDER, "role_assignment_id", "state", "plane", "name")
        .drop(_ORDER)
    )


@dataclass(frozen=True, slots=True)
class UseRows:
    """The rows of `summarise_uses`, indexed by assignment.

    Attributes:
        frame: The rows, by assignment.
        spans: For each assignment, its first row and its number of rows.
        as_of: The first day after the window, if the rows have `days_ago`: the number of days from the last call to
            that day. None for rows without that column.
    """

    frame: pl.DataFrame
    spans: Mapping[Key, tuple[int, int]]
    as_of: dt.date | None = None

    @classmethod
    def of(cls, placed: pl.DataFrame, assignments: pl.DataFrame, as_of: dt.date | None = None) -> UseRows:
        """Return the summed uses of `assignments.place_uses` for the given assignments."""
        frame = summarise_uses(placed, assignments)
        spans = frame.with_row_index("row").group_by(KEY).agg(pl.col("row").min(), number=pl.len())
        return cls(frame, {(id_, state): (row, number) for id_, state, row, number in spans.iter_rows()}, as_of)

    def number_of(self, key: Key) -> int:
        """Return the number of rows of an assignment."""
        return self.spans.get(key, (0, 0))[1]

    def _ago(self) -> pl.Expr:
        """Return the expression for the days from the last call to `as_of`; null if `as_of` is None."""
        if self.as_of is None:
            return pl.lit(None)
        return (pl.lit(self.as_of) - pl.col("last_seen").dt.date()).dt.total_days()

    def bits(
        self, index: OperationIndex, among: Iterable[Key] | None = None, most_days: int | None = None
    ) -> dict[Key, int]:
        """Return the catalogue operations that were used under each assignment.

        Args:
            index: The operations.
            among: The assignments; None for all.
            most_days: Maximum number of days with use of an operation; None for any number.
        """
        rows = self.frame.filter(pl.col("bit").is_not_null())
        if among is not None:
            rows = rows.join(
                pl.DataFrame(sorted(among), schema=dict.fromkeys(KEY, pl.String), orient="row"), on=KEY, how="semi"
            )
        if most_days is not None:
            rows = rows.filter(pl.col("days") <= most_days)
        found = rows.group_by(KEY).agg("bit")
        return {(id_, state): index.mask_of_bits(bits) for id_, state, bits in found.iter_rows()}

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
                "role",
                "plane",
                "name",
                "events",
                "days",
                "first_seen",
                "last_seen",
                principals=pl.col("people").list.len(),
                principal_ids=pl.col("people").list.head(_NAMED),
                role_assignments=pl.col("assignments").list.len(),
                role_assignment_ids=pl.col("assignments").list.head(_NAMED),
            )
            .with_columns([] if self.as_of is None else [self._ago().alias("days_ago")])
            .collect()
        )
        by_role: dict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        for row in found.iter_rows(named=True):
            by_role[row.pop("role")][row.pop("plane"), row.pop("name")] = row
        return by_role
