"""Settings of Spark on this machine: Java starts with one collector, whoever asks for it."""

from __future__ import annotations

import pytest

from rightsize.ingest.spark.session import local_settings

DRIVER, EXECUTOR = "spark.driver.defaultJavaOptions", "spark.executor.defaultJavaOptions"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "SPARK_HOME", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_a_local_spark_gets_the_collector_for_throughput() -> None:
    settings = local_settings("local[2]", {"spark.driver.extraJavaOptions": "-Xss4m"})
    assert settings[DRIVER] == settings[EXECUTOR] == "-XX:+UseParallelGC"
    assert settings["spark.driver.extraJavaOptions"] == "-Xss4m"


def test_a_collector_that_is_asked_for_is_the_only_one() -> None:
    asked = {"spark.driver.extraJavaOptions": "-Xss4m -XX:+UseG1GC"}
    assert not {DRIVER, EXECUTOR} & set(local_settings("local[*]", asked))


@pytest.mark.parametrize("name", ["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"])
def test_a_collector_for_every_java_is_the_only_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "-XX:+UseSerialGC")
    assert DRIVER not in local_settings("local[*]", {})


def test_a_spark_set_up_by_hand_keeps_its_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", "/etc/spark")
    assert DRIVER not in local_settings("local[*]", {})


def test_a_cluster_gets_what_is_asked_and_nothing_else() -> None:
    asked = {"spark.sql.shuffle.partitions": "2"}
    assert local_settings("spark://cluster:7077", asked) == asked
