"""A tenant of hostile names is loaded, judged, planned and written, and none of its names is executed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store

pytestmark = pytest.mark.slow


def test_every_call_arrives(hostile_planned: Path, hostile_truth: dict[str, Any]) -> None:
    """Names break no count."""
    with open_store(hostile_planned / "store.duckdb", read_only=True) as opened:
        rows = opened.frame("SELECT outcome, count(*) FROM events WHERE source = 'activity_log' GROUP BY 1").rows()
    assert {name: count for name, count in rows if name != "other"} == hostile_truth["events"]["activity_log"]


def test_no_name_reaches_a_plan_as_more_than_text(hostile_planned: Path) -> None:
    """No markup, no control and no bidi character in any file of text, and no file named by anybody.

    Tables of evidence are data: they hold each value as it is.
    """
    plan = hostile_planned / "plan"
    assert json.loads((plan / "plan.json").read_text(encoding="utf-8"))["replay"]["denied"] == 0
    for path in plan.rglob("*"):
        assert path.name.isascii()
        assert ".." not in path.name
        if path.is_file() and path.suffix != ".parquet":
            text = path.read_text(encoding="utf-8")
            assert not [bad for bad in ("\x1b", "\x9b", "\u202e", "\u2066", "\u200b") if bad in text], path
            if path.suffix == ".html":
                assert "<script" not in text
                assert "<img" not in text
            elif path.suffix == ".md":
                assert not re.search(r"(?<!\\)<(script|img|b>)", text)
