"""Read today's assignments and the use under each of them from the columns of an analysis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.columns import containing, folded, place_of
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.coverage import covered_subscriptions
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.nouns import AssignmentState
from rightsize.propose.core.bitsets import FoldedKey, OperationIndex, OperationKey
from rightsize.propose.core.expiry import end_text
from rightsize.propose.core.resource_lifetimes import Lifetimes, read_lifetimes
from rightsize.propose.core.scopes import anchor_of, place
from rightsize.rbac.text import Folded, fold

Key = tuple[Folded, str]
"""(role_assignment_id, state); the store folds ids."""
KEY = ("role_assignment_id", "state")
"""The columns of a `Key`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One assignment of today; `place` is its folded scope, `anchor` the folded subscription or management group.

    `scope` has the spelling of the source, for what is written.
    `end_on` is its end as a text (see `core.expiry`), or None; `condition` is the condition of the assignment, or None.
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

    `earlier` is the part of the operations that were used there only before the window, and still count.
    """

    operations: int = 0
    unknown: tuple[OperationKey, ...] = ()
    earlier: int = 0

    @property
    def unlisted(self) -> frozenset[FoldedKey]:
        """The names of `unknown`, folded."""
        return frozenset((plane, fold(operation)) for plane, operation in self.unknown)


def masks_of(rows: pl.DataFrame, index: OperationIndex, *by: str) -> Iterator[tuple[Any, ...]]:
    """Yield for each group of rows, sorted, the values of its columns `by`, and its column `bit` as a set."""
    for *values, bits in rows.group_by(by).agg(pl.col("bit").unique()).sort(by).iter_rows():
        yield *values, index.mask_of_bits(bits)


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


def place_uses(inputs: Inputs, analysis: Analysis, tenant: Tenant, index: OperationIndex) -> pl.DataFrame:
    """Return the used verdicts with `name` (folded), `bit` (null if no catalogue and no role has it) and `place`.

    `target` is the folded scope at which the use has to be granted, and `wider` the reason why it is not narrower.
    `inside` is true if the target is known to be at or below the scope of the assignment. `earlier` marks use from
    before the window that still counts: its target is never a single resource, since the log of the days between may
    not show that the resource was deleted and created again.
    """
    lifetimes = _lifetimes(inputs, analysis)
    unsure = replace(lifetimes, lasting=lifetimes.lasting.clear())
    used = _with_scopes(analysis.verdicts.filter(pl.col("verdict") == Verdict.USED), inputs)
    placed = pl.concat(
        [
            place(used, lifetimes).with_columns(earlier=pl.lit(False)),
            place(_with_scopes(analysis.earlier, inputs), unsure).with_columns(earlier=pl.lit(True)),
        ]
    )
    listed = placed.join(index.frame(), on=["plane", "name"], how="left")
    return _with_inside(listed, tenant).drop("assigned_at", "assigned")


def read_quarantined(inputs: Inputs, analysis: Analysis, index: OperationIndex) -> dict[Key, dict[Folded, int]]:
    """Return what calls in quarantine used under each assignment, by the folded scope at which it would be granted.

    A scope that is not known to be below the one of the assignment counts as the latter.
    """
    if analysis.quarantined.is_empty():
        return {}
    placed = place(_with_scopes(analysis.quarantined, inputs), _lifetimes(inputs, analysis))
    rows = _with_inside(placed.join(index.frame(), on=["plane", "name"]), analysis.tenant).with_columns(
        at=pl.when("inside").then("target").otherwise("assigned")
    )
    found: dict[Key, dict[Folded, int]] = {}
    for id_, state, at, mask in masks_of(rows, index, *KEY, "at"):
        found.setdefault((id_, state), {})[at] = mask
    return found


def _lifetimes(inputs: Inputs, analysis: Analysis) -> Lifetimes:
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


def read_uses(placed: pl.DataFrame, index: OperationIndex) -> dict[Key, dict[Folded, Use]]:
    """Return the use under each assignment, by the folded scope at which it has to be granted."""
    grouped = (
        placed.group_by(*KEY, "target")
        .agg(
            bits=pl.col("bit").drop_nulls().unique(),
            seen=pl.col("bit").filter(~pl.col("earlier")).drop_nulls().unique(),
            unknown=pl.struct("plane", "operation").filter(pl.col("bit").is_null()).unique().sort(),
        )
        .sort(*KEY, "target")
    )
    uses: dict[Key, dict[Folded, Use]] = {}
    for id_, state, target, bits, seen, unknown in grouped.iter_rows():
        operations = index.mask_of_bits(bits)
        earlier = operations & ~index.mask_of_bits(seen) if len(seen) < len(bits) else 0
        named = tuple((one["plane"], one["operation"]) for one in unknown)
        uses.setdefault((id_, state), {})[target] = Use(operations, named, earlier)
    return uses
