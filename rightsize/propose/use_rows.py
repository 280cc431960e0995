"""The use behind a plan, summed by assignment and operation: columns, of which single rows become objects when asked.

A tenant has millions of such rows, and each takes a kilobyte as an object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.propose.drafts import Key
from rightsize.propose.operation_sets import OperationIndex

Used = Mapping[tuple[str, str], Mapping[str, Any]]
"""By (plane, folded operation) how it was used, as a role's evidence says it."""

KEY = ("role_assignment_id", "state")
_NAMED = 20
"""How many principals, assignments or scopes are named one by one; the rest is a number."""
_AT_ONCE = 50_000
"""So many rows become objects at a time."""


def summarise_uses(placed: pl.DataFrame) -> pl.DataFrame:
    """Return one row an (assignment, state, plane, operation) with its calls, days, and who made them where.

    `days` cannot exceed the days between first and last call; where one operation is used at several scopes on the
    same day, that day may count twice below this bound.
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
        .sort("role_assignment_id", "state", "plane", "name")
    )


@dataclass(frozen=True, slots=True)
class UseRows:
    """The rows of `summarise_uses`, found by assignment.

    What says the same is one object however often it is said.

    Attributes:
        frame: The rows, by assignment.
        spans: The first row of each assignment, and how many it has.
    """

    frame: pl.DataFrame
    spans: Mapping[Key, tuple[int, int]]
    _shared: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, placed: pl.DataFrame) -> UseRows:
        """Sum the uses of `subjects.place_uses`."""
        frame = summarise_uses(placed)
        spans = frame.with_row_index("row").group_by(KEY).agg(pl.col("row").min(), number=pl.len())
        return cls(frame, {(id_, state): (row, number) for id_, state, row, number in spans.iter_rows()})

    def bits(
        self, index: OperationIndex, among: Iterable[Key] | None = None, most_days: int | None = None
    ) -> dict[Key, int]:
        """Return the operations of the catalogue that were used under each assignment.

        Args:
            index: The operations.
            among: The assignments; None for all.
            most_days: On how many days at most; None for any number.
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

    def walk(self, keys: Iterable[Key], index: OperationIndex) -> Iterator[tuple[Key, list[dict[str, Any]]]]:
        """Yield for each assignment its use as the evidence of a proposal says it.

        Args:
            keys: The assignments, sorted.
            index: The operations.
        """
        begin, told = 0, list[dict[str, Any]]()
        for key in keys:
            row, number = self.spans.get(key, (0, 0))
            if row + number > begin + len(told):
                begin, told = row, self._tell(self.frame.slice(row, max(number, _AT_ONCE)), index)
            yield key, told[row - begin : row - begin + number] if number else []

    def _tell(self, rows: pl.DataFrame, index: OperationIndex) -> list[dict[str, Any]]:
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
        )
        told = []
        for row in columns.iter_rows(named=True):
            bit = row.pop("bit")
            if bit is not None:
                row["operation"] = index.names[bit][1]
            told.append({name: self._once(value) for name, value in row.items()})
        return told

    def _once(self, value: Any) -> Any:
        """Return the one object that says a value; lists become tuples, since several rows have them."""
        whole = tuple(value) if isinstance(value, list) else value
        return self._shared.setdefault(whole, whole)

    def of_roles(self, users: pl.DataFrame, wanted: pl.DataFrame) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
        """Return for each role how what it names was used under the assignments that it replaces in part.

        Args:
            users: `(role, role_assignment_id, state)`, distinct.
            wanted: `(role, plane, name)`, what each role names, folded.
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
            .collect()
        )
        by_role: dict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        for row in found.iter_rows(named=True):
            by_role[row.pop("role")][row.pop("plane"), row.pop("name")] = row
        return by_role
