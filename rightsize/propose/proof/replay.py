"""Replay recorded calls against a plan: every call outside quarantine that today's assignments allow.

Each call is allowed, needs an activation, or is denied. A plan that denies a call is never written. A call did not go
through an assignment that was made after it or had ended before it, so a plan that takes away only such denies nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.columns import containing, folded, place_of
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.usage import use_by_day
from rightsize.analyze.window import Window
from rightsize.model.progress import through
from rightsize.model.role_forms import permissions_from_json
from rightsize.propose.core.expiry import AT_ONCE, EVER, last_of
from rightsize.propose.needs.assignments import Subject
from rightsize.propose.proof.access_evaluator import GRANTS_SCHEMA, Evaluator, in_parts, with_holders
from rightsize.rbac.algebra import grants
from rightsize.rbac.permissions import Reading
from rightsize.rbac.text import Folded, fold

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
    return pl.concat(parts).with_row_index("use")


def grants_of(rows: Iterable[GrantRow]) -> pl.DataFrame:
    """Return rows as `access_evaluator.GRANTS_SCHEMA`."""
    return pl.DataFrame(list(rows), schema=GRANTS_SCHEMA, orient="row")


def row_today(subject: Subject, label: str, activated: Set[Folded] = frozenset()) -> GrantRow:
    """Return an assignment of today as a row of `GRANTS_SCHEMA`; `activated` are the ids of running activations."""
    last = AT_ONCE if subject.role_assignment_id in activated else last_of(subject.end_on)
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
