"""Sum what each missing thing could decide: alone, with others, and as expected from like scopes of this store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import REACH, folded
from rightsize.analyze.observability.needs import Area, Needs, item_of, scope_of
from rightsize.analyze.observability.undecided import ASSIGNMENT
from rightsize.analyze.observability.ways import ACTIVITY_LOG, DECLARED, INVENTORY, RESOURCE_LOG
from rightsize.analyze.reasons import BY_EXISTENCE, SHOWN, Verdict
from rightsize.analyze.verdicts.judge import Analysis

_ABSENT = [reason.value for reason in BY_EXISTENCE]


@dataclass(frozen=True, slots=True)
class DecidedSet:
    """Undecided operations that the same missing things would decide.

    Attributes:
        ways: The ways to decide them, each a set of needs of which all have to be met.
        operations: Their number, over all assignments.
        excess: Their excess.
    """

    ways: tuple[frozenset[str], ...]
    operations: int
    excess: int


@dataclass(frozen=True, slots=True)
class Decidable:
    """The undecided operations, by the missing things that would decide them.

    Attributes:
        sets: The operations, the greatest excess first.
        met: By need: the parts, `needs.part_of`, of which each meets it.
        of_parts: By part: the numbers of the sets that it is on a way of.
    """

    sets: list[DecidedSet]
    met: Mapping[str, frozenset[str]]
    of_parts: Mapping[str, frozenset[int]]

    def of_item(self, item: str) -> list[DecidedSet]:
        """Return the operations that some part of a missing thing is on a way of."""
        numbers: set[int] = set().union(*(self.of_parts[part] for part in self.parts_of([item])))
        return [self.sets[number] for number in sorted(numbers)]

    def decides(self, parts: Iterable[str]) -> int:
        """Return the excess that some parts decide together: each operation counts once."""
        return sum(self.sets[number].excess for number in self.decided_sets(parts))

    def decided_sets(self, parts: Iterable[str]) -> list[int]:
        """Return the numbers of the sets that some parts decide together, sorted."""
        there = frozenset(parts)
        concerned: set[int] = set().union(*(self.of_parts.get(part, frozenset()) for part in there))
        return sorted(number for number in concerned if any(self._is_met(way, there) for way in self.sets[number].ways))

    def decided_by_items(self, items: Iterable[str]) -> int:
        """Return the excess that all parts of some missing things decide together."""
        return self.decides(self.parts_of(items))

    def parts_of(self, items: Iterable[str]) -> list[str]:
        """Return all parts of some missing things, sorted."""
        there = frozenset(items)
        return sorted(part for part in self.of_parts if item_of(part) in there)

    def _is_met(self, way: frozenset[str], there: frozenset[str]) -> bool:
        return all(not self.met[need].isdisjoint(there) for need in way)


@dataclass(frozen=True, slots=True)
class PartPromise:
    """A bound on what a missing thing at one scope could decide.

    Attributes:
        scope: The folded scope; empty where nothing tells at which scope it is missing.
        excess: As in `Promise`, and so are the next two.
        excess_alone: See there.
        operations: See there.
    """

    scope: str
    excess: int
    excess_alone: int
    operations: int


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
        parts: The same by scope, the greatest first; none of what is missing for the whole tenant.
    """

    item: str
    excess: int
    excess_alone: int
    operations: int
    assignments: int
    needs: tuple[str, ...]
    share: float | None
    parts: tuple[PartPromise, ...] = ()

    @property
    def expected(self) -> int | None:
        """Return the excess that turns out unused if it is as in like scopes; None where nothing is alike."""
        return None if self.share is None else round(self.excess * self.share)


_TEXT = pl.col("ways").list.join("|")


def read_decidable(cells: pl.DataFrame, needs: Needs) -> tuple[Decidable, pl.DataFrame]:
    """Return what missing things would decide, and the cells with `number`, their set, and `items`, what is missing.

    Args:
        cells: Undecided cells with `ways`.
        needs: What the scopes of the tenant lack.
    """
    known: dict[Area, int] = {}
    places = cells["place"].unique()
    areas = pl.DataFrame(
        {"place": places, "area": [known.setdefault(needs.area(place), len(known)) for place in places]},
        schema={"place": pl.String, "area": pl.Int64},
    )
    keyed = cells.with_columns(text=_TEXT).join(areas, on="place", how="left")
    sums = (
        keyed.filter(pl.col("text") != "")
        .group_by("text", "area")
        .agg(pl.col("operations").sum(), pl.col("excess").sum())
        .sort("text", "area")
    )
    by_number = list(known)
    found: dict[tuple[frozenset[str], ...], list[int]] = {}
    of_rows: list[tuple[frozenset[str], ...]] = []
    for text, area, operations, excess in sums.iter_rows():
        ways = _minimal(
            frozenset().union(*(needs.at(need, by_number[area]) for need in way.split("+"))) for way in text.split("|")
        )
        of_rows.append(ways)
        numbers = found.setdefault(ways, [0, 0])
        numbers[0] += operations
        numbers[1] += excess
    sets = [DecidedSet(ways, *numbers) for ways, numbers in found.items()]
    sets.sort(key=lambda one: (-one.excess, [sorted(way) for way in one.ways]))
    parts = [sorted({part for way in one.ways for need in way for part in needs.met[need]}) for one in sets]
    of_parts: dict[str, set[int]] = {}
    for number, mine in enumerate(parts):
        for part in mine:
            of_parts.setdefault(part, set()).add(number)
    place = {one.ways: number for number, one in enumerate(sets)}
    of_text = sums.select("text", "area", number=pl.Series([place[ways] for ways in of_rows], dtype=pl.Int64))
    items = pl.DataFrame(
        {"number": range(len(sets)), "items": [sorted({item_of(part) for part in mine}) for mine in parts]},
        schema={"number": pl.Int64, "items": pl.List(pl.String)},
    )
    named = keyed.join(of_text, on=["text", "area"], how="left").join(items, on="number", how="left")
    frozen = {part: frozenset(numbers) for part, numbers in sorted(of_parts.items())}
    return Decidable(sets, needs.met, frozen), named.select(*cells.columns, "number", pl.col("items").fill_null([]))


def _minimal(ways: Iterable[frozenset[str]]) -> tuple[frozenset[str], ...]:
    """Return the ways, sorted, without those that contain another one."""
    several = sorted(set(ways), key=lambda way: (len(way), sorted(way)))
    kept: list[frozenset[str]] = []
    for way in several:
        if not any(other <= way for other in kept):
            kept.append(way)
    return tuple(kept)


def make_promises(
    cells: pl.DataFrame, decidable: Decidable, decided: pl.DataFrame, analysis: Analysis
) -> list[Promise]:
    """Return the promise of each missing thing, the greatest first.

    Args:
        cells: Undecided cells of all planes with `items`.
        decidable: The undecided operations, by the missing things that would decide them.
        decided: All cells of Azure roles.
        analysis: The analysis.
    """
    items = sorted({item_of(part) for part in decidable.of_parts})
    holders = by_assignment(cells).group_by("item").agg(assignments=pl.struct(ASSIGNMENT).n_unique())
    numbers = dict(holders.iter_rows())
    shares = _shares(items, decided, analysis)
    found = []
    for item in items:
        with_it = decidable.of_item(item)
        needs = {
            item_of(part)
            for one in with_it
            for way in one.ways
            if any(_meets(item, need, decidable) for need in way)
            for need in way
            if not _meets(item, need, decidable)
            for part in decidable.met[need]
        }
        found.append(
            Promise(
                item,
                sum(one.excess for one in with_it),
                decidable.decided_by_items([item]),
                sum(one.operations for one in with_it),
                numbers.get(item, 0),
                tuple(sorted(needs)),
                shares.get(item),
                _parts(item, decidable),
            )
        )
    return sorted(found, key=lambda one: (-one.excess, -one.excess_alone, one.item))


def _meets(item: str, need: str, decidable: Decidable) -> bool:
    return any(item_of(part) == item for part in decidable.met[need])


def _parts(item: str, decidable: Decidable) -> tuple[PartPromise, ...]:
    parts = decidable.parts_of([item])
    if parts == [item]:
        return ()
    found = []
    for part in parts:
        sets = [decidable.sets[number] for number in decidable.of_parts[part]]
        found.append(
            PartPromise(
                scope_of(part),
                sum(one.excess for one in sets),
                decidable.decides([part]),
                sum(one.operations for one in sets),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.excess, -one.excess_alone, one.scope)))


def by_assignment(cells: pl.DataFrame) -> pl.DataFrame:
    """Return `(item, role_assignment_id, state, plane, excess)`: what each missing thing could decide of whom.

    Args:
        cells: Undecided cells with `items`.
    """
    return (
        cells.select(*ASSIGNMENT, "plane", "excess", item="items")
        .filter(pl.col("item").list.len() > 0)
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
