"""Draw the share of the excess that new roles remove against their number, as SVG without script and as numbers.

The share is that of the live excess today of what may change. A plan with other options has the same, so the shares of
different plans compare. Both axes are linear, so the knee is seen: the last roles remove little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.model.plan_totals import Change

WIDTH, HEIGHT = 640.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 16.0, 14.0, 40.0
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """One point of the curve, with its position in the picture and its text.

    `removed` is the share of the live excess today that it removes.
    """

    x: float
    y: float
    custom_roles: int
    excess: float
    removed: float
    assignments: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """The shapes and texts that the template draws.

    Attributes:
        marks: The points, by number of roles.
        line: The points of the curve as an SVG polyline.
        across: (x, text) of the ticks of the number of roles.
        up: (y, text) of the ticks of the removed share.
        label: The curve in a sentence, for readers who cannot see it.
    """

    marks: tuple[Mark, ...]
    line: str
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    label: str


def draw_curve(points: Sequence[Mapping[str, Any]], chosen: int, live: Change) -> Picture | None:
    """Return the picture of a curve, or None where it has fewer than two points.

    Args:
        points: Each with `custom_roles`, `excess` and `assignments`.
        chosen: Number of new roles in the plan.
        live: The live excess today, and under the plan.
    """
    ordered = sorted(points, key=lambda point: point["custom_roles"])
    if len(ordered) < 2:
        return None
    most_roles = max(1, int(ordered[-1]["custom_roles"]))
    # What no new role serves is in the excess under the plan, and is the same at every point.
    at_plan = min(ordered, key=lambda point: (abs(point["custom_roles"] - chosen), point["custom_roles"]))
    goes = live.before - live.after + float(at_plan["excess"])

    def removed(excess: float) -> float:
        return min(1.0, max(0.0, (goes - excess) / live.before)) if live.before else 0.0

    def across(roles: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * roles / most_roles, 1)

    def up(share: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share, 1)

    marks = tuple(
        Mark(
            across(point["custom_roles"]),
            up(removed(float(point["excess"]))),
            point["custom_roles"],
            float(point["excess"]),
            removed(float(point["excess"])),
            point["assignments"],
            point["custom_roles"] == chosen,
        )
        for point in ordered
    )
    first, last = marks[0], marks[-1]
    return Picture(
        marks=marks,
        line=" ".join(f"{mark.x},{mark.y}" for mark in marks),
        across=tuple((across(number), f"{number:,.0f}") for number in _whole_ticks(most_roles)),
        up=tuple((up(tick / _TICKS), f"{tick / _TICKS:.0%}") for tick in range(_TICKS + 1)),
        label=f"With {first.custom_roles} new roles {first.removed:.1%} of the live excess goes, "
        f"with {last.custom_roles} {last.removed:.1%}.",
    )


def _whole_ticks(most: int) -> list[int]:
    """Return at most six whole numbers from 0 upwards, in steps of 1, 2 or 5 times a power of ten."""
    zeros = range(len(str(most)))
    step = next(digit * 10**zero for zero in zeros for digit in (1, 2, 5, 10) if digit * 10**zero * _TICKS >= most)
    return list(range(0, most + 1, step))


def short_number(value: float) -> str:
    """Return a number short enough for an axis: `1.2 M`, `340 k`, `12`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:.0f} {unit}"
    return f"{value:.0f}"
