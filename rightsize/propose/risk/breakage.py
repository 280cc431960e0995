"""How likely it is that something removed would have been needed soon: a bound from what the window showed.

Three questions, each with its own samples:

- *used*: will a day of work bring something new? The samples are the days on which the holder worked, and what came up
  in one week only says how often that happens.
- *unused*: will an assignment that nobody used be used after all? The peers tell: as many of them come to life as were
  used within one single week. Where the holder itself did nothing all along (*silent*), the samples are all days.
- *seasonal*: the same as the first, with the cycles as samples, since days without a month end say nothing of it.

All are Turing's estimate for incidences (Good 1953; Chao and Jost 2012), pooled over like assignments: a Gamma
distribution of the peers' novelties, updated by the assignment's own. The chance of none in the days ahead is
((b + 1) / (b + 1 + r)) ** (a + novelties), with r the days ahead as a share of the sample, a and b the peers'. The
bound takes the peers' mean at its upper 95 % limit, which is the rule of three where they had no novelty at all.

Days are not drawn by lot, and the estimate takes them to be. So it is held against the window itself before it speaks:
what the first two thirds foretold for the last one, against what came there, corrects it for all peers together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rightsize.analyze.window import Window
from rightsize.propose.core.bitsets import bits_of
from rightsize.propose.needs.context import PlanContext
from rightsize.propose.needs.drafts import Draft, Key
from rightsize.propose.risk.incidence import KEY, corrected, read_incidence
from rightsize.propose.risk.seasonality import WEEK
from rightsize.rbac.text import fold

HORIZON_DAYS = 30
_NORMAL = 1.6449
"""The upper 95 % point of the normal distribution."""
_ENOUGH = {"used": 5, "seasonal": 5, "unused": 10, "silent": 10}
"""How many peers are needed before a wider circle of them is asked: those of one role, one type, all."""
_CIRCLES: tuple[tuple[str, list[str]], ...] = (
    ("role", ["holder_type", "role"]),
    ("type", ["holder_type"]),
    ("all", []),
)
_SHAPES = (0.1, 1.0)
"""Bounds of the shape of the peers' distribution. Peers are never taken to be more alike than an exponential one has
them: novelties are few and bounded by the days that there are, so that their spread says less than it seems to."""
_LAST_THIRD = ("foretold_of_peers", "came_of_peers")
_SAFE_KINDS = ("keep", "remove_duplicate", "remove_orphan")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The chance that something taken from an assignment is needed within the horizon, and how it came about.

    Attributes:
        bound: The upper bound.
        expected: The same with the peers' mean as it is.
        basis: used, unused, silent (so is the holder) or seasonal.
        unit: What the samples are: active_days, days, or cycles.
        samples: How many there are.
        ahead: How many more of them the horizon is expected to hold.
        once: Novelties (an operation at a place) that came up within one week only.
        twice: Novelties that came up in two spells with a pause between them.
        new: Weeks, or cycles, that have a novelty which no other one has.
        foretold: What the first two thirds of the window foretold for the last one, of all peers.
        came: What came then.
        unseen_at_least: Chao's lower bound on the operations that the assignment allows, uses, and did not show.
        peers: How many like assignments were pooled, and the `circle` that they come from: role, type, all or none.
        period: What the use follows, where it follows the calendar; else None.
        seasonal_operations: How many novelties follow the calendar.
        beyond: Whether the horizon holds more than the sample did, where nothing is known and the bound is 1.
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

    def as_json(self) -> dict[str, Any]:
        """Return it as the evidence of a proposal says it."""
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
        return said


def break_bounds(bench: PlanContext, horizon: int = HORIZON_DAYS) -> dict[Key, Estimate]:
    """Return the estimate of each assignment of which a log would show something.

    Args:
        bench: The workbench.
        horizon: Days ahead.
    """
    placed = bench.placed.filter(~pl.col("earlier"))
    incidence = read_incidence(bench.inputs, bench.analysis, placed, _singled(bench), lifecycle=bench.dials.lifecycle)
    orphans = pl.DataFrame(sorted(bench.findings.orphans), schema=dict.fromkeys(KEY, pl.String), orient="row")
    alive = incidence.join(orphans, on=KEY, how="anti")
    return estimates_of(alive, bench.analysis.window, horizon)


def estimates_of(incidence: pl.DataFrame, window: Window, horizon: int = HORIZON_DAYS) -> dict[Key, Estimate]:
    """Return the estimate of each row of an incidence, of Azure roles or of another plane, by its key."""
    rows = estimate(incidence, window, horizon).select(*KEY, *Estimate.__slots__)
    return {(id_, state): Estimate(*values) for id_, state, *values in rows.iter_rows()}


def _singled(bench: PlanContext) -> pl.DataFrame:
    """Return what goes to single members of a group, as `read_incidence` takes it."""
    split = bench.groups.singled if bench.dials.direct_assignments else {}
    rows = [
        (*key, place, bit)
        for key, places in sorted(split.items())
        for place, members in sorted(places.items())
        for bit in bits_of(reduce(or_, members.values(), 0))
    ]
    schema = {**dict.fromkeys(KEY, pl.String()), "target": pl.String(), "bit": pl.Int64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def observable_loss(draft: Draft, bench: PlanContext) -> int:
    """Return the operations that a draft takes from today's scope and that a log would have shown.

    What a duplicate or an orphan loses is no loss; what is granted at narrower scopes only is lost everywhere else.
    """
    role = bench.book.roles.get(draft.subject.role_definition_id)
    if role is None or draft.profile is None or draft.kind in _SAFE_KINDS:
        return 0
    subject = draft.subject
    need = draft.needs.by_scope.get(subject.place) if draft.needs else None
    stays = bench.book.mask(need) if need else 0
    if any(fold(one.principal_id) != fold(subject.principal_id) for one in draft.placements):
        # What goes to single members is lost to all others.
        stays &= ~reduce(or_, bench.groups.singled.get(subject.key, {}).get(subject.place, {}).values(), 0)
    for placement in draft.placements:
        if placement.place == subject.place and fold(placement.principal_id) == fold(subject.principal_id):
            stays |= placement.choice.granted
    return draft.profile.unused & role.granted & ~stays


def keep_risky(drafts: Mapping[Key, Draft], bounds: Mapping[Key, Estimate], bench: PlanContext) -> dict[Key, Draft]:
    """Keep what is likelier to break somebody than `--max-break` allows."""
    most = bench.dials.max_break
    if most is None:
        return dict(drafts)
    return {
        key: draft.kept("break_risk")
        if key in bounds and bounds[key].bound > most and observable_loss(draft, bench)
        else draft
        for key, draft in drafts.items()
    }


def estimate(incidence: pl.DataFrame, window: Window, horizon: int) -> pl.DataFrame:
    """Add to the rows of `read_incidence` the columns of `Estimate`.

    Args:
        incidence: As `read_incidence` returns it.
        window: The days that it speaks of.
        horizon: Days ahead.
    """
    rows = _samples(incidence, window, horizon)
    pooled = pl.concat([_pool_novelties(rows), _pool_first_uses(rows)]).sort(KEY)
    ratio = pl.col("ahead") / pl.col("samples")
    learnt, most_learnt = _learnt()
    bound = pl.max_horizontal(_chance("upper", ratio * most_learnt), _chance("wide", ratio * most_learnt))
    expected = _chance("mean", ratio * learnt)
    # The estimates hold for about as many days again as were seen (Chao and others 2014).
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
    """Return the chance of something new in so many more samples, as a share of those seen."""
    scale = pl.col(f"{name}_scale") + 1
    return 1 - (scale / (scale + ratio)).pow(pl.col(f"{name}_shape"))


def _learnt() -> tuple[pl.Expr, pl.Expr]:
    """Return by what the last third of the window corrects the estimate, as it is and for the bound.

    It is what came there as a multiple of what the days before had foretold, all peers together, with one that came as
    foretold added. Work by plan brings less than Turing's estimate says, work that changes brings more. For the bound
    it is the upper 95 % limit; but nothing is corrected as long as that lies above 1, and the ratio does not.
    """
    came, foretold = pl.col("came_of_peers") + 1.0, pl.col("foretold_of_peers") + 1.0
    ratio = came / foretold
    return ratio, pl.max_horizontal(ratio, pl.min_horizontal(_upper_limit(came) / foretold, 1.0))


def _samples(incidence: pl.DataFrame, window: Window, horizon: int) -> pl.DataFrame:
    """Add `basis`, `unit`, `samples`, those `ahead`, and the novelties among the samples, corrected for coverage."""
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
    samples = pl.when(seasonal).then("cycles").when(active > 0).then(active).otherwise(window.days)
    # Who began late in the window goes on as densely; that the window begins within a pause adds one of these.
    since = (pl.lit(window.last_day) - pl.coalesce("active_since", pl.lit(window.first_day))).dt.total_days() + 1
    span = pl.min_horizontal(since * (1 + 1 / active), window.days)
    cycles_ahead = (horizon / pl.col("every")).ceil()
    # Sums of peers are taken in this order, whatever the order of the rows.
    return incidence.sort(KEY).with_columns(
        basis=basis,
        unit=basis.replace_strict(units, return_dtype=pl.String),
        samples=samples.cast(pl.Int64),
        ahead=pl.when(seasonal).then(cycles_ahead).otherwise(samples * horizon / span),
        # Days foretell nothing of cycles.
        foretold=pl.when(seasonal).then(0.0).otherwise("foretold"),
        came=pl.when(seasonal).then(0).otherwise("came"),
        novelty=pl.when(seasonal)
        .then(pl.col("new_cycles").cast(pl.Float64))
        .otherwise(corrected(active, "once", "twice", "new_weeks")),
    )


def _unseen() -> pl.Expr:
    """Return Chao's lower bound on what is used and was not seen, from what was seen once and twice (Chao2)."""
    once, samples = pl.col("once"), pl.col("samples")
    return (samples - 1) / samples * once * (once - 1) / (2 * (pl.col("twice") + 1))


def _pool_novelties(rows: pl.DataFrame) -> pl.DataFrame:
    """Add to the rows that were used what their peers say of novelties; each row's own are no part of it."""
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
        _upper_limit(pl.max_horizontal(pl.col("total"), 0.0)) / pl.col("peers"),
        mean + _NORMAL * (variance / pl.col("peers")).sqrt(),
    )
    alone = pl.col("circle") == "none"
    # Peers without any novelty say nothing of how they differ, and those of a few kinds less than it seems: the bound
    # also asks what it would be were they as different as they may be.
    prior = pl.when(mean > 0).then(shape).otherwise(1.0)
    middle = pl.max_horizontal(pl.col("total"), 0.0) + 0.5
    return asked.with_columns(
        upper_scale=pl.when(alone).then(0.0).otherwise(prior / upper),
        upper_shape=pl.when(alone).then(_upper_limit(pl.col("novelty"))).otherwise(prior + pl.col("novelty")),
        wide_scale=pl.when(alone).then(0.0).otherwise(_SHAPES[0] / upper),
        wide_shape=pl.when(alone).then(0.0).otherwise(_SHAPES[0] + pl.col("novelty")),
        mean_scale=pl.when(alone).then(0.0).otherwise(prior * pl.col("peers") / middle),
        mean_shape=pl.when(alone).then(pl.col("novelty") + 0.5).otherwise(prior + pl.col("novelty")),
    ).drop("total", "squares")


def _pool_first_uses(rows: pl.DataFrame) -> pl.DataFrame:
    """Add to the rows that nobody used how often one of them comes to life (Robbins 1956).

    Were a window like this one to follow, as many would be used for the first time as were used within a single week
    of this one, spread over those that were not used at all.
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
        upper_shape=_upper_limit(pl.col("total")) / pl.col("peers"),
        wide_scale=0.0,
        wide_shape=0.0,
        mean_scale=0.0,
        mean_shape=(pl.col("total") + 0.5) / pl.col("peers"),
        peers=pl.col("peers") - 1,
    ).drop("total", "like")


def _narrowest(rows: pl.DataFrame, measures: tuple[str, ...], *, or_none: bool) -> pl.DataFrame:
    """Choose for each row the narrowest circle with enough peers, else the widest, or none."""
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


def _upper_limit(count: pl.Expr) -> pl.Expr:
    """Return the upper 95 % limit of the mean of a Poisson count (Byar's approximation): 3 where nothing came."""
    more = count + 1
    return more * (1 - 1 / (9 * more) + _NORMAL / (3 * more.sqrt())).pow(3)
