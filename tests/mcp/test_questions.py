"""What the workflows say becomes an honest answer, whatever the SDK makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rightsize.mcp.questions import Questions
from rightsize.workflow import access

GAP = "the role of 1 assignment at or above the scope is not loaded, so it granted nothing: `a`"


@pytest.mark.parametrize(
    ("allowed", "denied_by", "gaps", "answer"),
    [
        ("yes", [], [GAP], "yes"),
        ("eligible", [], [GAP], "eligible"),
        ("conditional", ["d"], [GAP], "conditional"),
        ("no", [], [], "no"),
        ("no", [], [GAP], "unknown"),
        ("no", ["d"], [GAP], "no"),
    ],
)
def test_a_no_needs_everything_that_could_allow_it(
    monkeypatch: pytest.MonkeyPatch, allowed: str, denied_by: list[str], gaps: list[str], answer: str
) -> None:
    """A gap makes a no unknown, unless a deny assignment refuses whatever is allowed; other answers stay."""
    row = {"principal_id": "p", "operation": "o", "scope": "/", "plane": "control", "allowed": allowed}
    row |= {"because": [], "denied_by": denied_by, "depends_on_reading": False, "unknown": None}
    found: Any = access.Answers([row], [], {}, gaps, has_denies=False)
    monkeypatch.setattr(access, "can", lambda *_, **__: found)
    said = Questions(Path("store"), Path("plan"), 10, 1).can("p", "o", "/", None)
    assert said.document["answer"] == answer
    assert said.document["why_unknown"] == (gaps if answer == "unknown" else [])
    assert any("deny assignments" in note for note in said.document["notes"])
