"""Plant one fault after the other in a copy of the tree, and print which tests find it.

`python -m tests.planted_faults [NAME…] [--all-tiers] [--list]`. The command ends with 0 if the default tier misses at
most a tenth of the faults and all tiers find every one, with 1 if not, and with 2 if a fault cannot be judged.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.planted_faults.faults import Fault, FaultError, changed_text, read_faults
from tests.planted_faults.runs import ROOT, Found, check_without_faults, copy_tree, find, is_enough

_HEADS = ("fault", "module", "default tier", "all tiers", "first failing test")


def main(words: list[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted_faults", description="Plant faults and run tests.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults to plant; all without a name")
    parser.add_argument("--all-tiers", action="store_true", help="run all tiers at once, not the default tier first")
    parser.add_argument("--list", action="store_true", help="print the faults and plant none")
    asked = parser.parse_args(words)
    try:
        faults = _chosen(asked.names)
        if asked.list:
            for fault in faults:
                print(f"{fault.name}: {fault.module}: {fault.wrong}")
            return 0
        found = _plant(faults, only_all_tiers=asked.all_tiers)
    except FaultError as error:
        print(error, file=sys.stderr)
        return 2
    print()
    if not asked.all_tiers:
        print(f"found by the default tier: {sum(one.by_default is not None for one in found)} of {len(found)}")
    print(f"found by all tiers: {sum(one.by_all is not None for one in found)} of {len(found)}")
    return 0 if is_enough(found, only_all_tiers=asked.all_tiers) else 1


def _chosen(names: list[str]) -> list[Fault]:
    faults = {fault.name: fault for fault in read_faults()}
    if unknown := sorted(set(names) - faults.keys()):
        raise FaultError(f"there is no fault {unknown[0]}; --list shows them")
    return [fault for name, fault in faults.items() if not names or name in names]


def _plant(faults: list[Fault], *, only_all_tiers: bool) -> list[Found]:
    with tempfile.TemporaryDirectory(prefix="planted-faults-") as folder:
        copy = copy_tree(Path(folder))
        for fault in faults:
            changed_text(fault, ROOT)
        widths = [max(map(len, texts)) for texts in zip(*((one.name, one.module) for one in faults), strict=True)]
        print(_line(_HEADS, widths), flush=True)
        found = []
        for fault in faults:
            found.append(find(fault, copy, only_all_tiers=only_all_tiers))
            print(_line(_cells(found[-1], only_all_tiers), widths), flush=True)
        check_without_faults(copy, found)
        return found


def _cells(one: Found, only_all_tiers: bool) -> tuple[str, ...]:
    by_default = "-" if only_all_tiers else "yes" if one.by_default else "no"
    return one.fault.name, one.fault.module, by_default, "yes" if one.by_all else "no", one.by_all or ""


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, (*widths, 12, 9, 0), strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
