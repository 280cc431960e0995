"""Estimate for each assignment of a plan the chance that what is taken away is needed soon.

The chance has two parts. `risk.calibration` says how often such assignments bring something new, from the days of the
window. `risk.estimate` adds the chance that a type comes which was absent, where operations on such types are taken
away. Neither covers needs that no log shows (`rules.prices.describe_unlogged`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.mining.bitsets import bits_of, union
from rightsize.model.plan import REMOVE
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.drafts.reading import TenantReading
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.holders import Singled
from rightsize.propose.needs.profiles import Part, as_parts
from rightsize.propose.risk.estimate import Estimate, NewTypes, estimates_of, new_types_of, unlogged_estimate
from rightsize.propose.risk.incidence import HORIZON_DAYS, KEY, read_incidence


@dataclass(frozen=True, slots=True)
class BreakBounds:
    """The estimates of a plan's assignments by their key, each in two parts.

    Attributes:
        by_logs: What the days of the window say.
        by_arrival: What types that come to a scope add, where operations on absent types are granted.
        singled: By assignment and scope, the operations that single members of a group get instead of the group.
    """

    by_logs: Mapping[Key, Estimate]
    by_arrival: Mapping[Key, NewTypes]
    book: RoleBook
    singled: Singled

    def of(self, draft: Draft) -> Estimate | None:
        """Return the estimate of a draft; None where a part goes of which no log or listing would show a use.

        Of a whole assignment whose use none would show, the measured chance of such needs is returned.
        """
        key = draft.subject.key
        found, loss = self.by_logs.get(key), self._observable_loss(draft)
        if not loss and self._goes_unseen(draft):
            return unlogged_estimate()
        if found is None or not loss:
            return None
        arrival = self.by_arrival.get(key)
        is_asked = arrival is not None and draft.profile is not None and loss & draft.profile.absent
        return found.with_new_types(arrival) if arrival is not None and is_asked else found

    def _goes_unseen(self, draft: Draft) -> bool:
        """Return whether a draft removes an assignment, and operations of it that nothing proves unused."""
        role, profile = self.book.roles.get(draft.subject.role_definition_id), draft.profile
        if draft.kind != REMOVE or role is None or profile is None or draft.rests_on or draft.together_with:
            return False
        return bool(role.granted & (profile.reads | profile.linked | profile.hidden))

    def _observable_loss(self, draft: Draft) -> int:
        """Return the operations that a draft removes at today's scope, whose first use a log or a listing would show.

        The removal of a duplicate or an orphan is no loss. An operation that stays only at narrower scopes is a loss.
        """
        subject = draft.subject
        role = self.book.roles.get(subject.role_definition_id)
        if role is None or draft.profile is None or not draft.kind.may_break:
            return 0
        need = draft.needs.by_scope.get(subject.place) if draft.needs else None
        stays = self.book.mask(need) if need else 0
        if any(one.principal_id != subject.principal_id for one in draft.placements):
            # An operation that single members get is lost for all other members.
            stays &= ~union(self.singled.get(subject.key, {}).get(subject.place, {}).values())
        at_today = (subject.place, subject.principal_id)
        stays |= union(one.choice.granted for one in draft.placements if (one.place, one.principal_id) == at_today)
        return draft.profile.unused & role.granted & ~stays


def break_bounds(
    reading: TenantReading, parts: Mapping[Key, Part], singled: Singled, horizon: int = HORIZON_DAYS
) -> BreakBounds:
    """Return the estimates of the assignments with operations whose use a log would show.

    Args:
        reading: The tenant, with its single uses.
        parts: The assignments that are decided in parts.
        singled: As in `BreakBounds`.
        horizon: Days ahead.
    """
    analysis, uses = reading.analysis, reading.use.placed
    stays = [(*key, target) for key, part in parts.items() for target in part.inside]
    of_nodes = pl.DataFrame(stays, schema=dict.fromkeys((*KEY, "target"), pl.String), orient="row")
    placed = uses.lazy().filter(~pl.col("earlier")).join(of_nodes.lazy(), on=[*KEY, "target"], how="anti")
    incidence = read_incidence(reading.inputs, as_parts(analysis, _keys(parts)), placed, _singled(singled))
    alive = incidence.join(_keys(sorted(reading.today.orphans)), on=KEY, how="anti")
    by_logs = estimates_of(alive, analysis.window, horizon)
    return BreakBounds(by_logs, new_types_of(analysis, uses, horizon), reading.today.book, singled)


def _keys(keys: Iterable[Key]) -> pl.DataFrame:
    return pl.DataFrame(list(keys), schema=dict.fromkeys(KEY, pl.String), orient="row")


def _singled(singled: Singled) -> pl.DataFrame:
    """Return the operations that are assigned to single members of a group, as `read_incidence` takes them."""
    rows = [
        (*key, place, bit)
        for key, places in sorted(singled.items())
        for place, members in sorted(places.items())
        for bit in bits_of(union(members.values()))
    ]
    schema = {**dict.fromkeys(KEY, pl.String()), "target": pl.String(), "bit": pl.Int64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def keep_risky(drafts: Mapping[Key, Draft], bounds: BreakBounds, most: float | None) -> dict[Key, Draft]:
    """Return the drafts, with `keep` for those whose break probability is above `--max-break`; None keeps none."""
    kept = dict(drafts)
    for key, draft in drafts.items() if most is not None else ():
        found = bounds.of(draft)
        if found is not None and found.exceeds(most):
            kept[key] = draft.kept(
                f"break_risk: within {HORIZON_DAYS} days it may break work with a probability of up to "
                f"{found.bound:.4g}, and `--max-break` allows {most:g}"
            )
    return kept
