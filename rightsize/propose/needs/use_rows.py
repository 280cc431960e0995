"""Sum the use behind a plan by assignment and operation in columns, and make row objects only on request.

A tenant has millions of such rows, and each takes a kilobyte as an object.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import polars as pl

from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.needs.drafts import Key

Used = Mapping[tuple[str, str], Mapping[str, Any]]
"""By (plane, folded operation), its use in the form of a role's evidence."""

KEY = ("role_assignment_id", "state")
_ORDER = "order"
_NAMED = 20
"""Maximum number of principals, assignments or scopes named one by one; all are counted."""
_AT_ONCE = 50_000
"""Number of rows that become objects at a time."""


def summarise_uses(placed: pl.DataFrame, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each (assignment, state, plane, operation) with its calls, days, principals and scopes.

    The rows are sorted by the holder of the assignment, like proposals, so that writing proposals reads rows in order.

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


@dataclass(slots=True)
class _Page:
    """The rows that became objects last, kept because rows are read in order."""

    number: int = -1
    rows: list[dict[str, Any]] = field(default_factory=list)


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
    _page: _Page = field(default_factory=_Page)

    @classmethod
    def of(cls, placed: pl.DataFrame, assignments: pl.DataFrame, as_of: dt.date | None = None) -> UseRows:
        """Return the summed uses of `assignments.place_uses` for the given assignments."""
        frame = summarise_uses(placed, assignments)
        spans = frame.with_row_index("row").group_by(KEY).agg(pl.col("row").min(), number=pl.len())
        return cls(frame, {(id_, state): (row, number) for id_, state, row, number in spans.iter_rows()}, as_of)

    def _ago(self) -> list[pl.Expr]:
        """Return the expression for the column `days_ago`, or no expression if `as_of` is None."""
        if self.as_of is None:
            return []
        return [(pl.lit(self.as_of) - pl.col("last_seen").dt.date()).dt.total_days().alias("days_ago")]

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

    def records_at(self, row: int, number: int, index: OperationIndex) -> list[dict[str, Any]]:
        """Return `number` rows from `row` on in the form of a proposal's evidence."""
        page, begin = divmod(row, _AT_ONCE)
        if begin + number > _AT_ONCE:
            return self._records_of(self.frame.slice(row, number), index)
        if self._page.number != page:
            self._page.number, self._page.rows = (
                page,
                self._records_of(self.frame.slice(page * _AT_ONCE, _AT_ONCE), index),
            )
        return self._page.rows[begin : begin + number]

    def _records_of(self, rows: pl.DataFrame, index: OperationIndex) -> list[dict[str, Any]]:
        columns = rows.select(
            "bit",
            "operation",
            "plane",
            "events",
            "days",
            "first_seen",
            "last_seen",
            attributed_by="attributed",
            principals=pl.col("principals").list.len(),
            principal_ids=pl.col("principals").list.head(_NAMED),
            scopes=pl.col("scopes").list.len(),
            scope_ids=pl.col("scopes").list.head(_NAMED),
        ).with_columns(self._ago())
        records = list(columns.iter_rows(named=True))
        for row in records:
            bit = row.pop("bit")
            if bit is not None:
                row["operation"] = index.names[bit][1]
        return records

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
            .with_columns(self._ago())
            .collect()
        )
        by_role: dict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        for row in found.iter_rows(named=True):
            by_role[row.pop("role")][row.pop("plane"), row.pop("name")] = row
        return by_role


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Uses(Sequence[Mapping[str, Any]]):
    """The use under one assignment in the form of a proposal's evidence, as a lazy sequence.

    It holds only a reference to the rows: as objects, the use of a large tenant takes more memory than all else of a
    plan.

    Attributes:
        rows: The rows of all use.
        key: The assignment.
        operations: The operations.
    """

    rows: UseRows
    key: Key
    operations: OperationIndex

    def __len__(self) -> int:
        return self.rows.spans.get(self.key, (0, 0))[1]

    @overload
    def __getitem__(self, position: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, position: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, position: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        return self._records()[position]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._records())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(self._records())

    __hash__ = None  # type: ignore[assignment]

    def _records(self) -> list[dict[str, Any]]:
        row, number = self.rows.spans.get(self.key, (0, 0))
        return self.rows.records_at(row, number, self.operations) if number else []
