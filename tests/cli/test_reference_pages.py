"""The pages that are made of the program are whole and well formed, and are not committed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rightsize.cli.reference_pages import REFERENCE_PAGES, write_controls_page, write_sources_page
from rightsize.cli.registry import COMMANDS
from rightsize.collect.sources import SOURCES
from rightsize.store.controls import control_names, read_control

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


def test_every_source_has_a_row_with_its_request_and_right() -> None:
    """How many rows an hour of a table has is asked beside the table, and has no row of its own."""
    rows = [line.split(" | ") for line in write_sources_page().splitlines() if line.startswith("| `")]
    found = {row[0].strip("| `"): row for row in rows}
    assert found.keys() == {one.name for one in SOURCES if not one.name.endswith("_counts")}
    assert {len(row) for row in rows} == {6}
    for one in SOURCES:
        if one.name in found:
            assert f"`{one.right.permission}`" in found[one.name][3]
            assert found[one.name][2].startswith(("`GET ", "`POST "))


def test_every_control_has_a_row_and_a_section() -> None:
    """The row has its question and what it checks; the titles of frameworks stand once, at the end."""
    controls = [read_control(name) for name in control_names()]
    text = write_controls_page(controls)
    rows = {line.split("`")[1]: line for line in text.splitlines() if "| [`" in line}
    assert rows.keys() == {one.name for one in controls}
    checks = text.partition("## What is checked")[2]
    for one in controls:
        assert f"\n## {one.name}\n\n{one.question.description}\n" in text
        assert one.question.title in rows[one.name]
        for tag in one.tags:
            assert f"{tag.framework} {tag.id}" in rows[one.name]
            assert f"| {tag.id} |" in checks
