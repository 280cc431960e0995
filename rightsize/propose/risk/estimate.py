"""Estimate the chance that a change breaks something, with the counts that it comes from, and new types among them.

A type may come to a scope after the plan, and its holder then needs what was taken away.

Operations on a type of which there was no resource are taken away because nothing could be done with them. Somebody
else may create such a resource. The log shows how often that happens: the types of which a first resource was created
in the window, for each subscription, or for each resource group where the assignment is at one.

    chance = 1 - ((b + 1) / (b + 1 + r f)) ** (N + C)

- *N* scopes lie below the assignment, and *C* types came to them in the window. *r* is the horizon as a share of it.
- *1 / b* is the mean number of types that came to a scope, over all scopes whose log and listings are complete. The
  number at one scope is taken as exponentially distributed around that mean, and updated by its own count; so a scope
  with few arrivals borrows from the others (Gelman and others, Bayesian Data Analysis, 2.6).
- *f* is the chance that an arrival concerns the holder, in two factors. *lost share* is the share of the types that the
  assignment loses among all that could come. A type weighs as many subscriptions as have it; those that no
  subscription has weigh together as many as there are types in the tenant. *used share* is the share that the holder
  used of the types that exist there and that the role acts on. One more type counts there as the share of all holders,
  so that a holder of few types is not certain.

`expected` takes the means, with half an arrival and half a use added; `bound` takes both means at their upper 95 %
limit. Nothing is added for assignments at a resource: no other type can come there. A first use that a log would show
is also a novelty of `risk.breakage`, so the sum of both is rather too high.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.verdicts.existence import Existence
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window
from rightsize.propose.needs.assignments import Key
from rightsize.propose.risk.calibration import LEVELS, MEASURED, chances, upper_limit
from rightsize.propose.risk.incidence import HORIZON_DAYS, KEY, tested_days
from rightsize.rules.prices import measured_unlogged
from rightsize.rules.resource_types import inventory_types, type_named

_KEY = ["role_assignment_id", "state"]
_LEVEL = ["of_group"]
_AREA = ["node", "at"]


@dataclass(frozen=True, slots=True)
class NewTypes:
    """The chance that a type comes and is needed within the horizon, with its inputs.

    Attributes:
        bound: The upper bound of the chance.
        expected: The chance with the means instead of their upper limits.
        a_month: How many types are expected to come to the scopes in 30 days.
        came: The types that came to the scopes in the window.
        scopes: The number of these scopes: subscriptions, or one resource group.
        came_anywhere: The types that came to any such scope whose log and listings are complete.
        scopes_anywhere: The number of those scopes.
        lost: The types of which the assignment loses operations for want of a resource.
        lost_share: The chance that a type that comes is one of these.
        used_share: The share of the types there that the holder is expected to use.
    """

    bound: float
    expected: float
    a_month: float
    came: int
    scopes: int
    came_anywhere: int
    scopes_anywhere: int
    lost: int
    lost_share: float
    used_share: float

    def as_json(self) -> dict[str, Any]:
        """Return the chance as values for the evidence of a proposal."""
        return {name: getattr(self, name) for name in self.__slots__}


def new_types_of(analysis: Analysis, placed: pl.DataFrame, horizon: int) -> dict[Key, NewTypes]:
    """Return the chance of each assignment of which the analysis proves types absent.

    Args:
        analysis: The verdicts.
        placed: As `assignments.place_uses` returns it.
        horizon: Days ahead.
    """
    if analysis.absent.is_empty():
        return {}
    weights = _weights(analysis.existence)
    places = _places(analysis.existence, analysis.absences.areas, weights)
    lost = (
        analysis.absent.select("profile_id", "kind")
        .unique()
        .join(weights, on="kind")
        .sort("profile_id", "kind")
        .group_by("profile_id")
        .agg(lost=pl.len().cast(pl.Int64), lost_weight=pl.col("weight").sum())
    )
    rows = (
        analysis.tenant.assignments.select(*_KEY, "role", "place")
        .join(analysis.profiles.join(lost, on="profile_id").select(*_KEY, "lost", "lost_weight"), on=_KEY)
        .join(places, on="place")
        .join(_granted(analysis), on=["role", "place"], how="left")
        .join(_used(placed), on=_KEY, how="left")
        .with_columns(pl.col("granted", "used").fill_null(0))
        .with_columns(
            used=pl.min_horizontal("used", "granted"),
            lost_share=pl.min_horizontal(pl.col("lost_weight") / pl.col("could_come"), 1.0),
        )
    )
    found = estimate_arrivals(rows, horizon, analysis.window.days)
    columns = found.select(*_KEY, *NewTypes.__slots__)
    return {(id_, state): NewTypes(*values) for id_, state, *values in columns.iter_rows()}


def estimate_arrivals(rows: pl.DataFrame, horizon: int, days: int) -> pl.DataFrame:
    """Return rows with the columns of `NewTypes`.

    Args:
        rows: `came`, `scopes`, `came_anywhere`, `scopes_anywhere`, `lost_share`, `used` and `granted` (types there
            that the holder used, and that its role acts on).
        horizon: Days ahead.
        days: The length of the window.
    """
    shares = pl.col("used").sum(), pl.col("granted").sum()
    upper = pl.when(shares[1] > 0).then(pl.min_horizontal(upper_limit(shares[0]) / shares[1], 1.0)).otherwise(1.0)
    lost = pl.col("lost_share")
    expected, most = _used_share((shares[0] + 0.5) / (shares[1] + 1)), _used_share(upper)
    mean = (pl.col("came_anywhere") + 0.5) / pl.col("scopes_anywhere")
    highest = upper_limit(pl.col("came_anywhere")) / pl.col("scopes_anywhere")
    ahead = horizon / days
    events = pl.col("scopes") + pl.col("came")
    return rows.with_columns(
        bound=_chance(highest, events, ahead * lost * most).round(4),
        expected=_chance(mean, events, ahead * lost * expected).round(4),
        a_month=(events / (1 / mean + 1) * 30 / days).round(2),
        lost_share=lost.round(4),
        used_share=expected.round(4),
    )


def _chance(mean: pl.Expr, events: pl.Expr, share: pl.Expr) -> pl.Expr:
    """Return the chance of an arrival that concerns the holder; `mean` is that of all scopes in a window."""
    scale = 1 / mean + 1
    return 1 - (scale / (scale + share)).pow(events)


def _used_share(of_all: pl.Expr) -> pl.Expr:
    return (pl.col("used") + of_all) / (pl.col("granted") + 1)


def _weights(existence: Existence) -> pl.DataFrame:
    """Return `(kind, weight)`: how likely each type is to come, in comparison with the others."""
    types = inventory_types()
    counts = _seen(existence).group_by("kind").agg(nodes=pl.col("node").n_unique().cast(pl.Float64))
    kinds = pl.DataFrame({"kind": sorted(types)}).join(counts, on="kind", how="left")
    rest = max(counts.height, 1) / len(types)
    return kinds.select("kind", weight=pl.col("nodes").fill_null(0.0) + rest).sort("kind")


def _places(existence: Existence, areas: pl.DataFrame, weights: pl.DataFrame) -> pl.DataFrame:
    """Return for each assigned scope the counts of arrivals, and the weight of the types that could come."""
    known = existence.problems.filter(pl.col("problem").is_null()).select("node")
    arrived = existence.arrived.join(known, on="node")
    groups = existence.present.filter(pl.col("at") != pl.col("node")).select(_AREA).unique().join(known, on="node")
    of_nodes = arrived.filter("new_to_node").with_columns(at=pl.lit(None, dtype=pl.String))
    came = pl.concat(
        part.select("node", "at", "kind", of_group=pl.lit(of_group))
        for part, of_group in ((of_nodes, False), (arrived, True))
    )
    came = came.group_by("node", "at", "of_group").agg(came=pl.col("kind").n_unique())
    anywhere = came.group_by(_LEVEL).agg(came_anywhere=pl.col("came").sum().cast(pl.Int64))
    scopes = pl.DataFrame({"of_group": [False, True], "scopes_anywhere": [max(known.height, 1), max(groups.height, 1)]})
    covered = areas.drop_nulls("node").with_columns(of_group=pl.col("at").is_not_null())
    there = _there(existence, covered).join(weights, on="kind").sort("place", "kind")
    whole = float(weights["weight"].sum())
    return (
        covered.join(came, on=["node", "at", "of_group"], how="left", nulls_equal=True)
        .group_by("place")
        .agg(
            scopes=pl.len().cast(pl.Int64), came=pl.col("came").sum().cast(pl.Int64), of_group=pl.col("of_group").any()
        )
        .join(scopes, on="of_group")
        .join(anywhere, on="of_group", how="left")
        .join(there.group_by("place").agg(taken=pl.col("weight").sum()), on="place", how="left")
        .with_columns(pl.col("came_anywhere").fill_null(0), could_come=whole - pl.col("taken").fill_null(0.0))
        .drop("taken", "of_group")
    )


def _seen(existence: Existence) -> pl.DataFrame:
    """Return the rows of resources that certainly existed, of the types that listings have."""
    return existence.present.filter((pl.col("listed") | pl.col("sure")) & pl.col("kind").is_in(list(inventory_types())))


def _typed(names: pl.Series) -> pl.DataFrame:
    """Return `(name, kind)` of the distinct operations that act on a type of the listings."""
    typed = pl.DataFrame({"name": names.unique()}).with_columns(kind=type_named(pl.col("name")))
    return typed.filter(pl.col("kind").is_in(list(inventory_types())))


def _there(existence: Existence, areas: pl.DataFrame) -> pl.DataFrame:
    """Return `(place, kind)` of the types that existed below each assigned scope."""
    seen = _seen(existence).select("node", "kind", found="at")
    inside = pl.col("at").is_null() | (pl.col("found") == pl.col("at")) | (pl.col("found") == pl.col("node"))
    return areas.join(seen, on="node").filter(inside).select("place", "kind").unique()


def _granted(analysis: Analysis) -> pl.DataFrame:
    """Return `(role, place, granted)`: how many types there are below a scope that a role acts on."""
    tenant = analysis.tenant
    kinds = (
        tenant.grants.select("role", "name")
        .join(_typed(tenant.grants["name"]), on="name")
        .select("role", "kind")
        .unique()
    )
    there = _there(analysis.existence, analysis.absences.areas.drop_nulls("node"))
    pairs = tenant.assignments.select("role", "place").unique().join(there, on="place")
    return pairs.join(kinds, on=["role", "kind"]).group_by("role", "place").agg(granted=pl.len().cast(pl.Int64))


def _used(placed: pl.DataFrame) -> pl.DataFrame:
    """Return `(role_assignment_id, state, used)`: how many types an assignment was used on."""
    return (
        placed.select(*_KEY, "name")
        .join(_typed(placed["name"]), on="name")
        .group_by(_KEY)
        .agg(used=pl.col("kind").n_unique().cast(pl.Int64))
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """The probability that access taken from an assignment is needed within the horizon, with its inputs.

    Attributes:
        expected: The probability.
        bound: Its upper bound.
        basis: used, unused, silent (the holder did nothing either), seasonal, or unlogged (no log can judge it).
        operations: The number of novelties (an operation at a place) in the window.
        new_weeks: The weeks with a novelty that no other week has.
        active_days: The days on which the holder worked.
        tested: The number of last days of the window in which it was counted what came.
        counts: For what was measured elsewhere and each level of `break_table`: those that brought something, and all.
        period: The calendar pattern that the use follows, or None.
        beyond: Whether the holder worked, or the logs last, for fewer days than the horizon; then the bound is 1.
        new_types: The chance that comes from types of which there was no resource; None where none of it is lost.
    """

    expected: float
    bound: float
    basis: str
    operations: int
    new_weeks: int
    active_days: int
    tested: int
    counts: tuple[tuple[int, int], ...]
    period: str | None
    beyond: bool
    new_types: NewTypes | None = None

    def exceeds(self, most: float | None) -> bool:
        """Return whether the bound is above `--max-break`; None is no limit."""
        return most is not None and self.bound > most

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
            "expected": self.expected,
            "bound": self.bound,
            "basis": self.basis,
            "operations": self.operations,
            "new_weeks": self.new_weeks,
            "active_days": self.active_days,
            "tested_days": self.tested,
            "counts": {level: list(count) for level, count in zip((MEASURED, *LEVELS), self.counts, strict=True)},
        }
        if self.period is not None:
            said["seasonal"] = self.period
        if self.beyond:
            said["beyond_the_sample"] = True
        if self.new_types is not None:
            said["new_types"] = self.new_types.as_json()
        return said


def unlogged_estimate() -> Estimate:
    """Return the estimate of a whole assignment that goes though no log would have shown any use of it.

    No day of the window says anything. The chance is the measured one of such needs, and its bound is 1.
    """
    rate = measured_unlogged()
    counts = ((rate.broke, rate.of), *((0, 0) for _ in LEVELS))
    return Estimate(round((rate.broke + 1) / (rate.of + 1), 4), 1.0, "unlogged", 0, 0, 0, 0, counts, None, True)


def estimates_of(incidence: pl.DataFrame, window: Window, horizon: int = HORIZON_DAYS) -> dict[Key, Estimate]:
    """Return the estimate of each row of `read_incidence` by its key, for Azure roles or for another plane."""
    tested = tested_days(window)
    found = estimate(incidence, window, horizon).select(
        *KEY,
        *("expected", "bound", "basis", "operations", "new_weeks", "active_days", "period", "beyond"),
        *(f"{of}_{level}" for level in (MEASURED, *LEVELS) for of in "kn"),
    )
    estimates = {}
    for id_, state, expected, bound, basis, operations, weeks, days, period, beyond, *counts in found.iter_rows():
        pairs = tuple(zip(counts[::2], counts[1::2], strict=True))
        estimates[id_, state] = Estimate(expected, bound, basis, operations, weeks, days, tested, pairs, period, beyond)
    return estimates


def estimate(incidence: pl.DataFrame, window: Window, horizon: int) -> pl.DataFrame:
    """Return the rows of `read_incidence` with the columns of `break_table.chances` and `beyond`.

    Args:
        incidence: As `read_incidence` returns it.
        window: The window of the incidence.
        horizon: Days ahead.
    """
    beyond = pl.col("span_days") < horizon
    return (
        chances(incidence, horizon, tested_days(window))
        .with_columns(beyond=beyond, bound=pl.when(beyond).then(1.0).otherwise("bound"))
        .sort(KEY)
    )
