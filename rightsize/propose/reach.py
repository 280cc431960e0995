"""Who may do what where, for many calls at once: the columnar evaluator behind proof and replay.

It shares nothing with the stages that make a plan: grants are judged string by string on the roles as they will be
written. Denies are left out, since a plan changes none; what they refuse today is taken out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.role_requests import REQUESTS_SCHEMA, attributes_of
from rightsize.analyze.scoping import ScopeTree, containing
from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.algebra import grants
from rightsize.rbac.conditions import truth_of
from rightsize.rbac.text import fold

Blocks = tuple[PermissionBlock, ...]

AT_ONCE = 25_000
"""So many uses are asked at a time: each meets every assignment of its holders, which takes gigabytes for millions."""

GRANTS_SCHEMA = {
    "holder": pl.String(),
    "place": pl.String(),
    "role": pl.String(),
    "label": pl.String(),
    "condition": pl.String(),
    "last": pl.String(),
}
"""An assignment as the evaluator takes it: folded holder and scope, key of the role, and a label of the caller's.

`last` is its end as `ends.last_of` orders it.

A condition stands there only where what the use was allowed under did not have it: then each use has to be known to
meet it. One that goes along from today is left out, since whatever was allowed had met it.
"""


ANSWER = ("use", "label", "last")
"""The columns of what it answers."""


@dataclass(slots=True)
class Evaluator:
    """Answers for sets of calls.

    Attributes:
        roles: Permission blocks by the key of a role.
        tree: Management groups and subscriptions.
        requests: What calls that assign roles asked for, as `role_requests.read_role_requests` returns it.
    """

    roles: Mapping[str, Blocks]
    tree: ScopeTree
    requests: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REQUESTS_SCHEMA))
    _literal: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)
    _answers: dict[tuple[str, str, str], bool] = field(default_factory=dict)

    def allowed(self, uses: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return `(use, label, last)` for each use and each label and end of an assignment that grants it.

        Args:
            uses: Columns `use` (a number), `principal_id` and `holder` (folded), `place` (folded), `plane` and
                `operation` (folded). A principal stands there once for itself and once for each of its groups.
            assigned: As `GRANTS_SCHEMA`.
        """
        return pl.concat([self._allowed(part, assigned) for part in in_parts(uses)]).unique()

    def allowed_through(self, uses: pl.DataFrame, membership: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return what `allowed` does for uses that each stand once, asked of every holder that `with_holders` names."""
        return pl.concat([self._allowed(with_holders(part, membership), assigned) for part in in_parts(uses)])

    def _allowed(self, uses: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        assigned = assigned.filter(pl.col("holder").is_in(uses["holder"].unique().implode()))
        reached = containing(uses["place"], assigned["place"], self.tree)
        candidates = (
            uses.lazy()
            .join(assigned.lazy().rename({"place": "assigned"}), on="holder")
            .join(reached.lazy(), on=["place", "assigned"], how="semi")
            .select("use", "label", "last", "role", "plane", "operation", "condition")
            .unique()
            .collect()
        )
        asked = candidates.select("role", "plane", "operation").unique()
        granted = asked.filter(
            pl.Series(
                [self.grants(role, plane, operation) for role, plane, operation in asked.iter_rows()],
                dtype=pl.Boolean,
            )
        )
        found = candidates.join(granted, on=["role", "plane", "operation"], how="semi")
        bound = found.filter(pl.col("condition").is_not_null())
        if bound.height:
            free = found.filter(pl.col("condition").is_null())
            found = pl.concat([free.select(ANSWER), self._met(bound, uses)])
        return found.select(ANSWER).unique()

    def _met(self, bound: pl.DataFrame, uses: pl.DataFrame) -> pl.DataFrame:
        """Return the same for the grants whose condition everything that is known of the use meets."""
        who = uses.select("use", "principal_id", "place").unique("use")
        asked = bound.join(who, on="use").join(self.requests, on=["principal_id", "operation", "place"], how="left")
        told = asked.select("condition", "operation", "role_right", "kind").unique()
        met = pl.Series(
            [
                truth_of(condition, operation, attributes_of(operation, role, kind)) is True
                for condition, operation, role, kind in told.iter_rows()
            ],
            dtype=pl.Boolean,
        )
        judged = asked.join(
            told.with_columns(met=met), on=["condition", "operation", "role_right", "kind"], nulls_equal=True
        )
        whole = judged.group_by(*ANSWER, "condition", "role").agg(pl.col("met").all())
        return whole.filter("met").select(ANSWER)

    def grants(self, role: str, plane: str, operation: str) -> bool:
        """Return whether a role grants an operation, be it under a condition."""
        key = (role, plane, operation)
        if key not in self._answers:
            self._answers[key] = self._is_literal(role, plane, operation) or (
                grants(self.roles.get(role, ()), operation, plane) != "no"
            )
        return self._answers[key]

    def _is_literal(self, role: str, plane: str, operation: str) -> bool:
        """Return whether a block without not-patterns names the operation in full, which needs no matching."""
        if role not in self._literal:
            self._literal[role] = {
                (name_plane, fold(text)): role
                for block in self.roles.get(role, ())
                for name_plane, texts, taken in (
                    ("control", block.actions, block.not_actions),
                    ("data", block.data_actions, block.not_data_actions),
                )
                if not taken
                for text in texts
            }
        return (plane, operation) in self._literal[role]


def in_parts(uses: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows in parts of `AT_ONCE`, and one empty part where there are none."""
    return list(uses.iter_slices(AT_ONCE)) or [uses]


def with_holders(uses: pl.DataFrame, membership: pl.DataFrame) -> pl.DataFrame:
    """Repeat each use for every holder through which its principal acts.

    Args:
        uses: Has `principal_id`, folded.
        membership: `(principal_id, holder)` of a `Tenant`.
    """
    through = uses.join(membership, on="principal_id", how="inner")
    own = uses.with_columns(holder=pl.col("principal_id"))
    return pl.concat([through, own.select(through.columns)]).unique()
