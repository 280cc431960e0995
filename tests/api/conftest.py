"""A tenant that fits on a page, loaded and planned once, for everything that asks the Python interface."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.api.tiny_tenant import COVERS, SCOPE, write_exports
from tests.conftest import MadeOnce


@pytest.fixture
def tiny(made_once: MadeOnce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `exports`, the store `tenant.duckdb` that has them, and its `plan`."""
    import rightsize  # noqa: PLC0415  the interface loads its modules when it is used

    def fill(folder: Path) -> None:
        write_exports(folder / "exports")
        with rightsize.open(folder / "tenant.duckdb", create=True) as store:
            store.load(folder / "exports", covers=COVERS, source="activity_log", scope=SCOPE)
            store.propose(out=folder / "plan", role_worth=0)

    here = tmp_path / "tiny"
    shutil.copytree(made_once("tiny", fill), here)
    monkeypatch.chdir(here)
    return here
