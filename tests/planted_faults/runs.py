"""Copy the tree, run tests in the copy, and judge whether enough faults are found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.planted_faults.faults import Fault, FaultError, planted

ROOT = Path(__file__).resolve().parents[2]
ALL_TIERS = ("-m", "")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
_LONGEST = 1800.0
ENDLESS = f"no end after {_LONGEST:.0f} seconds"
"""In place of a failing test, where the tests do not end: a fault may make a loop endless."""
_NOTHING_RUN = 5


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one fault.

    Attributes:
        fault: The fault.
        by_default: The first failing test of the default tier; None where all pass, or where it was not run.
        by_all: The first failing test of all tiers; the one of the default tier where that one fails.
    """

    fault: Fault
    by_default: str | None
    by_all: str | None


def copy_tree(folder: Path) -> Path:
    """Copy the tracked files into a folder, link the shared data beside the copy, and return the copy.

    Raises:
        FaultError: The tree is no git checkout, or Python would not import the package of the copy.
    """
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        raise FaultError("planted faults need a git checkout")
    copy = folder / "tree"
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    if (ROOT.parent / "shared").is_dir():
        (folder / "shared").symlink_to(ROOT.parent / "shared", target_is_directory=True)
    package = _python(copy, "-c", "import rightsize; print(rightsize.__file__)").stdout.strip()
    if not package.startswith(str(copy)):
        raise FaultError(f"the tests of the copy would import another package: {package}")
    return copy


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of a run of tests: the first that failed, if any, and whether the tier left some of them out."""

    failed: str | None
    is_partial: bool = False


def run_tests(copy: Path, tests: Collection[str], options: Sequence[str] = ()) -> Ran:
    """Run tests in a copy until one fails.

    Raises:
        FaultError: pytest did not run.
    """
    try:
        done = _python(copy, "-m", "pytest", "-x", "-n", "0", "-p", "no:cacheprovider", *options, *tests)
    except subprocess.TimeoutExpired:
        return Ran(ENDLESS)
    if done.returncode in (0, _NOTHING_RUN):
        return Ran(None, is_partial=" deselected" in done.stdout)
    failed = _FAILED.findall(done.stdout)
    if not failed:
        raise FaultError(f"pytest ended with {done.returncode} and names no test: {done.stdout[-2000:]}{done.stderr}")
    # The summary comes last; a log that is shown before it may have such lines, too.
    return Ran(failed[-1])


def find(fault: Fault, copy: Path, *, only_all_tiers: bool = False) -> Found:
    """Plant a fault and run its tests: the default tier first, and all tiers where it misses the fault."""
    with planted(fault, copy):
        first = Ran(None, is_partial=True) if only_all_tiers else run_tests(copy, fault.tests)
        last = run_tests(copy, fault.tests, ALL_TIERS) if first.is_partial else first
    return Found(fault, first.failed, last.failed)


def check_without_faults(copy: Path, found: Sequence[Found]) -> None:
    """Run the tests that found faults once more in the tree without faults.

    Raises:
        FaultError: One of them fails there, too, so it proves nothing about its fault.
    """
    tests = sorted({one.by_all for one in found if one.by_all is not None and one.by_all != ENDLESS})
    if tests and (failed := run_tests(copy, tests, ALL_TIERS).failed) is not None:
        raise FaultError(f"{failed} fails without a fault, too")


def is_enough(found: Sequence[Found], *, only_all_tiers: bool = False) -> bool:
    """Return whether all tiers find every fault, and the default tier misses at most a tenth of them."""
    missed = sum(one.by_default is None for one in found)
    return all(one.by_all for one in found) and (only_all_tiers or missed <= len(found) // 10)


def _python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH comes before the installed package. Wide lines, so that pytest does not cut the names of tests.
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "400"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST,
    )
