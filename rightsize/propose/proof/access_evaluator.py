"""Evaluate in bulk, as columns, which calls a set of assignments allows, for the proof and the replay.

This module shares nothing with the stages that make a plan. It matches the strings of the roles exactly as they will
be written. Today's assignments are read by `MOST`, the most that Azure may mean (`rbac.permissions`). The assignments
after a plan have to allow a use by every reading, or by each reading by which today's assignments do: `kept` checks
that. Deny assignments are left out, since a plan changes none; the caller removes the uses that they refuse today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.columns import ScopeTree, containing
from rightsize.analyze.verdicts.usage import REQUESTS_SCHEMA, attributes_of
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.read_patterns import strings_of
from rightsize.rbac.algebra import grants, grants_alike
from rightsize.rbac.conditions import truth_of
from rightsize.rbac.permissions import Reading
from rightsize.rbac.text import Folded

Blocks = tuple[PermissionBlock, ...]

AT_ONCE = 25_000
"""The number of uses in one part: each joins every assignment of its holders, which takes gigabytes for millions."""

GRANTS_SCHEMA = {
    "holder": pl.String(),
    "place": pl.String(),
    "role": pl.String(),
    "label": pl.String(),
    "condition": pl.String(),
    "last": pl.String(),
}
"""The columns of an assignment for the evaluator: folded holder and scope, key of the role, label of the caller.

`last` is its end as `core.expiry.last_of` orders it.

`condition` is given only where the assignment that allowed the use did not have it: then each use has to be known to
meet it. A condition that is carried over from today is left out, since every allowed use has met it.
"""


ANSWER = ("use", "label", "last")
"""The columns of an answer."""

_GRANTING = (*ANSWER, "role", "plane", "operation", "certain")


@dataclass(slots=True)
class Evaluator:
    """An evaluator of access for sets of calls; it remembers which role grants which operation.

    Attributes:
        roles: Permission blocks by the key of a role.
        tree: Management groups and subscriptions.
        requests: The requests of calls that assign roles, as `usage.read_role_requests` returns them.
    """

    roles: Mapping[Folded, Blocks]
    tree: ScopeTree
    requests: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REQUESTS_SCHEMA))
    _literal: dict[Folded, set[tuple[str, Folded]]] = field(default_factory=dict)
    _answers: dict[Reading, dict[tuple[Folded, str, Folded], bool]] = field(
        default_factory=lambda: {reading: {} for reading in Reading}
    )
    _alike: dict[tuple[Folded, Folded, str, Folded], bool] = field(default_factory=dict)

    def allowed(self, uses: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return `(use, label, last)` for each use and each label and end of an assignment that grants it.

        Args:
            uses: Columns `use` (a number), `principal_id` and `holder` (folded), `place` (folded), `plane` and
                `operation` (folded). A use has one row for the principal itself and one for each of its groups.
            assigned: As `GRANTS_SCHEMA`.
        """
        return pl.concat([self._through(part, assigned).select(ANSWER).unique() for part in in_parts(uses)]).unique()

    def allowed_through(self, uses: pl.DataFrame, membership: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return the answer of `allowed` for uses with one row each, by every holder that `with_holders` adds."""
        return pl.concat([self.allowed(with_holders(part, membership), assigned) for part in in_parts(uses)])

    def today(self, uses: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return `(use, until, by)` for the uses that today's assignments allow.

        `until` is the latest end of the assignments that allow the use. `by` is their roles where all of them allow
        the use by one reading only, else null. The arguments are those of `allowed`.
        """
        columns = ("use", "last", "role", "certain")
        rows = pl.concat([self._through(part, assigned).select(columns).unique() for part in in_parts(uses)])
        roles = rows.group_by("use").agg(
            until=pl.col("last").max(), is_certain=pl.col("certain").any(), by=pl.col("role").unique().sort()
        )
        return roles.select("use", "until", by=pl.when(~pl.col("is_certain")).then("by"))

    def kept(self, uses: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return the answer of `allowed` for the assignments that allow a use by every reading.

        Args:
            uses: As for `allowed`, with `by` as `today` gives it. A use with such roles is also allowed by a role that
                allows it by each reading by which they do.
            assigned: As for `allowed`.
        """
        certain, doubtful = [], []
        for part in in_parts(uses):
            found = self._through(part, assigned)
            certain.append(found.filter("certain").select(ANSWER).unique())
            doubtful.append(found.filter(~pl.col("certain")))
        return pl.concat([*certain, self._resting(pl.concat(doubtful), uses)]).unique()

    def kept_through(self, uses: pl.DataFrame, membership: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return the answer of `kept` for uses with one row each, by every holder that `with_holders` adds."""
        return pl.concat([self.kept(with_holders(part, membership), assigned) for part in in_parts(uses)])

    def _resting(self, found: pl.DataFrame, uses: pl.DataFrame) -> pl.DataFrame:
        """Return `ANSWER` for assignments that allow a use by one reading only, the same reading as today's roles."""
        resting = uses.select("use", "by").filter(pl.col("by").is_not_null()).unique("use")
        pairs = found.join(resting.explode("by"), on="use")
        if pairs.is_empty():
            return found.clear().select(ANSWER)
        asked = pairs.select("role", "by", "plane", "operation").unique()
        alike = asked.filter(pl.Series([self._grants_alike(*row) for row in asked.iter_rows()], dtype=pl.Boolean))
        # Any of today's roles may be the one that allows the use, so each needs a role that allows it alike.
        kept = pairs.join(alike, on=asked.columns, how="semi")
        answered = kept.group_by("use").agg(number=pl.col("by").n_unique())
        whole = resting.join(answered, on="use").filter(pl.col("number") == pl.col("by").list.len())
        return kept.join(whole, on="use", how="semi").select(ANSWER)

    def _through(self, uses: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
        """Return `_GRANTING` for each use, and each role, label and end of an assignment that may grant it."""
        assigned = assigned.filter(pl.col("holder").is_in(uses["holder"].unique().implode()))
        reached = containing(uses["place"], assigned["place"], self.tree)
        candidates = (
            uses.lazy()
            .join(assigned.lazy().rename({"place": "assigned"}), on="holder")
            .join(reached.lazy(), on=["place", "assigned"], how="semi")
            .select(*ANSWER, "role", "plane", "operation", "condition")
            .unique()
            .collect()
        )
        asked = candidates.select("role", "plane", "operation").unique()
        rows = asked.rows()
        granted = asked.with_columns(
            pl.Series(reading.value, self._answers_to(rows, reading), dtype=pl.Boolean) for reading in Reading
        )
        granted = granted.filter(Reading.MOST.value).drop(Reading.MOST.value).rename({Reading.LEAST.value: "certain"})
        found = candidates.join(granted, on=["role", "plane", "operation"])
        bound = found.filter(pl.col("condition").is_not_null())
        if bound.height:
            free = found.filter(pl.col("condition").is_null())
            found = pl.concat([free.select(_GRANTING), self._met(bound, uses)])
        return found.select(_GRANTING).unique()

    def _met(self, bound: pl.DataFrame, uses: pl.DataFrame) -> pl.DataFrame:
        """Return `_GRANTING` for the grants whose condition all known requests of the use meet."""
        who = uses.select("use", "principal_id", "place").unique("use")
        asked = bound.join(who, on="use").join(self.requests, on=["principal_id", "operation", "place"], how="left")
        conditions = asked.select("condition", "operation", "role_right", "kind").unique()
        met = pl.Series(
            [
                truth_of(condition, operation, attributes_of(operation, role, kind), reading=Reading.LEAST) is True
                for condition, operation, role, kind in conditions.iter_rows()
            ],
            dtype=pl.Boolean,
        )
        judged = asked.join(
            conditions.with_columns(met=met), on=["condition", "operation", "role_right", "kind"], nulls_equal=True
        )
        whole = judged.group_by(*_GRANTING, "condition").agg(pl.col("met").all())
        return whole.filter("met").select(_GRANTING)

    def grants(self, role: Folded, plane: str, operation: Folded, reading: Reading = Reading.MOST) -> bool:
        """Return whether a role grants an operation by a reading, with or without a condition."""
        return self._answers_to([(role, plane, operation)], reading)[0]

    def _answers_to(self, asked: Sequence[tuple[Folded, str, Folded]], reading: Reading) -> list[bool]:
        """Return for each (role, plane, operation) the answer of `grants`."""
        known = self._answers[reading]
        for role, plane, operation in asked:
            if (role, plane, operation) not in known:
                known[role, plane, operation] = self._is_literal(role, plane, operation) or (
                    grants(self.roles.get(role, ()), operation, plane, reading) != "no"
                )
        return [known[one] for one in asked]

    def granted_for_certain(self) -> dict[tuple[Folded, str], set[Folded]]:
        """Return by role and plane the operations of which it was found that the role grants them by every reading."""
        found: dict[tuple[Folded, str], set[Folded]] = defaultdict(set)
        for role, plane, operation in (key for key, answer in self._answers[Reading.LEAST].items() if answer):
            found[role, plane].add(operation)
        return found

    def granted_alike(self) -> dict[tuple[Folded, Folded, str], set[Folded]]:
        """Return by role, role of today and plane the operations that both were found to grant by the same readings."""
        found: dict[tuple[Folded, Folded, str], set[Folded]] = defaultdict(set)
        for role, by, plane, operation in (key for key, answer in self._alike.items() if answer):
            found[role, by, plane].add(operation)
        return found

    def _grants_alike(self, role: Folded, by: Folded, plane: str, operation: Folded) -> bool:
        key = (role, by, plane, operation)
        if key not in self._alike:
            self._alike[key] = grants_alike(self.roles.get(role, ()), self.roles.get(by, ()), operation, plane)
        return self._alike[key]

    def is_doubtful(self, role: Folded, plane: str, operation: Folded) -> bool:
        """Return whether a role grants an operation by one reading only."""
        most, least = (self.grants(role, plane, operation, reading) for reading in Reading)
        return most and not least

    def _is_literal(self, role: Folded, plane: str, operation: Folded) -> bool:
        """Return whether a block without not-patterns lists the operation in full; this needs no pattern matching."""
        if role not in self._literal:
            self._literal[role] = {
                one.key for block in self.roles.get(role, ()) for one in strings_of(block) if not one.not_patterns
            }
        return (plane, operation) in self._literal[role]


def in_parts(uses: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows in parts of `AT_ONCE` rows, and one empty part where there are no rows."""
    return list(uses.iter_slices(AT_ONCE)) or [uses]


def with_holders(uses: pl.DataFrame, membership: pl.DataFrame) -> pl.DataFrame:
    """Return each use once for every holder through which its principal acts: itself and its groups.

    Args:
        uses: Rows with the column `principal_id`, folded.
        membership: `(principal_id, holder)` of a `Tenant`.
    """
    through = uses.join(membership, on="principal_id", how="inner")
    own = uses.with_columns(holder=pl.col("principal_id"))
    return pl.concat([through, own.select(through.columns)]).unique()
