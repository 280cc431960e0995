"""Draw the matrix of principals and layers of defence as self-contained SVG that is safe inside a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rightsize.model.nouns import LAYERS
from rightsize.render.escape import for_terminal

_LABEL, _CELL, _ROW, _HEAD, _GAP = 176, 92, 26, 46, 8
_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class Cells:
    """The shares of subscriptions in which a principal can defeat a layer: as granted, as used, as proposed."""

    granted: float
    used: float
    proposed: float


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A principal, its six cells in the order of the layers, and its present number of (subscription, layer) pairs."""

    name: str
    cells: tuple[Cells, ...]
    reach: int


def draw_matrix(rows: Sequence[MatrixRow], title: str = "layers of defence that principals can defeat") -> str:
    """Return the picture as SVG text, or an empty text where there are no rows."""
    if not rows:
        return ""
    from rightsize.render.templating import open_templates  # noqa: PLC0415  what draws nothing needs no templates

    bar = _CELL - _GAP
    return open_templates().get_template("layers.svg.j2").render(
        title=title,
        width=_LABEL + _CELL * len(LAYERS),
        height=_HEAD + _ROW * len(rows) + 30,
        label=_LABEL,
        bar=bar,
        heads=[
            {"x": _LABEL + _CELL * index, "words": layer.split("_")} for index, layer in enumerate(LAYERS)
        ],
        rows=[
            {
                "y": _HEAD + _ROW * number,
                "name": _short(row.name),
                "cells": [
                    {
                        "x": _LABEL + _CELL * index,
                        "granted": round(bar * cell.granted, 1),
                        "used": round(bar * cell.used, 1),
                        "proposed": round(bar * cell.proposed, 1),
                        "title": f"{for_terminal(row.name)}, {layer.replace('_', ' ')}: {_said(cell)}",
                    }
                    for index, (layer, cell) in enumerate(zip(LAYERS, row.cells, strict=True))
                ],
            }
            for number, row in enumerate(rows)
        ],
    )  # fmt: skip


def _said(cell: Cells) -> str:
    return f"granted in {cell.granted:.0%}, used in {cell.used:.0%}, proposed in {cell.proposed:.0%} of subscriptions"


def _short(name: str) -> str:
    # Room is short, so the domain of a UPN is only in the tooltip.
    text = for_terminal(name.split("@", maxsplit=1)[0])
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"
