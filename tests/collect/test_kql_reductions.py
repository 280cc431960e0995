"""The reductions of `queries/kql/` give the same rows as those of `queries/reduce/`."""

from __future__ import annotations

import datetime as dt
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.collect.kql_twins import (
    export,
    insert,
    reduced_by_kql,
    reduced_by_sql,
    sign_ins_by_kql,
    sign_ins_by_sql,
    summed,
    workspace,
)
from tests.collect.odd_rows import GUIDS, activity_row
from tests.loopback.log_tables import ensure_tables
from tests.loopback.server import Loopback

HOUR = dt.timedelta(hours=1)
SIGN_INS = (
    "SigninLogs",
    "AADNonInteractiveUserSignInLogs",
    "AADServicePrincipalSignInLogs",
    "AADManagedIdentitySignInLogs",
)


@pytest.fixture(scope="module")
def logs(loopback_service: Loopback) -> duckdb.DuckDBPyConnection:
    """The tables of the demo tenant's workspace."""
    ensure_tables(loopback_service.content)
    con = loopback_service.content.cursor()
    con.execute("SET search_path = 'logs'")
    return con


def check_same(con: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Assert that both definitions give the same rows of AzureActivity; return how many."""
    by_sql = reduced_by_sql([export(con, "AzureActivity", folder / "rows.jsonl")])
    by_kql = summed(reduced_by_kql(con, "AzureActivity"))
    keys = sorted(by_sql.keys() | by_kql.keys())
    assert [(key, by_kql.get(key)) for key in keys] == [(key, by_sql.get(key)) for key in keys]
    return len(by_sql)


@pytest.mark.nightly
def test_the_tenants_activity_log_reduces_to_the_same_use(logs: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert check_same(logs, tmp_path) > 500


@pytest.mark.slow
def test_the_tenants_sign_ins_reduce_to_the_same_days(logs: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    paths = [export(logs, table, tmp_path / f"{table}.jsonl") for table in SIGN_INS]
    found = sign_ins_by_kql([row for table in SIGN_INS for row in reduced_by_kql(logs, table)])
    assert found == sign_ins_by_sql(paths)
    assert len(found) > 500


@pytest.mark.nightly
def test_slices_together_are_the_whole(logs: duckdb.DuckDBPyConnection) -> None:
    """However the time is cut at whole hours, the rows are the same, those of calls over a bound among them."""
    first = dt.datetime(2026, 9, 7, tzinfo=dt.UTC)
    cuts = [first + HOUR * hours for hours in (0, 33, 96)]

    def rows(start: dt.datetime, end: dt.datetime) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in reduced_by_kql(logs, "AzureActivity", start, end)]

    whole = rows(cuts[0], cuts[-1])
    parts = [row for start, end in pairwise(cuts) for row in rows(start, end)]
    assert len(whole) > 50
    assert sorted(parts) == sorted(whole)


@pytest.mark.nightly
def test_a_call_over_midnight_is_one_call() -> None:
    """Its begin and its end stand in two slices, and count in the first of them."""
    con = workspace()
    midnight = dt.datetime(2026, 9, 8)
    row = {
        "OperationNameValue": "MICROSOFT.COMPUTE/DISKS/WRITE",
        "_ResourceId": "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/disks/d",
        "CategoryValue": "Administrative",
        "Caller": GUIDS[0],
        "CorrelationId": "c",
    }
    begin = {"TimeGenerated": midnight - dt.timedelta(seconds=5), "ActivityStatusValue": "Start"}
    end = {"TimeGenerated": midnight + dt.timedelta(seconds=5), "ActivityStatusValue": "Success"}
    insert(con, "AzureActivity", [row | begin, row | end])
    start = midnight.replace(tzinfo=dt.UTC)
    (found,) = reduced_by_kql(con, "AzureActivity", start - HOUR, start)
    assert (found["succeeded"], found["started"], found["day"].day) == (1, 0, 7)
    assert reduced_by_kql(con, "AzureActivity", start, start + HOUR) == []


@pytest.mark.nightly
def test_odd_rows_reduce_to_the_same_use(tmp_path: Path) -> None:
    """A thousand rows with what exporters and services have been seen to write, and worse, in all combinations."""
    choose = random.Random(7).choice  # noqa: S311  no secret
    con = workspace()
    insert(con, "AzureActivity", [activity_row(choose) for _ in range(1000)])
    assert check_same(con, tmp_path) > 100
