"""The tutorial's folder, made once, which the other pages go on from."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.docs.session import Done, run_blocks, run_here

MadeOnce = Callable[[str, Callable[[Path], None]], Path]
TUTORIAL = ROOT / "docs" / "tutorial.md"


DEMO = "rightsize demo tenant"


@pytest.fixture(scope="session")
def tutorial(made_once: MadeOnce, demo_folder: Path) -> Path:
    """A folder in which the tutorial was followed, and what each command gave in `done`.

    The demo is a copy of the one that other tests made too: to make it takes as long as all the rest.
    """

    def copied(folder: Path) -> None:
        follow(folder, {DEMO: f"cp -r '{demo_folder}' tenant"}, run_here)

    return made_once("tutorial", copied)


def follow(folder: Path, instead: Mapping[str, str], run: Callable[..., list[Done]]) -> None:
    """Follow the tutorial in a folder, and keep what each command gave."""
    shown = [block for block in blocks(TUTORIAL) if block.is_run]
    done = [one for _, _, one in run_blocks(shown, partial(run, folder=folder, home=folder), instead)]
    (folder / "done").write_bytes(pickle.dumps(done))
