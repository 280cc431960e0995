"""Summary rules are written for each table that can be reduced, and the tables that they fill are loaded."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path

import pytest

from rightsize.collect.kql import REDUCED_TABLES, reduction_text
from rightsize.model.errors import InputError
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.data.summary_rules import write_summary_rules
from tests.collect.kql_twins import insert, reduced_by_kql, workspace
from tests.collect.odd_requests import graph_row, object_row
from tests.collect.odd_rows import Maker, activity_row


@pytest.mark.slow
def test_each_table_has_a_rule_with_its_query(tmp_path: Path) -> None:
    *queries, template = write_summary_rules(tmp_path / "rules")
    assert [path.stem for path in queries] == list(REDUCED_TABLES)
    rules = json.loads(template.read_text(encoding="utf-8"))["resources"]
    for table, path, rule in zip(REDUCED_TABLES, queries, rules, strict=True):
        text = reduction_text(table)
        found = rule["properties"]["ruleDefinition"]
        assert path.read_text(encoding="utf-8") == text == found["query"]
        # A text that begins with a bracket is an expression of the template.
        assert not text.startswith("[")
        assert found["destinationTable"].endswith(f"{table}_CL")
        assert found["binSize"] in (60, 1440)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write"):
        write_summary_rules(tmp_path / "file" / "rules")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("table", "make"),
    [("AzureActivity", activity_row), ("StorageBlobLogs", object_row), ("MicrosoftGraphActivityLogs", graph_row)],
)
def test_rows_of_the_table_that_a_rule_fills_are_those_of_the_query(table: str, make: Maker, tmp_path: Path) -> None:
    """Azure adds columns of its own, and the table's name is that of the rule's table."""
    con = workspace()
    insert(con, table, [make(random.Random(n).choice) for n in range(300)])  # noqa: S311  no secret
    rows = [
        {name: f"{value.isoformat()}Z" if isinstance(value, dt.datetime) else value for name, value in row.items()}
        for row in reduced_by_kql(con, table)
    ]
    added = {
        "TimeGenerated": "2026-09-09T00:10:00Z",
        "TenantId": "00000000-0000-0000-0000-000000000000",
        "Type": f"Rightsize{table}_CL",
        "_RuleName": "rule",
        "_BinStartTime": "2026-09-08T00:00:00Z",
    }
    for name, more in (("query", {}), ("rule", added)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(row | more)}\n" for row in rows), encoding="utf-8")
        load_paths(tmp_path / f"{name}.duckdb", [path])
    found = []
    for name in ("query", "rule"):
        with open_store(tmp_path / f"{name}.duckdb", read_only=True) as store:
            found.append([sorted(store.table(one).rows(), key=repr) for one in ("usage_days", "graph_usage_days")])
    assert found[0] == found[1]
    assert len(found[0][0]) > 10
