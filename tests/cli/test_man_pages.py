"""The manual pages are what the commands say of themselves, and are clean man(7)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rightsize.cli.man import man_pages
from rightsize.cli.registry import COMMANDS

MAN = Path(__file__).resolve().parents[2] / "docs" / "man"


def test_the_pages_are_those_of_the_commands() -> None:
    """Whoever changes a command writes them anew: `python -m rightsize.cli.man docs/man`."""
    pages = man_pages()
    assert {path.name: path.read_text(encoding="ascii") for path in MAN.iterdir()} == pages
    assert pages.keys() == {
        "rightsize.1",
        *(f"rightsize-{one.name.replace(' ', '-')}.1" for one in COMMANDS if one.function),
    }


def test_a_page_shows_what_its_help_says() -> None:
    page = man_pages()["rightsize-rollout-apply.1"]
    assert "\\fB\\-\\-wave\\fR \\fI<int>\\fR\nThe wave to apply." in page
    assert ".B 4\nsign\\-in or authorisation failed." in page
    assert ".BR rightsize\\-rollout\\-rollback (1)" in page


@pytest.mark.external
def test_groff_warns_of_nothing() -> None:
    if shutil.which("groff") is None:
        pytest.skip("needs groff")
    files = [str(path) for path in sorted(MAN.iterdir())]
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
