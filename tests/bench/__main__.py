"""Prints one table of measurements: `python -m tests.bench [NAME…]`. Nothing here passes or fails.

Each `bench_*.py` beside this file has a `run()` that returns rows of (what, value, against what).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(names: list[str]) -> None:
    """Run the named benches, or all of the quick ones, and print what they measured."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    for name in found:
        if names and name.removeprefix("bench_") not in names:
            continue
        module = importlib.import_module(f"tests.bench.{name}")
        if not names and getattr(module, "SLOW", False):
            continue
        print(f"-- {name.removeprefix('bench_')}: {(module.__doc__ or '').splitlines()[0]}")
        for what, value, against in module.run():
            print(f"{what:<58} {value:>16}  {against}")


if __name__ == "__main__":
    main(sys.argv[1:])
