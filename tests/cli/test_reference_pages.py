"""The pages that are made of the program are whole and well formed, and are not committed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rightsize.cli.reference_pages import REFERENCE_PAGES
from rightsize.cli.registry import COMMANDS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The text of each page."""
    return {name: write() for name, write in REFERENCE_PAGES.items()}


def _titles(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", REFERENCE_PAGES)
def test_a_page_is_well_formed(name: str, pages: dict[str, str]) -> None:
    """It has one title, no section twice, tables whose rows have as many cells as the head, and links that lead on."""
    text = pages[name]
    assert text.startswith("# ") and text.count("\n# ") == 0 and text.endswith("\n")
    assert len(_titles(text)) == len(set(_titles(text))) > 3
    for table in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        assert not target or "://" in target or (DOCS / target).exists() or target in REFERENCE_PAGES
        assert target or anchor in {title.lower() for title in _titles(text)}


def test_a_page_is_written_and_not_committed(pages: dict[str, str]) -> None:
    """The site and whoever has the package write it; a copy in the tree would grow old."""
    assert [name for name in pages if (DOCS / name).exists()] == []


def test_every_command_has_a_section_that_says_all_its_options(pages: dict[str, str]) -> None:
    """An option that several commands take has its meaning at the top only."""
    text = pages["commands.md"]
    assert _titles(text) == sorted(f"rightsize {one.name}" for one in COMMANDS if one.function)
    head, _, _ = text.partition("\n## ")
    assert head.count("| `--db` |") == text.count("| `--db` |") == 1
    every = re.findall(r"`(--[a-z-]+)`", head.partition("\nEvery command takes ")[2])
    assert "--quiet" in every
    for section in text.split("\n## ")[1:]:
        assert section.startswith("rightsize ")
        named = re.findall(r"`(--[a-z-]+)`", section.partition("\nAlso ")[2].partition("Exit codes")[0])
        assert [name for name in named if f"`{name}" not in head and f", {name}`" not in head] == []
