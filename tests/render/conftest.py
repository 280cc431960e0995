"""Reports of whole tenants, made once for all tests of pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.propose.dials import Dials
from rightsize.workflow.load import load_paths
from rightsize.workflow.propose import propose_plan
from rightsize.workflow.report import report_store


@pytest.fixture(scope="session")
def hostile_page(hostile_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a tenant whose names were chosen by an attacker. Read only."""
    folder = tmp_path_factory.mktemp("hostile-report")
    store = folder / "store.duckdb"
    load_paths(store, [hostile_exports])
    propose_plan(store, Dials(), folder / "plan")
    report_store(store, folder / "report.html", plan=folder / "plan")
    return folder / "report.html"
