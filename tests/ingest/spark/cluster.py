"""Start a real Spark of several processes: two executors behind a Spark Connect server, all on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_EXECUTOR = "CoarseGrainedExecutorBackend"
QUICK = dict.fromkeys(
    ("spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"), "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
)
"""Settings of processes that do not live long enough for the best machine code to pay."""


@dataclass(frozen=True)
class Cluster:
    """A running server: where it listens, and its process."""

    url: str
    process: subprocess.Popen[bytes]

    def executors(self) -> dict[int, float]:
        """The processes of executors, with the seconds of CPU that each has used."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                is_ours = os.getsid(int(folder.name)) == os.getsid(self.process.pid)
            except OSError:
                continue
            if is_ours and any(word.endswith(_EXECUTOR.encode()) for word in words):
                found[int(folder.name)] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def kill_executor_at_work(self, seconds: float) -> int:
        """Kill the executor that first uses so many more seconds of CPU; return its process."""
        before = self.executors()
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            for process, used in self.executors().items():
                if used - before.get(process, 0) > seconds:
                    os.kill(process, signal.SIGKILL)
                    return process
        raise AssertionError("no executor was at work")


@contextmanager
def spark_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a Spark Connect server over two executors.

    Skips where there is no Java, or no Spark.
    """
    pyspark = pytest.importorskip("pyspark", reason="needs the extra `spark`")
    if shutil.which("java") is None:
        pytest.skip("needs Java 17 or newer")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path(pyspark.__file__).parent
    settings = QUICK | {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    command = [str(home / "bin" / "spark-submit"), "--class", _SERVER, "--master", "local-cluster[2,1,1024]"]
    command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [*command, "spark-internal"], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        _await(process, port, folder / "server.log")
        yield Cluster(f"sc://127.0.0.1:{port}", process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        process.poll()
        time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
