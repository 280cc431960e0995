"""How long a person waits before the first character, against a bare interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

RUNS = 9


def run() -> Iterator[tuple[str, str, str]]:
    """Time `--help` and `--version` side by side with `python -c pass`, interleaved, medians."""
    entry = "from rightsize.cli.main import main; main()"
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "rightsize --version": [sys.executable, "-c", entry, "--version"],
        "rightsize --help": [sys.executable, "-c", entry, "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times[name].append(time.perf_counter() - start)
    bare = statistics.median(times["python -c pass"])
    for name, measured in times.items():
        median = statistics.median(measured)
        yield name, f"{median * 1000:.0f} ms", f"{median / bare:.1f} x a bare interpreter"
