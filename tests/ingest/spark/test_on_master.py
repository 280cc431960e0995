"""Logs reduced by a Spark at a master URL, with its driver in the process of the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyspark", reason="needs the extra `spark`")
if shutil.which("java") is None:
    pytest.skip("needs Java 17 or newer", allow_module_level=True)

from rightsize.workflow.data.load import load_paths
from tests.ingest.spark.cluster import QUICK
from tests.ingest.spark.test_on_cluster import answers, assignments, line_texts, made_up


@pytest.mark.nightly
@pytest.mark.external
def test_a_master_url_gives_the_store_that_duckdb_makes(tmp_path: Path) -> None:
    """`--spark local-cluster[…]` starts two executors, which write into a folder that both sides see."""
    for folder in ("logs", "results", "work", "told"):
        (tmp_path / folder).mkdir()
    records = [made_up(number, status=status) for number in range(40) for status in ("Start", "Success")]
    (tmp_path / "logs" / "a.jsonl").write_text(line_texts([*records[::2], "cut {", *assignments()]), encoding="utf-8")
    (tmp_path / "logs" / "b.jsonl").write_text(line_texts(records[1::2]), encoding="utf-8")
    settings = QUICK | {
        "spark.sql.shuffle.partitions": "2",
        "spark.local.dir": str(tmp_path / "work"),
        "spark.sql.warehouse.dir": str(tmp_path / "work"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (tmp_path / "told").as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }
    command = [sys.executable, "-m", "rightsize", "load", "--engine", "spark", "--spark", "local-cluster[2,1,1024]"]
    command += [word for name, value in settings.items() for word in ("--spark-conf", f"{name}={value}")]
    command += ["--spark-results", str(tmp_path / "results"), "--db", str(tmp_path / "spark.duckdb"), "-o", "json"]
    done = subprocess.run(
        [*command, str(tmp_path / "logs")],
        env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {row["source"] for row in json.loads(done.stdout)} >= {"reduced_usage", "activity_log"}
    told = [json.loads(line) for path in (tmp_path / "told").iterdir() for line in path.read_text().splitlines()]
    assert len({word["Executor ID"] for word in told if word["Event"] == "SparkListenerExecutorAdded"}) == 2
    load_paths(tmp_path / "here.duckdb", [tmp_path / "logs"])
    for question in ("usage_days", "role_assignment_requests"):
        (reduced,), (whole,) = (
            answers(tmp_path / f"{name}.duckdb", f"SELECT * FROM {question} ORDER BY ALL") for name in ("spark", "here")
        )
        assert whole.height > 1
        assert reduced.equals(whole)
