"""The curve "number of new roles against excess" as a picture: an SVG without script, and its numbers for a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 640.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 16.0, 14.0, 40.0
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """One point of the curve, in the picture and in words."""

    x: float
    y: float
    custom_roles: int
    excess: float
    assignments: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """What the template draws.

    Attributes:
        marks: The points, by number of roles.
        line: The points of the curve as an SVG polyline.
        bound: What is proved that no plan goes below, likewise.
        across: (x, text) of the ticks of the number of roles.
        up: (y, text) of the ticks of the excess.
        label: The curve in a sentence, for those who do not see it.
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
        chosen: How many new roles the plan has.
    """
    ordered = sorted(points, key=lambda point: point["custom_roles"])
    if len(ordered) < 2:
        return None
    most_roles = max(1, int(ordered[-1]["custom_roles"]))
    most_excess = max([1.0, *(float(point["excess"]) for point in ordered)])

    def across(roles: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * roles / most_roles, 1)

    def up(excess: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * excess / most_excess, 1)

    marks = tuple(
        Mark(
            across(point["custom_roles"]),
            up(point["excess"]),
            point["custom_roles"],
            float(point["excess"]),
            point["assignments"],
            point["custom_roles"] == chosen,
        )
        for point in ordered
    )
    first, last = marks[0], marks[-1]
    return Picture(
        marks=marks,
        line=" ".join(f"{mark.x},{mark.y}" for mark in marks),
        bound=" ".join(f"{across(point['custom_roles'])},{up(point['lower_bound'])}" for point in ordered),
        across=tuple((across(number), f"{number:,.0f}") for number in _whole_ticks(most_roles)),
        up=tuple(
            (up(most_excess * step / _TICKS), short_number(most_excess * step / _TICKS)) for step in range(_TICKS + 1)
        ),
        label=f"With {first.custom_roles} new roles an excess of {first.excess:,.0f} stays, "
        f"with {last.custom_roles} one of {last.excess:,.0f}.",
    )


def _whole_ticks(most: int) -> list[int]:
    """Return at most five different whole numbers from 0 to the most."""
    return sorted({round(most * step / _TICKS) for step in range(_TICKS + 1)})


def short_number(value: float) -> str:
    """Return a number that fits beside an axis: `1.2 M`, `340 k`, `12`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:.0f} {unit}"
    return f"{value:.0f}"
