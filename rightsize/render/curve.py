"""Draw the share of the excess that new roles remove against their number, as SVG without script and as numbers.

Both axes are linear, so the knee is seen: the first roles remove nearly all of the excess, and the last ones little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 640.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 16.0, 14.0, 40.0
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """One point of the curve, with its position in the picture and its text.

    `removed` is the share of the excess of the plan with the fewest new roles that it removes.
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
        bound: The most that can be removed, as proved, likewise; in steps, since a proof for a number of roles holds
            for fewer roles and says nothing about more.
        across: (x, text) of the ticks of the number of roles.
        up: (y, text) of the ticks of the removed share.
        label: The curve in a sentence, for readers who cannot see it.
    """

    marks: tuple[Mark, ...]
    line: str
    bound: str
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    label: str


def draw_curve(points: Sequence[Mapping[str, Any]], chosen: int) -> Picture | None:
    """Return the picture of a curve, or None where it has fewer than two points.

    Args:
        points: Each with `custom_roles`, `excess`, `lower_bound` and `assignments`.
        chosen: Number of new roles in the plan.
    """
    ordered = sorted(points, key=lambda point: point["custom_roles"])
    if len(ordered) < 2:
        return None
    most_roles = max(1, int(ordered[-1]["custom_roles"]))
    most_excess = max([1.0, *(float(point["excess"]) for point in ordered)])

    def removed(excess: float) -> float:
        return 1.0 - excess / most_excess

    def across(roles: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * roles / most_roles, 1)

    def up(excess: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * removed(excess), 1)

    marks = tuple(
        Mark(
            across(point["custom_roles"]),
            up(point["excess"]),
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
        bound=" ".join(
            f"{across(here['custom_roles'])},{up(proved['lower_bound'])}"
            for point, after in zip(ordered, [*ordered[1:], ordered[-1]], strict=True)
            for here, proved in ((point, point), (point, after))
        ),
        across=tuple((across(number), f"{number:,.0f}") for number in _whole_ticks(most_roles)),
        up=tuple((up(most_excess * (1 - tick / _TICKS)), f"{tick / _TICKS:.0%}") for tick in range(_TICKS + 1)),
        label=f"With {first.custom_roles} new roles an excess of {first.excess:,.0f} stays, "
        f"with {last.custom_roles} one of {last.excess:,.0f}.",
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
