"""Tables of Spark's own catalog are reduced by their name: only Spark knows where their files are."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="needs the extra `spark`")
if shutil.which("java") is None:
    pytest.skip("needs Java 17 or newer", allow_module_level=True)

from pyspark.sql import SparkSession

from rightsize.cli.main import run
from rightsize.ingest.spark import reduce
from rightsize.model.errors import InputError
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.data.load_spark import load_on_spark
from tests.collect.kql_twins import export, insert, workspace
from tests.collect.odd_requests import (
    cluster_row,
    graph_row,
    object_row,
    sign_in_row,
    vault_row,
)
from tests.collect.odd_rows import Maker, activity_row
from tests.collect.test_kql_reductions import SIGN_INS
from tests.ingest.spark.cluster import QUICK

pytestmark = pytest.mark.external

MAKERS: dict[str, Maker] = {
    "AzureActivity": activity_row,
    "StorageBlobLogs": object_row,
    "AZKVAuditLogs": vault_row,
    "AKSAudit": cluster_row,
    "MicrosoftGraphActivityLogs": graph_row,
    **{table: partial(sign_in_row, table=table) for table in SIGN_INS},
}
IN_CI = ("AZKVAuditLogs", "SigninLogs")
"""One table of calls and one of sign-ins; each takes half a minute."""
SAME = (
    "usage_days", "graph_usage_days", "token_permissions", "sign_ins", "principal_aliases", "request_access",
    "unmapped_operations", "unknown_operations", "coverage",
)  # fmt: skip


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SparkSession, Path]]:
    """A session with a catalog for tables of logs, and the folder of their rows."""
    folder = tmp_path_factory.mktemp("catalog")
    builder = SparkSession.builder.master("local[2]")
    settings = QUICK | {
        "spark.sql.shuffle.partitions": "2",
        "spark.local.dir": str(folder / "work"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sql("CREATE DATABASE IF NOT EXISTS logs")
    yield session, folder
    session.stop()


def make_table(spark: tuple[SparkSession, Path], table: str) -> Path:
    """Make a table of a log, once, with a partition a day; return the same rows as JSON lines."""
    session, folder = spark
    lines, rows = folder / f"{table}.jsonl", folder / f"{table}.parquet"
    if not lines.exists():
        con, choose = workspace(), random.Random(5).choice  # noqa: S311  no secret
        insert(con, table, [MAKERS[table](choose) for _ in range(300)])
        con.execute(f"COPY (SELECT *, TimeGenerated::DATE AS day FROM {table}) TO '{rows}' (FORMAT parquet)")
        session.read.parquet(str(rows)).write.partitionBy("day").saveAsTable(f"logs.{table}")
        export(con, table, lines)
    return lines


def content_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with open_store(path, read_only=True) as store:
        return {name: sorted(store.table(name).rows(), key=repr) for name in SAME}


@pytest.mark.parametrize(
    "table", [pytest.param(one, marks=[] if one in IN_CI else pytest.mark.nightly) for one in sorted(MAKERS)]
)
def test_a_table_of_the_catalog_gives_the_store_that_duckdb_makes(
    spark: tuple[SparkSession, Path], table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client lists no file: it is given the name, and the reduced rows."""
    lines = make_table(spark, table)
    monkeypatch.delattr(reduce, "find_parts")
    load_on_spark(tmp_path / "spark.duckdb", [], "local[2]", tables=[f"spark_catalog.logs.{table}"])
    load_paths(tmp_path / "here.duckdb", [lines])
    found, expected = content_of(tmp_path / "spark.duckdb"), content_of(tmp_path / "here.duckdb")
    assert len(expected["sign_ins" if table in SIGN_INS else "usage_days"]) > 20
    assert found == expected


def test_a_notebook_loads_some_days_by_its_own_session(
    spark: tuple[SparkSession, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Partitions of other days are left out, which is said, and the session stays as it was."""
    make_table(spark, "AZKVAuditLogs")
    spark[0].conf.set("spark.sql.session.timeZone", "Europe/Berlin")
    words = ["--engine", "spark", "--table", "logs.AZKVAuditLogs", "--where", "day = DATE '2026-09-08'"]
    assert run(["load", *words, "--db", str(tmp_path / "s.duckdb")]) == 0
    assert "PartitionFilters: [isnotnull(day" in " ".join(capsys.readouterr().err.split())
    assert spark[0].conf.get("spark.sql.session.timeZone") == "Europe/Berlin"
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        assert {str(day) for (day,) in store.table("usage_days").select("day").rows()} == {"2026-09-08"}


@pytest.mark.parametrize(("table", "where"), [("logs.absent", ""), ("logs.AZKVAuditLogs", "nothing = 1")])
def test_a_table_or_condition_that_cannot_be_read_is_said(
    spark: tuple[SparkSession, Path], table: str, where: str, tmp_path: Path
) -> None:
    make_table(spark, "AZKVAuditLogs")
    with pytest.raises(InputError, match=table):
        load_on_spark(tmp_path / "s.duckdb", [], "local[2]", tables=[table], where=where)
