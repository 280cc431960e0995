"""Reports of whole tenants, made once for all tests of pages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rightsize.workflow.answers.report import read_sources, report_store

if TYPE_CHECKING:
    from tests.conftest import MadeOnce


@pytest.fixture(scope="session")
def hostile_page(hostile_planned: Path, made_once: MadeOnce) -> Path:
    """The report of a tenant whose names were chosen by an attacker. Read only."""

    def fill(folder: Path) -> None:
        shutil.copytree(hostile_planned, folder, dirs_exist_ok=True)
        report_store(read_sources(folder / "store.duckdb", plan=folder / "plan"), folder / "report.html")

    return made_once("hostile-report", fill) / "report.html"
