"""Every page has one kind: it stands in one section of the site, says its kind, and keeps the form of that kind."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.docs.kinds import ELSEWHERE, SECTIONS, WITHOUT_COMMANDS, kinds, nav, pages_below, pages_to_run

DOCS = ROOT / "docs"
OF = {name: kind for kind, names in kinds().items() for name in names}
WRITTEN = sorted(set(OF) - ELSEWHERE)


def _text(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def test_every_page_stands_in_one_section() -> None:
    """No page of `docs/` is missing in the navigation, and none is there twice."""
    named = Counter(name for entry in nav() for name in pages_below(entry))
    pages = {page.stem for page in DOCS.glob("*.md")}
    assert pages - set(OF) == set()
    assert {name for name, count in named.items() if count > 1} == set()
    assert list(kinds()) == list(SECTIONS.values())


@pytest.mark.parametrize("name", WRITTEN)
def test_a_page_begins_with_what_the_reader_can_do_and_its_kind(name: str) -> None:
    """The first paragraph says "After this page you …", and the kind, which is that of the section."""
    title, first = _text(name).split("\n\n", 2)[:2]
    assert title.startswith("# ")
    assert first.startswith("After this page you ")
    said = re.findall(r"[Ii]t\sis\s(?:a|an)\s(tutorial|how-to|reference|explanation)\b", first)
    assert said == [OF[name]]


@pytest.mark.parametrize("name", [name for name in WRITTEN if OF[name] in ("how-to", "tutorial")])
def test_commands_of_a_guide_are_ready_to_copy(name: str) -> None:
    """Each block with commands is a transcript or a script: no command stands beside prose that no shell takes."""
    shown = [block for block in blocks(DOCS / f"{name}.md") if any(block.command_lines())]
    assert bool(shown) == (name not in WITHOUT_COMMANDS)
    assert [block.place for block in shown if not block.is_transcript and not block.is_script] == []


@pytest.mark.parametrize("name", [name for name in WRITTEN if OF[name] == "explanation"])
def test_an_explanation_lists_no_options(name: str) -> None:
    """Options, keys and exit codes are looked up in a reference."""
    assert re.findall(r"^\| `--.*", _text(name), flags=re.MULTILINE) == []


def test_what_is_run_is_found() -> None:
    """Most guides have commands that run, and each block that does not says why."""
    assert len(pages_to_run()) > 12
    reasons = {block.not_run for name in WRITTEN for block in blocks(DOCS / f"{name}.md")} - {""}
    assert all(re.match(r"[a-z].{8,60}$", reason) for reason in reasons)
