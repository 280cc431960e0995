"""Reports of whole tenants, made once for all tests of pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rightsize.propose.dials import Dials
from rightsize.workflow.load import load_paths
from rightsize.workflow.propose import propose_plan
from rightsize.workflow.report import report_store

if TYPE_CHECKING:
    from tests.conftest import MadeOnce


@pytest.fixture(scope="session")
def hostile_page(hostile_exports: Path, made_once: MadeOnce) -> Path:
    """The report of a tenant whose names were chosen by an attacker. Read only."""

    def fill(folder: Path) -> None:
        store = folder / "store.duckdb"
        load_paths(store, [hostile_exports])
        propose_plan(store, Dials(), folder / "plan")
        report_store(store, folder / "report.html", plan=folder / "plan")

    return made_once("hostile-report", fill) / "report.html"
