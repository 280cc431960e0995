"""The tables that summary rules fill are collected like a reduction, and loaded as what their queries returned."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from rightsize.collect.kql import COUNTED, summary_table
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.collect.collecting import Collect, row_of
from tests.collect.kql_twins import EVER, export, insert, reduction_sql, workspace
from tests.collect.odd_requests import graph_row, object_row, sign_in_row, vault_row
from tests.collect.odd_rows import GUIDS, Maker, activity_row
from tests.loopback.log_tables import ensure_tables
from tests.loopback.server import Loopback

pytestmark = pytest.mark.nightly

DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
MAKERS: dict[str, Maker] = {
    "AzureActivity": activity_row,
    "StorageBlobLogs": object_row,
    "AZKVAuditLogs": vault_row,
    "MicrosoftGraphActivityLogs": graph_row,
    "SigninLogs": sign_in_row,
    "AADServicePrincipalSignInLogs": partial(sign_in_row, table="AADServicePrincipalSignInLogs"),
}
PLACES = ("{0}", "lake:soc-{0}", "{1}/logs")
# What a rule adds to the rows of its query.
_ADDED = """TIMESTAMP '{0}' AS TimeGenerated, 'w' AS TenantId, '{1}' AS Type, 'rightsize' AS "_RuleName",
    TIMESTAMP '{2}' AS "_BinStartTime", 1440 AS "_BinSize", TIMESTAMP '2026-09-01' AS "_RuleLastModifiedTime" """


def run_rule(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Fill the table of a rule as Azure does: each bin sees only its own rows; return its name."""
    name, sql = summary_table(table), reduction_sql(table, *EVER)
    size, part = (HOUR, "hour") if table in COUNTED else (DAY, "day")
    con.execute(f"CREATE TABLE logs.all_rows AS FROM logs.{table}")
    begun = con.execute(f"SELECT DISTINCT date_trunc('{part}', TimeGenerated)::TIMESTAMP FROM logs.all_rows").fetchall()
    made = []
    for (start,) in begun:
        within = f"TimeGenerated >= TIMESTAMP '{start}' AND TimeGenerated < TIMESTAMP '{start + size}'"
        con.execute(f"CREATE OR REPLACE TEMP VIEW {table} AS FROM logs.all_rows WHERE {within}")
        rows = f"SELECT *, {_ADDED.format(start + size + HOUR, name, start)} FROM ({sql})"
        made.append(con.sql(rows).to_arrow_table())
    con.register("made_rows", pa.concat_tables(made))
    con.execute(f"CREATE TABLE logs.{name} AS FROM made_rows")
    for relation in (f"VIEW {table}", "TABLE logs.all_rows", "VIEW made_rows"):
        con.execute(f"DROP {relation}")
    return name


def rows_of(con: duckdb.DuckDBPyConnection, name: str, path: Path) -> Path:
    con.execute(f"COPY (FROM logs.{name}) TO '{path}' (FORMAT json, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ')")
    return path


def content_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    names = ("usage_days", "sign_ins", "graph_usage_days", "request_access", "unmapped_operations")
    with open_store(path, read_only=True) as store:
        return {name: sorted(store.table(name).rows(), key=repr) for name in names}


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> tuple[duckdb.DuckDBPyConnection, list[str], Path]:
    """The tables of rules, with each bin twice; and the store of what the rules' queries returned."""
    con, choose, folder = workspace(), random.Random(3).choice, tmp_path_factory.mktemp("ruled")  # noqa: S311  no secret
    names = []
    for table, make in MAKERS.items():
        insert(con, table, [make(choose) for _ in range(400)])
        names.append(name := run_rule(con, table))
        rows_of(con, name, folder / f"{table}.jsonl")
        again = "SELECT * REPLACE (TimeGenerated + INTERVAL 3 HOUR AS TimeGenerated)"
        con.execute(f"INSERT INTO logs.{name} {again} FROM logs.{name}")
    load_paths(folder / "here.duckdb", sorted(folder.glob("*.jsonl")))
    return con, names, folder / "here.duckdb"


@pytest.fixture
def served(loopback: Loopback, ruled: tuple[duckdb.DuckDBPyConnection, list[str], Path]) -> Iterator[list[str]]:
    """The names of the tables of rules, which the service answers from, too."""
    ensure_tables(loopback.content)
    con, names, _ = ruled
    cursor = loopback.content.cursor()
    for name in names:
        cursor.register("kept_rows", con.sql(f"FROM logs.{name}").to_arrow_table())
        cursor.execute(f"CREATE TABLE logs.{name} AS FROM kept_rows")
        cursor.unregister("kept_rows")
    yield names
    for name in names:
        cursor.execute(f"DROP TABLE logs.{name}")


@pytest.mark.parametrize("form", PLACES)
def test_rows_of_rules_load_as_what_their_queries_returned(
    served: list[str], ruled: tuple[duckdb.DuckDBPyConnection, list[str], Path], loopback: Loopback, collect: Collect,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str,
) -> None:  # fmt: skip
    """Throttled, cut off, in answers of an hour at most; a table that no rule has filled is `gone`."""
    monkeypatch.setattr(loopback.monitor, "record_limit", 150)
    for kind in ("throttle", "cut", "503"):
        loopback.faults.add(kind, "/query$", times=2)
    absent = summary_table("AKSAudit")
    place = form.format(loopback.content.workspace_id, loopback.url)
    report = collect(workspaces=[place], sources=[*served, absent], days=30)
    rows = [row_of(report, name) for name in served]
    assert {row.state for row in rows} == {"complete"}
    assert min(row.pages for row in rows) > 2
    assert row_of(report, f"{absent}_counts").state == "gone"
    load_paths(tmp_path / "there.duckdb", [report.folder])
    found, expected = content_of(tmp_path / "there.duckdb"), content_of(ruled[2])
    assert all(len(expected[name]) > 50 for name in ("usage_days", "sign_ins", "graph_usage_days"))
    assert found == expected


def test_a_call_over_the_edge_of_a_bin_is_two(tmp_path: Path) -> None:
    """Its first row counts as started, and its last lacks the assignment that only the first names."""
    con = workspace()
    row = {
        "OperationNameValue": "MICROSOFT.COMPUTE/DISKS/WRITE",
        "_ResourceId": "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/disks/d",
        "CategoryValue": "Administrative",
        "Caller": GUIDS[0],
        "CorrelationId": "c",
        "TimeGenerated": dt.datetime(2026, 9, 7, 23, 59, 55),
        "ActivityStatusValue": "Start",
        "Authorization_d": {"evidence": {"roleAssignmentId": GUIDS[1]}},
    }
    ended = {"TimeGenerated": dt.datetime(2026, 9, 8, 0, 0, 5), "ActivityStatusValue": "Success", "Authorization_d": {}}
    insert(con, "AzureActivity", [row, row | ended])
    export(con, "AzureActivity", tmp_path / "whole.jsonl")
    rows_of(con, run_rule(con, "AzureActivity"), tmp_path / "kept.jsonl")
    found = {}
    for name in ("whole", "kept"):
        load_paths(tmp_path / f"{name}.duckdb", [tmp_path / f"{name}.jsonl"])
        with open_store(tmp_path / f"{name}.duckdb", read_only=True) as store:
            asked = "SELECT day::VARCHAR, role_assignment_id, succeeded, started FROM usage_days ORDER BY ALL"
            found[name] = store.frame(asked).rows()
    assert found == {
        "whole": [("2026-09-07", GUIDS[1].lower(), 1, 0)],
        "kept": [("2026-09-07", GUIDS[1].lower(), 0, 1), ("2026-09-08", None, 1, 0)],
    }
