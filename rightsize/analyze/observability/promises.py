"""Sum what each missing thing could decide: alone, with others, and as expected from like scopes of this store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.observability.undecided import ASSIGNMENT
from rightsize.analyze.observability.ways import ACTIVITY_LOG, DECLARED, INVENTORY, RESOURCE_LOG
from rightsize.analyze.reasons import BY_EXISTENCE, SHOWN, Verdict
from rightsize.analyze.scoping import REACH
from rightsize.analyze.text import folded
from rightsize.analyze.verdicts import Analysis

_ABSENT = [reason.value for reason in BY_EXISTENCE]


@dataclass(frozen=True, slots=True)
class DecidedSet:
    """Undecided operations that the same missing things would decide.

    Attributes:
        ways: The ways to decide them, each a set of missing things of which all are needed.
        operations: Their number, over all assignments.
        excess: Their excess.
    """

    ways: tuple[frozenset[str], ...]
    operations: int
    excess: int


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound on what one missing thing could decide.

    Attributes:
        item: The missing thing.
        excess: The excess that it could decide at most, with the other missing things that this needs.
        excess_alone: The part of it that needs nothing else.
        operations: The number of these operations, over all assignments.
        assignments: The number of assignments that they are granted by.
        needs: The other missing things that ways with this one have.
        share: The share of like operations that were unused where the same was there; None where nothing is alike.
    """

    item: str
    excess: int
    excess_alone: int
    operations: int
    assignments: int
    needs: tuple[str, ...]
    share: float | None

    @property
    def expected(self) -> int | None:
        """Return the excess that turns out unused if it is as in like scopes; None where nothing is alike."""
        return None if self.share is None else round(self.excess * self.share)


def decided_sets(cells: pl.DataFrame) -> list[DecidedSet]:
    """Return the sets of operations that some missing things would decide, the greatest first.

    Args:
        cells: Undecided cells with `ways`.
    """
    sums = (
        cells.with_columns(text=pl.col("ways").list.join("|"))
        .filter(pl.col("text") != "")
        .group_by("text")
        .agg(pl.col("operations").sum(), pl.col("excess").sum())
        .sort("excess", "text", descending=[True, False])
    )
    return [
        DecidedSet(tuple(frozenset(way.split("+")) for way in text.split("|")), operations, excess)
        for text, operations, excess in sums.iter_rows()
    ]


def excess_of(sets: Iterable[DecidedSet], items: Iterable[str]) -> int:
    """Return the excess that some missing things decide together: each operation counts once."""
    there = frozenset(items)
    return sum(one.excess for one in sets if any(way <= there for way in one.ways))


def make_promises(cells: pl.DataFrame, decided: pl.DataFrame, analysis: Analysis) -> list[Promise]:
    """Return the promise of each missing thing, the greatest first.

    Args:
        cells: Undecided cells of all planes with `ways`.
        decided: All cells of Azure roles.
        analysis: The analysis.
    """
    sets = decided_sets(cells)
    items = sorted({item for one in sets for way in one.ways for item in way})
    holders = by_assignment(cells).group_by("item").agg(assignments=pl.struct(ASSIGNMENT).n_unique())
    numbers = dict(holders.iter_rows())
    shares = _shares(items, decided, analysis)
    found = []
    for item in items:
        with_it = [one for one in sets if any(item in way for way in one.ways)]
        needs = {other for one in with_it for way in one.ways if item in way for other in way} - {item}
        found.append(
            Promise(
                item,
                sum(one.excess for one in with_it),
                excess_of(sets, [item]),
                sum(one.operations for one in with_it),
                numbers.get(item, 0),
                tuple(sorted(needs)),
                shares.get(item),
            )
        )
    return sorted(found, key=lambda one: (-one.excess, -one.excess_alone, one.item))


def by_assignment(cells: pl.DataFrame) -> pl.DataFrame:
    """Return `(item, role_assignment_id, state, plane, excess)`: what each missing thing could decide of whom."""
    return (
        cells.select(*ASSIGNMENT, "plane", "excess", item=pl.col("ways").list.join("+"))
        .filter(pl.col("item") != "")
        .with_columns(item=pl.col("item").str.split("+").list.unique())
        .explode("item")
        .group_by("item", *ASSIGNMENT, "plane")
        .agg(pl.col("excess").sum())
        .sort("item", *ASSIGNMENT, "plane")
    )


def _shares(items: Sequence[str], decided: pl.DataFrame, analysis: Analysis) -> dict[str, float]:
    """Return the share of like operations that were unused, by missing thing, where this store has like scopes."""
    found: dict[str, float] = {}
    shown = decided.filter((pl.col("verdict") == Verdict.UNUSED.value) & pl.col("reason").is_in(SHOWN))
    used = _used(analysis)
    for item in items:
        if item in (ACTIVITY_LOG, DECLARED):
            share = _unused_share(shown.filter((pl.col("plane") == "control") & pl.col("log").is_null()), used)
        elif item.startswith(RESOURCE_LOG):
            share = _unused_share(shown.filter(pl.col("log") == item.removeprefix(RESOURCE_LOG)), used)
        elif item == INVENTORY:
            share = _absent_share(decided, analysis)
        else:
            share = None
        if share is not None:
            found[item] = share
    return found


def _unused_share(shown: pl.DataFrame, used: pl.DataFrame) -> float | None:
    unused = int(shown["excess"].sum())
    like = used.join(shown.select(*ASSIGNMENT, "plane").unique(), on=[*ASSIGNMENT, "plane"], how="semi")
    whole = unused + int(like["excess"].sum())
    return unused / whole if unused else None


def _absent_share(decided: pl.DataFrame, analysis: Analysis) -> float | None:
    """Return the share of excess on types that were absent, at scopes of which listings show everything."""
    hidden = analysis.absences.hidden["place"]
    like = decided.filter(
        pl.col("kind").is_not_null()
        & (pl.col("state") == "active")
        & (pl.col("level") != "resource")
        & ~pl.col("place").is_in(hidden.implode())
        & (pl.col("reason").is_in(_ABSENT) | (pl.col("verdict") != Verdict.UNUSED.value))
    )
    absent = int(like.filter(pl.col("reason").is_in(_ABSENT))["excess"].sum())
    return absent / int(like["excess"].sum()) if absent else None


def _used(analysis: Analysis) -> pl.DataFrame:
    """Return `(role_assignment_id, state, plane, excess)`: the weight of the operations with use, times their reach."""
    weights = analysis.tenant.operations.group_by("name").agg(weight=pl.col("weight").max())
    rows = analysis.verdicts.filter(pl.col("verdict") == Verdict.USED.value)
    reach = pl.col("level").replace_strict(REACH, return_dtype=pl.Int64)
    return (
        rows.select(*ASSIGNMENT, "plane", name=folded(rows["operation"]))
        .unique()
        .join(weights, on="name")
        .join(analysis.tenant.assignments.select(*ASSIGNMENT, "level"), on=list(ASSIGNMENT))
        .select(*ASSIGNMENT, "plane", excess=pl.col("weight") * reach)
    )
