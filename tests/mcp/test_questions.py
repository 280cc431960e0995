"""What the workflows say becomes an honest answer, whatever the SDK makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rightsize.analyze.lacks import Lack
from rightsize.mcp.questions import Questions
from rightsize.workflow.answers import access

LACK = Lack("role_definitions", "r", "no loaded listing has this role, which is assigned", "az x")


@pytest.mark.parametrize(
    ("allowed", "lacks", "unknown", "why"),
    [
        ("yes", [], None, []),
        ("no", [], None, []),
        ("unknown", [LACK.row()], LACK.text, [LACK.text]),
        ("unknown", [], "nobody is called so", ["nobody is called so"]),
    ],
)
def test_an_answer_says_why_it_is_unknown(
    monkeypatch: pytest.MonkeyPatch, allowed: str, lacks: list[dict[str, Any]], unknown: str | None, why: list[str]
) -> None:
    """By the listings to blame, or the name that nothing knows; the answer is that of the command line."""
    row = {"principal_id": "p", "operation": "o", "scope": "/", "plane": "control", "allowed": allowed}
    row |= {"because": [], "denied_by": [], "depends_on_reading": False, "unknown": unknown, "lacks": lacks}
    found = access.Answers([row], ["a note"], {})
    monkeypatch.setattr(access, "can", lambda *_, **__: found)
    said = Questions(Path("store"), Path("plan"), 10, 1).can("p", "o", "/", None)
    assert (said.document["answer"], said.document["why_unknown"]) == (allowed, why)
    assert said.document["notes"] == ["a note"]
