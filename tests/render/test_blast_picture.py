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
    way = {"to": "tenant", "today": [step("app", "its managed identity"), step("tenant", "is admin")], "after": []}
    whole = {"subject": "vm1", "name": "vm1", "today": COUNTS, "after": after, "grid": grid, "branches": [branch()]}
    return whole | {"left_out": 0, "way": way} | more


def step(to: str, why: str, **more: Any) -> dict[str, Any]:
    return {"from": "", "to": to, "why": why, "certain": True} | more


def test_names_are_text_whatever_they_are() -> None:
    way = {"to": HOSTILE, "today": [step(HOSTILE, HOSTILE)], "after": []}
    hostile = blast(name=HOSTILE, branches=[branch(names=[HOSTILE], why=HOSTILE)], way=way)
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


def test_the_way_to_the_worst_is_drawn_before_and_after_the_plan() -> None:
    """One chain where the plan changes nothing, two where it leaves another way or none."""
    today = [step("app", "its managed identity"), step("tenant", "may be admin", certain=False)]
    shorter = [step("tenant", "is admin")]
    drawn = {}
    for name, after in (("no plan", None), ("same", today), ("other", shorter), ("cut", [])):
        ways = shape_blast(blast(way={"to": "tenant", "today": today, "after": after}))["ways"]
        drawn[name] = [(one["title"], one["is_cut"], [node["name"] for node in one["nodes"]]) for one in ways]
    whole = ["vm1", "app", "tenant"]
    assert drawn == {
        "no plan": [("today", False, whole)],
        "same": [("today, and under the plan", False, whole)],
        "other": [("today", False, whole), ("under the plan", False, ["vm1", "tenant"])],
        "cut": [("today", False, whole), ("under the plan", True, ["vm1", "tenant"])],
    }
    page = write_blast_page(blast(way={"to": "tenant", "today": today, "after": []}))
    assert "may be admin (possible)" in page and "no way is left" in page
    assert shape_blast(blast(way=None))["ways"] == []


def test_long_names_on_a_way_are_cut() -> None:
    (chain,) = shape_blast(blast(way={"to": "x", "today": [step("n" * 400, "w" * 400)], "after": None}))["ways"]
    assert max(len(node["name"]) for node in chain["nodes"]) <= 56
    assert len(chain["nodes"][1]["by"]) <= 90


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
