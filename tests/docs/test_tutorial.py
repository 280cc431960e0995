"""The tutorial, from an empty folder to a merged role: each command prints what the page quotes."""

from __future__ import annotations

import json
import pickle
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import Block, Step, blocks
from tests.docs.conftest import DEMO, TUTORIAL, follow
from tests.docs.session import Done, differences, run_shell, write_quotes
from tests.golden_files import WRITES

pytestmark = pytest.mark.slow


def _followed(tutorial: Path) -> list[tuple[Block, Step, Done]]:
    done = pickle.loads((tutorial / "done").read_bytes())  # noqa: S301  our own
    shown = [(block, step) for block in blocks(TUTORIAL) if block.is_run for step in block.steps()]
    return [(block, step, one) for (block, step), one in zip(shown, done, strict=True)]


def _wrong(tutorial: Path, *but: str) -> list[str]:
    ran = [one for one in _followed(tutorial) if one[1].command not in but]
    if WRITES:
        write_quotes(TUTORIAL, _followed(tutorial), keep=but)
        ran = [one for one in _followed(tutorial) if one[1].command not in but]
    assert len(ran) > 20
    return [line for one in ran for line in differences(*one)]


def test_each_command_prints_what_the_page_quotes(tutorial: Path) -> None:
    assert _wrong(tutorial, DEMO) == []


@pytest.mark.nightly
def test_it_begins_with_an_empty_folder(tmp_path: Path) -> None:
    """Nothing is prepared: also the demo's tenant is made by the command that the page shows; and all is one shell."""
    follow(tmp_path, {}, run_shell)
    assert _wrong(tmp_path) == []


def test_it_ends_with_merged_roles(tutorial: Path) -> None:
    """The code host's main branch has the roles of the plan, byte for byte, and the decision for them."""
    host = tutorial / "hospital.git"

    def show(what: str) -> bytes:
        return subprocess.run(["git", "show", f"main:{what}"], cwd=host, capture_output=True, check=True).stdout

    for purpose in ("nic-and-vm-editor-with-export", "vm-remover"):
        name = f"{purpose}-clinical-records.json"
        assert show(f"roles/{name}") == (tutorial / "hospital/reports/plan/roles" / name).read_bytes()
    (decision,) = show("review.jsonl").splitlines()
    assert json.loads(decision)["decision"] == "accept"
