"""Read today's assignments, their end times, and the use under each of them from the columns of an analysis.

The use is summed in columns: a tenant has millions of such rows, and each takes a kilobyte as an object.

A replacement ends exactly when the replaced assignment ends.

An end is a text in UTC to the second (`2026-12-31T00:00:00Z`), or None for an assignment without an end. Such texts
sort like times.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, containing, folded, place_of
from rightsize.analyze.reasons import OutOfCoverage, Verdict
from rightsize.analyze.shared_texts import with_shared_texts
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.coverage import covered_subscriptions
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.mining.bitsets import mask_of
from rightsize.model.nouns import AssignmentState
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import FoldedKey, Interner, OperationIndex, OperationKey
from rightsize.propose.core.scopes import Lifetimes, anchor_of, place, read_lifetimes

EVER = "9999-12-31T23:59:59Z"
"""Represents "no end" when ends are sorted."""

ENDS_WITHIN_HOURS = ""
"""Represents the end of an activation: it is over within hours, so it does not limit access that lasts longer."""


def end_text(column: str) -> pl.Expr:
    """Return a time column as an end, rounded down to the second; null stays null."""
    return pl.col(column).dt.to_string("%Y-%m-%dT%H:%M:%SZ")


def describe_end(end: str | None) -> str:
    """Return the clause about an end for a reason; empty if there is no end."""
    return f"; it ends like today's assignment, on {end}" if end else ""


def last_of(end: str | None) -> str:
    """Return an end in a form that sorts; None becomes `EVER`."""
    return EVER if end is None else end


def lasts_as_long(one: str | None, other: str | None) -> bool:
    """Return whether access with the first end lasts at least as long as access with the other end."""
    return last_of(one) >= last_of(other)


Key = tuple[Folded, str]
"""(role_assignment_id, state); the store folds ids."""
KEY = ("role_assignment_id", "state")
"""The columns of a `Key`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One assignment of today; `place` is its folded scope, `anchor` the folded subscription or management group.

    `scope` has the spelling of the source, for what is written.
    `end_on` is its end as a text (see `end_text`), or None; `condition` is the condition of the assignment, or None.
    """

    role_assignment_id: Folded
    state: AssignmentState
    principal_id: Folded
    role_definition_id: Folded
    scope: str
    place: Folded
    anchor: Folded
    condition: str | None = None
    end_on: str | None = None

    @property
    def key(self) -> Key:
        """The key of the assignment: its id and state."""
        return self.role_assignment_id, self.state


@dataclass(frozen=True, slots=True)
class Use:
    """The use at one target scope: catalogue operations, and (plane, operation) that the catalogue lacks.

    `earlier` is the part of the operations that the window does not show there: they were used before it, or they are
    declared. `declared` is the part of them that nobody used there at all.
    """

    operations: int = 0
    unknown: tuple[OperationKey, ...] = ()
    earlier: int = 0
    declared: int = 0

    @property
    def unlisted(self) -> frozenset[FoldedKey]:
        """The names of `unknown`, folded."""
        return frozenset((plane, fold(operation)) for plane, operation in self.unknown)


def masks_of(rows: pl.DataFrame, *by: str) -> Iterator[tuple[Any, ...]]:
    """Yield for each group of rows, sorted, the values of its columns `by`, and its column `bit` as a set."""
    sets = Interner()
    for *values, bits in rows.group_by(by).agg(pl.col("bit").unique()).sort(by).iter_rows():
        yield *values, sets[mask_of(bits)]


def read_subjects(inputs: Inputs) -> list[Subject]:
    """Return all of today's assignments, sorted by id and state."""
    rows = inputs.role_assignments.select(
        *KEY,
        folded(pl.col("principal_id")),
        role_definition_id=folded(pl.col("role_definition_id")),
        scope="scope",
        place=place_of(pl.col("scope")),
        anchor=anchor_of(pl.col("scope")),
        condition=pl.when(pl.col("condition").fill_null("") != "").then("condition"),
        end_on=end_text("end_on"),
    )
    return [Subject(*row) for row in rows.sort(KEY).iter_rows()]


def place_uses(inputs: Inputs, analysis: Analysis, lifetimes: Lifetimes, index: OperationIndex) -> pl.DataFrame:
    """Return the used verdicts with `name` (folded), `bit` (null if no catalogue and no role has it) and `place`.

    `target` is the folded scope at which the use has to be granted, and `wider` the reason why it is not narrower.
    `inside` is true if the target is known to be at or below the scope of the assignment. `earlier` marks use from
    before the window that still counts, and what is `declared`: its target is never a single resource, since the log of
    the days between may not show that the resource was deleted and created again.
    """
    unsure = replace(lifetimes, lasting=lifetimes.lasting.clear())
    used = _with_scopes(analysis.verdicts.filter(pl.col("verdict") == Verdict.USED), inputs)
    placed = pl.concat(
        [
            place(used, lifetimes).with_columns(earlier=pl.lit(False)),
            place(_with_scopes(analysis.earlier, inputs), unsure).with_columns(earlier=pl.lit(True)),
        ]
    )
    placed = placed.with_columns(declared=pl.col("reason") == OutOfCoverage.DECLARED.value)
    listed = placed.join(index.frame(), on=["plane", "name"], how="left")
    # Folding makes a text a row, and many rows have equal ones: most of what a plan would hold from here on.
    return with_shared_texts(_with_inside(listed, analysis.tenant).drop("assigned_at", "assigned"))


def read_bits(inputs: Inputs, analysis: Analysis, index: OperationIndex) -> pl.DataFrame:
    """Return `(role_assignment_id, state, principal_id, place, bit)` of all use that `place_uses` places, unplaced."""
    columns = (*KEY, "principal_id", "plane", "operation", "scope")
    used = analysis.verdicts.filter(pl.col("verdict") == Verdict.USED)
    rows = pl.concat([used.select(columns), analysis.earlier.select(columns)])
    named = rows.join(inputs.role_assignments, on=KEY, how="semi").with_columns(name=folded(pl.col("operation")))
    listed = named.join(index.frame(), on=["plane", "name"])
    return listed.select(*KEY, "principal_id", "bit", place=place_of(pl.col("scope")))


def read_quarantined(
    inputs: Inputs, analysis: Analysis, lifetimes: Lifetimes, index: OperationIndex
) -> dict[Key, dict[Folded, int]]:
    """Return what calls in quarantine used under each assignment, by the folded scope at which it would be granted.

    A scope that is not known to be below the one of the assignment counts as the latter.
    """
    if analysis.quarantined.is_empty():
        return {}
    placed = place(_with_scopes(analysis.quarantined, inputs), lifetimes)
    rows = _with_inside(placed.join(index.frame(), on=["plane", "name"]), analysis.tenant).with_columns(
        at=pl.when("inside").then("target").otherwise("assigned")
    )
    found: dict[Key, dict[Folded, int]] = {}
    for id_, state, at, mask in masks_of(rows, *KEY, "at"):
        found.setdefault((id_, state), {})[at] = mask
    return found


def lifetimes_of(inputs: Inputs, analysis: Analysis) -> Lifetimes:
    """Return the lifetimes of resources and groups in the window of an analysis."""
    covered = covered_subscriptions(inputs, analysis.window, analysis.tenant)
    return read_lifetimes(inputs.usage_days, analysis.window, covered)


def _with_inside(placed: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Add `inside`: whether the target is known to be at or below the scope of the assignment."""
    reached = containing(placed["target"], placed["assigned"], tenant.tree).with_columns(inside=pl.lit(True))
    return placed.join(
        reached, left_on=["target", "assigned"], right_on=["place", "assigned"], how="left"
    ).with_columns(pl.col("inside").fill_null(False))


def _with_scopes(rows: pl.DataFrame, inputs: Inputs) -> pl.DataFrame:
    """Return rows of use with `name`, `place`, and the scope of their assignment, as spelled and folded."""
    held = inputs.role_assignments.select(*KEY, assigned_at="scope")
    return rows.join(held, on=KEY).with_columns(
        name=folded(pl.col("operation")), place=place_of(pl.col("scope")), assigned=place_of(pl.col("assigned_at"))
    )


def read_uses(placed: pl.DataFrame) -> dict[Key, dict[Folded, Use]]:
    """Return the use under each assignment, by the folded scope at which it has to be granted."""
    grouped = (
        placed.group_by(*KEY, "target")
        .agg(
            bits=pl.col("bit").drop_nulls().unique(),
            seen=pl.col("bit").filter(~pl.col("earlier")).drop_nulls().unique(),
            used=pl.col("bit").filter(~pl.col("declared")).drop_nulls().unique(),
            unknown=pl.struct("plane", "operation").filter(pl.col("bit").is_null()).unique().sort(),
        )
        .sort(*KEY, "target")
    )
    uses: dict[Key, dict[Folded, Use]] = {}
    # A tenant has millions of used scopes, few sets of operations that are used at one, and one text for each scope.
    alike: dict[Use, Use] = {}
    places: dict[Folded, Folded] = {}
    for id_, state, target, bits, seen, used, unknown in grouped.iter_rows():
        operations = mask_of(bits)
        earlier = operations & ~mask_of(seen) if len(seen) < len(bits) else 0
        declared = operations & ~mask_of(used) if len(used) < len(bits) else 0
        named = tuple((one["plane"], one["operation"]) for one in unknown)
        use = Use(operations, named, earlier, declared)
        uses.setdefault((id_, state), {})[places.setdefault(target, target)] = alike.setdefault(use, use)
    return uses


Used = Mapping[FoldedKey, Mapping[str, Any]]
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

    def bits(self, most_days: int | None = None) -> dict[Key, int]:
        """Return the catalogue operations that were used under each assignment, or only on a maximum number of days."""
        rows = self.frame.filter(pl.col("bit").is_not_null())
        if most_days is not None:
            rows = rows.filter(pl.col("days") <= most_days)
        return {(id_, state): mask for id_, state, mask in masks_of(rows, *KEY)}

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

    def of_roles(self, users: pl.DataFrame, wanted: pl.DataFrame) -> dict[str, dict[FoldedKey, dict[str, Any]]]:
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
        by_role: dict[str, dict[FoldedKey, dict[str, Any]]] = defaultdict(dict)
        for row in found.iter_rows(named=True):
            by_role[row.pop("role")][row.pop("plane"), row.pop("name")] = row
        return by_role
