"""Replay recorded calls against a plan: every call outside quarantine that today's assignments allow.

Each call is allowed, needs an activation, or is denied. A plan that denies a call is never written. A call did not go
through an assignment that was made after it or had ended before it, so a plan that takes away only such denies nothing.

The `Evaluator` says in bulk, as columns, which calls a set of assignments allows, for the proof and the replay.

It shares nothing with the stages that make a plan. It matches the strings of the roles exactly as they will be written.
Today's assignments are read by `MOST`, the most that Azure may mean (`rbac.permissions`). The assignments after a plan
have to allow a use by every reading, or by each reading by which today's assignments do: `kept` checks that. Deny
assignments are left out, since a plan changes none; the caller removes the uses that they refuse today.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.inputs import Inputs, ScopeTree, containing, folded, place_of
from rightsize.analyze.shared_texts import with_shared_texts
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.usage import REQUESTS_SCHEMA, attributes_of, use_by_day
from rightsize.analyze.window import Window
from rightsize.model.nouns import PermissionBlock
from rightsize.model.progress import through
from rightsize.model.role_forms import permissions_from_json
from rightsize.model.text import Folded, fold
from rightsize.propose.core.role_patterns import strings_of
from rightsize.propose.needs.assignments import ENDS_WITHIN_HOURS, EVER, Subject, last_of
from rightsize.rbac.algebra import grants, grants_alike
from rightsize.rbac.conditions import truth_of
from rightsize.rbac.permissions import Reading

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

`last` is its end as `needs.assignments.last_of` orders it.

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
        # Few scopes lie above a place, and a group may hold thousands of assignments: places come first.
        candidates = (
            uses.lazy()
            .join(reached.lazy(), on="place")
            .join(assigned.lazy().rename({"place": "assigned"}), on=["holder", "assigned"])
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
        return found.select(_GRANTING)

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


_AT_ONCE = 400_000
"""The approximate number of rows of use in one part: to merge equal uses of all days at once takes a gigabyte."""
EVERYBODY = "00000000-0000-0000-0000-000000000000"


GrantRow = tuple[str, str, str, str, str | None, str]
"""A row of `access_evaluator.GRANTS_SCHEMA`."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcome of each distinct use.

    Attributes:
        active: Numbers of the uses that are allowed without an activation.
        waiting: Numbers of the uses that are allowed only after an activation.
        denied: The uses that are denied, as `distinct_uses` returns them, with `until` and `by` of `Evaluator.today`.
    """

    active: pl.Series
    waiting: pl.Series
    denied: pl.DataFrame

    def as_json(self) -> dict[str, int]:
        """Return the number of distinct uses by outcome, as `plan.json` has them."""
        return {"allowed": len(self.active), "denied": len(self.denied), "needs_activation": len(self.waiting)}

    @property
    def first_denied(self) -> str:
        """One denied use in words."""
        row = self.denied.row(0, named=True)
        return f"{row['principal_id']} {row['operation']} at {row['place']}"


def distinct_uses(inputs: Inputs, window: Window, *, since: dt.date | None = None) -> pl.DataFrame:
    """Return the distinct unquarantined uses of the window, numbered.

    Columns: `use, principal_id, operation, place, plane`, and `first_seen` and `last_seen` in UTC. Uses from before the
    day `since` have no times, so they count for assignments that were made after them.
    """
    is_dated = pl.lit(True) if since is None else pl.col("day") >= since
    days = inputs.usage_days
    people = days.select(pl.col("principal_id").unique().drop_nulls()).with_columns(who=folded(pl.col("principal_id")))
    names = people["who"].unique().sort()
    size = max(1, len(names) // (1 + days.height // _AT_ONCE))
    parts = []
    for first in range(0, max(1, len(names)), size):
        those = people.filter(pl.col("who").is_in(names.slice(first, size).implode()))["principal_id"]
        part = days.filter(pl.col("principal_id").is_in(those.implode()))
        parts.append(
            use_by_day(replace(inputs, usage_days=part), window)
            .filter(pl.col("clean") > 0)
            .group_by("principal_id", "place", "plane", operation="name")
            .agg(pl.col("first_seen").filter(is_dated).min(), pl.col("last_seen").filter(is_dated).max())
            .sort("principal_id", "plane", "operation", "place")
            .collect()
        )
    return with_shared_texts(pl.concat(parts)).with_row_index("use")


def grants_of(rows: Iterable[GrantRow]) -> pl.DataFrame:
    """Return rows as `access_evaluator.GRANTS_SCHEMA`."""
    return pl.DataFrame(list(rows), schema=GRANTS_SCHEMA, orient="row")


def row_today(subject: Subject, label: str, activated: Set[Folded] = frozenset()) -> GrantRow:
    """Return an assignment of today as a row of `GRANTS_SCHEMA`; `activated` are the ids of running activations."""
    last = ENDS_WITHIN_HOURS if subject.role_assignment_id in activated else last_of(subject.end_on)
    return subject.principal_id, subject.place, subject.role_definition_id, label, None, last


def replay(
    uses: pl.DataFrame, today: pl.DataFrame, after: pl.DataFrame, evaluator: Evaluator, tenant: Tenant, inputs: Inputs
) -> Outcomes:
    """Return the outcome of each distinct use that is allowed today under a plan.

    A use has its outcome whatever the others are, so they are answered in parts: only their numbers are kept of all.

    Args:
        uses: As `distinct_uses` returns them.
        today: Today's assignments, as `access_evaluator.GRANTS_SCHEMA`; the label is the state.
        after: The assignments that the plan leaves and makes, in the same form.
        evaluator: An evaluator that knows every role of both.
        tenant: The memberships and the tree of scopes.
        inputs: The deny assignments.
    """
    found = []
    for part in through(in_parts(uses), "replaying the calls", "parts"):
        holders = with_holders(part.select("principal_id").unique(), tenant.may_reach)["holder"].unique()
        of_these = pl.col("holder").is_in(holders.implode())
        asked = asked_uses(part, today.filter(of_these), evaluator, tenant, inputs)
        found.append(answer_uses(asked, after.filter(of_these), evaluator, tenant))
    active, waiting = (pl.concat([getattr(one, name) for one in found]) for name in ("active", "waiting"))
    denied = pl.concat([one.denied for one in found])
    if denied.is_empty():
        return Outcomes(active, waiting, denied)
    out_of_time = _out_of_time(denied, evaluator, tenant, inputs)
    return Outcomes(active, waiting, denied.filter(~pl.col("use").is_in(out_of_time.implode())))


def _out_of_time(denied: pl.DataFrame, evaluator: Evaluator, tenant: Tenant, inputs: Inputs) -> pl.Series:
    """Return the uses for which every assignment that allows them today was made after them, or ended before them."""
    listed = inputs.role_assignments.with_row_index("label").with_columns(pl.col("label").cast(pl.String))
    assigned = listed.select(
        "label",
        holder=folded(pl.col("principal_id")),
        place=place_of(pl.col("scope")),
        role=folded(pl.col("role_definition_id")),
        condition=pl.lit(None, dtype=pl.String),
        last=pl.lit(EVER),
    ).select(*GRANTS_SCHEMA)
    found = evaluator.allowed_through(denied, tenant.may_reach, assigned).select("use", "label").unique()
    dated = found.join(denied, on="use").join(listed.select("label", "created_on", "end_on"), on="label")
    late = (pl.col("created_on") > pl.col("last_seen")).fill_null(False)
    over = (pl.col("end_on") < pl.col("first_seen")).fill_null(False)
    return dated.group_by("use").agg(misses=(late | over).all()).filter("misses")["use"]


def asked_uses(
    uses: pl.DataFrame, today: pl.DataFrame, evaluator: Evaluator, tenant: Tenant, inputs: Inputs
) -> pl.DataFrame:
    """Return the uses that a plan has to go on allowing: today's assignments allow them and no deny refuses them.

    The columns `until` and `by` are those of `Evaluator.today`.
    """
    allowed, refusals = [], []
    for part in in_parts(uses):
        spread = with_holders(part, tenant.may_reach)
        allowed.append(evaluator.today(spread, today))
        refusals.append(_refused(spread, inputs, tenant))
    before = pl.concat(allowed)
    refused = pl.concat(refusals)
    return uses.join(before, on="use", maintain_order="left").filter(~pl.col("use").is_in(refused.implode()))


def answer_uses(asked: pl.DataFrame, after: pl.DataFrame, evaluator: Evaluator, tenant: Tenant) -> Outcomes:
    """Return the outcome of each use in `asked` under the assignments of `after`."""
    found = evaluator.kept_through(asked, tenant.membership, after)
    # For everybody else it has the same answers as the first.
    woken_by = asked.join(tenant.sleeping, on="principal_id", how="semi")
    woken = evaluator.kept_through(woken_by, tenant.sleeping, after)
    active = found.filter(pl.col("label") != "eligible")["use"].unique()
    eligible = pl.concat([found.filter(pl.col("label") == "eligible")["use"], woken["use"]]).unique()
    waiting = eligible.filter(~eligible.is_in(active.implode()))
    # A use that is allowed today until some day has to stay allowed until that day.
    lasting = pl.concat([found, woken]).group_by("use").agg(pl.col("last").max())
    kept = asked.join(lasting, on="use").filter(pl.col("last") >= pl.col("until"))["use"]
    denied = asked.filter(~pl.col("use").is_in(kept.implode())).sort("use")
    return Outcomes(active, waiting, denied)


def _refused(spread: pl.DataFrame, inputs: Inputs, tenant: Tenant) -> pl.Series:
    """Return the uses that a deny assignment without a condition refuses today."""
    found = [pl.Series("use", [], dtype=spread.schema["use"])]
    for row in inputs.deny_assignments.sort("deny_assignment_id").iter_rows(named=True):
        if row["condition"]:
            continue
        denied = {fold(name) for name in row["principal_ids"] or ()}
        spared = {fold(name) for name in row["exclude_principal_ids"] or ()}
        spared_uses = spread.filter(pl.col("holder").is_in(spared))["use"]
        concerned = spread.filter(
            (pl.lit(EVERYBODY in denied) | pl.col("holder").is_in(denied)) & ~pl.col("use").is_in(spared_uses.implode())
        )
        place = place_of(pl.Series("place", [row["scope"]], dtype=pl.String))
        if row["does_not_apply_to_child_scopes"]:
            concerned = concerned.filter(pl.col("place") == place.item())
        else:
            concerned = concerned.join(containing(concerned["place"], place, tenant.tree), on="place", how="semi")
        asked = concerned.select("plane", "operation").unique()
        blocks = permissions_from_json(row["permissions"])
        denies = asked.filter(
            # Denies are read strictly: a use is left out only if a deny refuses it by every reading.
            pl.Series(
                [grants(blocks, name, plane, Reading.LEAST) == "yes" for plane, name in asked.iter_rows()],
                dtype=pl.Boolean,
            )
        )
        found.append(concerned.join(denies, on=["plane", "operation"], how="semi")["use"])
    return pl.concat(found).unique()
