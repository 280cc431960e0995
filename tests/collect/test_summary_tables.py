"""The tables that summary rules fill are collected like a reduction, and loaded as what their queries returned."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
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
from tests.collect.kql_twins import EVER, insert, reduction_sql, workspace
from tests.collect.odd_requests import graph_row, object_row, sign_in_row, vault_row
from tests.collect.odd_rows import Maker, activity_row
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
        frame = con.execute(f"SELECT *, {_ADDED.format(start + size + HOUR, name, start)} FROM ({sql})")
        made.append(frame.to_arrow_table())
    con.register("made_rows", pa.concat_tables(made))
    con.execute(f"CREATE TABLE logs.{name} AS FROM made_rows")
    for relation in (f"VIEW {table}", "TABLE logs.all_rows", "VIEW made_rows"):
        con.execute(f"DROP {relation}")
    return name


@pytest.fixture
def served(loopback: Loopback) -> Iterator[Callable[[duckdb.DuckDBPyConnection, str], None]]:
    """Have the service answer from a table of a rule, too."""
    ensure_tables(loopback.content)
    names, cursor = [], loopback.content.cursor()

    def serve(con: duckdb.DuckDBPyConnection, name: str) -> None:
        cursor.register("kept_rows", con.sql(f"FROM logs.{name}").to_arrow_table())
        cursor.execute(f"CREATE TABLE logs.{name} AS FROM kept_rows")
        cursor.unregister("kept_rows")
        names.append(name)

    yield serve
    for name in names:
        cursor.execute(f"DROP TABLE logs.{name}")


def rows_of(con: duckdb.DuckDBPyConnection, name: str, path: Path) -> Path:
    con.execute(f"COPY (FROM logs.{name}) TO '{path}' (FORMAT json, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ')")
    return path


def content_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    names = ("usage_days", "sign_ins", "graph_usage_days", "request_access", "unmapped_operations")
    with open_store(path, read_only=True) as store:
        return {name: sorted(store.table(name).rows(), key=repr) for name in names}


@pytest.mark.parametrize("form", PLACES)
def test_rows_of_rules_load_as_what_their_queries_returned(
    served: Callable[[duckdb.DuckDBPyConnection, str], None], loopback: Loopback, collect: Collect, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, form: str,
) -> None:  # fmt: skip
    """Throttled, cut off, in answers too small for an hour; and a bin that was run again adds nothing."""
    con, choose = workspace(), random.Random(3).choice  # noqa: S311  no secret
    names = []
    for table, make in MAKERS.items():
        insert(con, table, [make(choose) for _ in range(400)])
        names.append(run_rule(con, table))
        rows_of(con, names[-1], tmp_path / f"{table}.jsonl")
        again = "SELECT * REPLACE (TimeGenerated + INTERVAL 3 HOUR AS TimeGenerated)"
        con.execute(f"INSERT INTO logs.{names[-1]} {again} FROM logs.{names[-1]}")
        served(con, names[-1])
    load_paths(tmp_path / "here.duckdb", sorted(tmp_path.glob("*.jsonl")))
    monkeypatch.setattr(loopback.monitor, "record_limit", 100)
    for kind in ("throttle", "cut", "503"):
        loopback.faults.add(kind, "/query$", times=2)
    report = collect(workspaces=[form.format(loopback.content.workspace_id, loopback.url)], sources=names, days=30)
    rows = [row_of(report, name) for name in names]
    assert {row.state for row in rows} == {"complete"}
    assert min(row.pages for row in rows) > 2
    load_paths(tmp_path / "there.duckdb", [report.folder])
    found, expected = content_of(tmp_path / "there.duckdb"), content_of(tmp_path / "here.duckdb")
    assert all(len(expected[name]) > 50 for name in ("usage_days", "sign_ins", "graph_usage_days"))
    assert found == expected
