"""Estimate an upper bound on the probability that removed access is needed soon, from the days of the window.

There are three questions, each with its own samples:

- *used*: will a day of work need an operation that was not seen before? The samples are the days on which the holder
  worked. Operations that were seen in one week only show how often that happens.
- *unused*: will an assignment without use be used after all? Its peers show it: the number of peers that were used
  within a single week is the expected number of first uses. Where the holder itself did nothing in the window
  (*silent*), the samples are all days.
- *seasonal*: the same question as *used*, with cycles as samples, since days without a month end prove nothing here.

A type that was absent may come; `risk.arrivals` adds that chance where operations on such types are taken away.

All three use Turing's estimate for incidences (Good 1953; Chao and Jost 2012), pooled over similar assignments: a
Gamma distribution of the peers' novelties, updated by the assignment's own. The chance of none in the days ahead is
((b + 1) / (b + 1 + r)) ** (a + novelties), with r the days ahead as a share of the sample, a and b the peers'. The
bound takes the peers' mean at its upper 95 % limit; without any novelty among the peers that is the rule of three.

The estimate treats days as random samples, and they are not. So it is checked against the window itself: the forecast
of the first two thirds for the last third, compared with the last third, gives one correction for all peers together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rightsize.analyze.window import Window
from rightsize.propose.core.bitsets import bits_of
from rightsize.propose.needs.context import PlanContext
from rightsize.propose.needs.drafts import Draft, Key
from rightsize.propose.needs.parts import as_parts
from rightsize.propose.risk.arrivals import NewTypes, new_types_of
from rightsize.propose.risk.incidence import KEY, corrected, read_incidence
from rightsize.propose.risk.limits import NORMAL, upper_limit
from rightsize.propose.risk.seasonality import WEEK
from rightsize.rbac.text import fold

HORIZON_DAYS = 30
_ENOUGH = {"used": 5, "seasonal": 5, "unused": 10, "silent": 10}
"""The number of peers that suffices; with fewer, the next wider circle is used: same role, same type, all."""
_CIRCLES: tuple[tuple[str, list[str]], ...] = (
    ("role", ["holder_type", "role"]),
    ("type", ["holder_type"]),
    ("all", []),
)
_SHAPES = (0.1, 1.0)
"""Bounds of the shape of the peers' distribution. The upper one is the exponential distribution: novelties are few and
bounded by the number of days, so a small spread among peers is weak evidence that they are alike."""
_LAST_THIRD = ("foretold_of_peers", "came_of_peers")
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """The probability that access taken from an assignment is needed within the horizon, with its inputs.

    Attributes:
        bound: The upper bound of the probability.
        expected: The probability with the peers' mean instead of its upper limit.
        basis: used, unused, silent (the holder did nothing either) or seasonal.
        unit: The unit of the samples: active_days, days, or cycles.
        samples: The number of samples.
        ahead: The number of further samples that the horizon is expected to hold.
        once: Novelties (an operation at a place) that were seen within one week only.
        twice: Novelties that were seen in two spells with a pause between them.
        new: Weeks, or cycles, with a novelty that was seen in no other one.
        foretold: The forecast of the first two thirds of the window for the last third, for all peers.
        came: The novelties that the last third really had, in the same unit.
        unseen_at_least: Chao's lower bound on the operations that the assignment uses and the window did not show.
        peers: The number of similar assignments that were pooled.
        circle: The circle of these peers: role, type, all or none.
        period: The calendar pattern that the use follows, or None.
        seasonal_operations: The number of novelties that follow the calendar.
        beyond: Whether the horizon holds more samples than the window did; then nothing is known and the bound is 1.
        new_types: The chance that comes from types of which there was no resource; None where none of it is lost.
    """

    bound: float
    expected: float
    basis: str
    unit: str
    samples: int
    ahead: float
    once: int
    twice: int
    new: int
    foretold: float
    came: int
    unseen_at_least: float
    peers: int
    circle: str
    period: str | None
    seasonal_operations: int
    beyond: bool
    new_types: NewTypes | None = None

    def with_new_types(self, found: NewTypes) -> Estimate:
        """Return the estimate with the chance that a new type is needed, taken as independent of the rest."""
        return replace(
            self,
            bound=round(1 - (1 - self.bound) * (1 - found.bound), 4),
            expected=round(1 - (1 - self.expected) * (1 - found.expected), 4),
            new_types=found,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the estimate as values for the evidence of a proposal."""
        said: dict[str, Any] = {
            "basis": self.basis,
            "expected": self.expected,
            "samples": self.samples,
            "unit": self.unit,
            "ahead": self.ahead,
            "once": self.once,
            "twice": self.twice,
            "new": self.new,
            "unseen_at_least": self.unseen_at_least,
            "pooled_from": self.peers,
            "peers": self.circle,
        }
        if self.foretold:
            said["last_third"] = {"foretold": self.foretold, "came": self.came}
        if self.period is not None:
            said["seasonal"] = self.period
        if self.seasonal_operations:
            said["seasonal_operations"] = self.seasonal_operations
        if self.beyond:
            said["beyond_the_sample"] = True
        if self.new_types is not None:
            said["new_types"] = self.new_types.as_json()
        return said


_COLUMNS = tuple(name for name in Estimate.__slots__ if name != "new_types")
"""The attributes of an estimate that are columns of `estimate`."""


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
    placed = context.placed.filter(~pl.col("earlier")).join(of_nodes, on=[*KEY, "target"], how="anti")
    keys = pl.DataFrame(list(parts), schema=dict.fromkeys(KEY, pl.String), orient="row")
    incidence = read_incidence(
        context.inputs, as_parts(context.analysis, keys), placed, _singled(context), lifecycle=context.options.lifecycle
    )
    orphans = pl.DataFrame(sorted(context.findings.orphans), schema=dict.fromkeys(KEY, pl.String), orient="row")
    alive = incidence.join(orphans, on=KEY, how="anti")
    by_logs = estimates_of(alive, context.analysis.window, horizon)
    return BreakBounds(by_logs, new_types_of(context, horizon))


def estimates_of(incidence: pl.DataFrame, window: Window, horizon: int = HORIZON_DAYS) -> dict[Key, Estimate]:
    """Return the estimate of each row of `read_incidence` by its key, for Azure roles or for another plane."""
    rows = estimate(incidence, window, horizon).select(*KEY, *_COLUMNS)
    return {(id_, state): Estimate(*values) for id_, state, *values in rows.iter_rows()}


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
    if any(fold(one.principal_id) != fold(subject.principal_id) for one in draft.placements):
        # An operation that single members get is lost for all other members.
        stays &= ~reduce(or_, context.groups.singled.get(subject.key, {}).get(subject.place, {}).values(), 0)
    for placement in draft.placements:
        if placement.place == subject.place and fold(placement.principal_id) == fold(subject.principal_id):
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


def estimate(incidence: pl.DataFrame, window: Window, horizon: int) -> pl.DataFrame:
    """Return the rows of `read_incidence` with the columns of `Estimate`.

    Args:
        incidence: As `read_incidence` returns it.
        window: The window of the incidence.
        horizon: Days ahead.
    """
    rows = _samples(incidence, window, horizon)
    pooled = pl.concat([_pool_novelties(rows), _pool_first_uses(rows)]).sort(KEY)
    ratio = pl.col("ahead") / pl.col("samples")
    learnt, most_learnt = _learnt()
    bound = pl.max_horizontal(_chance("upper", ratio * most_learnt), _chance("wide", ratio * most_learnt))
    expected = _chance("mean", ratio * learnt)
    # The estimates hold for a horizon up to about the length of the sample (Chao and others 2014).
    beyond = ratio > 1
    return pooled.with_columns(
        bound=pl.when(beyond).then(1.0).otherwise(bound).round(4),
        expected=expected.round(4),
        beyond=beyond,
        ahead=pl.col("ahead").round(1),
        foretold=pl.col("foretold_of_peers").round(1),
        came=pl.col("came_of_peers").cast(pl.Int64),
        unseen_at_least=_unseen().round(1),
        new=pl.when(pl.col("basis") == "seasonal").then("new_cycles").otherwise("new_weeks"),
    )


def _chance(name: str, ratio: pl.Expr) -> pl.Expr:
    """Return the chance of a novelty in further samples; `ratio` is their number as a share of those seen."""
    scale = pl.col(f"{name}_scale") + 1
    return 1 - (scale / (scale + ratio)).pow(pl.col(f"{name}_shape"))


def _learnt() -> tuple[pl.Expr, pl.Expr]:
    """Return two correction factors from the last third of the window: for the estimate, and for the bound.

    The factor is the number of novelties in the last third divided by the forecast, for all peers together, with 1
    added to both. Planned work has fewer novelties than Turing's estimate says, changing work has more. For the bound
    the factor uses the upper 95 % limit of the count; it stays 1 where that limit is above 1 and the ratio is not.
    """
    came, foretold = pl.col("came_of_peers") + 1.0, pl.col("foretold_of_peers") + 1.0
    ratio = came / foretold
    return ratio, pl.max_horizontal(ratio, pl.min_horizontal(upper_limit(came) / foretold, 1.0))


def _samples(incidence: pl.DataFrame, window: Window, horizon: int) -> pl.DataFrame:
    """Return the rows with `basis`, `unit`, `samples`, `ahead`, and the `novelty` count corrected for coverage."""
    active = pl.max_horizontal("active_days", "use_days")
    seasonal = pl.col("period").is_not_null()
    basis = (
        pl.when(seasonal)
        .then(pl.lit("seasonal"))
        .when(pl.col("use_days") > 0)
        .then(pl.lit("used"))
        .when(active > 0)
        .then(pl.lit("unused"))
        .otherwise(pl.lit("silent"))
    )
    units = {"seasonal": "cycles", "used": "active_days", "unused": "active_days", "silent": "days"}
    # Days without a log are no samples.
    covered = window.days - pl.col("missing_days")
    samples = pl.when(seasonal).then("cycles").when(active > 0).then(active).otherwise(covered)
    # A holder that began late in the window is expected to go on as densely. One mean pause is added, since the window
    # may begin within a pause.
    since = (pl.lit(window.last_day) - pl.coalesce("active_since", pl.lit(window.first_day))).dt.total_days() + 1
    span = pl.min_horizontal((since - pl.col("missing_since")) * (1 + 1 / active), covered)
    cycles_ahead = (horizon / pl.col("every")).ceil()
    # The sort fixes the order in which the values of peers are summed, whatever the order of the input rows.
    return incidence.sort(KEY).with_columns(
        basis=basis,
        unit=basis.replace_strict(units, return_dtype=pl.String),
        samples=samples.cast(pl.Int64),
        ahead=pl.when(seasonal).then(cycles_ahead).otherwise(samples * horizon / span),
        # A forecast from days is no forecast of cycles.
        foretold=pl.when(seasonal).then(0.0).otherwise("foretold"),
        came=pl.when(seasonal).then(0).otherwise("came"),
        novelty=pl.when(seasonal)
        .then(pl.col("new_cycles").cast(pl.Float64))
        .otherwise(corrected(active, "once", "twice", "new_weeks")),
    )


def _unseen() -> pl.Expr:
    """Return Chao's lower bound on the used but unseen operations, from those seen once and twice (Chao2)."""
    once, samples = pl.col("once"), pl.col("samples")
    return (samples - 1) / samples * once * (once - 1) / (2 * (pl.col("twice") + 1))


def _pool_novelties(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the used and seasonal rows with the distribution of their peers' novelties, without each row's own."""
    asked = rows.filter(pl.col("basis").is_in(["used", "seasonal"]))
    for circle, keys in _CIRCLES:
        within = ["basis", *keys]
        own = pl.col("novelty")
        asked = asked.with_columns(
            (pl.len().over(within) - 1).cast(pl.Int64).alias(f"peers_{circle}"),
            (own.sum().over(within) - own).alias(f"total_{circle}"),
            ((own * own).sum().over(within) - own * own).alias(f"squares_{circle}"),
            pl.col("foretold").sum().over(within).alias(f"foretold_of_peers_{circle}"),
            pl.col("came").sum().over(within).cast(pl.Float64).alias(f"came_of_peers_{circle}"),
        )
    asked = _narrowest(asked, ("peers", "total", "squares", *_LAST_THIRD), or_none=True)
    mean = pl.max_horizontal(pl.col("total"), 0.0) / pl.col("peers")
    variance = pl.max_horizontal(pl.col("squares") / pl.col("peers") - mean * mean, 0.0)
    shape = pl.when(variance > mean).then(mean * mean / (variance - mean)).otherwise(_SHAPES[1]).clip(*_SHAPES)
    upper = pl.max_horizontal(
        upper_limit(pl.max_horizontal(pl.col("total"), 0.0)) / pl.col("peers"),
        mean + NORMAL * (variance / pl.col("peers")).sqrt(),
    )
    alone = pl.col("circle") == "none"
    # Peers without any novelty do not show how much they differ, and a few kinds of peers show less than it seems. So
    # the bound is also computed for the widest spread that `_SHAPES` allows.
    prior = pl.when(mean > 0).then(shape).otherwise(1.0)
    middle = pl.max_horizontal(pl.col("total"), 0.0) + 0.5
    return asked.with_columns(
        upper_scale=pl.when(alone).then(0.0).otherwise(prior / upper),
        upper_shape=pl.when(alone).then(upper_limit(pl.col("novelty"))).otherwise(prior + pl.col("novelty")),
        wide_scale=pl.when(alone).then(0.0).otherwise(_SHAPES[0] / upper),
        wide_shape=pl.when(alone).then(0.0).otherwise(_SHAPES[0] + pl.col("novelty")),
        mean_scale=pl.when(alone).then(0.0).otherwise(prior * pl.col("peers") / middle),
        mean_shape=pl.when(alone).then(pl.col("novelty") + 0.5).otherwise(prior + pl.col("novelty")),
    ).drop("total", "squares")


def _pool_first_uses(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the unused and silent rows with the rate at which such rows are used for the first time (Robbins 1956).

    In a following window like this one, the expected number of first uses is the number of rows that were used within
    a single week of this window. It is spread over the rows that were not used at all.
    """
    used = pl.col("use_days") > 0
    holder_stirred = pl.max_horizontal("active_span", "use_span") <= WEEK
    stirred = (
        pl.when(used & holder_stirred)
        .then(pl.lit("silent"))
        .when(used & (pl.col("use_span") <= WEEK))
        .then(pl.lit("unused"))
        .otherwise("basis")
    )
    marked = rows.with_columns(like=stirred)
    for circle, keys in _CIRCLES:
        within = ["like", *keys]
        still = pl.col("basis") == pl.col("like")
        marked = marked.with_columns(
            still.sum().over(within).cast(pl.Int64).alias(f"peers_{circle}"),
            (~still).sum().over(within).cast(pl.Float64).alias(f"total_{circle}"),
        )
    asked = _narrowest(marked.filter(pl.col("basis").is_in(["unused", "silent"])), ("peers", "total"), or_none=False)
    return asked.with_columns(
        foretold_of_peers=0.0,
        came_of_peers=0.0,
        upper_scale=0.0,
        upper_shape=upper_limit(pl.col("total")) / pl.col("peers"),
        wide_scale=0.0,
        wide_shape=0.0,
        mean_scale=0.0,
        mean_shape=(pl.col("total") + 0.5) / pl.col("peers"),
        peers=pl.col("peers") - 1,
    ).drop("total", "like")


def _narrowest(rows: pl.DataFrame, measures: tuple[str, ...], *, or_none: bool) -> pl.DataFrame:
    """Return the rows with the measures of the narrowest circle that has enough peers, else the widest, or none."""
    enough = pl.col("basis").replace_strict(_ENOUGH, return_dtype=pl.Int64)
    asked = [circle for circle, _ in _CIRCLES]
    sure = asked if or_none else asked[:-1]
    chosen = pl.coalesce(*(pl.when(pl.col(f"peers_{name}") >= enough).then(pl.lit(name)) for name in sure))
    rows = rows.with_columns(circle=chosen.fill_null("none" if or_none else asked[-1]))
    values = [
        pl.coalesce(*(pl.when(pl.col("circle") == name).then(f"{measure}_{name}") for name in asked), pl.lit(0)).alias(
            measure
        )
        for measure in measures
    ]
    return rows.with_columns(values).drop(f"{measure}_{name}" for measure in measures for name in asked)
