"""Estimate for each assignment of a plan the chance that what is taken away is needed soon.

The chance has two parts. `risk.break_table` says how often such assignments bring something new, from the days of the
window. `risk.arrivals` adds the chance that a type comes which was absent, where operations on such types are taken
away. Neither covers needs that no log shows (`rules.measured.describe_unlogged`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_

import polars as pl

from rightsize.propose.core.bitsets import bits_of
from rightsize.propose.needs.context import PlanContext
from rightsize.propose.needs.drafts import Draft, Key
from rightsize.propose.needs.parts import as_parts
from rightsize.propose.risk.arrivals import NewTypes, new_types_of
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import HORIZON_DAYS, KEY, read_incidence

_SAFE_KINDS = ("keep", "remove_duplicate", "remove_orphan")


@dataclass(frozen=True, slots=True)
class BreakBounds:
    """The estimates of a plan's assignments by their key, each in two parts.

    Attributes:
        by_logs: What the days of the window say.
        by_arrival: What types that come to a scope add, where operations on absent types are granted.
    """

    by_logs: Mapping[Key, Estimate]
    by_arrival: Mapping[Key, NewTypes]

    def of(self, draft: Draft, context: PlanContext) -> Estimate | None:
        """Return the estimate of a draft; None where it takes away nothing whose use a log or a listing would show."""
        key = draft.subject.key
        found, loss = self.by_logs.get(key), observable_loss(draft, context)
        if found is None or not loss:
            return None
        arrival = self.by_arrival.get(key)
        is_asked = arrival is not None and draft.profile is not None and loss & draft.profile.absent
        return found.with_new_types(arrival) if arrival is not None and is_asked else found


def break_bounds(context: PlanContext, horizon: int = HORIZON_DAYS) -> BreakBounds:
    """Return the estimates of the assignments with operations whose use a log would show.

    Args:
        context: The context of the plan.
        horizon: Days ahead.
    """
    parts = context.parts
    tree = context.analysis.tenant.tree
    stays = [
        (*key, target)
        for key, part in parts.items()
        for target in set(context.uses.get(key, {})) - set(part.outside(context.uses.get(key, {}), tree))
    ]
    of_nodes = pl.DataFrame(stays, schema=dict.fromkeys((*KEY, "target"), pl.String), orient="row")
    placed = context.placed.lazy().filter(~pl.col("earlier")).join(of_nodes.lazy(), on=[*KEY, "target"], how="anti")
    keys = pl.DataFrame(list(parts), schema=dict.fromkeys(KEY, pl.String), orient="row")
    incidence = read_incidence(
        context.inputs, as_parts(context.analysis, keys), placed, _singled(context), lifecycle=context.options.lifecycle
    )
    orphans = pl.DataFrame(sorted(context.findings.orphans), schema=dict.fromkeys(KEY, pl.String), orient="row")
    alive = incidence.join(orphans, on=KEY, how="anti")
    by_logs = estimates_of(alive, context.analysis.window, horizon)
    return BreakBounds(by_logs, new_types_of(context, horizon))


def _singled(context: PlanContext) -> pl.DataFrame:
    """Return the operations that are assigned to single members of a group, as `read_incidence` takes them."""
    split = context.groups.singled if context.options.direct_assignments else {}
    rows = [
        (*key, place, bit)
        for key, places in sorted(split.items())
        for place, members in sorted(places.items())
        for bit in bits_of(reduce(or_, members.values(), 0))
    ]
    schema = {**dict.fromkeys(KEY, pl.String()), "target": pl.String(), "bit": pl.Int64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def observable_loss(draft: Draft, context: PlanContext) -> int:
    """Return the operations that a draft removes at today's scope and whose first use a log or a listing would show.

    The removal of a duplicate or an orphan is no loss. An operation that stays only at narrower scopes is a loss.
    """
    role = context.book.roles.get(draft.subject.role_definition_id)
    if role is None or draft.profile is None or draft.kind in _SAFE_KINDS:
        return 0
    subject = draft.subject
    need = draft.needs.by_scope.get(subject.place) if draft.needs else None
    stays = context.book.mask(need) if need else 0
    if any(one.principal_id != subject.principal_id for one in draft.placements):
        # An operation that single members get is lost for all other members.
        stays &= ~reduce(or_, context.groups.singled.get(subject.key, {}).get(subject.place, {}).values(), 0)
    for placement in draft.placements:
        if placement.place == subject.place and placement.principal_id == subject.principal_id:
            stays |= placement.choice.granted
    return draft.profile.unused & role.granted & ~stays


def keep_risky(drafts: Mapping[Key, Draft], bounds: BreakBounds, context: PlanContext) -> dict[Key, Draft]:
    """Return the drafts, with `keep` for those whose break probability is above `--max-break`."""
    most = context.options.max_break
    if most is None:
        return dict(drafts)
    kept = {}
    for key, draft in drafts.items():
        found = bounds.of(draft, context)
        kept[key] = draft
        if found is not None and found.bound > most:
            kept[key] = draft.kept(
                f"break_risk: within {HORIZON_DAYS} days it may break work with a probability of up to "
                f"{found.bound:.4g}, and `--max-break` allows {most:g}"
            )
    return kept
