"""Draw a blast radius as self-contained SVG without script, and as a page that fits any width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rightsize.analyze.reach.blast import COLUMNS
from rightsize.render.escape import for_terminal
from rightsize.render.templating import open_templates, policy_source, report_style

_WIDTH, _LABEL, _ROW, _LINE, _INDENT = 920, 168, 26, 22, 20
_CELL = (_WIDTH - _LABEL) / len(COLUMNS)
_BAR = _CELL - 10
_HEAD = 118
_LETTER = 6.6
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
    }


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
    shaped = shape_blast(blast)
    top = _HEAD + _ROW * len(shaped["rows"]) + 34
    lines: list[dict[str, Any]] = []
    above: dict[int, float] = {}
    for number, branch in enumerate(shaped["branches"]):
        x, y = 8 + _INDENT * (branch["depth"] - 1), top + 26 + _LINE * number
        room = int((_WIDTH - x - 24) / _LETTER)
        above[branch["depth"]] = y
        lines.append(branch | _fitted(branch, room) | {"x": x, "y": y, "up": above.get(branch["depth"] - 1, top + 6)})
    return open_templates(tight=True).get_template("blast.svg.j2").render(
        shaped, width=_WIDTH, height=top + 40 + _LINE * len(lines), label=_LABEL, cell=_CELL, bar=_BAR, head=_HEAD,
        row_height=_ROW, top=top, lines=lines, label_room=int((_LABEL - 8) / _LETTER),
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
    style = report_style()
    policy = f"default-src 'none'; style-src {policy_source(style)}; base-uri 'none'; form-action 'none'"
    return (
        open_templates(tight=True)
        .get_template("blast.html.j2")
        .render(blast=shape_blast(blast), style=style, policy=policy)
    )
