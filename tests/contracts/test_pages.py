"""Every handwritten page of the documentation shows an example at once, and has short paragraphs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.docs.blocks import prose

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FIRST_SCREEN = 25
_WIDTH = 120
_LONGEST = 5
_BETWEEN = re.compile(r"\n\s*\n|\n(?=\s*(?:[-|#]|\d+\.) ?)")


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs, entries of lists and rows of tables outside of fenced blocks."""
    return [part for part in _BETWEEN.split(prose(text)) if part.strip() and not part.lstrip().startswith("|")]


def _lines(paragraph: str) -> int:
    return len(textwrap.wrap(" ".join(paragraph.split()), _WIDTH, break_long_words=False, break_on_hyphens=False))


def test_the_pages_are_found() -> None:
    """The pages of the tree are looked at."""
    assert {"README.md", "proposals.md", "verdicts.md"} <= {page.name for page in PAGES}


def test_a_long_paragraph_is_seen() -> None:
    """A paragraph of more than five lines counts so, however it is wrapped."""
    assert [_lines(part) for part in _paragraphs("| a row |\n\n" + "word " * 200 + "\n- an entry\n")] == [9, 1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_first_screen_has_an_example(page: Path) -> None:
    """A page shows a command, what it prints, or a file within its first 25 lines."""
    first = page.read_text(encoding="utf-8").splitlines()[:_FIRST_SCREEN]
    assert any(line.startswith("```") for line in first)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_paragraph_is_long(page: Path) -> None:
    """No paragraph, and no entry of a list, is over five lines of 120 columns."""
    assert [part for part in _paragraphs(page.read_text(encoding="utf-8")) if _lines(part) > _LONGEST] == []
