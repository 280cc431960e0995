"""Every command line of `rightsize` on a page is one that the program takes: the command and all its options exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.exceptions import TyperException

from rightsize.cli.main import app
from tests.docs.blocks import ROOT, blocks, prose, words_of_commands

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_INLINE = re.compile(r"`(rightsize [a-z][^`]*)`")


def wrong_with(words: list[str], *, whole: bool) -> str:
    """Return what the program would say against a command line; without `whole`, arguments may be left out."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="rightsize")
    try:
        while hasattr(command, "commands"):
            if words[:1] == ["--shared"]:
                words = words[1:]
            name, rest = (words[0], words[1:]) if words else ("", [])
            if name.startswith("--") or (not name and not whole):
                return ""
            found = command.get_command(context, name)
            if found is None:
                return f"no command `{name}`"
            is_above = getattr(found, "itself", None) is not None and rest[:1] and rest[0] in found.entries
            command, words = found if is_above else getattr(found, "itself", None) or found, rest
            context = command.context_class(command, info_name=name, parent=context)
        if whole and "--help" not in words:
            values, more, _ = command.make_parser(context).parse_args(args=list(words))
            lacking = [
                one.name
                for one in command.params
                if one.required and values.get(one.name) in (None, ()) and one.envvar is None
            ]
            return f"lacks {', '.join(lacking)}" if lacking else f"has {more} more" if more else ""
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        unknown = [word for word in words if re.match(r"--[a-z]", word) and word.split("=")[0] not in known]
        return f"no option {unknown[0]}" if unknown else ""
    except TyperException as error:
        return error.format_message()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("rightsize review reports/plan", False),
        ("rightsize roles contains a.json#Owner b.json; echo $?", False),
        ("rightsize load x && rightsize plan verify p --prover smt", False),
        ("rightsize proposal", True),
        ("rightsize propose --reed all", True),
        ("echo x | rightsize explain", True),
        ("rightsize plan verify one two", True),
    ],
)
def test_a_wrong_line_is_seen(line: str, wrong: bool) -> None:
    """A command, an option or an argument that does not exist is found behind pipes and separators."""
    assert any(wrong_with(words, whole=True) for words in words_of_commands(line)) == wrong


def test_pages_show_commands() -> None:
    """What is checked below is there."""
    assert sum(len(list(block.command_lines())) for page in PAGES for block in blocks(page)) > 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(Path(page).relative_to(ROOT)))
def test_each_command_line_of_a_page_is_taken(page: Path) -> None:
    """Fenced command lines are whole; those within a sentence name commands and options that exist."""
    wrong = [
        f"{block.place}: rightsize {' '.join(words)}: {said}"
        for block in blocks(page)
        for words in block.command_lines()
        if (said := wrong_with(words, whole=True))
    ]
    for line in _INLINE.findall(prose(page.read_text(encoding="utf-8"))):
        words = re.sub(r"\s+", " ", line).split(" ")[1:]
        if said := wrong_with(words, whole=False):
            wrong.append(f"`{line}`: {said}")
    assert wrong == []
