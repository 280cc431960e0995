"""The blast radius as SVG and as a page: harmless, complete, described in words, and accessible."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from rightsize.analyze.reach.blast import COLUMNS
from rightsize.render.pictures import draw_blast, shape_blast, write_blast_page

HOSTILE = '<script>alert(1)</script>"\u202e\x1b'
COUNTS = {"identities": 48, "resources": 2, "secrets": 3, "cells": 6, "takes_tenant": True, "planes": ["graph"]}


def branch(depth: int = 1, **more: Any) -> dict[str, Any]:
    return {"depth": depth, "kind": "identity", "names": ["app"], "things": 1, "why": "runs code", "certain": True,
            "stays": 1, "hidden": 0} | more  # fmt: skip


def blast(**more: Any) -> dict[str, Any]:
    cell = {"own": 0, "granted": 1, "used": 0, "proposed": 1}
    grid = [{"at": "Portal", "subscriptions": 1, "cells": dict.fromkeys(COLUMNS, cell)}]
    after = COUNTS | {"identities": 1, "takes_tenant": False, "planes": []}
    return {"name": "vm1", "today": COUNTS, "after": after, "grid": grid, "branches": [branch()], "left_out": 0} | more


def test_names_are_text_whatever_they_are() -> None:
    hostile = blast(name=HOSTILE, branches=[branch(names=[HOSTILE], why=HOSTILE)])
    hostile["grid"][0]["at"] = HOSTILE
    for drawn in (draw_blast(hostile), write_blast_page(hostile)):
        assert "<script" not in drawn
        assert not {"\u202e", "\x1b"} & set(drawn)
    ET.fromstring(draw_blast(hostile))  # noqa: S314  it is still XML


def test_the_counts_stand_before_and_after_the_plan() -> None:
    drawn = "".join(ET.fromstring(draw_blast(blast())).itertext())  # noqa: S314  written by ourselves
    assert "48 → 1 principals" in drawn
    assert "takes the whole tenant, not under the plan" in drawn
    assert "acts in Microsoft Graph, not under the plan" in drawn
    assert "→" not in draw_blast(blast(after=None))


def test_every_cell_says_in_words_what_it_shows() -> None:
    cell = shape_blast(blast())["rows"][0]["cells"][0]
    assert cell["title"] == "Portal, host integrity: granted, proposed; through further steps"
    many = blast()
    many["grid"][0] |= {"at": "3 more", "subscriptions": 4}
    assert "granted in 1 of 4" in shape_blast(many)["rows"][0]["cells"][0]["title"]


def test_what_the_plan_takes_is_said_where_it_begins() -> None:
    gone = [branch(stays=0), branch(2, stays=0), branch(2, stays=1), branch(things=9, names=["a", "b", "c"], stays=2)]
    shaped = shape_blast(blast(branches=gone))["branches"]
    assert [(one["fate"], one["gone"]) for one in shaped] == [
        ("gone", True),
        ("", True),
        ("", False),
        ("2 left", False),
    ]
    assert shaped[-1]["text"] == "9 principals: a, b, c and 6 more"


def test_a_long_name_leaves_room_for_why() -> None:
    drawn = ET.fromstring(draw_blast(blast(branches=[branch(names=["n" * 400], why="w" * 400)])))  # noqa: S314
    texts = [text for text in drawn.itertext() if set(text) <= {"n", "w", "…"} and text]
    assert {text[0] for text in texts} == {"n", "w"}
    assert sum(map(len, texts)) < 140
