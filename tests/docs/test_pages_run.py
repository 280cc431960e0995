"""The commands of README, how-to guides, questions and explanations do what the pages say, in the tutorial's folder."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.docs.kinds import NIGHTLY, pages_to_run
from tests.docs.session import differences, run_blocks, run_here, write_quotes
from tests.golden_files import WRITES

pytestmark = pytest.mark.nightly


@pytest.fixture
def folder(tutorial: Path, demo_folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder at the end of the tutorial; `exports` and `code` are those of the tenant."""
    copy = Path(shutil.copytree(tutorial / "hospital", tmp_path / "hospital", ignore=shutil.ignore_patterns("tenant")))
    (copy / "tenant").symlink_to(demo_folder)
    (copy / "exports").symlink_to(demo_folder / "exports")
    (copy / "code").symlink_to(demo_folder / "code")
    return copy


PAGES = [
    pytest.param(name, marks=[pytest.mark.nightly] if Path(name).stem in NIGHTLY else []) for name in pages_to_run()
]


@pytest.mark.parametrize("name", PAGES)
def test_commands_do_what_the_page_says(name: str, folder: Path, tmp_path: Path) -> None:
    page = ROOT / name
    shown = [block for block in blocks(page) if block.is_run]
    assert shown
    ran = run_blocks(shown, partial(run_here, folder=folder, home=tmp_path))
    if WRITES:
        write_quotes(page, ran)
        again = [block for block in blocks(page) if block.is_run]
        steps = [(block, step) for block in again for step in block.steps()]
        given = [done for block, step, done in ran if step.command not in block.before]
        ran = [(block, step, done) for (block, step), done in zip(steps, given, strict=True)]
    assert [line for one in ran for line in differences(*one)] == []
