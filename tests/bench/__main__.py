"""Print one table of measurements: `python -m tests.bench [--markdown] [NAME…]`. Nothing here passes or fails.

Each `bench_*.py` beside this file has a `run()` that returns rows of (what, value, against what, more of it), and
perhaps HEADS, which names these columns.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(words: list[str]) -> None:
    """Run the named benches, or all of the quick ones, and print what they measured, as Markdown where asked."""
    names = [word for word in words if word != "--markdown"]
    found = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    for name in found:
        if names and name.removeprefix("bench_") not in names:
            continue
        module = importlib.import_module(f"tests.bench.{name}")
        if not names and getattr(module, "SLOW", False):
            continue
        if len(names) < len(words):
            heads = getattr(module, "HEADS", ("what", "value", "against"))
            print(f"| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}")
            for row in module.run():
                print(f"| {' | '.join(row)} |", flush=True)
            continue
        print(f"-- {name.removeprefix('bench_')}: {(module.__doc__ or '').splitlines()[0]}")
        for what, value, *against in module.run():
            print(f"{what:<58} {value:>18}  {', '.join(filter(None, against))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
