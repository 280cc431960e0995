"""Draw pictures as SVG: the curve of excess, the matrix of layers, and a blast radius.

Draw the share of the excess that new roles remove against their number, as SVG without script and as numbers.

The share is that of the live excess today of what may change. A plan with other options has the same, so the shares of
different plans compare. Both axes are linear, so the knee is seen: the last roles remove little.

Draw the matrix of principals and layers of defence as self-contained SVG that is safe inside a page.

Draw a blast radius as self-contained SVG without script, and as a page that fits any width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.analyze.reach.blast import COLUMNS
from rightsize.model.nouns import LAYERS
from rightsize.model.plan_totals import Change
from rightsize.render.escape import for_terminal

CURVE_WIDTH, CURVE_HEIGHT = 640.0, 260.0
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
        return round(_LEFT + (CURVE_WIDTH - _LEFT - _RIGHT) * roles / most_roles, 1)

    def up(share: float) -> float:
        return round(CURVE_HEIGHT - _BOTTOM - (CURVE_HEIGHT - _TOP - _BOTTOM) * share, 1)

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


_MATRIX_LABEL, _MATRIX_CELL, _MATRIX_ROW, _MATRIX_HEAD, _MATRIX_GAP = 176, 92, 26, 46, 8
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

    bar = _MATRIX_CELL - _MATRIX_GAP
    return open_templates().get_template("layers.svg.j2").render(
        title=title,
        width=_MATRIX_LABEL + _MATRIX_CELL * len(LAYERS),
        height=_MATRIX_HEAD + _MATRIX_ROW * len(rows) + 30,
        label=_MATRIX_LABEL,
        bar=bar,
        heads=[
            {"x": _MATRIX_LABEL + _MATRIX_CELL * index, "words": layer.split("_")} for index, layer in enumerate(LAYERS)
        ],
        rows=[
            {
                "y": _MATRIX_HEAD + _MATRIX_ROW * number,
                "name": _short_name(row.name),
                "cells": [
                    {
                        "x": _MATRIX_LABEL + _MATRIX_CELL * index,
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


def _short_name(name: str) -> str:
    # Room is short, so the domain of a UPN is only in the tooltip.
    text = for_terminal(name.split("@", maxsplit=1)[0])
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"


_BLAST_WIDTH, _BLAST_LABEL, _BLAST_ROW, _BLAST_LINE, _BLAST_INDENT = 920, 168, 26, 22, 20
_BLAST_CELL = (_BLAST_WIDTH - _BLAST_LABEL) / len(COLUMNS)
_BLAST_BAR = _BLAST_CELL - 10
_BLAST_HEAD = 118
_LETTER = 6.6
_NODE, _EDGE = 56, 90
"""The most characters of a node of a way, and of what leads to it."""
BASES = ("granted", "proposed", "used")
_WORDS = {"identity": "principals", "resource": "resources", "secrets": "stores of secrets or data", "access": "scopes",
          "directory": "parts of the directory", "outsider": "outside subjects", "consent": "users"}  # fmt: skip
_PLANES = {"graph": "Microsoft Graph", "directory": "the directory"}
_WORD = {"identity": "principal", "outsider": "outside subject", "consent": "user"}
_COUNTS = (("identities", "principals"), ("resources", "resources with code"), ("secrets", "stores of secrets or data"),
           ("cells", "layers of defence, each in a subscription"))  # fmt: skip


def shape_blast(blast: Mapping[str, Any]) -> dict[str, Any]:
    """Return a blast radius with harmless texts, and with bar widths in hundredths of their column."""
    today, after = blast["today"], blast["after"]
    return {
        "name": for_terminal(blast["name"]),
        "has_plan": after is not None,
        "takes_tenant": today["takes_tenant"],
        "tenant_left": bool(after and after["takes_tenant"]),
        "counts": [(words, today[name], after[name] if after else None) for name, words in _COUNTS],
        "planes": [
            (_PLANES[plane], plane in today["planes"], bool(after) and plane in after["planes"])
            for plane in ("graph", "directory")
        ],
        "columns": list(COLUMNS),
        "rows": [
            {"at": for_terminal(row["at"]), "cells": [_cell(row, name) for name in COLUMNS]} for row in blast["grid"]
        ],
        "branches": _branches(blast["branches"]),
        "left_out": blast["left_out"],
        "ways": _shape_ways(blast["name"], blast["way"]),
        "plan_changes": bool(blast["way"]) and blast["way"]["after"] not in (None, blast["way"]["today"]),
    }


def _shape_ways(name: str, way: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the way to the worst thing as chains to draw: one, or today's and the plan's where they differ.

    A chain has a `title`, `is_cut`, and `nodes`: each with the `name` of what is reached and `by` what.
    """
    if way is None:
        return []
    today, after = way["today"], way["after"]
    if after is None or after == today:
        titles = ["today" if after is None else "today, and under the plan"]
    else:
        titles = ["today", "under the plan"]
    cut = [{"why": "no way is left", "to": way["to"], "certain": True}]
    return [
        {
            "title": title,
            "is_cut": not steps,
            "nodes": [{"by": "", "name": _cut(for_terminal(name), _NODE)}]
            + [
                {
                    "by": _cut(for_terminal(step["why"]), _EDGE) + ("" if step["certain"] else " (possible)"),
                    "name": _cut(for_terminal(step["to"]), _NODE),
                }
                for step in steps or cut
            ],
        }
        for title, steps in zip(titles, (today, after), strict=False)
    ]


def _branches(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the branches as lines to show; a removed part is marked once, at its first branch."""
    told: list[dict[str, Any]] = []
    above: dict[int, bool] = {}
    for one in found:
        branch = _branch(one)
        above[one["depth"]] = branch["gone"]
        if branch["gone"] and above.get(one["depth"] - 1):
            branch["fate"] = ""
        told.append(branch)
    return told


def _cell(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    cell, whole = row["cells"][name], row["subscriptions"]
    share = {basis: 100 * (cell[basis] or 0) / whole for basis in BASES}
    if whole == 1:
        said = [basis for basis in BASES if cell[basis]]
    else:
        said = [f"{basis} in {cell[basis]} of {whole}" for basis in BASES if cell[basis]]
    words = ", ".join(said) or "nothing"
    if cell["granted"]:
        words += "; without a further step" if cell["own"] else "; through further steps"
    title = f"{for_terminal(row['at'])}, {name.replace('_', ' ')}: {words}"
    return {"own": 100 * cell["own"] / whole, "share": share, "title": title}


def _branch(one: Mapping[str, Any]) -> dict[str, Any]:
    names = [for_terminal(name) for name in one["names"]]
    text = names[0] if one["things"] == 1 else f"{one['things']} {_WORDS[one['kind']]}: {', '.join(names)}"
    more = one["things"] - len(names)
    fate = ""
    if one["stays"] is not None and one["stays"] < one["things"]:
        fate = "gone" if one["stays"] == 0 else f"{one['stays']} left"
    return {
        "depth": one["depth"],
        "kind": one["kind"],
        "word": _WORD.get(one["kind"], one["kind"]),
        "text": text + (f" and {more} more" if more > 0 else ""),
        "why": for_terminal(one["why"]),
        "certain": one["certain"],
        "gone": fate == "gone",
        "fate": fate,
        "hidden": one["hidden"],
    }


def draw_blast(blast: Mapping[str, Any]) -> str:
    """Return the picture as SVG text."""
    from rightsize.render.templating import open_templates  # noqa: PLC0415  what draws nothing needs no templates

    shaped = shape_blast(blast)
    top = _BLAST_HEAD + _BLAST_ROW * len(shaped["rows"]) + 34
    lines: list[dict[str, Any]] = []
    above: dict[int, float] = {}
    for number, branch in enumerate(shaped["branches"]):
        x, y = 8 + _BLAST_INDENT * (branch["depth"] - 1), top + 26 + _BLAST_LINE * number
        room = int((_BLAST_WIDTH - x - 24) / _LETTER)
        above[branch["depth"]] = y
        lines.append(branch | _fitted(branch, room) | {"x": x, "y": y, "up": above.get(branch["depth"] - 1, top + 6)})
    return open_templates(tight=True).get_template("blast.svg.j2").render(
        shaped, width=_BLAST_WIDTH, height=top + 40 + _BLAST_LINE * len(lines), label=_BLAST_LABEL,
        cell=_BLAST_CELL, bar=_BLAST_BAR, head=_BLAST_HEAD, row_height=_BLAST_ROW, top=top,
        lines=lines, label_room=int((_BLAST_LABEL - 8) / _LETTER),
    )  # fmt: skip


def _fitted(branch: Mapping[str, Any], room: int) -> dict[str, str]:
    """Return the texts of a line, cut so that both fit: the name first, then the reason."""
    notes = [branch["fate"] and f"{branch['fate']} under the plan", "" if branch["certain"] else "possible",
             f"{branch['hidden']} more below" if branch["hidden"] else ""]  # fmt: skip
    tail = ", ".join(filter(None, notes))
    left = room - (len(tail) + 3 if tail else 0)
    text = _cut(branch["text"], max(16, left * 6 // 10))
    return {"text": text, "why": _cut(branch["why"], max(0, left - len(text) - 3)), "tail": tail}


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return f"{text[: room - 1]}…" if room > 1 else ""


def write_blast_page(blast: Mapping[str, Any]) -> str:
    """Return a page with the picture as text, tables and lists, without script, for any width."""
    from rightsize.render.templating import open_templates, policy_source, report_style  # noqa: PLC0415  as above

    style = report_style()
    policy = f"default-src 'none'; style-src {policy_source(style)}; base-uri 'none'; form-action 'none'"
    return (
        open_templates(tight=True)
        .get_template("blast.html.j2")
        .render(blast=shape_blast(blast), style=style, policy=policy)
    )
