"""Fuzz with Atheris: `python -m tests.fuzz TARGET… --runs N`, or `all`. Prints a row of the table for each target.

Atheris is libFuzzer for Python: it goes on from the inputs that reach new lines. With `--keep`, the short ones of these
go into `tests/fuzz/corpus`, where the next run begins. What breaks a parser goes there in any case.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD = "RIGHTSIZE_FUZZ_TARGET"
LONGEST = 200_000
"""The most bytes of an input."""
SLOWEST = 60
"""Seconds for one input; more is a fault."""
MOST_KEPT, LONGEST_KEPT = 12, 1_000
"""How many inputs of a parser are kept, and the most bytes of one."""


def fuzz(name: str, arguments: list[str]) -> None:
    """Run libFuzzer in this process, which it ends."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["rightsize"]):
        from tests.fuzz.mutate import mutate  # noqa: PLC0415
        from tests.fuzz.targets import TARGETS, check  # noqa: PLC0415

    target = next(one for one in TARGETS if one.name == name)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        drawn = random.Random(seed)  # noqa: S311  libFuzzer gives the seed
        if drawn.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return mutate(data, drawn)[:most]

    atheris.Setup([sys.argv[0], *arguments], lambda data: check(target, data), custom_mutator=mutated)
    atheris.Fuzz()


def run(name: str, runs: int, seed: int, corpus: Path) -> tuple[int, float, str]:
    """Fuzz one target in a process of its own; return the number of inputs, the seconds, and what it found."""
    from tests.fuzz.targets import CORPUS, TARGETS  # noqa: PLC0415

    target = next(one for one in TARGETS if one.name == name)
    for number, text in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(text)
    for path in target.kept():
        (corpus / path.name).write_bytes(path.read_bytes())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as found:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz", name, f"-runs={runs}", f"-seed={seed}", f"-timeout={SLOWEST}"),
                *("-rss_limit_mb=4096", f"-max_len={LONGEST}", f"-artifact_prefix={found}/", str(corpus)),
            ],
            env={**os.environ, CHILD: name},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        seconds = time.monotonic() - began
        counted = re.findall(r"stat::number_of_executed_units: (\d+)|^#(\d+)", done.stderr, re.MULTILINE)
        number = max((int(one or two) for one, two in counted), default=0)
        faults = sorted(Path(found).iterdir())
        if done.returncode and faults:
            (CORPUS / name).mkdir(parents=True, exist_ok=True)
            for path in faults:
                (CORPUS / name / path.name).write_bytes(path.read_bytes())
    if done.returncode == 0:
        return number, seconds, "held"
    error = re.findall(r"^(\w+(?:\.\w+)*(?:Error|Exception)\b.*)$", done.stderr, re.MULTILINE)
    return number, seconds, f"FAULT: {error[-1][:160] if error else done.stderr[-400:]}"


def keep(name: str, corpus: Path) -> None:
    """Keep the longest of the short inputs that reached new lines, beside those kept already: they reach most."""
    from tests.fuzz.targets import CORPUS  # noqa: PLC0415

    sizes = {path: path.stat().st_size for path in corpus.iterdir() if not path.name.startswith("seed-")}
    found = sorted((path for path in sizes if sizes[path] <= LONGEST_KEPT), key=lambda path: (-sizes[path], path.name))
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    for path in found[: max(0, MOST_KEPT - len(list(kept.iterdir())))]:
        (kept / path.name).write_bytes(path.read_bytes())


def main() -> int:
    """Fuzz the named targets and print a table; return how many had a fault."""
    if os.environ.get(CHILD):
        fuzz(os.environ[CHILD], sys.argv[2:])
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="+", help="`all`, or: " + ", ".join(one.name for one in TARGETS))
    parser.add_argument("--runs", type=int, default=2_000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep inputs in the corpus")
    given = parser.parse_args()
    names = [one.name for one in TARGETS] if given.targets == ["all"] else given.targets
    faults = 0
    print("| parser | inputs | seconds | result |\n|---|---:|---:|---|")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            number, seconds, said = run(name, given.runs, given.seed, Path(folder))
            if given.keep:
                keep(name, Path(folder))
        faults += said != "held"
        print(f"| {name} | {number:,} | {seconds:.0f} | {said} |", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(main())
