"""The curve of roles against excess as a picture."""

from __future__ import annotations

import itertools

import pytest

from rightsize.model.plan_totals import Change
from rightsize.render.pictures import CURVE_HEIGHT, CURVE_WIDTH, draw_curve, short_number

LIVE = Change(4_000.0, 0.0)
POINTS = [
    {"custom_roles": 6, "excess": 0.0, "assignments": 9},
    {"custom_roles": 0, "excess": 4_000.0, "assignments": 5},
    {"custom_roles": 3, "excess": 500.0, "assignments": 7},
]


def test_fewer_roles_stand_left_and_what_removes_more_stands_higher() -> None:
    picture = draw_curve(POINTS, 6, LIVE)
    assert picture is not None
    assert [mark.custom_roles for mark in picture.marks] == [0, 3, 6]
    assert [mark.is_chosen for mark in picture.marks] == [False, False, True]
    xs, ys = [mark.x for mark in picture.marks], [mark.y for mark in picture.marks]
    assert xs == sorted(xs)
    assert ys == sorted(ys, reverse=True)
    assert [mark.removed for mark in picture.marks] == [0.0, 0.875, 1.0]
    assert all(0 <= x <= CURVE_WIDTH for x in xs)
    assert all(0 <= y <= CURVE_HEIGHT for y in ys)
    assert "100.0%" in picture.label


def test_the_share_is_that_of_all_live_excess_today() -> None:
    """Two plans of one tenant, of which one serves fewer needs by new roles: their shares compare."""
    wide = draw_curve(POINTS, 6, Change(10_000.0, 2_000.0))
    narrow = draw_curve(POINTS[1:], 3, Change(10_000.0, 2_500.0))
    assert wide is not None and narrow is not None
    assert [mark.removed for mark in wide.marks] == pytest.approx([0.4, 0.75, 0.8])
    assert [mark.removed for mark in narrow.marks] == pytest.approx([0.4, 0.75])
    assert [mark.y for mark in narrow.marks] == [mark.y for mark in wide.marks][:2]


def test_the_lines_stand_for_equal_shares() -> None:
    """On such a scale the knee is seen: seven eighths are removed by half of the roles."""
    picture = draw_curve([*POINTS, {"custom_roles": 53, "excess": 0.0, "assignments": 9}], chosen=6, live=LIVE)
    assert picture is not None
    assert [text for _, text in picture.up] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    assert [text for _, text in picture.across] == ["0", "20", "40"]
    heights = [y for y, _ in picture.up]
    assert len({round(above - below) for above, below in itertools.pairwise(heights)}) == 1
    knee = next(mark for mark in picture.marks if mark.custom_roles == 3)
    assert knee.y == pytest.approx(heights[0] + 0.875 * (heights[-1] - heights[0]), abs=0.1)


def test_one_point_is_no_curve() -> None:
    assert draw_curve(POINTS[:1], chosen=6, live=LIVE) is None
    assert draw_curve([], 0, LIVE) is None


def test_a_tenant_without_excess_has_a_flat_curve() -> None:
    flat = [{"custom_roles": n, "excess": 0.0, "assignments": 1} for n in (0, 1)]
    picture = draw_curve(flat, 0, LIVE)
    assert picture is not None
    assert len({mark.y for mark in picture.marks}) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12, "12"), (1_200, "1.2 k"), (340_000, "340 k"), (1.2e6, "1.2 M"), (3e9, "3.0 G")]
)
def test_numbers_fit_beside_the_axis(value: float, text: str) -> None:
    assert short_number(value) == text
