"""The matrix of layers as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from rightsize.model.nouns import LAYERS
from rightsize.render.pictures import Cells, MatrixRow, draw_matrix

NOTHING = Cells(0, 0, 0)


def row(name: str, first: Cells) -> MatrixRow:
    return MatrixRow(name, (first, *[NOTHING] * (len(LAYERS) - 1)), 1)


def test_bars_are_as_long_as_the_share_of_subscriptions() -> None:
    root = ET.fromstring(draw_matrix([row("p", Cells(1, 0, 0.5))]))  # noqa: S314  written by ourselves
    bars = {
        rect.get("class"): float(rect.get("width", "0"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
        if rect.get("height") == "5"
    }
    assert set(bars) == {"granted", "proposed"}
    assert bars["proposed"] == bars["granted"] / 2


def test_names_are_text_whatever_they_are() -> None:
    drawn = draw_matrix([row('<script>alert(1)</script>"\u202e\x1b', Cells(1, 1, 1))])
    assert "<script" not in drawn
    assert "\u202e" not in drawn
    ET.fromstring(drawn)  # noqa: S314  it is still XML


def test_every_cell_says_in_words_what_it_shows() -> None:
    drawn = draw_matrix([row("p", Cells(1, 0.25, 0))])
    assert "p, host integrity: granted in 100%, used in 25%, proposed in 0% of subscriptions" in drawn


def test_no_row_is_no_picture() -> None:
    assert draw_matrix([]) == ""
