"""Lay out the reach of one subject as a grid of subscriptions and a tree of shortest ways, small enough to draw.

The picture has one size however much is reached: subscriptions beyond the widest are added up in one row, and many
things that are reached in the same way share one branch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.analyze.reach.bits import CONTROL, DATA, subscription_bits
from rightsize.analyze.reach.closure import Step
from rightsize.analyze.reach.measure import View, own_of, reached_of
from rightsize.rules.operations import LAYER_BITS

COLUMNS: Mapping[str, int] = {**LAYER_BITS, "control": CONTROL, "data": DATA}
"""The columns of the grid: layers of defence, then planes, each with its bit of a subscription."""

ROWS, BRANCHES, _ALIKE = 10, 36, 3
_OTHERS = ""


@dataclass(frozen=True, slots=True)
class GridCell:
    """The number of subscriptions of a row in which a layer can be defeated or a plane be reached.

    Attributes:
        own: Without a further step, as granted.
        granted: As granted, those without a further step included.
        used: As used.
        proposed: Under the plan; None without a plan.
    """

    own: int
    granted: int
    used: int
    proposed: int | None


@dataclass(frozen=True, slots=True)
class GridRow:
    """A subscription, or the rest of them added up (`scope` is empty); a cell a column of `COLUMNS`."""

    scope: str
    subscriptions: int
    cells: Mapping[str, GridCell]


@dataclass(slots=True)
class Branch:
    """Things that are reached in the same way from the branch above.

    Attributes:
        depth: Steps from the subject.
        nodes: The things, first the one that leads furthest.
        step: The last step to the first of them.
        certain: Whether every step to it is certain.
        stays: How many of them the plan leaves within reach; None without a plan.
        hidden: How many further things below it have no branch of their own.
    """

    depth: int
    nodes: list[str]
    step: Step
    certain: bool
    stays: int | None
    hidden: int = 0
    below: list[Branch] = field(default_factory=list)


def draw_grid(node: str, granted: View, used: View, proposed: View | None) -> list[GridRow]:
    """Return the rows of the grid, the widest first; a subscription in which nothing is reached has no row."""
    views = [granted, used, *([proposed] if proposed is not None else [])]
    whole = [subscription_bits(view.frame, reached_of(view, node)) for view in views]
    own = subscription_bits(granted.frame, own_of(granted, node))
    order = sorted(whole[0], key=lambda scope: (-whole[0][scope].bit_count(), scope))
    order += sorted({scope for found in whole[1:] for scope in found} - set(order))
    groups = [[scope] for scope in order[:ROWS]] + ([order[ROWS:]] if len(order) > ROWS else [])
    rows = []
    for group in groups:
        cells = {}
        for name, bit in COLUMNS.items():
            here, today, seen, *after = (
                sum(bool(bits.get(scope, 0) & bit) for scope in group) for bits in (own, *whole)
            )
            cells[name] = GridCell(here, today, seen, after[0] if after else None)
        rows.append(GridRow(group[0] if len(group) == 1 else _OTHERS, len(group), cells))
    return rows


def grow_branches(
    ways: Mapping[str, Sequence[Step]], left: Collection[str] | None, rank: Callable[[str], int]
) -> tuple[list[Branch], int]:
    """Return the branches of the shortest ways, parents before children, and how many things are in no branch.

    There are at most `BRANCHES`; things left out below a branch are counted in its `hidden`.

    Args:
        ways: The shortest way to each thing, by its node.
        left: The nodes that the plan leaves within reach, None without a plan.
        rank: The sort key of a node, the worst first.
    """
    children: dict[str, dict[str, Step]] = {}
    sure: dict[str, bool] = {}
    for steps in ways.values():
        certain = True
        for step in steps:
            certain = certain and step.certain
            children.setdefault(step.start, {}).setdefault(step.end, step)
            sure.setdefault(step.end, certain)
    sizes: dict[str, int] = {}
    starts = {steps[0].start for steps in ways.values() if steps}
    roots = [_grow(start, 1, children, sure, left, rank, sizes) for start in sorted(starts)]
    return _cut([branch for found in roots for branch in found])


def _size(node: str, children: Mapping[str, Mapping[str, Step]], sizes: dict[str, int]) -> int:
    """Return how many things are at and below a node; the recursion is as deep as a way is long, a few steps."""
    if node not in sizes:
        sizes[node] = 1 + sum(_size(end, children, sizes) for end in children.get(node, ()))
    return sizes[node]


def _grow(
    node: str,
    depth: int,
    children: Mapping[str, Mapping[str, Step]],
    sure: Mapping[str, bool],
    left: Collection[str] | None,
    rank: Callable[[str], int],
    sizes: dict[str, int],
) -> list[Branch]:
    found: list[Branch] = []
    alike: dict[tuple[str, bool], list[str]] = {}
    ends = children.get(node, {})
    for end in sorted(ends, key=lambda end: (rank(end), -_size(end, children, sizes), end)):
        if _size(end, children, sizes) > 1 or rank(end) < 0:
            below = _grow(end, depth + 1, children, sure, left, rank, sizes)
            found.append(Branch(depth, [end], ends[end], sure[end], _left([end], left), below=below))
        else:
            alike.setdefault((end[0], sure[end]), []).append(end)
    for (_, certain), nodes in alike.items():
        groups = [nodes] if len(nodes) > _ALIKE else [[one] for one in nodes]
        found += [Branch(depth, group, ends[group[0]], certain, _left(group, left)) for group in groups]
    return found


def _left(nodes: Collection[str], left: Collection[str] | None) -> int | None:
    return None if left is None else sum(node in left for node in nodes)


def _cut(branches: list[Branch]) -> tuple[list[Branch], int]:
    """Return branches in reading order, level by level up to `BRANCHES`, and count the things that are left out."""
    kept: set[int] = set()
    level = branches
    while level:
        for branch in level[: max(0, BRANCHES - len(kept))]:
            kept.add(id(branch))
        level = [below for branch in level if id(branch) in kept for below in branch.below]
        if len(kept) >= BRANCHES:
            break
    shown: list[Branch] = []
    left_out = _show(branches, kept, shown)
    return shown, left_out


def _show(branches: Sequence[Branch], kept: Collection[int], shown: list[Branch]) -> int:
    """Add the branches that are kept, and return how many things are in the others."""
    hidden = 0
    for branch in branches:
        if id(branch) in kept:
            shown.append(branch)
            branch.hidden = _show(branch.below, kept, shown)
        else:
            hidden += _things(branch)
    return hidden


def _things(branch: Branch) -> int:
    return len(branch.nodes) + sum(_things(below) for below in branch.below)
