"""The reductions are valid KQL for Log Analytics."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from rightsize.collect.kql import REDUCED_TABLES, Asked, Span
from tests.loopback.log_tables import COLUMNS, columns_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / ".ci" / "node" / "node_modules" / "@kusto" / "language-service-next"


def diagnose(folder: Path, *files: Path) -> dict[str, list[str]]:
    """Return what the language service says of each file."""
    node = shutil.which("node")
    if node is None or not PACKAGE.is_dir():
        pytest.skip("needs node, and `npm install --prefix .ci/node @kusto/language-service-next`")
    schemas = folder / "schemas.json"
    texts = {table: ", ".join(f"['{name}']: {kind}" for name, kind in columns_of(table).items()) for table in COLUMNS}
    schemas.write_text(json.dumps({table: f"({text})" for table, text in texts.items()}), encoding="utf-8")
    script = Path(__file__).with_name("check_kql.js")
    command = [node, str(script), str(PACKAGE), str(schemas), *map(str, files)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    said: dict[str, list[str]] = json.loads(told)
    return said


@pytest.mark.external
def test_the_language_service_has_nothing_to_say(tmp_path: Path) -> None:
    """Each query in both forms: with the range of time beside it and within, of all principals and of some."""
    first = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
    span = Span(first, first + dt.timedelta(days=1), 2, 4)
    paths = []
    for table in REDUCED_TABLES:
        for is_within in (False, True):
            path = tmp_path / f"{table}-{is_within}.kql"
            path.write_text(Asked(table, reduced=True).text(span, is_within=is_within), encoding="utf-8")
            paths.append(path)
    assert diagnose(tmp_path, *paths) == {str(path): [] for path in paths}


@pytest.mark.external
def test_the_language_service_knows_the_tables(tmp_path: Path) -> None:
    """A column that the table has not is found, so the schemas count."""
    wrong = tmp_path / "wrong.kql"
    wrong.write_text("AzureActivity | project CallerName", encoding="utf-8")
    (said,) = diagnose(tmp_path, wrong).values()
    assert len(said) == 1
    assert "CallerName" in said[0]
