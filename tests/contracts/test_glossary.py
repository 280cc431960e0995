"""The glossary holds: its columns exist, and no column, option, help text or label uses a word that it rules out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rightsize.cli.main import app
from rightsize.model.tables import TABLES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
USED, NOT_USED = PAGE.split("## Words that are not used")

# Today's names that still have such a word. The sets may shrink and never grow.
COLUMNS = {
    "resource_identities": "Azure's name for what it attaches to a resource: managed identities",
    "identity_scope": "the resource id of a managed identity",
    "identity_control": "the name of a layer of defence",
    "identities": "counts principals; renaming it changes what SQL users see",
    "permission_grants": "Microsoft Graph's delegated permission grants",
    "permission_grant_id": "Microsoft Graph's delegated permission grants",
    "grant_id": "the id of an assignment of any plane; renaming it changes what SQL users see",
    "grant_listings": "listings of assignments of any plane; renaming it changes what SQL users see",
    "grant_sightings": "assignments of any plane; renaming it changes what SQL users see",
    "vanished_grants": "assignments of any plane; renaming it changes what SQL users see",
    "privilege_level": "Microsoft's map of Graph permissions has it under this name",
    "path": "the path of a file or of a request, never a scope",
    "signal_entities": "Sentinel's name for what an alert names",
    "entity_kind": "Sentinel's name for what an alert names",
}
OPTIONS = {
    "--standing-hours": "renaming it would break scripts",
}
HELP: dict[str, str] = {}


def _rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def _not_used() -> list[str]:
    return [word for row in _rows(NOT_USED) for word in re.findall(r"`([^`]+)`", row[0])]


# A path, a grant or what is allowed has its everyday meaning in a sentence; no name may have them.
IN_SENTENCES = frozenset(_not_used()) - {
    *("path", "grant", "grants", "allowed", "needed", "identity", "identities", "alert", "alerts"),
}


def _has(text: str, words: frozenset[str] | list[str]) -> bool:
    plain = f" {re.sub(r'[^a-z]+', ' ', text.lower())} "
    return any(f" {word.replace('-', ' ')} " in plain for word in words)


def _columns() -> set[str]:
    return {name for table in TABLES for name in (table.name, *(column.name for column in table.columns))}


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(f"{path} {name}", child)


def _options() -> Iterator[tuple[str, str, str]]:
    """Yield the command, the option and its help, and each command's own with no option."""
    for path, command in _commands("rightsize", typer.main.get_command(app)):
        yield path, "", command.help or ""
        for parameter in command.params:
            for name in (*parameter.opts, *parameter.secondary_opts):
                yield path, name, getattr(parameter, "help", None) or ""


def _labels() -> set[str]:
    """Return the headings of the pages that people read, as their templates have them."""
    pages = [*(ROOT / "rightsize" / "render" / "templates").rglob("*.j2")]
    found = (re.findall(r"<(?:t[hd]|h\d|summary)\b[^>]*>([^<{]+)<", page.read_text(encoding="utf-8")) for page in pages)
    return {label.strip() for labels in found for label in labels}


def test_every_column_of_the_glossary_exists() -> None:
    """A word's columns are columns of the store."""
    named = {name for row in _rows(USED) for name in re.findall(r"`(\w+)`", row[1])}
    assert "principal_id" in named
    assert named - _columns() == set()


def test_every_word_has_one_sentence_and_one_row() -> None:
    """No word is explained twice, and each has its meaning in one sentence."""
    rows = [row for row in _rows(USED) if row[0] != "word"]
    words = [row[0] for row in rows]
    assert sorted(words) == sorted(set(words))
    assert [row[0] for row in rows if not re.fullmatch(r"[A-Z][^.]*\.", row[2])] == []


def test_no_column_has_a_word_that_is_not_used() -> None:
    """Tables and columns are named by the glossary, with the exceptions of today."""
    assert {name for name in _columns() if _has(name, _not_used())} == set(COLUMNS)


@pytest.mark.slow
def test_no_option_has_a_word_that_is_not_used() -> None:
    """Options are named by the glossary, with the exceptions of today."""
    assert {name for _, name, _ in _options() if _has(name, _not_used())} == set(OPTIONS)


def test_no_help_text_has_a_word_that_is_not_used() -> None:
    """Help is written in the words of the glossary, but for what is not yet written anew."""
    found = {f"{path} {name}".strip() for path, name, text in _options() if _has(text, IN_SENTENCES)}
    assert found - set(HELP) == set()


def test_no_label_has_a_word_that_is_not_used() -> None:
    """Headings of the report and the summary are written in the words of the glossary."""
    labels = _labels()
    assert "principal" in labels
    assert {label for label in labels if _has(label, _not_used())} == set()
