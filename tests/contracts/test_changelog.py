"""The changelog is for users: released versions, and entries that are read in one breath."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
_WORDS = 30


def test_the_newest_release_is_the_version_of_the_project() -> None:
    """What is not released yet stands on top, and below it the version that is installed."""
    heads = re.findall(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", TEXT, flags=re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert heads[0] == ("Unreleased", "")
    assert heads[1][0] == version
    assert all(day for _, day in heads[1:])


def test_every_entry_is_one_short_line() -> None:
    """An entry says cause and effect in one line, under the kind of change that it is."""
    kinds = re.findall(r"^### (.+)$", TEXT, flags=re.MULTILINE)
    lines = [line for line in TEXT.splitlines() if line and not line.startswith("#")][1:]
    words = {line: len(re.sub(r"\]\([^)]*\)", "]", line).split()) - 1 for line in lines}
    assert set(kinds) <= {"Added", "Changed", "Fixed", "Removed"}
    assert [line for line in lines if not line.startswith("- ") or words[line] > _WORDS] == []


def test_every_link_of_the_changelog_leads_somewhere() -> None:
    """Relative links point at files that exist."""
    assert [target for target in re.findall(r"\]\(([^)#:]+)\)", TEXT) if not (ROOT / target).exists()] == []
