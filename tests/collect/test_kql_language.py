"""The reductions are valid KQL for Log Analytics, and have the same rules as the SQL."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from rightsize.collect.sources.workspaces import REDUCTIONS
from rightsize.ingest.logs.projections import create_reference_tables
from tests.loopback.log_tables import COLUMNS, columns_of

ROOT = Path(__file__).resolve().parents[2]
TEXTS = sorted((ROOT / "queries" / "kql").glob("*.kql"))
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


def test_every_text_is_a_reduction() -> None:
    assert {path.stem for path in TEXTS} == set(REDUCTIONS)


@pytest.mark.external
def test_the_language_service_has_nothing_to_say(tmp_path: Path) -> None:
    assert diagnose(tmp_path, *TEXTS) == {str(path): [] for path in TEXTS}


@pytest.mark.external
def test_the_language_service_knows_the_tables(tmp_path: Path) -> None:
    """A column that the table has not is found, so the schemas count."""
    wrong = tmp_path / "wrong.kql"
    wrong.write_text("AzureActivity | project CallerName", encoding="utf-8")
    (said,) = diagnose(tmp_path, wrong).values()
    assert len(said) == 1
    assert "CallerName" in said[0]


@pytest.mark.parametrize(
    ("text", "name", "rule"),
    [
        ("azure_activity", "Statuses", "SELECT spelling, meaning FROM log_statuses WHERE field = 'status'"),
        ("azure_activity", "HttpNames", "SELECT spelling, meaning FROM log_statuses WHERE field = 'http'"),
        ("azure_activity", "ErrorCodes", "SELECT code, meaning FROM log_error_codes"),
        ("storage_logs", "Statuses", "SELECT spelling, meaning FROM log_statuses WHERE field = 'status'"),
        ("storage_logs", "StorageOperations", "SELECT * FROM log_storage_operations"),
        ("storage_logs", "StorageActions", "SELECT * FROM log_storage_actions"),
    ],
)
def test_a_text_holds_the_rules_that_the_sql_joins(text: str, name: str, rule: str) -> None:
    con = duckdb.connect()
    create_reference_tables(con)
    rules = set(con.execute(rule).fetchall())
    con.close()
    content = (ROOT / "queries" / "kql" / f"{text}.kql").read_text(encoding="utf-8")
    table = re.search(rf"^let {name} = datatable\([^)]*\) \[\n(.*?)\];", content, re.MULTILINE | re.DOTALL)
    assert table is not None
    assert {tuple(re.findall(r'"([^"]*)"', line)) for line in table[1].splitlines()} == rules
